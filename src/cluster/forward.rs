//! `dev url SERVICE --forward`: a local port whose connections end in ready pods of a service.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::pods::{self, PodSet};
use crate::error::{Error, Result, did_you_mean};

/// How long a new connection waits for a ready pod.
const HOLD: Duration = Duration::from_secs(10);
/// The pause before another pod is tried.
const RETRY: Duration = Duration::from_millis(200);
/// How long the pod may still be silent after the client has sent its last byte: a port-forward cannot pass on a half-closed
/// connection.
const LINGER: Duration = Duration::from_secs(10);
const CHUNK: usize = 32 * 1024;

/// What a forward has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection has reached a pod.
    Connected {
        /// The client.
        peer: SocketAddr,
        /// The pod.
        pod: String,
    },
    /// A connection could not be served, or broke.
    Failed {
        /// The client.
        peer: SocketAddr,
        /// Why.
        cause: String,
    },
}

/// Opens the local port; a free one where none is given.
pub async fn listen(port: Option<u16>) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    TcpListener::bind(address).await.map_err(|error| {
        let failed = Error::failed(format!("cannot listen on {address}")).caused_by(&error);
        if error.kind() == std::io::ErrorKind::AddrInUse {
            failed.hint("another program has the port: name another one, or none")
        } else {
            failed
        }
    })
}

/// The port of a Service that is meant: by name or number, else one that speaks HTTP, else the first.
pub fn port_of<'a>(service: &'a Service, wanted: Option<&str>) -> Result<&'a ServicePort> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
    let ports = ports.unwrap_or_default();
    let tcp = || {
        ports
            .iter()
            .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
    };
    let label = |port: &ServicePort| port.name.clone().unwrap_or_else(|| port.port.to_string());
    match wanted {
        Some(wanted) => tcp()
            .find(|port| port.name.as_deref() == Some(wanted) || port.port.to_string() == wanted)
            .ok_or_else(|| {
                let names: Vec<_> = tcp().map(label).collect();
                Error::usage(format!("the Service {name} has no TCP port {wanted}"))
                    .maybe_hint(did_you_mean(wanted, names.iter().map(String::as_str)))
                    .hint(format!("its ports: {}", names.join(", ")))
            }),
        None => tcp()
            .find(|port| is_http(port))
            .or_else(|| tcp().next())
            .ok_or_else(|| Error::failed(format!("the Service {name} has no TCP port"))),
    }
}

/// Whether a port says that it speaks HTTP.
pub fn is_http(port: &ServicePort) -> bool {
    let protocol = port.app_protocol.as_deref().or(port.name.as_deref());
    protocol.is_some_and(|name| name.starts_with("http")) || matches!(port.port, 80 | 8080)
}

/// The number of the pod's port that a Service's port leads to: a name is looked up in the pod's containers.
pub fn target_port(port: &ServicePort, pod: &Pod) -> Option<u16> {
    let number = |number: i32| u16::try_from(number).ok();
    match &port.target_port {
        None => number(port.port),
        Some(IntOrString::Int(target)) => number(*target),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            // Side-cars are init containers, and may have ports too.
            let init = spec.init_containers.iter().flatten();
            let ports = spec
                .containers
                .iter()
                .chain(init)
                .flat_map(|container| container.ports.iter().flatten());
            let mut named = ports.filter(|one| one.name.as_deref() == Some(name));
            number(named.next()?.container_port)
        }
    }
}

/// Serves connections of the listener until the caller drops it. Each goes to a pod that is ready when it comes.
pub async fn serve(
    client: Client,
    set: PodSet,
    port: ServicePort,
    listener: TcpListener,
    on_event: impl Fn(Event) + Send + Sync + 'static,
) -> Result<()> {
    let api = Api::<Pod>::namespaced(client, &set.namespace);
    let (store, writer) = reflector::store::<Pod>();
    let config = watcher::Config::default().labels(&set.selector);
    let mut watch = watcher::watcher(api.clone(), config)
        .default_backoff()
        .reflect(writer)
        .boxed();
    let shared = Arc::new(Shared {
        api,
        store,
        port,
        service: set.service.clone(),
        on_event: Box::new(on_event),
        turn: AtomicUsize::new(0),
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            event = watch.next() => match event {
                Some(Err(
                    watcher::Error::InitialListFailed(kube::Error::Api(status))
                    | watcher::Error::WatchStartFailed(kube::Error::Api(status)),
                )) if matches!(status.code, 401 | 403) => {
                    return Err(pods::refused("watch pods", &set.namespace, &kube::Error::Api(status)));
                }
                // The watch comes back by itself; until then the pods that are known are used.
                Some(_) => {}
                None => return Err(Error::cluster("the watch of the pods ended")),
            },
            accepted = listener.accept() => {
                let (socket, peer) = accepted
                    .map_err(|error| Error::failed("cannot accept connections").caused_by(&error))?;
                connections.spawn(Arc::clone(&shared).connection(socket, peer));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

struct Shared {
    api: Api<Pod>,
    store: Store<Pod>,
    port: ServicePort,
    service: String,
    on_event: Box<dyn Fn(Event) + Send + Sync>,
    turn: AtomicUsize,
}

impl Shared {
    async fn connection(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        if let Err(cause) = self.carry(socket, peer).await {
            (self.on_event)(Event::Failed { peer, cause });
        }
    }

    async fn carry(&self, socket: TcpStream, peer: SocketAddr) -> Result<(), String> {
        // Small writes are answers that somebody waits for; without it they are merely slower.
        let _slower = socket.set_nodelay(true);
        let deadline = Instant::now() + HOLD;
        let mut tried: Vec<String> = Vec::new();
        let mut last = format!("{} has no ready pod", self.service);
        while Instant::now() < deadline {
            let ready = self.ready(&tried);
            let Some((pod, port)) = ready else {
                tried.clear();
                sleep(RETRY).await;
                continue;
            };
            match self.api.portforward(&pod, &[port]).await {
                Ok(mut forwarder) => {
                    let (stream, error) = (forwarder.take_stream(port), forwarder.take_error(port));
                    let (Some(stream), Some(error)) = (stream, error) else {
                        return Err("the port-forward has no stream".to_owned());
                    };
                    (self.on_event)(Event::Connected {
                        peer,
                        pod: pod.clone(),
                    });
                    let carried = tokio::select! {
                        biased;
                        // `None`: the sender is gone because the stream ended; the splice tells how.
                        Some(said) = error => Err(format!("pod {pod}: {}", said.trim())),
                        carried = splice(socket, stream) => carried.map_err(|error| error.to_string()),
                    };
                    forwarder.abort();
                    return carried;
                }
                Err(error) => {
                    last = format!("pod {pod}: {error}");
                    tried.push(pod);
                }
            }
        }
        Err(last)
    }

    /// A ready pod that was not tried yet, and the port in it. Connections go to all of them in turn.
    fn ready(&self, tried: &[String]) -> Option<(String, u16)> {
        let state = self.store.state();
        let ready: Vec<_> = state
            .iter()
            .filter(|pod| pods::is_ready(pod))
            .filter(|pod| !tried.iter().any(|name| name == pods::name(pod)))
            .filter_map(|pod| Some((pods::name(pod).to_owned(), target_port(&self.port, pod)?)))
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = ready.len();
        ready.into_iter().nth(turn % count.max(1))
    }
}

/// Copies both ways until the pod has sent its last byte.
async fn splice(socket: TcpStream, stream: tokio::io::DuplexStream) -> std::io::Result<()> {
    let (client_rx, mut client_tx) = tokio::io::split(socket);
    let (mut pod_rx, pod_tx) = tokio::io::split(stream);
    let upload = upload(client_rx, pod_tx);
    tokio::pin!(upload);
    let mut buffer = vec![0; CHUNK];
    loop {
        tokio::select! {
            read = pod_rx.read(&mut buffer) => {
                let read = read?;
                if read == 0 {
                    return client_tx.shutdown().await;
                }
                client_tx.write_all(&buffer[..read]).await?;
            }
            done = &mut upload => {
                let pod_tx = done?;
                // Dropping the pod's half would cut off its answer: kept until the pod is silent.
                let rest = drain(&mut pod_rx, &mut client_tx).await;
                drop(pod_tx);
                return rest;
            }
        }
    }
}

async fn upload(
    mut client_rx: ReadHalf<TcpStream>,
    mut pod_tx: WriteHalf<tokio::io::DuplexStream>,
) -> std::io::Result<WriteHalf<tokio::io::DuplexStream>> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = client_rx.read(&mut buffer).await?;
        if read == 0 {
            return Ok(pod_tx);
        }
        pod_tx.write_all(&buffer[..read]).await?;
    }
}

async fn drain(
    pod_rx: &mut ReadHalf<tokio::io::DuplexStream>,
    client_tx: &mut WriteHalf<TcpStream>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read) = timeout(LINGER, pod_rx.read(&mut buffer)).await {
        let read = read?;
        if read == 0 {
            break;
        }
        client_tx.write_all(&buffer[..read]).await?;
    }
    client_tx.shutdown().await
}
