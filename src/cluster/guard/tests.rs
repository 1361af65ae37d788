use http::Method;
use serde_json::json;

use super::*;
use crate::cluster::fake::{Fake, Mishap, status};
use crate::error::Kind;

const SYSTEM: &str = "/api/v1/namespaces/kube-system";

struct Setting {
    _directory: tempfile::TempDir,
    guard: Guard,
}

fn setting(expected: Option<&str>) -> Setting {
    let directory = tempfile::tempdir().unwrap();
    let guard = Guard {
        store: Store::in_directory(&directory.path().join("state")),
        expected: expected.map(str::to_owned),
    };
    Setting {
        _directory: directory,
        guard,
    }
}

/// A cluster with this UID, reached by this context and address.
fn cluster(uid_seed: usize, context: &str, server: &str) -> (Fake, Cluster) {
    let fake = Fake::default();
    for _ in 0..uid_seed {
        fake.put("/x/y", json!({}));
    }
    fake.put(SYSTEM, json!({"metadata": {"name": "kube-system"}}));
    let mut cluster = fake.cluster();
    cluster.context = context.into();
    cluster.server = server.into();
    (fake, cluster)
}

const REMOTE: &str = "https://203.0.113.7:6443/";
const NEAR: &str = "https://127.0.0.1:6443/";

#[tokio::test]
async fn an_unknown_cluster_is_refused_and_one_that_was_admitted_is_not() {
    let setting = setting(None);
    let (_, remote) = cluster(1, "staging", REMOTE);
    let error = setting
        .guard
        .ensure_writable(&remote, &Ui::silent())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.reason_code()),
        (Kind::Cluster, Some("ClusterNotAdmitted"))
    );
    assert!(error.hints()[0].contains("dev admit --context staging"));
    assert!(
        error.hints()[1].contains("DEV_CLUSTER_UID=uid-2"),
        "{:?}",
        error.hints()
    );

    setting.guard.admit(&remote).await.unwrap();
    let identity = setting
        .guard
        .ensure_writable(&remote, &Ui::silent())
        .await
        .unwrap();
    assert_eq!((identity.uid.as_str(), identity.local), ("uid-2", None));

    assert_eq!(setting.guard.forget("staging").unwrap().len(), 1);
    assert!(
        setting
            .guard
            .ensure_writable(&remote, &Ui::silent())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_context_that_is_another_cluster_now_is_refused() {
    let setting = setting(None);
    let (_, one) = cluster(1, "staging", REMOTE);
    setting.guard.admit(&one).await.unwrap();
    let (_, other) = cluster(5, "staging", REMOTE);
    assert!(
        setting
            .guard
            .ensure_writable(&other, &Ui::silent())
            .await
            .is_err()
    );
    setting
        .guard
        .ensure_writable(&one, &Ui::silent())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_local_cluster_is_known_by_its_nodes_and_a_name_helps_nobody() {
    let setting = setting(None);
    let (fake, kind) = cluster(1, "anything", NEAR);
    fake.put(
        "/api/v1/nodes/n",
        json!({"spec": {"providerID": "kind://docker/dev/n"}}),
    );
    let identity = setting
        .guard
        .ensure_writable(&kind, &Ui::silent())
        .await
        .unwrap();
    assert_eq!(identity.local, Some(LocalKind::Kind { name: "dev".into() }));
    // From the record, without a look at the nodes.
    fake.next(
        Method::GET,
        "/nodes",
        Mishap::Refuse(status(500, "x", "must not be asked")),
    );
    let again = setting
        .guard
        .ensure_writable(&kind, &Ui::silent())
        .await
        .unwrap();
    assert_eq!(again, identity);

    let (_, named) = cluster(3, "kind-dev", NEAR);
    assert!(
        setting
            .guard
            .ensure_writable(&named, &Ui::silent())
            .await
            .is_err()
    );
    // The same nodes behind a public address are no local cluster.
    let (fake, far) = cluster(4, "kind-dev", REMOTE);
    fake.put(
        "/api/v1/nodes/n",
        json!({"spec": {"providerID": "kind://docker/dev/n"}}),
    );
    assert!(
        setting
            .guard
            .ensure_writable(&far, &Ui::silent())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_variable_admits_exactly_the_cluster_that_it_names() {
    let (_, remote) = cluster(1, "staging", REMOTE);
    let right = setting(Some("uid-2"));
    right
        .guard
        .ensure_writable(&remote, &Ui::silent())
        .await
        .unwrap();
    let wrong = setting(Some("uid-3"));
    wrong.guard.admit(&remote).await.unwrap();
    let error = wrong
        .guard
        .ensure_writable(&remote, &Ui::silent())
        .await
        .unwrap_err();
    assert_eq!(error.reason_code(), Some("OtherCluster"));
}

#[tokio::test]
async fn without_the_right_to_read_kube_system_the_certificate_authority_tells() {
    let setting = setting(None);
    let (fake, mut remote) = cluster(1, "staging", REMOTE);
    let forbid = || {
        let message = "namespaces \"kube-system\" is forbidden: User \"jane\" cannot get resource \"namespaces\" in API group \"\" in the namespace \"kube-system\"";
        fake.next(
            Method::GET,
            "/namespaces/kube-system",
            Mishap::Refuse(status(403, "Forbidden", message)),
        );
    };
    forbid();
    let error = setting
        .guard
        .ensure_writable(&remote, &Ui::silent())
        .await
        .unwrap_err();
    assert_eq!(error.reason_code(), Some("MissingRight"));

    remote.authority = Some("ab".repeat(32));
    forbid();
    let identity = setting.guard.admit(&remote).await.unwrap();
    assert_eq!(identity.uid, format!("ca:{}", "ab".repeat(16)));
    forbid();
    setting
        .guard
        .ensure_writable(&remote, &Ui::silent())
        .await
        .unwrap();
    remote.authority = Some("cd".repeat(32));
    forbid();
    assert!(
        setting
            .guard
            .ensure_writable(&remote, &Ui::silent())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_broken_record_is_told_and_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("clusters.json"), "{").unwrap();
    let guard = Guard {
        store: Store::in_directory(directory.path()),
        expected: None,
    };
    let (_, remote) = cluster(1, "staging", REMOTE);
    let error = guard.admit(&remote).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("BrokenState"));
}
