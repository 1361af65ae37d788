//! From what a real API server answered (`tests/recorded/record.py`), and from broken connections.

use std::collections::BTreeMap;
use std::io;

use kube::core::Status;

use super::*;
use crate::error::Kind;

fn recorded() -> BTreeMap<String, Status> {
    serde_json::from_str(include_str!("tests/recorded/statuses.json")).unwrap()
}

/// Case, kind, reason, a part of the message or the causes, a part of the hints.
const CASES: [(&str, Kind, &str, &str, &str); 36] = [
    (
        "unauthenticated",
        Kind::Cluster,
        "Unauthenticated",
        "does not accept these credentials",
        "log in again",
    ),
    (
        "may-not-list",
        Kind::Cluster,
        "MissingRight",
        "jane has not the right to list pods in the namespace dev-refusals",
        "kubectl -n dev-refusals create role NAME --verb=list --resource=pods",
    ),
    (
        "may-not-list-group",
        Kind::Cluster,
        "MissingRight",
        "to list deployments.apps in the namespace",
        "--resource=deployments.apps",
    ),
    (
        "may-not-list-nodes",
        Kind::Cluster,
        "MissingRight",
        "to list nodes in the whole cluster",
        "create clusterrole NAME --verb=list --resource=nodes",
    ),
    (
        "may-not-exec",
        Kind::Cluster,
        "MissingRight",
        "to create pods/exec in",
        "--verb=create --resource=pods/exec",
    ),
    (
        "may-not-create-namespace",
        Kind::Cluster,
        "MissingRight",
        "to create namespaces in the whole cluster",
        "a ClusterRoleBinding for jane",
    ),
    (
        "rights-escalation",
        Kind::Cluster,
        "RightsEscalation",
        "rights that you do not have yourself",
        "administrator",
    ),
    (
        "quota",
        Kind::Failed,
        "QuotaExceeded",
        "exceeded quota: small, requested: count/secrets=1",
        "larger quota",
    ),
    (
        "limits",
        Kind::Failed,
        "LimitExceeded",
        "maximum cpu usage per Container is 1, but limit is 2",
        "limitrange",
    ),
    (
        "pod-security",
        Kind::Failed,
        "PodSecurity",
        "allowPrivilegeEscalation != false",
        "securityContext",
    ),
    (
        "namespace-terminating",
        Kind::Failed,
        "NamespaceTerminating",
        "the namespace is being deleted",
        "waits for the end",
    ),
    (
        "namespace-missing",
        Kind::Failed,
        "NamespaceMissing",
        "dev-refusals-none",
        "create namespaces",
    ),
    (
        "namespace-missing-apply",
        Kind::Failed,
        "NamespaceMissing",
        "dev-refusals-none",
        "create namespaces",
    ),
    (
        "not-found",
        Kind::Failed,
        "NotFound",
        "configmaps \"none\" not found",
        "",
    ),
    (
        "kind-not-served",
        Kind::Failed,
        "UnknownKind",
        "does not serve that kind",
        "CustomResourceDefinition",
    ),
    (
        "field-conflict",
        Kind::Failed,
        "FieldConflict",
        "data.a belongs to kubectl-edit",
        "leave these fields out",
    ),
    (
        "replicas-conflict",
        Kind::Failed,
        "FieldConflict",
        "spec.replicas belongs to kubectl",
        "an autoscaler or kubectl scale",
    ),
    (
        "exists",
        Kind::Failed,
        "AlreadyExists",
        "it exists already",
        "",
    ),
    (
        "outdated",
        Kind::Failed,
        "Conflict",
        "at the same time",
        "run the command again",
    ),
    (
        "immutable-selector",
        Kind::Failed,
        "ImmutableField",
        "spec.selector: ",
        "--recreate",
    ),
    (
        "immutable-job",
        Kind::Failed,
        "ImmutableField",
        "spec.template: ",
        "--recreate",
    ),
    (
        "immutable-cluster-ip",
        Kind::Failed,
        "ImmutableField",
        "spec.clusterIPs[0]: ",
        "--recreate",
    ),
    (
        "immutable-claim",
        Kind::Failed,
        "ImmutableField",
        "spec is immutable after creation",
        "--recreate",
    ),
    (
        "immutable-stateful-set",
        Kind::Failed,
        "ImmutableField",
        "updates to statefulset spec",
        "--recreate",
    ),
    (
        "immutable-config-map",
        Kind::Failed,
        "ImmutableField",
        "data: ",
        "--recreate",
    ),
    (
        "invalid",
        Kind::Failed,
        "Invalid",
        "spec.ports[0].port: ",
        "",
    ),
    (
        "unknown-field",
        Kind::Failed,
        "Malformed",
        "dato: field not declared in schema",
        "wrong name",
    ),
    (
        "wrong-type",
        Kind::Failed,
        "Malformed",
        "spec.replicas: expected numeric",
        "wrong type",
    ),
    (
        "wrong-value",
        Kind::Failed,
        "Malformed",
        "illegal base64 data at input byte 5",
        "wrong type",
    ),
    (
        "broken-body",
        Kind::Failed,
        "Malformed",
        "unexpected end of JSON input",
        "",
    ),
    (
        "too-large",
        Kind::Failed,
        "Invalid",
        "may not be more than 1048576 bytes",
        "",
    ),
    (
        "far-too-large",
        Kind::Failed,
        "TooLarge",
        "limit is 3145728",
        "1 MiB",
    ),
    (
        "policy",
        Kind::Failed,
        "AdmissionRefused",
        "no secrets here",
        "",
    ),
    (
        "webhook-down",
        Kind::Failed,
        "WebhookUnavailable",
        "hook.example.org",
        "not ready",
    ),
    (
        "webhook-denies",
        Kind::Failed,
        "AdmissionRefused",
        "images must be signed",
        "",
    ),
    (
        "busy",
        Kind::Cluster,
        "ServerBusy",
        "too much to do",
        "later",
    ),
];

/// Answers that were not recorded: a webhook takes a server, and a busy server is hard to have.
fn written() -> BTreeMap<String, Status> {
    let status = |code: u16, message: &str| Status::failure(message, "").with_code(code);
    BTreeMap::from([
        (
            "webhook-denies".to_owned(),
            status(
                400,
                "admission webhook \"sign.example.org\" denied the request: images must be signed",
            ),
        ),
        (
            "busy".to_owned(),
            status(429, "Too many requests, please try again later."),
        ),
    ])
}

#[test]
fn every_refusal_has_a_kind_a_reason_and_the_facts() {
    let mut statuses = recorded();
    statuses.extend(written());
    for (case, kind, reason, fact, hint) in CASES {
        let status = statuses
            .remove(case)
            .unwrap_or_else(|| panic!("{case} was not recorded"));
        let error = from_status("apply X", &status);
        let told = format!("{error}\n{}", error.causes().join("\n"));
        assert_eq!(error.kind(), kind, "{case}: {told}");
        assert_eq!(error.reason_code(), Some(reason), "{case}: {told}");
        assert!(
            error.message().starts_with("cannot apply X: "),
            "{case}: {told}"
        );
        assert!(told.contains(fact), "{case}: {told}");
        assert!(
            error.hints().join("\n").contains(hint),
            "{case}: {:?}",
            error.hints()
        );
    }
    assert!(
        statuses.is_empty(),
        "not in the table: {:?}",
        statuses.keys()
    );
}

#[test]
fn an_answer_that_makes_no_sense_is_told_with_its_code() {
    for code in [0, 300, 404, 418, 499, 599, 65535] {
        let status = Status::failure("", "").with_code(code);
        let error = from_status("apply X", &status);
        assert!(error.reason_code().is_some(), "{code}");
    }
}

/// An error as HTTP clients nest them.
#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client error (Connect)")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn reason_of(cause: io::Error) -> Option<&'static str> {
    let error = explain(
        Route {
            server: "https://x:6443",
            proxy: None,
        },
        "list Pods",
        &kube::Error::Service(Box::new(Outer(cause))),
    );
    assert_eq!(error.kind(), Kind::Cluster);
    assert!(error.message().contains("https://x:6443"), "{error}");
    error.reason_code()
}

#[test]
fn why_a_server_cannot_be_reached_is_told() {
    use io::ErrorKind;
    use rustls::CertificateError;
    for (kind, reason) in [
        (ErrorKind::ConnectionRefused, "ConnectionRefused"),
        (ErrorKind::TimedOut, "ConnectionTimedOut"),
        (ErrorKind::HostUnreachable, "NoRoute"),
        (ErrorKind::ConnectionReset, "ConnectionLost"),
        (ErrorKind::UnexpectedEof, "ConnectionLost"),
        (ErrorKind::Other, "Unreachable"),
    ] {
        assert_eq!(reason_of(kind.into()), Some(reason), "{kind}");
    }
    for (certificate, reason) in [
        (CertificateError::UnknownIssuer, "UntrustedCertificate"),
        (CertificateError::Expired, "CertificateExpired"),
        (CertificateError::NotValidForName, "WrongCertificateName"),
        (CertificateError::BadEncoding, "TlsFailed"),
    ] {
        let tls = rustls::Error::InvalidCertificate(certificate);
        assert_eq!(reason_of(io::Error::other(tls)), Some(reason));
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_and_a_port_that_nobody_listens_on_are_told_at_once() {
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for (server, reason) in [
        (format!("http://{free}"), "ConnectionRefused"),
        ("http://no-such-host.invalid".to_owned(), "UnknownHost"),
    ] {
        let config = kube::Config::new(server.parse().unwrap());
        let cluster = crate::cluster::Cluster::from_config(config, "x".into())
            .await
            .unwrap();
        let began = std::time::Instant::now();
        let error = cluster.namespace_state("a").await.unwrap_err();
        assert_eq!(error.reason_code(), Some(reason), "{error:?}");
        assert_eq!(error.kind(), Kind::Cluster);
        assert!(began.elapsed().as_secs() < 10);
    }
}

#[tokio::test]
async fn a_proxy_that_fails_is_not_told_as_the_api_server() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    for (answer, reason, words) in [
        (None, "ProxyUnreachable", "refuses connections"),
        (Some(""), "ProxyUnreachable", "cannot be reached"),
        (
            Some("HTTP/1.1 503 No\r\n\r\n"),
            "ProxyRefused",
            "does not lead to https://k.example:6443/",
        ),
        (
            Some("HTTP/1.1 407 Login\r\n\r\n"),
            "ProxyRefused",
            "wants a user and a password",
        ),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = answer.map(|answer| {
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let _asked = stream.read(&mut [0; 1024]).await;
                    let _told = stream.write_all(answer.as_bytes()).await;
                }
            })
        });
        for scheme in ["http", "socks5"] {
            let mut config = kube::Config::new("https://k.example:6443".parse().unwrap());
            config.proxy_url = Some(format!("{scheme}://jane:s3cr3t@{address}").parse().unwrap());
            let cluster = crate::cluster::Cluster::from_config(config, "x".into())
                .await
                .unwrap();
            let error = cluster.namespace_state("a").await.unwrap_err();
            assert_eq!(error.kind(), Kind::Cluster);
            let told = error.message();
            assert!(
                told.contains(&format!("the proxy {scheme}://{address}/")),
                "{told}"
            );
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
            if scheme == "http" {
                assert_eq!(error.reason_code(), Some(reason), "{error:?}");
                assert!(told.contains(words), "{told}");
            }
        }
        if let Some(answers) = answers {
            answers.abort();
        }
    }
}
