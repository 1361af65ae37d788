//! Connections from the tunnel to a port at this end.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::mux::Reset;
use super::splice::{Cut, Moved, splice};
use super::stream::Stream;

/// Connects the stream to this address, until both have ended.
///
/// # Errors
/// Nothing listens there, then the stream is reset with [`Reset::Unreachable`]; or one of the two was reset.
pub async fn deliver(stream: Stream, to: SocketAddr) -> Result<Moved, Cut> {
    match TcpStream::connect(to).await {
        Ok(socket) => splice(socket, stream).await,
        Err(error) => {
            stream.reset(Reset::Unreachable);
            Err(error.into())
        }
    }
}
