//! The applications: two servers of HTTP/1.1 that answer every request at once and say which of the two they are.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use super::child;

/// The response header that says which of the two answered.
pub const HEADER: &str = "x-backend";

/// The process: says its ports, and serves until its input ends.
pub fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut ports = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .expect("a port");
            let port = listener.local_addr().expect("bound").port();
            ports.push(port);
            tokio::spawn(serve(listener, HeaderValue::from(port)));
        }
        child::answer(&json!(ports));
        let ended = tokio::task::spawn_blocking(|| child::lines().count());
        let _lines = ended.await;
    });
}

async fn serve(listener: TcpListener, name: HeaderValue) {
    loop {
        let (stream, _) = listener.accept().await.expect("accepted");
        stream.set_nodelay(true).expect("TCP");
        let name = name.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let mut response = Response::new(Full::new(Bytes::from_static(b"hello\n")));
            response.headers_mut().insert(HEADER, name.clone());
            async { Ok::<_, Infallible>(response) }
        });
        // A client that goes away is no error.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
