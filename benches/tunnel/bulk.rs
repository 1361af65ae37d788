//! Many bytes one way: a server that gives and takes as many as it is asked to, and what asks it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use super::child;

/// Read or written at a time.
const PIECE: usize = 256 * 1024;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the server.
    Down,
    /// To the server.
    Up,
}

/// The process: says its port, and serves until its input ends.
pub fn main() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    child::answer(&json!(listener.local_addr().expect("bound").port()));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A client that goes away is no error.
            std::thread::spawn(move || drop(serve(socket)));
        }
    });
    let _ended = child::lines().count();
}

fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    let mut head = [0; 9];
    socket.read_exact(&mut head)?;
    let mut left = u64::from_be_bytes(head[1..].try_into().expect("8 bytes"));
    let mut piece = vec![7; PIECE];
    while left > 0 {
        let most = left.min(PIECE as u64) as usize;
        left -= match head[0] {
            0 => {
                socket.write_all(&piece[..most])?;
                most
            }
            _ => socket.read(&mut piece[..most])?.max(1),
        } as u64;
    }
    socket.write_all(b".")
}

/// Moves so many bytes on each of so many connections to a port at the same time. Gives how long it took.
pub fn run(port: u16, way: Way, streams: usize, bytes: u64) -> Duration {
    let sockets: Vec<TcpStream> = (0..streams)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected"))
        .collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for mut socket in sockets {
            scope.spawn(move || {
                let mut head = vec![u8::from(way == Way::Up)];
                head.extend(bytes.to_be_bytes());
                socket.write_all(&head).expect("taken");
                let mut piece = vec![7; PIECE];
                let mut left = bytes;
                while left > 0 {
                    let most = left.min(PIECE as u64) as usize;
                    left -= match way {
                        Way::Up => {
                            socket.write_all(&piece[..most]).expect("taken");
                            most
                        }
                        Way::Down => match socket.read(&mut piece[..most]).expect("given") {
                            0 => panic!("{left} bytes are missing"),
                            count => count,
                        },
                    } as u64;
                }
                socket.read_exact(&mut [0]).expect("the end");
            });
        }
    });
    begun.elapsed()
}
