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
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // A server that closes after its answer ends the connection with the answer already handed over.
        _closed = connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers every connection with this text, then closes it.
    async fn server(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 1024];
                let _read = stream.read(&mut head).await.unwrap();
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
        address
    }

    async fn ask(text: &'static str) -> Result<Value, String> {
        get(server(text).await, "/", Duration::from_secs(10)).await
    }

    #[tokio::test]
    async fn an_answer_counts_although_the_server_closes_with_it() {
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\n{\"a\":1}";
        assert_eq!(ask(answer).await, Ok(serde_json::json!({"a": 1})));
    }

    #[tokio::test]
    async fn half_an_answer_and_none_are_none() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n\r\n{\"a\"",
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno",
        ] {
            assert!(ask(text).await.is_err(), "{text}");
        }
    }
}
