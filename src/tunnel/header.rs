//! What a stream is for: the header that it is opened with.
//!
//! | type | name | what follows |
//! |---|---|---|
//! | 1 | inbound | u16 port in the pod, u8 length, address of the peer as text |
//!
//! A stream of an unknown type is reset with [`Reset::Unsupported`]; bytes after those that are known are ignored.
//!
//! [`Reset::Unsupported`]: super::mux::Reset::Unsupported

use std::net::SocketAddr;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

const INBOUND: u8 = 1;

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// A connection that the agent has accepted.
    Inbound {
        /// The port in the pod.
        port: u16,
        /// Who connected, if it was said so that it can be read.
        peer: Option<SocketAddr>,
    },
}

impl Header {
    /// As it is sent.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Inbound { port, peer } => {
                let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
                out.put_u8(INBOUND);
                out.put_u16(*port);
                // No address is longer than 255 letters.
                out.put_u8(peer.len() as u8);
                out.put_slice(peer.as_bytes());
            }
        }
        out.freeze()
    }

    /// From what was sent; nothing if this version does not know it.
    pub fn decode(mut header: Bytes) -> Option<Self> {
        match header.try_get_u8().ok()? {
            INBOUND => {
                let port = header.try_get_u16().ok()?;
                let length = usize::from(header.try_get_u8().ok()?);
                let peer = header.get(..length)?;
                Some(Self::Inbound {
                    port,
                    peer: std::str::from_utf8(peer).ok()?.parse().ok(),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for peer in [
            None,
            Some("10.1.2.3:80".parse().unwrap()),
            Some("[fe80::1]:65535".parse().unwrap()),
        ] {
            let header = Header::Inbound { port: 9080, peer };
            let mut longer = BytesMut::from(&header.encode()[..]);
            assert_eq!(Header::decode(header.encode()), Some(header.clone()));
            longer.put_slice(b"of a later version");
            assert_eq!(Header::decode(longer.freeze()), Some(header));
        }
    }

    #[test]
    fn what_is_unknown_or_cut_is_no_header() {
        assert_eq!(Header::decode(Bytes::new()), None);
        assert_eq!(Header::decode(Bytes::from_static(&[9, 0, 80, 0])), None);
        let whole = Header::Inbound {
            port: 9080,
            peer: Some("10.1.2.3:80".parse().unwrap()),
        }
        .encode();
        for length in 0..whole.len() {
            assert_eq!(Header::decode(whole.slice(..length)), None);
        }
    }
}
