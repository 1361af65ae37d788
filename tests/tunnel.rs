//! Both ends of the tunnel over loopback: what a TCP connection does at one end, it does at the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dev::tunnel::agent::{Agent, Fallback};
use dev::tunnel::client::{Client, Event, Options};
use dev::tunnel::deliver::deliver;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::cluster::long;

/// What connections get that no client takes.
const FALLEN_BACK: &[u8] = b"fallen back";

struct Says;

impl Fallback for Says {
    async fn serve(&self, mut socket: TcpStream, _port: u16, _peer: SocketAddr) {
        socket.write_all(FALLEN_BACK).await.unwrap();
    }
}

/// An agent, whose port leads through a client to `local`.
struct Tunnel {
    agent: Agent,
    control: SocketAddr,
    port: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Tunnel {
    async fn start() -> Self {
        let agent = Agent::new();
        let stop = CancellationToken::new();
        let (carriers, control) = listen().await;
        let (connections, port) = listen().await;
        let (serving, stopping) = (agent.clone(), stop.clone());
        tokio::spawn(async move { serving.serve_carriers(carriers, stopping).await });
        let (serving, stopping) = (agent.clone(), stop.clone());
        tokio::spawn(async move {
            serving
                .serve_port(connections, 9080, Arc::new(Says), stopping)
                .await;
        });
        Self {
            agent,
            control,
            port,
            stop,
        }
    }

    /// A client that leads everything to `local`, over `carriers` lanes through `via`. Ends with the test.
    async fn client(
        &self,
        via: SocketAddr,
        local: SocketAddr,
        lanes: usize,
    ) -> mpsc::UnboundedReceiver<Event> {
        let client = Client::new(Options {
            who: "ann@laptop".into(),
            take: false,
            lanes,
            random: [1; 16],
        });
        let (events_tx, mut events_rx) = mpsc::unbounded_channel();
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let run = client.run(
                || TcpStream::connect(via),
                move |_, stream| async move { drop(deliver(stream, local).await) },
                |event| drop(events_tx.send(event)),
            );
            tokio::select! {
                () = stop.cancelled() => {}
                ended = run => ended.unwrap(),
            }
        });
        for _ in 0..lanes {
            let event = events_rx.recv().await.unwrap();
            assert!(matches!(event, Event::Connected { .. }), "{event:?}");
        }
        events_rx
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.port).await.unwrap()
    }
}

/// Each connection to the address goes to one call.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket));
        }
    });
    address
}

/// Answers with the length of the request and the request, once that has ended.
async fn answer(mut socket: TcpStream) {
    let mut request = Vec::new();
    socket.read_to_end(&mut request).await.unwrap();
    let head = format!("{} bytes: ", request.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&request).await.unwrap();
}

fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[tokio::test]
async fn half_a_connection_can_end_and_the_other_half_goes_on() {
    let tunnel = Tunnel::start().await;
    let local = server(answer).await;
    let _events_rx = tunnel.client(tunnel.control, local, 1).await;
    let mut connections = Vec::new();
    for number in 0..200_u64 {
        let mut socket = tunnel.connect().await;
        connections.push(tokio::spawn(async move {
            let request = bytes(number, 1 + number as usize * 997);
            socket.write_all(&request).await.unwrap();
            socket.shutdown().await.unwrap();
            let mut got = Vec::new();
            socket.read_to_end(&mut got).await.unwrap();
            let mut expected = format!("{} bytes: ", request.len()).into_bytes();
            expected.extend(&request);
            assert!(got == expected);
        }));
    }
    for connection in connections {
        connection.await.unwrap();
    }
    assert_eq!(tunnel.agent.held().streams, 0);
}

#[tokio::test]
async fn several_carriers_share_the_connections() {
    let tunnel = Tunnel::start().await;
    let local = server(answer).await;
    let _events_rx = tunnel.client(tunnel.control, local, 3).await;
    for number in 0..9 {
        let mut socket = tunnel.connect().await;
        let request = bytes(number, 300_000);
        socket.write_all(&request).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut got = Vec::new();
        socket.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), b"300000 bytes: ".len() + request.len());
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_off_looks_cut_off_at_the_other_end() {
    let tunnel = Tunnel::start().await;
    let local = server(|mut socket| async move {
        let mut request = [0; 4];
        socket.read_exact(&mut request).await.unwrap();
        socket.write_all(b"half of the ans").await.unwrap();
        socket.set_zero_linger().unwrap();
    })
    .await;
    let _events_rx = tunnel.client(tunnel.control, local, 1).await;
    let mut socket = tunnel.connect().await;
    socket.write_all(b"GET?").await.unwrap();
    let mut got = Vec::new();
    let error = socket.read_to_end(&mut got).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_peer_that_gives_up_is_seen_by_the_local_process() {
    let tunnel = Tunnel::start().await;
    let (seen_tx, mut seen_rx) = mpsc::unbounded_channel();
    let local = server(move |mut socket| {
        let seen_tx = seen_tx.clone();
        async move {
            let mut got = Vec::new();
            let ended = socket.read_to_end(&mut got).await;
            seen_tx
                .send((got, ended.map_err(|error| error.kind())))
                .unwrap();
        }
    })
    .await;
    let _events_rx = tunnel.client(tunnel.control, local, 1).await;
    let mut socket = tunnel.connect().await;
    socket.write_all(b"never mind").await.unwrap();
    socket.set_zero_linger().unwrap();
    drop(socket);
    let (_, ended) = seen_rx.recv().await.unwrap();
    assert_eq!(ended, Err(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_port_that_nothing_listens_on_refuses() {
    let tunnel = Tunnel::start().await;
    let (listener, local) = listen().await;
    drop(listener);
    let _events_rx = tunnel.client(tunnel.control, local, 1).await;
    let mut socket = tunnel.connect().await;
    let error = socket.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn without_a_client_connections_fall_back_at_once() {
    let tunnel = Tunnel::start().await;
    let mut got = Vec::new();
    tunnel.connect().await.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, FALLEN_BACK);
}

/// Passes bytes on, and breaks every connection after so many, often enough.
async fn cutter(to: SocketAddr, cuts: usize, every: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, address) = listen().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut far = TcpStream::connect(to).await.unwrap();
            let cut = counted.fetch_add(1, Ordering::SeqCst);
            if cut >= cuts {
                tokio::spawn(async move {
                    let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
                continue;
            }
            let after = bytes(cut as u64 + 1, 4);
            let after = u32::from_le_bytes(after.try_into().unwrap()) as usize % every;
            let (near_rx, mut near_tx) = near.split();
            let (far_rx, mut far_tx) = far.split();
            let mut up = near_rx.take(after as u64 + 1000);
            let mut down = far_rx.take(after as u64 + 1000);
            tokio::select! {
                _ = tokio::io::copy(&mut up, &mut far_tx) => {}
                _ = tokio::io::copy(&mut down, &mut near_tx) => {}
            }
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checksum_is_right_both_ways_across_twenty_cuts() {
    const CUTS: usize = 20;
    let length: usize = if long() { 1 << 30 } else { 40 << 20 };
    let tunnel = Tunnel::start().await;
    let (via, count) = cutter(tunnel.control, CUTS, length / CUTS).await;
    let piece = bytes(7, 1 << 20);
    let (digest_tx, mut digest_rx) = mpsc::unbounded_channel();
    let local = {
        let piece = piece.clone();
        server(move |socket| {
            let (piece, digest_tx) = (piece.clone(), digest_tx.clone());
            async move {
                let (rx, tx) = socket.into_split();
                let (got, ()) = tokio::join!(digest(rx), send(tx, &piece, length));
                digest_tx.send(got).unwrap();
            }
        })
        .await
    };
    let mut events_rx = tunnel.client(via, local, 1).await;
    let (rx, tx) = tunnel.connect().await.into_split();
    let (got, ()) = tokio::join!(digest(rx), send(tx, &piece, length));
    let mut expected = Sha256::new();
    for _ in 0..length >> 20 {
        expected.update(&piece);
    }
    let expected = expected.finalize().to_vec();
    assert_eq!(got, expected);
    assert_eq!(digest_rx.recv().await.unwrap(), expected);
    assert!(count.load(Ordering::SeqCst) > CUTS, "all cuts were made");
    let mut resumed = 0;
    while let Ok(event) = events_rx.try_recv() {
        match event {
            Event::Connected { resumed: true, .. } => resumed += 1,
            Event::Interrupted { .. } | Event::Failed { .. } => {}
            Event::Connected { .. } | Event::Lost { .. } => panic!("{event:?}"),
        }
    }
    assert!(resumed >= CUTS, "{resumed}");
}

async fn send(mut to: impl tokio::io::AsyncWrite + Unpin, piece: &[u8], length: usize) {
    for _ in 0..length / piece.len() {
        to.write_all(piece).await.unwrap();
    }
    to.shutdown().await.unwrap();
}

async fn digest(mut from: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match from.read(&mut buffer).await.unwrap() {
            0 => return digest.finalize().to_vec(),
            count => digest.update(&buffer[..count]),
        }
    }
}
