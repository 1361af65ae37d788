//! Which address families this pod has.

use std::net::{Ipv6Addr, TcpListener};

use crate::router::envoy::Families;

/// What the listeners of this pod can listen on: a kernel without IPv6 has no such sockets.
pub fn here() -> Families {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => Families::Both,
        Err(_) => Families::Ipv4,
    }
}
