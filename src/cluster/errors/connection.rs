//! Why a server could not be reached, from the chain of causes of a failed request.

use std::error::Error as StdError;
use std::io::ErrorKind;

use super::Route;
use crate::error::Error;

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Refused,
    Timeout,
    Dns,
    NoRoute,
    UnknownAuthority,
    WrongName,
    CertificateExpired,
    OtherCertificate,
    Lost,
    Unknown,
}

pub(super) fn explain(route: Route<'_>, attempt: &str, cause: &(dyn StdError + 'static)) -> Error {
    let trouble = find(cause);
    let server = route.server;
    if let Some(said) = of_proxy(cause) {
        return explain_proxy(route, attempt, said, trouble).caused_by(cause);
    }
    let through = route
        .proxy
        .map_or_else(String::new, |proxy| format!(", through the proxy {proxy},"));
    let unreachable = |why: &str| {
        Error::cluster(format!(
            "cannot {attempt}: the API server at {server}{through} {why}"
        ))
        .caused_by(cause)
    };
    match trouble {
        Trouble::Refused => unreachable("refuses connections")
            .reason("ConnectionRefused")
            .hint("is the cluster running? Is it the right context (--context)?"),
        Trouble::Timeout => unreachable("does not answer")
            .reason("ConnectionTimedOut")
            .hint("is a VPN needed, and on? Is it the right context (--context)?"),
        Trouble::Dns => unreachable("has a name that cannot be resolved")
            .reason("UnknownHost")
            .hint("is a VPN needed, and on? Is the server's address in the kubeconfig right?"),
        Trouble::NoRoute => unreachable("cannot be reached from here")
            .reason("NoRoute")
            .hint("is the network up? Is a VPN needed, and on?"),
        Trouble::UnknownAuthority => unreachable("shows a certificate of an unknown authority")
            .reason("UntrustedCertificate")
            .hint("the cluster may have been made anew, or this is another server: get its kubeconfig again"),
        Trouble::WrongName => unreachable("shows a certificate for another name")
            .reason("WrongCertificateName")
            .hint("use an address that the certificate names, or set tls-server-name in the kubeconfig"),
        Trouble::CertificateExpired => unreachable("shows a certificate that is not valid now")
            .reason("CertificateExpired")
            .hint("is this machine's clock right? Else the cluster's certificates must be renewed"),
        Trouble::OtherCertificate => unreachable("does not agree on TLS")
            .reason("TlsFailed")
            .hint("does the kubeconfig's client certificate belong to this cluster, and is it still valid?"),
        Trouble::Lost => Error::cluster(format!("cannot {attempt}: the connection to {server} was lost"))
            .reason("ConnectionLost")
            .caused_by(cause)
            .hint("run the command again: it goes on where it was"),
        Trouble::Unknown => unreachable("cannot be reached").reason("Unreachable"),
    }
}

/// What a proxy did with the request for a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proxy {
    /// It was not reached, or hung up.
    Away,
    /// It answered, and leads nowhere.
    Refuses,
    /// It wants a user and a password.
    WantsLogin,
}

fn explain_proxy(route: Route<'_>, attempt: &str, said: Proxy, trouble: Trouble) -> Error {
    let proxy = route
        .proxy
        .map_or_else(String::new, |address| format!("{address} "));
    let (why, reason) = match (said, trouble) {
        (Proxy::WantsLogin, _) => ("wants a user and a password".to_owned(), "ProxyRefused"),
        (Proxy::Refuses, _) => (format!("does not lead to {}", route.server), "ProxyRefused"),
        (Proxy::Away, Trouble::Refused) => ("refuses connections".to_owned(), "ProxyUnreachable"),
        (Proxy::Away, Trouble::Timeout) => ("does not answer".to_owned(), "ProxyUnreachable"),
        (Proxy::Away, Trouble::Dns) => (
            "has a name that cannot be resolved".to_owned(),
            "ProxyUnreachable",
        ),
        (
            Proxy::Away,
            Trouble::NoRoute
            | Trouble::UnknownAuthority
            | Trouble::WrongName
            | Trouble::CertificateExpired
            | Trouble::OtherCertificate
            | Trouble::Lost
            | Trouble::Unknown,
        ) => ("cannot be reached".to_owned(), "ProxyUnreachable"),
    };
    Error::cluster(format!(
        "cannot {attempt}: the proxy {proxy}in front of the API server {why}"
    ))
    .reason(reason)
    .hint("it is named by `proxy-url` of the kubeconfig, or else by HTTPS_PROXY; NO_PROXY lists what is reached without it")
}

/// Whether a proxy is to blame. The library's errors of tunnels have no public type, but stable texts.
fn of_proxy(cause: &(dyn StdError + 'static)) -> Option<Proxy> {
    let mut next = Some(cause);
    for _ in 0..32 {
        let error = next?;
        let text = error.to_string();
        if let Some(said) = text.strip_prefix("tunnel error: ") {
            return Some(match said {
                "proxy authorization required" => Proxy::WantsLogin,
                "unsuccessful" | "proxy response headers too long" => Proxy::Refuses,
                _ => Proxy::Away,
            });
        }
        if text.starts_with("SOCKS error") {
            let io = text.contains("failed to create underlying connection")
                || text.contains("io error");
            return Some(if io { Proxy::Away } else { Proxy::Refuses });
        }
        next = error.source();
    }
    None
}

fn find(cause: &(dyn StdError + 'static)) -> Trouble {
    let mut next = Some(cause);
    let mut found = Trouble::Unknown;
    // Causes that form a circle end here.
    for _ in 0..32 {
        let Some(error) = next else { break };
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        if error.to_string().starts_with("dns error") {
            return Trouble::Dns;
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            let kind = of_io(io.kind());
            if kind != Trouble::Unknown {
                found = kind;
            }
            // An I/O error hides the error it is made of from `source`.
            if let Some(inner) = io.get_ref() {
                next = Some(inner);
                continue;
            }
        }
        if let Some(http) = error.downcast_ref::<hyper::Error>()
            && (http.is_incomplete_message() || http.is_closed() || http.is_canceled())
        {
            found = Trouble::Lost;
        }
        next = error.source();
    }
    found
}

fn of_io(kind: ErrorKind) -> Trouble {
    match kind {
        ErrorKind::ConnectionRefused => Trouble::Refused,
        ErrorKind::TimedOut => Trouble::Timeout,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable => Trouble::NoRoute,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::NotConnected => Trouble::Lost,
        // The list of kinds is open.
        _ => Trouble::Unknown,
    }
}

fn of_tls(error: &rustls::Error) -> Trouble {
    use rustls::CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer | Bad::BadSignature => Trouble::UnknownAuthority,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Trouble::WrongName,
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => Trouble::CertificateExpired,
            // The list of reasons is open.
            _ => Trouble::OtherCertificate,
        },
        // The list of errors is open; all others are disagreements on the protocol.
        _ => Trouble::OtherCertificate,
    }
}
