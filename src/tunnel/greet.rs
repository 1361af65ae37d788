//! The first words on a carrier, of both ends.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::drive::{Carrier, Ended};
use super::wire::hello::{Hello, Refused, Welcome};
use super::wire::{Decoder, Frame};

/// A carrier on which nothing sensible has been said for so long is given up.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long the other end is given to close its side.
const PARTING: Duration = Duration::from_secs(1);

/// Says HELLO. Gives what the agent said, and what was read with it.
///
/// # Errors
/// The agent refuses, or the carrier ended.
pub async fn greet<C: Carrier>(
    carrier: &mut C,
    hello: &Hello,
) -> Result<(Welcome, Decoder), Ended> {
    say(carrier, &Frame::Hello(hello.encode())).await?;
    let mut decoder = Decoder::default();
    match hear(carrier, &mut decoder).await? {
        Frame::Welcome(text) => Ok((Welcome::decode(&text)?, decoder)),
        Frame::Refused(text) => Err(Ended::Refused(Refused::decode(&text)?)),
        Frame::Hello(_)
        | Frame::Data { .. }
        | Frame::Ack(_)
        | Frame::Ping(_)
        | Frame::Pong(_)
        | Frame::Goodbye(_) => Err(Ended::Misplaced("no greeting")),
    }
}

/// The payload of the HELLO that a client says.
///
/// # Errors
/// It said something else, or the carrier ended.
pub async fn greeted<C: Carrier>(
    carrier: &mut C,
    decoder: &mut Decoder,
) -> Result<bytes::Bytes, Ended> {
    match hear(carrier, decoder).await? {
        Frame::Hello(text) => Ok(text),
        Frame::Welcome(_)
        | Frame::Refused(_)
        | Frame::Data { .. }
        | Frame::Ack(_)
        | Frame::Ping(_)
        | Frame::Pong(_)
        | Frame::Goodbye(_) => Err(Ended::Misplaced("no greeting")),
    }
}

/// Says one frame.
///
/// # Errors
/// The carrier ended.
pub async fn say<C: Carrier>(carrier: &mut C, frame: &Frame) -> Result<(), Ended> {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    carrier.write_all(&out).await?;
    Ok(carrier.flush().await?)
}

/// Ends a carrier on which the last words have been said, so that the other end gets to read them: one that is closed with bytes unread
/// is reset.
pub async fn part<C: Carrier>(carrier: &mut C) {
    let rest = async {
        carrier.shutdown().await?;
        let mut unread = vec![0; 4096];
        while carrier.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // It is over, in whichever way.
    let _over = timeout(PARTING, rest).await;
}

async fn hear<C: Carrier>(carrier: &mut C, decoder: &mut Decoder) -> Result<Frame, Ended> {
    loop {
        if let Some(frame) = decoder.decode()? {
            return Ok(frame);
        }
        if carrier.read_buf(decoder.space()).await? == 0 {
            return Err(Ended::Closed);
        }
    }
}
