//! What git knows about a directory. Reads only; having no repository is fine.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Repository, StatusOptions};
use serde::Serialize;

use crate::error::{Error, Result};

/// A repository with a working tree.
pub struct Git {
    repo: Repository,
    /// The top of the working tree, with symbolic links resolved.
    root: PathBuf,
}

/// The state of a repository, as templates see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GitState {
    /// The branch, unless HEAD is detached.
    pub branch: Option<String>,
    /// The abbreviated commit of HEAD, unless there is none yet.
    pub commit: Option<String>,
    /// Whether anything that git does not ignore differs from HEAD.
    pub dirty: bool,
}

/// Which files [`Git::differs`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Tracked files and untracked ones that are not ignored.
    NotIgnored,
    /// Ignored files as well: any of them counts as a difference.
    All,
}

impl Git {
    /// The repository that a directory is in. `None` where there is none, or one without a working tree.
    ///
    /// # Errors
    /// The repository exists and git refuses it: damaged, or owned by another user (`safe.directory`).
    pub fn discover(path: &Path) -> Result<Option<Self>> {
        let repo = match Repository::discover(path) {
            Ok(repo) => repo,
            Err(cause) if cause.code() == ErrorCode::NotFound => return Ok(None),
            Err(cause) => {
                let hint = (cause.code() == ErrorCode::Owner).then_some(
                    "if you trust it: `git config --global --add safe.directory <directory>`",
                );
                return Err(git_error(
                    &format!("open the git repository of {}", path.display()),
                    &cause,
                )
                .maybe_hint(hint));
            }
        };
        let Some(workdir) = repo.workdir() else {
            return Ok(None);
        };
        let root = workdir
            .canonicalize()
            .map_err(|cause| Error::io("read", workdir, &cause))?;
        Ok(Some(Self { repo, root }))
    }

    /// The top of the working tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Branch, commit and dirtiness of the whole repository. Takes as long as `git status`.
    pub fn state(&self) -> Result<GitState> {
        Ok(GitState {
            branch: self.branch(),
            commit: self.commit(),
            dirty: self.differs(&[&self.root], Scope::NotIgnored)?,
        })
    }

    /// The branch that is checked out; also that of a repository without a commit.
    pub fn branch(&self) -> Option<String> {
        let head = self.repo.find_reference("HEAD").ok()?;
        let target = head.symbolic_target().ok().flatten()?;
        target.strip_prefix("refs/heads/").map(str::to_owned)
    }

    /// The commit of HEAD, abbreviated as git would.
    pub fn commit(&self) -> Option<String> {
        let commit = self.repo.head().ok()?.peel(ObjectType::Commit).ok()?;
        let short = commit.short_id().ok()?;
        short.as_str().ok().map(str::to_owned)
    }

    /// The id of the tree object that a directory has in HEAD: equal for equal content, whatever the history.
    /// `None` where HEAD has no such directory.
    pub fn tree_id(&self, directory: &Path) -> Option<String> {
        let tree = self.repo.head().ok()?.peel_to_tree().ok()?;
        let inside = self.relative(directory)?;
        if inside.as_os_str().is_empty() {
            return Some(tree.id().to_string());
        }
        let entry = tree.get_path(&inside).ok()?;
        (entry.kind() == Some(ObjectType::Tree)).then(|| entry.id().to_string())
    }

    /// Whether the working tree differs from HEAD in any of these files and directories. Nothing else is looked at,
    /// so this is fast for a small directory of a large repository.
    pub fn differs(&self, paths: &[&Path], scope: Scope) -> Result<bool> {
        let mut options = StatusOptions::new();
        options
            .include_untracked(true)
            .include_ignored(scope == Scope::All)
            .recurse_untracked_dirs(false)
            .recurse_ignored_dirs(false)
            .exclude_submodules(false)
            .include_unmodified(false)
            .disable_pathspec_match(true);
        for path in paths {
            let Some(inside) = self.relative(path) else {
                return Ok(true);
            };
            // The status of an ignored directory hides those of what is in it.
            if scope == Scope::All && self.is_ignored(&inside)? {
                return Ok(true);
            }
            // The empty path stands for everything, which is what no path means too.
            if !inside.as_os_str().is_empty() {
                options.pathspec(inside);
            }
        }
        let statuses = self
            .repo
            .statuses(Some(&mut options))
            .map_err(|cause| git_error("compare the working tree with HEAD", &cause))?;
        Ok(!statuses.is_empty())
    }

    fn is_ignored(&self, inside: &Path) -> Result<bool> {
        if inside.as_os_str().is_empty() {
            return Ok(false);
        }
        let is_ignored = self.repo.is_path_ignored(inside);
        is_ignored.map_err(|cause| git_error("read the ignore rules", &cause))
    }

    /// The path below the top of the working tree; `None` where it is elsewhere.
    fn relative(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().ok()?;
        path.strip_prefix(&self.root).ok().map(Path::to_path_buf)
    }
}

fn git_error(what: &str, cause: &git2::Error) -> Error {
    Error::failed(format!("cannot {what}")).cause(cause.message())
}

#[cfg(test)]
mod tests;
