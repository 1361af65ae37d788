//! As whom the API server is asked. Whatever a kubeconfig's user names (a token, a file, a program, a password in the address)
//! is checked here before a request is made of it, and no error shows any of it.

mod bearer;
mod plugin;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::config::AuthProviderConfig;
use secrecy::ExposeSecret as _;

pub(super) use bearer::Bearer;
use plugin::Plugin;

use crate::cluster::address;
use crate::error::{Error, Result};

/// Takes the credentials out of a configuration, but for certificates, which are part of TLS, and passwords. A credential plug-in
/// runs here, for at most `limit`.
///
/// # Errors
/// `Usage` for credentials that cannot be sent, `Cluster` for a plug-in that fails.
pub(super) async fn log_in(
    config: &mut Config,
    context: &str,
    limit: Duration,
) -> Result<Option<Bearer>> {
    take_user_of_address(config);
    let user = &mut config.auth_info;
    if let Some(provider) = user.auth_provider.take() {
        let token = token_of(&provider, context)?;
        return Bearer::fixed(&token)
            .map(Some)
            .ok_or_else(|| unusable(context));
    }
    if user.username.is_some() && user.password.is_some() {
        return Ok(None);
    }
    if let Some(token) = user.token.take() {
        return Bearer::fixed(token.expose_secret())
            .map(Some)
            .ok_or_else(|| unusable(context));
    }
    if let Some(file) = user.token_file.take() {
        return Bearer::file(file.into(), context, limit).await.map(Some);
    }
    let Some(exec) = user.exec.take() else {
        return Ok(None);
    };
    let plugin = Plugin::new(exec, context, limit)?;
    let credential = plugin.run().await?;
    if let Some((certificate, key)) = &credential.certificate {
        user.client_certificate_data = Some(STANDARD.encode(certificate));
        user.client_key_data = Some(STANDARD.encode(key).into());
    }
    Ok(Bearer::plugin(plugin, credential))
}

/// `https://USER:PASSWORD@…` is basic authentication where nothing else is named, as for kubectl. The address itself goes through
/// messages, logs and files, so nothing of it stays there.
fn take_user_of_address(config: &mut Config) {
    let found = address::user(&config.cluster_url);
    config.cluster_url = address::without_user(&config.cluster_url);
    let user = &mut config.auth_info;
    let other = user.token.is_some()
        || user.token_file.is_some()
        || user.exec.is_some()
        || user.auth_provider.is_some()
        || user.username.is_some();
    if let (Some((name, password)), false) = (found, other) {
        user.username = Some(name);
        user.password = Some(password.into());
    }
}

/// The token that `auth-provider` of a kubeconfig holds.
fn token_of(provider: &AuthProviderConfig, context: &str) -> Result<String> {
    let name = provider.name.as_str();
    if name == "oidc" {
        return provider.config.get("id-token").cloned().ok_or_else(|| {
            broken(format!(
                "the user of the context \"{context}\" has an auth-provider without an id-token"
            ))
            .hint("log in again with the tool that made this kubeconfig")
        });
    }
    // kubectl knows no other since 1.26 either.
    Err(broken(format!(
        "the user of the context \"{context}\" logs in by the auth-provider \"{name}\", which is not supported"
    ))
    .hint("kubectl does not support it either: make the kubeconfig anew, with a credential plug-in (exec)"))
}

fn broken(message: String) -> Error {
    Error::usage(message).reason("BrokenKubeconfig")
}

/// What is no visible ASCII cannot be in a header of HTTP.
fn unusable(context: &str) -> Error {
    broken(format!(
        "the token of the context \"{context}\" is empty or holds a character that no token has"
    ))
    .hint("a line end or a space, most often: get the token anew, or take it out of its file")
}
