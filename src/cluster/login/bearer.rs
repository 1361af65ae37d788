//! A bearer token in each request, read or made anew before it expires.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use tokio::sync::Mutex;
use tower::BoxError;
use tower::filter::AsyncPredicate;

use super::plugin::{Credential, Plugin};
use super::unusable;
use crate::error::{Error, Result};

/// How often a token's file is read again: the kubelet replaces what it holds.
const REREAD: SignedDuration = SignedDuration::from_secs(60);
/// How long before its end a token is made anew.
const EARLY: SignedDuration = SignedDuration::from_secs(60);

/// The header of requests. Clones share the token.
#[derive(Clone)]
pub(in crate::cluster) struct Bearer(Arc<Source>);

enum Source {
    Fixed(HeaderValue),
    File {
        path: PathBuf,
        limit: Duration,
        known: Mutex<Known>,
    },
    Plugin {
        plugin: Box<Plugin>,
        known: Mutex<Known>,
    },
}

/// A header and when it is due to be made anew.
struct Known {
    header: HeaderValue,
    due: Timestamp,
}

impl Bearer {
    /// This token; `None` where no header can hold it.
    pub(super) fn fixed(token: &str) -> Option<Self> {
        header(token).map(|header| Self(Arc::new(Source::Fixed(header))))
    }

    /// The token in a file, without the white space around it.
    pub(super) async fn file(path: PathBuf, context: &str, limit: Duration) -> Result<Self> {
        let text = read(&path, limit).await.map_err(|cause| {
            Error::usage(format!(
                "the token of the context \"{context}\" cannot be read from {}",
                path.display()
            ))
            .reason("BrokenKubeconfig")
            .caused_by(&cause)
        })?;
        let header = header(text.trim()).ok_or_else(|| unusable(context))?;
        let known = Mutex::new(Known {
            header,
            due: Timestamp::now() + REREAD,
        });
        Ok(Self(Arc::new(Source::File { path, limit, known })))
    }

    /// What a plug-in answered; `None` where it gave no token but a certificate.
    pub(super) fn plugin(plugin: Plugin, credential: Credential) -> Option<Self> {
        let header = credential.token?;
        Some(Self(Arc::new(match credential.until {
            None => Source::Fixed(header),
            Some(until) => {
                let known = Mutex::new(Known {
                    header,
                    due: before(until),
                });
                Source::Plugin {
                    plugin: Box::new(plugin),
                    known,
                }
            }
        })))
    }

    /// The header for a request that is sent now.
    async fn header(&self) -> Result<HeaderValue> {
        match self.0.as_ref() {
            Source::Fixed(header) => Ok(header.clone()),
            Source::File { path, limit, known } => {
                let mut known = known.lock().await;
                if Timestamp::now() >= known.due {
                    // The last token serves where the file is gone: https://github.com/kubernetes/kubernetes/issues/68164
                    if let Ok(text) = read(path, *limit).await
                        && let Some(header) = header(text.trim())
                    {
                        known.header = header;
                    }
                    known.due = Timestamp::now() + REREAD;
                }
                Ok(known.header.clone())
            }
            Source::Plugin { plugin, known } => {
                let mut known = known.lock().await;
                if Timestamp::now() >= known.due {
                    let credential = plugin.run().await?;
                    known.header = credential
                        .token
                        .ok_or_else(|| plugin.answered("no token"))?;
                    // Without a date it serves for as long as this process.
                    known.due = credential.until.map_or(Timestamp::MAX, before);
                }
                Ok(known.header.clone())
            }
        }
    }
}

impl AsyncPredicate<Request<Body>> for Bearer {
    type Future = BoxFuture<'static, Result<Request<Body>, BoxError>>;
    type Request = Request<Body>;

    fn check(&mut self, mut request: Request<Body>) -> Self::Future {
        let bearer = self.clone();
        Box::pin(async move {
            let header = bearer.header().await?;
            request.headers_mut().insert(AUTHORIZATION, header);
            Ok(request)
        })
    }
}

/// When a token that expires then is due: a date can be the first there is.
fn before(until: Timestamp) -> Timestamp {
    until.checked_sub(EARLY).unwrap_or(Timestamp::MIN)
}

/// `Bearer …`, which logs leave out; `None` where it is no visible ASCII.
pub(super) fn header(token: &str) -> Option<HeaderValue> {
    let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .ok()
        .filter(|_| visible)?;
    value.set_sensitive(true);
    Some(value)
}

async fn read(path: &std::path::Path, limit: Duration) -> std::io::Result<String> {
    match tokio::time::timeout(limit, tokio::fs::read_to_string(path)).await {
        Ok(read) => read,
        // A pipe that nobody writes to.
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}
