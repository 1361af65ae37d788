//! Credentials as docker and podman keep them. Secrets pass through pipes only: never through arguments or logs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::local::{Program, which};

/// What a registry is asked with.
#[derive(Clone)]
pub struct Credentials {
    /// For the request.
    pub auth: RegistryAuth,
    /// Where they came from, for people: "user jane of ~/.docker/config.json".
    pub origin: String,
}

/// The files that credentials may be in, best first.
#[derive(Clone, Debug, Default)]
pub struct DockerConfig {
    files: Vec<PathBuf>,
    /// Where helper programs are, if not in `PATH`.
    helpers: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Auth>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// What a helper program answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl DockerConfig {
    /// The files of the person who runs this process: `$REGISTRY_AUTH_FILE`, docker's `config.json`
    /// (`$DOCKER_CONFIG` or `~/.docker`), podman's `$XDG_RUNTIME_DIR/containers/auth.json`.
    pub fn from_env() -> Self {
        let var = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let docker =
            var("DOCKER_CONFIG").or_else(|| Some(etcetera::home_dir().ok()?.join(".docker")));
        let files = [
            var("REGISTRY_AUTH_FILE"),
            docker.map(|dir| dir.join("config.json")),
            var("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        ];
        Self {
            files: files.into_iter().flatten().collect(),
            helpers: None,
        }
    }

    /// Only these files.
    pub fn files(files: Vec<PathBuf>) -> Self {
        Self {
            files,
            helpers: None,
        }
    }

    /// The same, with the helper programs of a directory.
    #[must_use]
    pub fn with_helpers(mut self, dir: PathBuf) -> Self {
        self.helpers = Some(dir);
        self
    }

    /// The credentials for a repository of a registry; anonymous where there are none.
    ///
    /// # Errors
    /// A file cannot be read or is broken, or a helper program fails.
    pub async fn find(&self, host: &str, repository: &str) -> Result<Credentials> {
        for path in &self.files {
            let Some(file) = read(path)? else {
                continue;
            };
            if let Some(found) = self.look_in(&file, path, host, repository).await? {
                return Ok(found);
            }
        }
        Ok(Credentials {
            auth: RegistryAuth::Anonymous,
            origin: "no credentials".to_owned(),
        })
    }

    async fn look_in(
        &self,
        file: &File,
        path: &Path,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credentials>> {
        let keys = keys(host, repository);
        let helper = keys.iter().find_map(|key| file.cred_helpers.get(key));
        if let Some(helper) = helper.or(file.creds_store.as_ref())
            && let Some(found) = self.ask_helper(helper, host).await?
        {
            return Ok(Some(found));
        }
        let Some(auth) = keys.iter().find_map(|key| file.auths.get(key)) else {
            return Ok(None);
        };
        Ok(decode(auth, path, host)?.map(|(auth, user)| Credentials {
            auth,
            origin: format!("user {user} of {}", path.display()),
        }))
    }

    async fn ask_helper(&self, helper: &str, host: &str) -> Result<Option<Credentials>> {
        let name = format!("docker-credential-{helper}");
        let program = match &self.helpers {
            Some(dir) => dir.join(&name).to_string_lossy().into_owned(),
            None => name.clone(),
        };
        if which(&program).is_none() {
            return Err(
                Error::failed(format!("credential helper {name} is not installed")).cause(format!(
                    "it is named for registry {host} in docker's config.json"
                )),
            );
        }
        let server = if is_docker_hub(host) {
            "https://index.docker.io/v1/"
        } else {
            host
        };
        let (status, output) = Program::new(&program)
            .arg("get")
            .stdin(server)
            .run_to_end()
            .await?;
        if !status.success() {
            // Helpers say on stdout that they have nothing; this sentence is part of their protocol.
            let text = String::from_utf8_lossy(&output.stdout);
            if text.contains("credentials not found") {
                return Ok(None);
            }
            let errors = String::from_utf8_lossy(&output.stderr);
            let said = if text.trim().is_empty() { errors } else { text };
            return Err(
                Error::failed(format!("`{name} get` failed for {host}: {status}"))
                    .cause(said.trim()),
            );
        }
        let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| {
            // The cause could quote the secret.
            Error::failed(format!(
                "`{name} get` did not answer with Username and Secret"
            ))
        })?;
        if answer.username.is_empty() && answer.secret.is_empty() {
            return Ok(None);
        }
        let (auth, user) = if answer.username == "<token>" {
            identity_token(&answer.secret)
        } else {
            let user = answer.username.clone();
            (RegistryAuth::Basic(answer.username, answer.secret), user)
        };
        Ok(Some(Credentials {
            auth,
            origin: format!("user {user} of {name}"),
        }))
    }
}

fn read(path: &Path) -> Result<Option<File>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::io("read", path, &cause)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|cause| {
        // The text of the cause has a line and a column and no value of the file.
        Error::usage(format!("{} is no docker configuration", path.display())).caused_by(&cause)
    })
}

/// What a registry may be called in those files, the closest first.
fn keys(host: &str, repository: &str) -> Vec<String> {
    if is_docker_hub(host) {
        return [
            "https://index.docker.io/v1/",
            "docker.io",
            "index.docker.io",
        ]
        .map(str::to_owned)
        .to_vec();
    }
    // podman knows namespaces: `host/team/web`, `host/team`, `host`.
    let full = format!("{host}/{repository}");
    let mut keys: Vec<String> = full
        .match_indices('/')
        .map(|(at, _)| full[..at].to_owned())
        .chain([full.clone()])
        .collect();
    keys.reverse();
    keys.extend(
        ["https://", "http://"].iter().flat_map(|scheme| {
            ["", "/", "/v1/", "/v2/"].map(|path| format!("{scheme}{host}{path}"))
        }),
    );
    keys
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io")
}

fn decode(auth: &Auth, path: &Path, host: &str) -> Result<Option<(RegistryAuth, String)>> {
    if let Some(token) = some(&auth.registrytoken) {
        return Ok(Some((
            RegistryAuth::Bearer(token.to_owned()),
            "(token)".to_owned(),
        )));
    }
    if let Some(token) = some(&auth.identitytoken) {
        return Ok(Some(identity_token(token)));
    }
    if let (Some(user), Some(password)) = (some(&auth.username), some(&auth.password)) {
        return Ok(Some((
            RegistryAuth::Basic(user.to_owned(), password.to_owned()),
            user.to_owned(),
        )));
    }
    let Some(encoded) = some(&auth.auth) else {
        return Ok(None);
    };
    let broken = || {
        Error::usage(format!(
            "{}: the `auth` of {host} is not base64 of USER:PASSWORD",
            path.display()
        ))
        .hint(format!("`docker login {host}` writes it again"))
    };
    let bytes = STANDARD
        .decode(encoded)
        .or_else(|_| STANDARD_NO_PAD.decode(encoded))
        .map_err(|_| broken())?;
    let text = String::from_utf8(bytes).map_err(|_| broken())?;
    let (user, password) = text.split_once(':').ok_or_else(broken)?;
    // Some versions of docker pad the password with zeros.
    let password = password.trim_end_matches('\0');
    Ok(Some((
        RegistryAuth::Basic(user.to_owned(), password.to_owned()),
        user.to_owned(),
    )))
}

/// Azure's registries, which give out such tokens, take them as the password of this user.
fn identity_token(token: &str) -> (RegistryAuth, String) {
    let user = "00000000-0000-0000-0000-000000000000";
    (
        RegistryAuth::Basic(user.to_owned(), token.to_owned()),
        "(identity token)".to_owned(),
    )
}

fn some(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}
