//! `.dockerignore`: patterns from the top of the context; the last one that matches a path or a parent of it decides.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Place, Result};

/// The rules of one file.
#[derive(Clone, Debug, Default)]
pub struct DockerIgnore {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    matcher: GlobMatcher,
    exception: bool,
}

impl DockerIgnore {
    /// The rules for a Dockerfile: `<Dockerfile>.dockerignore`, else `.dockerignore` in the context, else none.
    pub fn load(context: &Path, dockerfile: Option<&Path>) -> Result<Option<Self>> {
        let own = dockerfile.map(|file| {
            let mut name = context.join(file).into_os_string();
            name.push(".dockerignore");
            PathBuf::from(name)
        });
        for path in own.into_iter().chain([context.join(".dockerignore")]) {
            match std::fs::read_to_string(&path) {
                Ok(text) => return Self::parse(&text, &path).map(Some),
                Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(cause) => return Err(Error::io("read", &path, &cause)),
            }
        }
        Ok(None)
    }

    /// Reads rules; `file` is for messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let mut rules = Vec::new();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            // As Docker: a `#` begins a comment only in the first column.
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (exception, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                continue;
            }
            let glob = GlobBuilder::new(&pattern)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|cause| {
                    Error::usage(format!("\"{pattern}\" is no pattern"))
                        .at(Place::at(file, number + 1, 1))
                        .caused_by(&cause)
                })?;
            rules.push(Rule {
                matcher: glob.compile_matcher(),
                exception,
            });
        }
        Ok(Self { rules })
    }

    /// Whether a path, relative to the context, is left out.
    pub fn excludes(&self, path: &Path) -> bool {
        if path.as_os_str().is_empty() {
            return false;
        }
        let matches = |rule: &&Rule| {
            path.ancestors()
                .filter(|part| !part.as_os_str().is_empty())
                .any(|part| rule.matcher.is_match(part))
        };
        self.rules
            .iter()
            .rev()
            .find(matches)
            .is_some_and(|rule| !rule.exception)
    }

    /// Whether something in an excluded directory may be brought back.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.exception)
    }
}

/// As Go's `filepath.Clean`, with the leading slash taken off: `./a/../b/` is `b`.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(rules: &str, path: &str) -> bool {
        DockerIgnore::parse(rules, Path::new(".dockerignore"))
            .unwrap()
            .excludes(Path::new(path))
    }

    #[test]
    fn patterns_count_from_the_top_of_the_context() {
        assert!(excludes("dist", "dist"));
        assert!(excludes("dist", "dist/a/b"));
        assert!(!excludes("dist", "web/dist"));
        assert!(excludes("**/dist", "web/dist/a"));
        assert!(excludes("**/dist", "dist"));
        assert!(excludes("/a/../b/", "b"));
        assert!(excludes("*.md", "README.md"));
        assert!(!excludes("*.md", "docs/README.md"));
        assert!(excludes("docs/*", "docs/README.md"));
        assert!(!excludes("# dist\n\n", "dist"));
    }

    #[test]
    fn the_last_match_decides() {
        assert!(!excludes("*.md\n!README.md", "README.md"));
        assert!(excludes("!README.md\n*.md", "README.md"));
        assert!(!excludes("docs\n!docs/keep", "docs/keep/a"));
        assert!(excludes("!docs/keep\ndocs", "docs/keep/a"));
    }

    #[test]
    fn a_broken_pattern_has_a_place() {
        let error = DockerIgnore::parse("a\n[", Path::new("x/.dockerignore")).unwrap_err();
        assert_eq!(error.place().unwrap().to_string(), "x/.dockerignore:2:1");
    }
}
