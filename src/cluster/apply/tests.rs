//! Against an API server in memory: what is written, in which order, and what a kill leaves.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use http::Method;
use serde_json::json;

use super::*;
use crate::cluster::fake::{Fake, Mishap, status};
use crate::cluster::observe::observe;
use crate::cluster::remove::{DownOptions, NamespaceEnd, down};
use crate::manifest::labels::{self, Stamp};
use crate::manifest::{Manifest, Origin};
use crate::plan::{Desired, PlanOptions, plan};

const NAMESPACE: &str = "shop-a";

fn stamp() -> Stamp {
    Stamp {
        app: "shop".into(),
        env: "a".into(),
        base: None,
        version: "a".into(),
    }
}

fn object(api_version: &str, kind: &str, name: &str, service: &str) -> Manifest {
    Manifest {
        value: json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}),
        origin: Origin {
            service: service.into(),
            place: None,
        },
    }
}

fn shop() -> Desired {
    Desired {
        stamp: stamp(),
        namespace: NAMESPACE.into(),
        objects: vec![
            object("apps/v1", "Deployment", "web", "web"),
            object("v1", "Service", "web", "web"),
            object("v1", "ConfigMap", "web", "web"),
            object("apps/v1", "Deployment", "reviews", "reviews"),
            object("v1", "Secret", "reviews", "reviews"),
        ],
        needs: BTreeMap::from([
            ("web".to_owned(), vec!["reviews".to_owned()]),
            ("reviews".to_owned(), vec![]),
        ]),
    }
}

/// Without what is not needed for the shop: fewer and other objects.
fn smaller_shop() -> Desired {
    let mut desired = shop();
    desired.objects.truncate(3);
    desired.objects[2] = object("v1", "ConfigMap", "renamed", "web");
    desired
}

async fn up(cluster: &Cluster, desired: &Desired) -> Result<Applied> {
    up_with(cluster, desired, &Silent).await
}

async fn up_with(cluster: &Cluster, desired: &Desired, observer: &dyn Observer) -> Result<Applied> {
    let observed = observe(cluster, desired).await?;
    let plan = plan(desired, &observed, &PlanOptions::default())?;
    apply(cluster, &plan, &ApplyOptions::default(), observer).await
}

async fn remove_all(cluster: &Cluster) -> crate::cluster::remove::Removed {
    down(
        cluster,
        &stamp(),
        NAMESPACE,
        &DownOptions::default(),
        &|_| (),
    )
    .await
    .unwrap()
}

/// The last two parts of each path.
fn short(paths: &[String]) -> Vec<String> {
    paths
        .iter()
        .map(|path| {
            let parts: Vec<&str> = path.rsplit('/').take(2).collect();
            parts.into_iter().rev().collect::<Vec<_>>().join("/")
        })
        .collect()
}

#[tokio::test]
async fn a_first_run_records_before_it_writes_and_a_second_writes_nothing() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    let applied = up(&cluster, &shop()).await.unwrap();
    assert_eq!((applied.written, applied.deleted), (5, 0));
    let writes = fake.take_writes();
    let recorded = writes
        .iter()
        .position(|write| write.ends_with("/configmaps"))
        .unwrap();
    let first = writes
        .iter()
        .position(|write| write.starts_with("PATCH"))
        .unwrap();
    assert!(writes[0].ends_with("/api/v1/namespaces"), "{writes:?}");
    assert!(recorded < first, "{writes:?}");

    let applied = up(&cluster, &shop()).await.unwrap();
    assert_eq!((applied.written, applied.unchanged), (0, 5));
    assert_eq!(fake.take_writes(), Vec::<String>::new());
}

#[tokio::test]
async fn what_pods_refer_to_is_there_before_them_and_needs_are_awaited() {
    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);
    #[async_trait]
    impl Observer for Log {
        fn progress(&self, progress: Progress<'_>) {
            if let Progress::Applied(change) = progress {
                self.0.lock().unwrap().push(change.key.to_string());
            }
        }
        async fn ready(&self, service: &str) -> Result<()> {
            self.0.lock().unwrap().push(format!("{service} is ready"));
            Ok(())
        }
    }
    let fake = Fake::default();
    let log = Log::default();
    up_with(&fake.cluster(), &shop(), &log).await.unwrap();
    let log = log.0.into_inner().unwrap();
    let at = |what: &str| log.iter().position(|line| line == what).unwrap();
    for early in ["Service web", "ConfigMap web", "Secret reviews"] {
        assert!(at(early) < at("Deployment reviews"), "{log:?}");
    }
    assert!(at("reviews is ready") < at("Deployment web"), "{log:?}");
}

#[tokio::test]
async fn a_service_whose_need_fails_is_not_applied_and_the_others_are() {
    struct Never;
    #[async_trait]
    impl Observer for Never {
        fn progress(&self, _progress: Progress<'_>) {}
        async fn ready(&self, service: &str) -> Result<()> {
            Err(Error::not_ready(format!("{service} crashes")))
        }
    }
    let fake = Fake::default();
    let error = up_with(&fake.cluster(), &shop(), &Never).await.unwrap_err();
    assert_eq!(error.message(), "reviews crashes");
    let there = short(&fake.paths());
    assert!(
        there.contains(&"deployments/reviews".to_owned()),
        "{there:?}"
    );
    assert!(!there.contains(&"deployments/web".to_owned()), "{there:?}");
}

#[tokio::test]
async fn what_is_desired_no_more_goes_and_the_record_follows() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    up(&cluster, &shop()).await.unwrap();
    let applied = up(&cluster, &smaller_shop()).await.unwrap();
    assert_eq!(
        (applied.written, applied.deleted, applied.unchanged),
        (1, 3, 2)
    );
    fake.take_writes();
    up(&cluster, &smaller_shop()).await.unwrap();
    assert_eq!(fake.take_writes(), Vec::<String>::new());
    let inventory = cluster
        .read_inventory(NAMESPACE, &stamp())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(inventory.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_and_lost_connections_are_overcome() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    let busy = || Mishap::Refuse(status(429, "TooManyRequests", "later"));
    let failed = || {
        Mishap::Refuse(status(
            500,
            "InternalError",
            "etcdserver: request timed out",
        ))
    };
    fake.next(Method::PATCH, "/deployments/web", busy());
    fake.next(Method::PATCH, "/deployments/web", busy());
    fake.next(Method::PATCH, "/services/web", Mishap::LostBefore);
    fake.next(Method::PATCH, "/secrets/reviews", Mishap::LostAfter);
    fake.next(Method::PATCH, "/configmaps/web", failed());
    fake.next(Method::GET, "/deployments", busy());
    let applied = up(&cluster, &shop()).await.unwrap();
    assert_eq!(applied.written, 5);
    up(&cluster, &shop()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_busy_is_told() {
    let fake = Fake::default();
    for _ in 0..20 {
        fake.next(
            Method::PATCH,
            "/secrets/reviews",
            Mishap::Refuse(status(429, "TooManyRequests", "later")),
        );
    }
    let error = up(&fake.cluster(), &shop()).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("ServerBusy"));
}

#[tokio::test]
async fn a_conflict_is_named_and_nothing_is_forced() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    up(&cluster, &shop()).await.unwrap();
    let mut changed = shop();
    changed.objects[3].value["spec"] = json!({"replicas": 2});
    let conflict = json!({"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict",
        "message": "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: .spec.replicas",
        "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".spec.replicas",
            "message": "conflict with \"kubectl-edit\" using apps/v1"}]}});
    fake.next(
        Method::PATCH,
        "/deployments/reviews",
        Mishap::Refuse(conflict),
    );
    let error = up(&cluster, &changed).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("FieldConflict"));
    assert!(error.message().contains("kubectl-edit"), "{error}");
}

#[tokio::test]
async fn all_that_fails_at_once_is_told_at_once() {
    let fake = Fake::default();
    for part in ["/configmaps/web", "/secrets/reviews"] {
        fake.next(
            Method::PATCH,
            part,
            Mishap::Refuse(status(422, "Invalid", "wrong")),
        );
    }
    let error = up(&fake.cluster(), &shop()).await.unwrap_err();
    let told = format!("{error} {:?}", error.causes());
    assert!(
        told.contains("ConfigMap web") && told.contains("Secret reviews"),
        "{told}"
    );
}

#[tokio::test]
async fn two_runs_at_once_lose_no_record() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    up(&cluster, &smaller_shop()).await.unwrap();
    // Another run has written the record between this one's reading and writing.
    fake.next(
        Method::PUT,
        "/configmaps/dev-inventory-a",
        Mishap::Refuse(status(409, "Conflict", "modified")),
    );
    up(&cluster, &shop()).await.unwrap();
    let inventory = cluster
        .read_inventory(NAMESPACE, &stamp())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(inventory.len(), 5);
}

/// Runs until the server stops answering, or to the end; gives whether it came to the end.
async fn until_death(cluster: &Cluster, desired: &Desired) -> bool {
    let limit = Duration::from_secs(20);
    match tokio::time::timeout(limit, up(cluster, desired)).await {
        Ok(result) => {
            result.unwrap();
            true
        }
        Err(_) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_at_any_write_down_leaves_nothing_and_up_goes_on() {
    let mut kills = 0;
    for before in [None, Some(smaller_shop())] {
        for writes in 0.. {
            assert!(writes < 100);
            let fake = Fake::default();
            let cluster = fake.cluster();
            if let Some(before) = &before {
                up(&cluster, before).await.unwrap();
            }
            fake.dies_after(Some(writes));
            let finished = until_death(&cluster, &shop()).await;
            fake.dies_after(None);
            // Even without labels, what was written is recorded.
            let recorded = cluster
                .read_inventory(NAMESPACE, &stamp())
                .await
                .unwrap()
                .unwrap_or_default();
            for path in fake.paths() {
                let name = path.rsplit('/').next().unwrap();
                let known = name == NAMESPACE
                    || name == "dev-inventory-a"
                    || recorded.entries().any(|entry| entry.key.name == name);
                assert!(known, "{path} is not recorded after {writes} writes");
            }
            if writes % 2 == 0 {
                up(&cluster, &shop()).await.unwrap();
                fake.take_writes();
                up(&cluster, &shop()).await.unwrap();
                assert_eq!(
                    fake.take_writes(),
                    Vec::<String>::new(),
                    "after {writes} writes"
                );
            }
            remove_all(&cluster).await;
            assert_eq!(fake.paths(), Vec::<String>::new(), "after {writes} writes");
            if finished {
                break;
            }
            kills += 1;
        }
    }
    assert!(kills >= 12, "{kills}");
}

#[tokio::test(start_paused = true)]
async fn a_down_that_is_killed_is_continued_by_the_next() {
    for writes in 0..8 {
        let fake = Fake::default();
        let cluster = fake.cluster();
        up(&cluster, &shop()).await.unwrap();
        fake.dies_after(Some(writes));
        let options = DownOptions::default();
        let stamp = stamp();
        let first = down(&cluster, &stamp, NAMESPACE, &options, &|_| ());
        let _killed = tokio::time::timeout(Duration::from_secs(20), first).await;
        fake.dies_after(None);
        remove_all(&cluster).await;
        assert_eq!(fake.paths(), Vec::<String>::new(), "after {writes} writes");
        assert!(remove_all(&cluster).await.is_nothing());
    }
}

#[tokio::test]
async fn what_others_made_in_the_namespace_stays_and_so_does_the_namespace() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    up(&cluster, &shop()).await.unwrap();
    let theirs = "/api/v1/namespaces/shop-a/secrets/theirs";
    fake.put(
        theirs,
        json!({"metadata": {"name": "theirs", "namespace": NAMESPACE}}),
    );
    let kept = "/api/v1/namespaces/shop-a/configmaps/web";
    let mut config_map = fake.get(kept).unwrap();
    config_map["metadata"]["annotations"][labels::KEEP] = json!("true");
    fake.put(kept, config_map);

    let removed = remove_all(&cluster).await;
    assert_eq!(removed.removed.len(), 4, "{removed:?}");
    assert_eq!(removed.foreign.len(), 1);
    assert_eq!(removed.kept.len(), 1);
    assert!(
        matches!(&removed.namespace, NamespaceEnd::Kept(why) if why.contains("Secret theirs")),
        "{removed:?}"
    );
    assert_eq!(
        fake.paths(),
        ["/api/v1/namespaces/shop-a", kept, theirs].map(str::to_owned)
    );
}

#[tokio::test]
async fn an_object_that_was_only_intended_and_made_by_others_is_not_deleted() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    fake.dies_after(Some(2));
    let shop = shop();
    let run = tokio::time::timeout(Duration::from_millis(200), up(&cluster, &shop));
    assert!(
        run.await.is_err(),
        "the namespace and the record were written, and no object"
    );
    fake.dies_after(None);
    let theirs = "/api/v1/namespaces/shop-a/secrets/reviews";
    fake.put(
        theirs,
        json!({"metadata": {"name": "reviews", "namespace": NAMESPACE}}),
    );
    remove_all(&cluster).await;
    assert!(fake.paths().contains(&theirs.to_owned()));
}

#[tokio::test]
async fn what_may_not_be_deleted_is_told_and_the_rest_is_deleted() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    up(&cluster, &shop()).await.unwrap();
    let message = "secrets \"reviews\" is forbidden: User \"jane\" cannot delete resource \"secrets\" in API group \"\" in the namespace \"shop-a\"";
    fake.next(
        Method::DELETE,
        "/secrets/reviews",
        Mishap::Refuse(status(403, "Forbidden", message)),
    );
    let removed = remove_all(&cluster).await;
    assert_eq!(
        removed.failure().unwrap().reason_code(),
        Some("MissingRight")
    );
    assert_eq!(removed.removed.len(), 4);
    assert!(matches!(removed.namespace, NamespaceEnd::Kept(_)));
    // The record is kept for the next run.
    assert!(
        cluster
            .read_inventory(NAMESPACE, &stamp())
            .await
            .unwrap()
            .is_some()
    );
    remove_all(&cluster).await;
    assert_eq!(fake.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn a_record_that_somebody_changed_while_it_was_removed_stays() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    up(&cluster, &shop()).await.unwrap();
    let record = "/api/v1/namespaces/shop-a/configmaps/dev-inventory-a";
    // As another `dev up` writes it before its first object.
    let tell = |text: &str| {
        if text.starts_with("deleting") {
            fake.put(record, fake.get(record).unwrap());
        }
    };
    let (stamp, options) = (stamp(), DownOptions::default());
    let removed = down(&cluster, &stamp, NAMESPACE, &options, &tell)
        .await
        .unwrap();
    let failure = removed.failure().unwrap();
    assert_eq!(failure.reason_code(), Some("ChangedMeanwhile"));
    assert!(matches!(removed.namespace, NamespaceEnd::Kept(_)));
    assert!(fake.get(record).is_some());
    remove_all(&cluster).await;
    assert_eq!(fake.paths(), Vec::<String>::new());
}

/// Removes the record as soon as the first object is written.
struct Remover(Fake);

#[async_trait]
impl Observer for Remover {
    fn progress(&self, progress: Progress<'_>) {
        if matches!(progress, Progress::Applied(_)) {
            self.0
                .remove("/api/v1/namespaces/shop-a/configmaps/dev-inventory-a");
        }
    }
    async fn ready(&self, _service: &str) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_environment_whose_record_somebody_removes_meanwhile_is_not_up() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    let error = up_with(&cluster, &shop(), &Remover(fake.clone()))
        .await
        .unwrap_err();
    assert_eq!(error.reason_code(), Some("RemovedMeanwhile"), "{error:?}");
    up(&cluster, &shop()).await.unwrap();
    remove_all(&cluster).await;
    assert_eq!(fake.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn an_immutable_record_is_told_with_what_helps() {
    let fake = Fake::default();
    let cluster = fake.cluster();
    up(&cluster, &smaller_shop()).await.unwrap();
    let message = "ConfigMap \"dev-inventory-a\" is invalid: data: Forbidden: field is immutable when `immutable` is set";
    let refused = Mishap::Refuse(status(422, "Invalid", message));
    fake.next(Method::PUT, "/configmaps/dev-inventory-a", refused);
    let error = up(&cluster, &shop()).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("ImmutableInventory"));
    let hints = error.hints().join(" ");
    assert!(
        hints.contains("kubectl -n shop-a delete configmap dev-inventory-a")
            && !hints.contains("--recreate"),
        "{hints}"
    );
}
