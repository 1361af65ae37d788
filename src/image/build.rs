//! Dockerfile builds by docker, buildah or podman.
//!
//! Programs make and keep the image; they also push it, since they know which layers the registry has.

use std::path::Path;

use crate::error::{Error, Result};
use crate::local::{Program, which};
use crate::project::{Build, Engine};

use super::layers::Platform;
use super::plan::At;

/// The order in which engines are looked for.
const ENGINES: [Engine; 3] = [Engine::Docker, Engine::Buildah, Engine::Podman];

impl Engine {
    /// Its program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Buildah => "buildah",
            Self::Podman => "podman",
        }
    }

    /// The command that builds.
    pub fn build(self, at: &At<Build>, reference: &str, platform: &Platform) -> Program {
        let spec = &at.spec;
        let dockerfile = spec
            .dockerfile
            .as_deref()
            .unwrap_or(Path::new("Dockerfile"));
        let mut program = Program::new(self.program())
            .args(["build", "--tag", reference])
            .args(["--platform", &platform.to_string()])
            .arg("--file")
            .arg(at.context.join(dockerfile));
        if self == Self::Docker {
            // Lines instead of a redrawn screen.
            program = program
                .env("DOCKER_BUILDKIT", "1")
                .env("BUILDKIT_PROGRESS", "plain");
        }
        if let Some(target) = &spec.target {
            program = program.args(["--target", target]);
        }
        for (name, value) in &spec.args {
            // The value goes through the environment: arguments can be read by everybody on the machine.
            program = program.args(["--build-arg", name]).env(name, value);
        }
        program.arg(&at.context)
    }

    /// The command that pushes what was built. Docker's daemon decides by itself which registries it trusts without TLS.
    pub fn push(self, reference: &str, plain_http: bool) -> Program {
        let program = Program::new(self.program()).arg("push");
        match (self, plain_http) {
            (Self::Buildah | Self::Podman, true) => program.args(["--tls-verify=false", reference]),
            (Self::Buildah | Self::Podman, false) | (Self::Docker, _) => program.arg(reference),
        }
    }

    /// The command that writes what was built to an archive.
    pub fn save(self, reference: &str, archive: &Path) -> Program {
        let program = Program::new(self.program());
        match self {
            Self::Docker | Self::Podman => program
                .args(["save", "--output"])
                .arg(archive)
                .arg(reference),
            Self::Buildah => program
                .args(["push", reference])
                .arg(format!("docker-archive:{}:{reference}", archive.display())),
        }
    }

    /// Whether it can build now; docker needs its daemon.
    async fn check(self) -> Result<()> {
        match self {
            Self::Docker => Program::new("docker")
                .args(["version", "--format", "{{.Server.Version}}"])
                .output()
                .await
                .map(|_| ()),
            Self::Buildah | Self::Podman => Ok(()),
        }
    }
}

/// The engine that dev.yaml names, else the first one that is installed and works.
///
/// # Errors
/// None is; the error says what was tried.
pub async fn find_engine(wanted: Option<Engine>) -> Result<Engine> {
    if let Some(engine) = wanted {
        let name = engine.program();
        if which(name).is_none() {
            return Err(Error::failed(format!("{name} is not installed"))
                .reason("EngineMissing")
                .hint("install it, or leave `engine` out to take docker, buildah or podman, whichever is there")
                .hint("`layers` needs no engine at all"));
        }
        return match engine.check().await {
            Ok(()) => Ok(engine),
            Err(cause) => Err(unusable(name, &cause)),
        };
    }
    let mut refused = None;
    for engine in ENGINES {
        if which(engine.program()).is_none() {
            continue;
        }
        match engine.check().await {
            Ok(()) => return Ok(engine),
            Err(cause) => refused = refused.or(Some(unusable(engine.program(), &cause))),
        }
    }
    Err(refused.unwrap_or_else(|| {
        Error::failed("none of docker, buildah and podman is installed")
            .reason("EngineMissing")
            .hint("install one of them, or describe the image with `layers`, which needs none")
    }))
}

fn unusable(name: &str, cause: &Error) -> Error {
    let last = cause.causes().last().and_then(|text| text.lines().last());
    Error::failed(format!("{name} is installed and cannot build"))
        .reason("EngineUnusable")
        .cause(last.unwrap_or(cause.message()))
        .hint("start its daemon, or name another `engine` (buildah and podman have no daemon)")
}

/// The paths that a Dockerfile copies by name from its context (`COPY dist /app`): they are in the image even where git
/// ignores them. Sources with variables or wildcards are left out, as are those of other stages.
pub fn dockerfile_sources(text: &str) -> Vec<String> {
    let mut sources = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        if !verb.eq_ignore_ascii_case("COPY") && !verb.eq_ignore_ascii_case("ADD") {
            continue;
        }
        let (flags, rest): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with("--"));
        if flags.iter().any(|flag| flag.starts_with("--from")) {
            continue;
        }
        // The form `COPY ["a b", "/x"]`.
        let rest = rest.join(" ");
        let list: Vec<String> = match serde_json::from_str(&rest) {
            Ok(list) => list,
            Err(_) => rest.split(' ').map(str::to_owned).collect(),
        };
        let Some((_, from)) = list.split_last() else {
            continue;
        };
        sources.extend(from.iter().filter_map(|source| {
            let source = source.trim_start_matches('/').trim_start_matches("./");
            let plain = !source.contains(['*', '?', '[', '$', '<']) && !source.contains("..");
            let whole = source.is_empty() || source == ".";
            (plain && !whole && !source.contains("://")).then(|| source.to_owned())
        }));
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> At<Build> {
        At {
            context: "/src/web".into(),
            spec: Build {
                context: "web".into(),
                dockerfile: Some("build/Dockerfile".into()),
                engine: None,
                args: [("TOKEN".to_owned(), "secret".to_owned())].into(),
                target: Some("run".to_owned()),
            },
        }
    }

    #[test]
    fn commands_are_those_of_the_engines_and_hide_values() {
        let program = Engine::Buildah.build(&at(), "r/web:1", &Platform::linux("arm64"));
        assert_eq!(
            program.display(),
            "buildah build --tag r/web:1 --platform linux/arm64 --file /src/web/build/Dockerfile \
             --target run --build-arg TOKEN /src/web"
        );
        let saved = Engine::Buildah
            .save("r/web:1", Path::new("/tmp/x.tar"))
            .display();
        assert_eq!(
            saved,
            "buildah push r/web:1 docker-archive:/tmp/x.tar:r/web:1"
        );
        assert_eq!(
            Engine::Podman.push("r/web:1", true).display(),
            "podman push --tls-verify=false r/web:1"
        );
        assert_eq!(
            Engine::Docker.push("r/web:1", true).display(),
            "docker push r/web:1"
        );
    }

    #[test]
    fn sources_of_a_dockerfile() {
        let text = "FROM x AS y\nCOPY --chown=1:1 dist \\\n  lib /app/\ncopy [\"a b\", \"/x\"]\nCOPY . .\n\
                    COPY --from=y /z /z\nADD https://e.example/x /x\nCOPY *.go $X ./q /x\nRUN COPY a b\n";
        assert_eq!(dockerfile_sources(text), ["dist", "lib", "a b", "q"]);
        assert!(dockerfile_sources("COPY\nCOPY x").is_empty());
    }
}
