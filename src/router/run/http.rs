//! One request of HTTP/1.1 on a connection of its own.

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{Error, Result};

/// A longer answer is not read to its end.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// The status and the body of the answer. `host`: what the request calls the server.
pub(super) async fn send<S>(
    stream: S,
    method: Method,
    host: &str,
    path: &str,
) -> Result<(StatusCode, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let cannot = |cause: &dyn std::error::Error| {
        Error::failed(format!("no answer of {host} to {method} {path}")).caused_by(cause)
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| cannot(&cause))?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(http::header::HOST, host)
        .body(Empty::<Bytes>::new())
        .map_err(|cause| cannot(&cause))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|cause| cannot(&cause))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER)
        .collect()
        .await
        .map_err(|cause| cannot(&*cause))?
        .to_bytes();
    connection.abort();
    Ok((status, body))
}
