//! Credential plug-ins (`exec` of a kubeconfig): programs that log in and print an ExecCredential.
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use http::HeaderValue;
use k8s_openapi::jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

use super::bearer::header;
use super::broken;
use crate::error::{Error, Result};
use crate::local::{Program, which};
use crate::manifest::yaml;
use crate::plain::one_line;

/// Characters of what a plug-in said that an error shows.
const SHOWN: usize = 300;

/// A plug-in of a context.
#[derive(Clone)]
pub(super) struct Plugin {
    exec: ExecConfig,
    command: String,
    context: String,
    limit: Duration,
}

/// What a plug-in answered.
pub(super) struct Credential {
    pub(super) token: Option<HeaderValue>,
    /// Certificate and key, in PEM.
    pub(super) certificate: Option<(String, String)>,
    /// When the token expires.
    pub(super) until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Answer {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    pub(super) fn new(exec: ExecConfig, context: &str, limit: Duration) -> Result<Self> {
        let command = exec.command.clone().filter(|command| !command.is_empty());
        let Some(command) = command else {
            return Err(broken(format!(
                "the user of the context \"{context}\" has an exec without a command"
            )));
        };
        Ok(Self {
            exec,
            command,
            context: context.to_owned(),
            limit,
        })
    }

    /// Runs it. When the future is dropped, or takes too long, the program is ended.
    pub(super) async fn run(&self) -> Result<Credential> {
        let (command, context) = (&self.command, &self.context);
        if which(command).is_none() {
            return Err(Error::cluster(format!(
                "the context \"{context}\" needs the program \"{command}\" to log in, and it is not installed"
            ))
            .reason("CredentialPluginMissing")
            .maybe_hint(self.exec.install_hint.as_ref())
            .hint(format!("install {command}, or choose another context with --context")));
        }
        let program = self.program();
        let Ok(ran) = tokio::time::timeout(self.limit, program.run_to_end()).await else {
            return Err(Error::cluster(format!(
                "\"{command}\" did not log in to \"{context}\" within {}",
                humantime::format_duration(self.limit)
            ))
            .reason("CredentialPluginTimedOut")
            .hint(format!("run {command} by hand: it may wait for an answer"))
            .hint("--timeout gives it more time"));
        };
        let (status, output) = ran.map_err(|error| {
            Error::cluster(format!("\"{command}\" could not log in to \"{context}\""))
                .reason("CredentialPluginFailed")
                .caused_by(&error)
        })?;
        if !status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            let error = Error::cluster(format!(
                "\"{command}\" could not log in to \"{context}\" ({status})"
            ))
            .reason("CredentialPluginFailed");
            return Err(match last {
                Some(line) => error.cause(one_line(line, SHOWN)),
                None => error,
            }
            .hint(format!("run {command} by hand, or log in again")));
        }
        self.read(&output.stdout)
    }

    /// The error for an answer that is of no use. What it was is not shown: it is secret.
    pub(super) fn answered(&self, what: &str) -> Error {
        Error::cluster(format!(
            "\"{}\" logged in to \"{}\" and answered with {what}",
            self.command, self.context
        ))
        .reason("CredentialPluginFailed")
        .hint(format!(
            "it has to print an ExecCredential; run {} by hand, or update it",
            self.command
        ))
    }

    fn program(&self) -> Program {
        let exec = &self.exec;
        let mut program = Program::new(&self.command).args(exec.args.iter().flatten());
        let may_ask = exec.interactive_mode != Some(ExecInteractiveMode::Never);
        if may_ask {
            program = program.interactive();
        }
        for variable in exec.env.iter().flatten() {
            if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
                program = program.env(name, value);
            }
        }
        let mut spec = json!({"interactive": may_ask && std::io::stdin().is_terminal()});
        if let Some(cluster) = &exec.cluster {
            spec["cluster"] = json!(cluster);
        }
        let info = json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
        program.env("KUBERNETES_EXEC_INFO", info.to_string())
    }

    fn read(&self, answer: &[u8]) -> Result<Credential> {
        // client-go takes YAML too.
        let status = std::str::from_utf8(answer)
            .ok()
            .and_then(|text| yaml::from_str::<Answer>(text, Path::new("stdout")).ok())
            .ok_or_else(|| self.answered("something that is no ExecCredential"))?
            .status
            .ok_or_else(|| self.answered("an ExecCredential without a status"))?;
        let token = status
            .token
            .filter(|token| !token.is_empty())
            .map(|token| {
                header(&token)
                    .ok_or_else(|| self.answered("a token with a character that no token has"))
            })
            .transpose()?;
        let certificate = status
            .client_certificate_data
            .zip(status.client_key_data)
            .filter(|(certificate, _)| !certificate.is_empty());
        if token.is_none() && certificate.is_none() {
            return Err(self.answered("neither a token nor a certificate"));
        }
        let until = status
            .expiration_timestamp
            .map(|text| {
                text.parse()
                    .map_err(|_| self.answered("a date that is none"))
            })
            .transpose()?;
        Ok(Credential {
            token,
            certificate,
            until,
        })
    }
}
