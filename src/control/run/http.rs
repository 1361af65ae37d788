//! One HTTP/1.1 request to a router, for a JSON value.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 16 << 20;

/// `GET` of a path; the status is not looked at, because a router that waited in vain answers with what it has.
///
/// # Errors
/// One sentence.
pub(super) async fn get(
    address: SocketAddr,
    path: &str,
    timeout: Duration,
) -> Result<Value, String> {
    match tokio::time::timeout(timeout, ask(address, path)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", timeout.as_secs())),
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<Value, String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|cause| cause.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| cause.to_string())?;
    let request = Request::get(path)
        .header(hyper::header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|cause| cause.to_string())?;
    let exchange = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|cause| cause.to_string())?;
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|cause| cause.to_string())?.to_bytes();
        serde_json::from_slice(&body).map_err(|cause| format!("no JSON: {cause}"))
    };
    tokio::select! {
        answer = exchange => answer,
        // It ends by itself only when the connection is lost.
        ended = connection => Err(ended.err().map_or_else(|| "connection closed".to_owned(), |cause| cause.to_string())),
    }
}
