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

/// What may be in no output.
const SECRET: &str = "s3cr3t-value";

/// Everything that a person or a program is shown of an error.
fn shown(error: &Error) -> String {
    let json = serde_json::to_string(error).unwrap();
    format!("{}\n{json}\n{error:?}", crate::ui::render_error(error))
}

fn kubeconfig_of(server: &str, user: &str) -> String {
    format!(
        "current-context: one\nclusters:\n- {{name: c, cluster: {{{server}}}}}\nusers:\n- name: u\n  user: {user}\n\
         contexts:\n- {{name: one, context: {{cluster: c, user: u}}}}\n"
    )
}

const SERVER: &str = "server: 'http://127.0.0.1:1'";

fn plugin_that(does: &str) -> String {
    let script = serde_json::to_string(does).unwrap();
    let exec = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', {script}], interactiveMode: Never}}}}"
    );
    kubeconfig_of(SERVER, &exec)
}

#[tokio::test]
async fn no_error_about_a_kubeconfig_shows_what_is_in_it() {
    let broken = [
        format!("users:\n- name: u\n  user: {{token: {SECRET}\n"),
        format!("users:\n- name: u\n  user:\n    token: \"{SECRET}\n"),
        format!("users:\n- name: u\n  user:\n    token: {SECRET}\n   broken\n"),
        format!("users:\n- name: u\n  user: {SECRET}\n"),
        format!("users: {SECRET}\n"),
        format!("users:\n- name: u\n  user: {{exec: {{interactiveMode: {SECRET}}}}}\n"),
        format!("users:\n- name: u\n  user: {{token: *{SECRET}}}\n"),
        format!("{SECRET}: 1\n{SECRET}: 2\n"),
        kubeconfig_of(SERVER, &format!("{{token: \"{SECRET}\\n\"}}")),
        kubeconfig_of(SERVER, &format!("{{as: \"{SECRET}\\n\"}}")),
        kubeconfig_of(&format!("server: 'http://jane:{SECRET}@'"), "{}"),
        kubeconfig_of(
            &format!("{SERVER}, proxy-url: 'ftp://jane:{SECRET}@p.example'"),
            "{}",
        ),
        kubeconfig_of(
            &format!("{SERVER}, proxy-url: 'http://jane:{SECRET}@[p'"),
            "{}",
        ),
        kubeconfig_of(
            SERVER,
            &format!("{{client-key-data: {SECRET}, client-certificate-data: {SECRET}}}"),
        ),
    ];
    for text in broken {
        let error = connect(&text, None).await.unwrap_err();
        assert!(!shown(&error).contains(SECRET), "{text}: {}", shown(&error));
        assert_eq!(
            (error.kind(), error.reason_code()),
            (Kind::Usage, Some("BrokenKubeconfig")),
            "{text}: {error:?}"
        );
    }
    let answers = [
        format!("echo '{{\"status\": {{\"token\": \"{SECRET}'"),
        format!("echo '{SECRET}'"),
        format!("echo '{{\"status\": {{\"token\": \"{SECRET}\\n\"}}}}'"),
        format!(
            "echo '{{\"status\": {{\"token\": \"x\", \"expirationTimestamp\": \"{SECRET}\"}}}}'"
        ),
        "echo '{\"status\": {}}'".to_owned(),
        "echo '{}'".to_owned(),
        ":".to_owned(),
    ];
    for does in answers {
        let error = connect(&plugin_that(&does), None).await.unwrap_err();
        assert!(!shown(&error).contains(SECRET), "{does}: {}", shown(&error));
        assert_eq!(
            (error.kind(), error.reason_code()),
            (Kind::Cluster, Some("CredentialPluginFailed")),
            "{does}: {error:?}"
        );
        assert!(error.message().contains("\"sh\""), "{error}");
    }
}

#[tokio::test]
async fn a_password_in_the_address_is_used_and_shown_nowhere() {
    let text = kubeconfig_of(&format!("server: 'http://jane:{SECRET}@127.0.0.1:1'"), "{}");
    let cluster = connect(&text, None).await.unwrap();
    assert_eq!(cluster.server, "http://127.0.0.1:1/");
    let error = cluster.namespace_state("a").await.unwrap_err();
    assert!(!shown(&error).contains(SECRET), "{}", shown(&error));
    assert!(!format!("{cluster:?}").contains(SECRET));
}

#[tokio::test]
async fn a_token_may_expire_at_any_time() {
    for date in [
        "-009999-01-02T01:59:59Z",
        "1970-01-01T00:00:00Z",
        "9999-12-30T22:00:00Z",
    ] {
        let does = format!(
            "echo '{{\"status\": {{\"token\": \"x\", \"expirationTimestamp\": \"{date}\"}}}}'"
        );
        let cluster = connect(&plugin_that(&does), None).await.unwrap();
        let error = cluster.namespace_state("a").await.unwrap_err();
        assert_eq!(
            error.reason_code(),
            Some("ConnectionRefused"),
            "{date}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_half_of_a_character_is_no_panic() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), [0xff, 0xfe, b'a']).unwrap();
    let error = read(&[file.path().to_owned()]).unwrap_err();
    assert_eq!(error.reason_code(), Some("UnreadableKubeconfig"));
}

#[tokio::test]
async fn a_plugin_that_hangs_is_given_up_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let text = plugin_that(&format!("sleep 600 & echo $! > {}; wait", file.display()));
    let config = dir.path().join("config");
    std::fs::write(&config, text).unwrap();
    let began = std::time::Instant::now();
    let error = Cluster::connect(&ConnectOptions {
        kubeconfig: Some(config),
        limit: Some(std::time::Duration::from_secs(1)),
        ..ConnectOptions::default()
    })
    .await
    .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason_code()),
        (Kind::Cluster, Some("CredentialPluginTimedOut"))
    );
    assert!(error.message().contains("within 1s"), "{error}");
    assert!(began.elapsed().as_secs() < 20);
    let pid = std::fs::read_to_string(file).unwrap();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    crate::local::tests::ended(pid).await;
}
