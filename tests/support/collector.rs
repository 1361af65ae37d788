//! A collector of spans that speaks OTLP over gRPC and Zipkin's JSON over HTTP, each on a port of its own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use dev::router::collector::{Collector, Spans};
use envoy_types::pb::opentelemetry::proto::common::v1::KeyValue;
use envoy_types::pb::opentelemetry::proto::common::v1::any_value::Value as Any;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A span, whatever it was sent as. Numbers are in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    /// `SERVER`, `CLIENT`.
    pub kind: String,
    pub service: String,
    pub tags: BTreeMap<String, String>,
}

/// A collector; it ends when it is dropped.
pub struct Collecting {
    /// What routers are told.
    pub collector: Collector,
    spans_rx: watch::Receiver<Vec<Span>>,
    task: JoinHandle<()>,
}

impl Collecting {
    /// Starts one.
    pub async fn start(protocol: Spans) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Collector {
            protocol,
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let (spans_tx, spans_rx) = watch::channel(Vec::new());
        let spans_tx = Arc::new(spans_tx);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (io, spans_tx) = (TokioIo::new(stream), Arc::clone(&spans_tx));
                match protocol {
                    Spans::Otlp => {
                        let service =
                            service_fn(move |request| otlp(request, Arc::clone(&spans_tx)));
                        let builder =
                            hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        tokio::spawn(builder.serve_connection(io, service));
                    }
                    Spans::Zipkin => {
                        let service =
                            service_fn(move |request| zipkin(request, Arc::clone(&spans_tx)));
                        let builder = hyper::server::conn::http1::Builder::new();
                        tokio::spawn(builder.serve_connection(io, service));
                    }
                }
            }
        });
        Self {
            collector,
            spans_rx,
            task,
        }
    }

    /// Waits until there are so many spans; gives all.
    pub async fn spans(&self, least: usize) -> Vec<Span> {
        let mut spans_rx = self.spans_rx.clone();
        let waited = spans_rx.wait_for(|spans| spans.len() >= least);
        let longest = std::time::Duration::from_secs(30);
        match tokio::time::timeout(longest, waited).await {
            Ok(spans) => spans.unwrap().clone(),
            Err(_) => panic!("never {least} spans: {:#?}", self.spans_rx.borrow()),
        }
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// `opentelemetry/proto/collector/trace/v1/trace_service.proto`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    of_resources: Vec<OfResource>,
}

#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    of_scopes: Vec<OfScope>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<OtlpSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct OtlpSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |pair: KeyValue| match pair.value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => Some((pair.key, text)),
        _ => None,
    };
    attributes.into_iter().filter_map(text).collect()
}

async fn otlp(
    request: Request<Incoming>,
    spans_tx: Arc<watch::Sender<Vec<Span>>>,
) -> Result<
    Response<
        StreamBody<futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>,
    >,
    Infallible,
> {
    assert_eq!(
        request.uri().path(),
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    let mut body = request.into_body().collect().await.unwrap().to_bytes();
    // Each message has a flag and its length before it.
    assert_eq!(body.get_u8(), 0, "not compressed");
    let length = usize::try_from(body.get_u32()).unwrap();
    let export = Export::decode(&body[..length]).unwrap();
    let mut found = Vec::new();
    for of in export.of_resources {
        let resource = text(of.resource.unwrap_or_default().attributes);
        for span in of.of_scopes.into_iter().flat_map(|scope| scope.spans) {
            found.push(Span {
                trace: hex(&span.trace),
                id: hex(&span.id),
                parent: hex(&span.parent),
                name: span.name,
                kind: match span.kind {
                    2 => "SERVER".to_owned(),
                    3 => "CLIENT".to_owned(),
                    other => other.to_string(),
                },
                service: resource.get("service.name").cloned().unwrap_or_default(),
                tags: text(span.attributes),
            });
        }
    }
    spans_tx.send_modify(|spans| spans.extend(found));
    let trailers = HeaderMap::from_iter([(
        HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let frames = vec![
        Ok(Frame::data(Bytes::from_static(&[0; 5]))),
        Ok(Frame::trailers(trailers)),
    ];
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response
        .body(StreamBody::new(futures::stream::iter(frames)))
        .unwrap())
}

async fn zipkin(
    request: Request<Incoming>,
    spans_tx: Arc<watch::Sender<Vec<Span>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/api/v2/spans");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let spans: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let span = |span: &Value| Span {
        trace: text(&span["traceId"]),
        id: text(&span["id"]),
        parent: text(&span["parentId"]),
        name: text(&span["name"]),
        kind: text(&span["kind"]),
        service: text(&span["localEndpoint"]["serviceName"]),
        tags: span["tags"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
    };
    spans_tx.send_modify(|all| all.extend(spans.iter().map(span)));
    let mut response = Response::new(Full::default());
    *response.status_mut() = hyper::StatusCode::ACCEPTED;
    Ok(response)
}
