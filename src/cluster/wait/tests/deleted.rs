//! Objects that somebody deletes while they are waited for.

use super::*;

fn applied() -> [ServiceObjects; 1] {
    let mut service = service("web");
    service.workloads = service.workloads.into_iter().map(Target::applied).collect();
    [service]
}

impl Fake {
    fn delete(&self, resource: &str, name: &str) {
        let mut server = self.lock();
        let object = server.objects.get_mut(resource).unwrap().remove(name);
        server.send(
            resource,
            &json!({"type": "DELETED", "object": object.unwrap()}),
        );
    }

    /// Changes an object without telling those that watch.
    fn put_in_silence(&self, resource: &str, object: Value) {
        let mut server = self.lock();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let objects = server.objects.entry(resource.to_owned()).or_default();
        objects.insert(name, object);
    }
}

/// Another object of the same name.
fn another(available: i32) -> Value {
    let mut object = deployment("web", 1, available);
    object["metadata"]["uid"] = json!("another");
    object
}

async fn wait(watcher: &Watcher) -> Result<Vec<Health>, WaitError> {
    let minute = Duration::from_secs(60);
    watcher.wait_for(&applied(), minute, |_, _| {}).await
}

fn assert_deleted(result: Result<Vec<Health>, WaitError>) {
    let Err(WaitError::NotReady(late)) = result else {
        panic!("{result:?}");
    };
    let troubles = late.services[0].troubles();
    assert_eq!(troubles[0].reason, Reason::Deleted, "{troubles:?}");
    assert!(troubles[0].hint.as_ref().unwrap().contains("dev up"));
}

fn watcher(fake: &Fake) -> Watcher {
    Watcher::new(fake.client(), "shop", |_| {})
}

#[tokio::test(start_paused = true)]
async fn a_deletion_ends_the_wait_at_once() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let (watcher, began) = (watcher(&fake), Instant::now());
    let delete = async {
        after(7).await;
        fake.delete("deployments", "web");
    };
    let (result, ()) = futures::join!(wait(&watcher), delete);
    assert_deleted(result);
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_nobody_watched() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let (watcher, began) = (watcher(&fake), Instant::now());
    let delete = async {
        after(5).await;
        fake.lock().away = true;
        fake.drop_watches();
        fake.lock().objects.clear();
        after(5).await;
        fake.lock().away = false;
    };
    let (result, ()) = futures::join!(wait(&watcher), delete);
    assert_deleted(result);
    assert!(began.elapsed().as_secs() < 15);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_before_the_first_look_is_not_waited_for() {
    let fake = Fake::default();
    fake.put("deployments", deployment("other", 1, 1));
    let (watcher, began) = (watcher(&fake), Instant::now());
    assert_deleted(wait(&watcher).await);
    // The watch is there already: the object is read by itself.
    assert_deleted(wait(&watcher).await);
    assert!(began.elapsed().as_secs() < 1);
}

#[tokio::test(start_paused = true)]
async fn another_object_of_the_name_is_not_the_one_that_was_applied() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 0));
    let watcher = watcher(&fake);
    let replace = async {
        after(3).await;
        fake.delete("deployments", "web");
        fake.put("deployments", another(1));
    };
    let (result, ()) = futures::join!(wait(&watcher), replace);
    assert_deleted(result);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_behind_is_not_taken_for_a_deletion() {
    let fake = Fake::default();
    fake.put("deployments", deployment("web", 1, 1));
    let watcher = watcher(&fake);
    wait(&watcher).await.unwrap();
    // It was made anew, and the watch still shows the old one.
    fake.put_in_silence("deployments", another(1));
    let see = async {
        after(9).await;
        fake.put("deployments", another(1));
    };
    let began = Instant::now();
    let (result, ()) = futures::join!(wait(&watcher), see);
    assert!(result.unwrap()[0].is_ready());
    assert_eq!(began.elapsed().as_secs(), 9);
}
