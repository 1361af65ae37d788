//! gRPC as far as a proxy sees it: calls with messages and trailers over HTTP/2 without TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc::UnboundedSender;
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// The path of a call that fails with the status of gRPC after it: `/shop.Reviews/Fail13`.
const FAILS: &str = "/shop.Reviews/Fail";

/// The pieces of a body.
pub type Pieces =
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<Frame<Bytes>, hyper::Error>> + Send>>;

/// What sends calls on a connection.
pub type Sender = hyper::client::conn::http2::SendRequest<StreamBody<Pieces>>;

/// A server that sends each message of a call back, then the trailers. What it was asked is in the response's headers: `x-name` (its
/// own), `x-version`, `x-seen`.
pub async fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service =
                service_fn(
                    move |request| async move { Ok::<_, Infallible>(answer(name, request)) },
                );
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn answer(name: &'static str, request: Request<Incoming>) -> Response<StreamBody<Pieces>> {
    let seen: Vec<String> = request
        .headers()
        .iter()
        .map(|(key, value)| format!("{key}={}", value.to_str().unwrap()))
        .collect();
    let version = format!("{:?}", request.version());
    let status = request.uri().path().strip_prefix(FAILS).unwrap_or("0");
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_str(status).unwrap(),
    )]);
    let end = futures::stream::once(async move { Ok(Frame::trailers(trailers)) });
    let pieces: Pieces = Box::pin(
        http_body_util::BodyExt::into_data_stream(request.into_body())
            .map(|it| it.map(Frame::data))
            .chain(end),
    );
    Response::builder()
        .header("content-type", "application/grpc")
        .header("x-name", name)
        .header("x-version", version)
        .header("x-seen", seen.join("&"))
        .body(StreamBody::new(pieces))
        .unwrap()
}

/// How a [`Refusing`] server says that it takes no call.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// Each stream is reset: it was not looked at.
    Stream,
    /// The connection ends without a response: whether it was looked at, nobody knows.
    Connection,
    /// `UNAVAILABLE` as an answer.
    Answer,
}

/// A server that takes no call.
pub struct Refusing {
    /// Where it listens.
    pub address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Refusing {
    /// Starts one.
    pub async fn start(refusal: Refusal) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(refuse(stream, refusal, Arc::clone(&count)));
            }
        });
        Self { address, calls }
    }

    /// How many calls it was asked for.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

async fn refuse(stream: TcpStream, refusal: Refusal, calls: Arc<AtomicUsize>) -> Option<()> {
    let mut connection = h2::server::handshake(stream).await.ok()?;
    while let Some(call) = connection.accept().await {
        let (_, mut respond) = call.ok()?;
        calls.fetch_add(1, Ordering::Relaxed);
        match refusal {
            Refusal::Stream => respond.send_reset(h2::Reason::REFUSED_STREAM),
            Refusal::Connection => return None,
            Refusal::Answer => {
                let response = http::Response::builder()
                    .header("content-type", "application/grpc")
                    .header("grpc-status", "14");
                let _gone = respond.send_response(response.body(()).unwrap(), true);
            }
        }
    }
    Some(())
}

/// Connects a client.
pub async fn connect(to: SocketAddr) -> Sender {
    let stream = TcpStream::connect(to).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

/// A call whose messages are sent through the channel. It ends when that is dropped.
pub fn call(
    path: &str,
    env: Option<&str>,
) -> (Request<StreamBody<Pieces>>, UnboundedSender<&'static str>) {
    let (tx, rx) = futures::channel::mpsc::unbounded();
    let pieces: Pieces = Box::pin(rx.map(|text: &'static str| Ok(Frame::data(Bytes::from(text)))));
    let mut request = Request::post(format!("http://reviews{path}"))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(env) = env {
        request = request.header("baggage", format!("dev-env={env}"));
    }
    (request.body(StreamBody::new(pieces)).unwrap(), tx)
}
