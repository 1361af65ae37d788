use std::ffi::OsStr;

use super::*;
use crate::cluster::{Cluster, ConnectOptions};
use crate::error::Kind;

const GOOD: &str = "apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: c, cluster: {server: 'http://127.0.0.1:1'}}
- {name: nowhere, cluster: {}}
- {name: bad-ca, cluster: {server: 'https://127.0.0.1:1', certificate-authority: /no/such/file}}
users:
- {name: u, user: {}}
- name: plugin
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, installHint: get it at example.org, interactiveMode: Never}}
- name: failing
  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', 'echo token expired >&2; exit 3'], interactiveMode: Never}}
contexts:
- {name: one, context: {cluster: c, user: u, namespace: team}}
- {name: staging, context: {cluster: nowhere, user: u}}
- {name: lost, context: {cluster: none, user: u}}
- {name: certificate, context: {cluster: bad-ca, user: u}}
- {name: plugin, context: {cluster: c, user: plugin}}
- {name: failing, context: {cluster: c, user: failing}}
";

async fn connect(text: &str, context: Option<&str>) -> Result<Cluster> {
    let _already_there = rustls::crypto::ring::default_provider().install_default();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Cluster::connect(&ConnectOptions {
        context: context.map(str::to_owned),
        kubeconfig: Some(file.path().to_owned()),
        ..ConnectOptions::default()
    })
    .await
}

#[tokio::test]
async fn the_context_gives_address_and_namespace() {
    let cluster = connect(GOOD, None).await.unwrap();
    assert_eq!(cluster.context, "one");
    assert_eq!(cluster.default_namespace, "team");
    assert_eq!(cluster.server, "http://127.0.0.1:1/");
}

#[tokio::test]
async fn every_way_a_kubeconfig_can_be_wrong_is_told() {
    let none = GOOD.replace("current-context: one\n", "");
    let cases = [
        (
            GOOD,
            Some("stagin"),
            Kind::Usage,
            "UnknownContext",
            "did you mean \"staging\"?",
        ),
        (
            GOOD,
            Some("zzzzzzzzzz"),
            Kind::Usage,
            "UnknownContext",
            "contexts: one, staging",
        ),
        (
            none.as_str(),
            None,
            Kind::Usage,
            "NoContext",
            "one, staging",
        ),
        ("", None, Kind::Usage, "NoContext", "names no cluster"),
        (GOOD, Some("staging"), Kind::Usage, "BrokenKubeconfig", ""),
        (GOOD, Some("lost"), Kind::Usage, "BrokenKubeconfig", ""),
        (
            GOOD,
            Some("certificate"),
            Kind::Usage,
            "BrokenKubeconfig",
            "",
        ),
        (
            GOOD,
            Some("plugin"),
            Kind::Cluster,
            "CredentialPluginMissing",
            "get it at example.org",
        ),
        (
            GOOD,
            Some("failing"),
            Kind::Cluster,
            "CredentialPluginFailed",
            "log in again",
        ),
        ("contexts: {", None, Kind::Usage, "BrokenKubeconfig", ""),
        ("contexts: 7\n", None, Kind::Usage, "BrokenKubeconfig", ""),
        ("\u{0}\u{1}", None, Kind::Usage, "BrokenKubeconfig", ""),
    ];
    for (text, context, kind, reason, hint) in cases {
        let error = connect(text, context).await.unwrap_err();
        let case = format!("{context:?}: {error:?}");
        assert_eq!(
            (error.kind(), error.reason_code()),
            (kind, Some(reason)),
            "{case}"
        );
        assert!(error.hints().join("\n").contains(hint), "{case}");
    }
    let error = connect("contexts:\n- name: a\n  context: {cluster: [}\n", None)
        .await
        .unwrap_err();
    assert_eq!(
        error.place().and_then(|place| place.line),
        Some(3),
        "{error:?}"
    );
    let error = connect(GOOD, Some("failing")).await.unwrap_err();
    assert_eq!(error.causes(), ["token expired"]);
}

#[tokio::test]
async fn a_file_that_is_not_there_or_cannot_be_read_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none");
    let error = Cluster::connect(&ConnectOptions {
        context: None,
        kubeconfig: Some(missing),
        ..ConnectOptions::default()
    })
    .await
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason_code()),
        (Kind::Usage, Some("NoKubeconfig"))
    );
    let error = read(&[directory.path().to_owned()]).unwrap_err();
    assert_eq!(
        (error.kind(), error.reason_code()),
        (Kind::Usage, Some("UnreadableKubeconfig"))
    );
}

#[test]
fn files_are_looked_for_where_kubectl_does() {
    assert_eq!(
        paths(Some(Path::new("a")), Some(OsStr::new("b"))),
        [PathBuf::from("a")]
    );
    assert_eq!(
        paths(None, Some(OsStr::new("b::c"))),
        [PathBuf::from("b"), PathBuf::from("c")]
    );
    assert!(paths(None, None)[0].ends_with(".kube/config"));
    // Like kubectl, what the variable lists need not exist.
    assert!(read(&[PathBuf::from("/no/such/file")]).unwrap().is_none());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*") {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        // Whether it is accepted is not the question.
        let _any = read(&[file.path().to_owned()]);
    }
}
