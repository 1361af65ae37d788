//! The whole step, with a real registry and with a local cluster whose loader is a script.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::image::plan::plan;
use crate::image::registry::tests::server::Server;
use crate::left_out::left_out;
use crate::local::{Program, which};
use crate::project::{Build, BuildCommand, Image, Layers};
use crate::ui::Ui;

struct Fixture {
    dir: tempfile::TempDir,
    registry: Option<Registry>,
}

impl Fixture {
    fn new(registry: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let web = dir.path().join("web");
        fs::create_dir(&web).unwrap();
        fs::write(web.join("main.txt"), "1").unwrap();
        fs::write(web.join(".gitignore"), "bin\n").unwrap();
        Self {
            dir,
            registry: registry.map(|text| Registry::parse(text).unwrap()),
        }
    }

    /// `build` leaves a line in `../runs` each time it runs.
    fn layers() -> Image {
        Image {
            name: "shop/web".to_owned(),
            build: None,
            command: None,
            layers: Some(Layers {
                build: Some("echo run >> ../runs; mkdir -p bin; cp main.txt bin/web".to_owned()),
                base: "scratch".to_owned(),
                files: [("bin/web".to_owned(), "/app/web".to_owned())].into(),
                ..Layers::default()
            }),
        }
    }

    fn command(run: &str) -> Image {
        Image {
            name: "shop/web".to_owned(),
            build: None,
            command: Some(BuildCommand {
                run: run.to_owned(),
                context: "web".into(),
            }),
            layers: None,
        }
    }

    fn plan(&self, image: &Image) -> ImagePlan {
        plan("web", image, self.dir.path(), self.registry.as_ref()).unwrap()
    }

    fn images(&self) -> Images {
        let dirs = Dirs::below(self.dir.path());
        Images::new(self.registry.as_ref(), &dirs, Platform::host())
    }

    /// A cluster whose loader notes the archives that it gets.
    fn cluster(&self) -> LocalCluster {
        let script = self.dir.path().join("cluster");
        let text =
            "#!/bin/sh\n[ \"$1\" = load ] && tar -xOf \"$2\" manifest.json >> \"${0%/*}/loaded\"\n";
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        LocalCluster::Bundled { script }
    }

    fn lines(&self, name: &str) -> usize {
        let text = fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        text.matches('\n')
            .count()
            .max(text.matches("RepoTags").count())
    }

    async fn ensure(&self, image: &Image, target: &Target) -> Result<Outcome> {
        let plan = self.plan(image);
        let task = Ui::silent().task("web");
        let nothing = HashSet::new();
        self.images().ensure(&plan, target, &nothing, &task).await
    }
}

fn delivery(outcome: Result<Outcome>) -> Option<Delivery> {
    match outcome.unwrap() {
        Outcome::Built { delivery, .. } => Some(delivery),
        Outcome::Given | Outcome::Present => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_service_is_not_built_again_and_a_changed_one_is() {
    let Some(server) = Server::start("unchanged", None).await else {
        return;
    };
    let it = Fixture::new(Some(&server.host));
    let image = Fixture::layers();
    let first = it.ensure(&image, &Target::Registry).await;
    assert_eq!(delivery(first), Some(Delivery::Pushed));
    let second = it.ensure(&image, &Target::Registry).await;
    assert_eq!(second.unwrap(), Outcome::Present);
    assert_eq!(it.lines("runs"), 1);
    fs::write(it.dir.path().join("web/main.txt"), "2").unwrap();
    let third = it.ensure(&image, &Target::Registry).await;
    assert_eq!(delivery(third), Some(Delivery::Pushed));
    assert_eq!(it.lines("runs"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_build_once() {
    let Some(server) = Server::start("at once", None).await else {
        return;
    };
    let it = Fixture::new(Some(&server.host));
    let image = Fixture::layers();
    let both = tokio::join!(
        it.ensure(&image, &Target::Registry),
        it.ensure(&image, &Target::Registry),
    );
    let built = [delivery(both.0), delivery(both.1)];
    assert_eq!(built.iter().flatten().count(), 1, "{built:?}");
    assert_eq!(it.lines("runs"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_cluster_gets_an_archive_with_the_reference_that_manifests_name() {
    let it = Fixture::new(None);
    let image = Fixture::layers();
    let target = Target::Local(it.cluster());
    // At once, so that the second has only the first one's word for it.
    let both = tokio::join!(it.ensure(&image, &target), it.ensure(&image, &target));
    let built = [delivery(both.0), delivery(both.1)];
    assert_eq!(
        built.iter().flatten().collect::<Vec<_>>(),
        [&Delivery::Loaded]
    );
    let loaded = fs::read_to_string(it.dir.path().join("loaded")).unwrap();
    let plan = it.plan(&image);
    assert!(plan.reference.starts_with("localhost/shop/web:sha-"));
    assert_eq!(
        loaded
            .matches(&format!("\"RepoTags\":[\"{}\"]", plan.reference))
            .count(),
        1
    );

    let present: HashSet<String> = [plan.reference.clone()].into();
    let task = Ui::silent().task("web");
    let again = it.images().ensure(&plan, &target, &present, &task).await;
    assert_eq!(again.unwrap(), Outcome::Present);
    // What was there once and is gone from the nodes is loaded again.
    assert_eq!(
        delivery(it.ensure(&image, &target).await),
        Some(Delivery::Loaded)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_of_a_command_is_pushed() {
    let Some(server) = Server::start("command", None).await else {
        return;
    };
    let it = Fixture::new(Some(&server.host));
    let archive = it.dir.path().join("made.tar");
    let made = it.plan(&Fixture::layers());
    let task = Ui::silent().task("web");
    it.images().save(&made, &archive, &task).await.unwrap();
    let image = Fixture::command("test -n \"$DEV_IMAGE\" && cp ../made.tar \"$DEV_IMAGE_TAR\"");
    let first = it.ensure(&image, &Target::Registry).await;
    assert_eq!(delivery(first), Some(Delivery::Pushed));
    assert_eq!(
        it.ensure(&image, &Target::Registry).await.unwrap(),
        Outcome::Present
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_makes_nothing_is_found_out() {
    let Some(server) = Server::start("nothing", None).await else {
        return;
    };
    let it = Fixture::new(Some(&server.host));
    let error = it
        .ensure(&Fixture::command("true"), &Target::Registry)
        .await
        .unwrap_err();
    assert!(
        error.message().contains("the command ended well"),
        "{error}"
    );
    assert_eq!(error.reason_code(), Some("ImageMissing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fails_shows_its_last_lines() {
    let it = Fixture::new(None);
    let target = Target::Local(it.cluster());
    let image = Fixture::command("echo main.go:7: undefined: x; exit 2");
    let error = it.ensure(&image, &target).await.unwrap_err();
    assert!(error.message().contains("exit status: 2"), "{error}");
    assert!(
        error.causes()[0].contains("main.go:7: undefined: x"),
        "{error:?}"
    );
    assert!(!it.dir.path().join("loaded").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loader_that_is_not_installed_is_named() {
    let it = Fixture::new(None);
    let target = Target::Local(LocalCluster::Bundled {
        script: Path::new("/no/such/cluster").to_owned(),
    });
    let error = it.ensure(&Fixture::layers(), &target).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("LoaderMissing"), "{error}");
}

#[tokio::test]
async fn a_given_image_is_left_alone() {
    let it = Fixture::new(None);
    let image = Image {
        name: "docker.io/library/redis:8".to_owned(),
        build: None,
        command: None,
        layers: None,
    };
    let target = Target::Registry;
    assert_eq!(it.ensure(&image, &target).await.unwrap(), Outcome::Given);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_leaves_the_lock_free() {
    let it = Arc::new(Fixture::new(None));
    let target = Target::Local(it.cluster());
    let (begun_tx, mut begun_rx) = tokio::sync::mpsc::channel(1);
    let fifo = it.dir.path().join("web/begun");
    let image = Fixture::command("echo > begun.txt; exec sleep 600");
    let run = tokio::spawn({
        let (it, target) = (Arc::clone(&it), target.clone());
        async move { it.ensure(&image, &target).await }
    });
    let begun = fifo.with_extension("txt");
    tokio::spawn(async move {
        while !begun.exists() {
            tokio::task::yield_now().await;
        }
        begun_tx.send(()).await.unwrap();
    });
    begun_rx.recv().await.unwrap();
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    let next = it.ensure(&Fixture::layers(), &target).await;
    assert_eq!(delivery(next), Some(Delivery::Loaded));
}

fn dockerfile() -> Image {
    Image {
        name: "dev-test/web".to_owned(),
        build: Some(Build {
            context: "web".into(),
            dockerfile: None,
            engine: Some(Engine::Buildah),
            args: [("WHO".to_owned(), "me".to_owned())].into(),
            target: None,
        }),
        command: None,
        layers: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_builds_and_pushes_and_its_archive_is_loaded() {
    if which("buildah").is_none() {
        left_out("buildah: it is not installed (apt-get install buildah)");
        return;
    }
    let Some(server) = Server::start("buildah", None).await else {
        return;
    };
    let it = Fixture::new(Some(&server.host));
    let text = "FROM scratch\nARG WHO\nLABEL who=$WHO\nCOPY main.txt /main.txt\n";
    fs::write(it.dir.path().join("web/Dockerfile"), text).unwrap();
    let pushed = it.ensure(&dockerfile(), &Target::Registry).await;
    assert_eq!(delivery(pushed), Some(Delivery::Pushed));
    assert_eq!(
        it.ensure(&dockerfile(), &Target::Registry).await.unwrap(),
        Outcome::Present
    );

    let reference = it.plan(&dockerfile()).reference;
    // The store is the person's own: each build replaces the name and would leave the image before it there.
    let remove = Program::new("buildah").args(["rmi", &reference]);
    remove.output().await.unwrap();

    let loaded = it.ensure(&dockerfile(), &Target::Local(it.cluster())).await;
    assert_eq!(delivery(loaded), Some(Delivery::Loaded));
    remove.output().await.unwrap();

    let archive = it.dir.path().join("image.tar");
    let task = Ui::silent().task("web");
    it.images()
        .save(&it.plan(&dockerfile()), &archive, &task)
        .await
        .unwrap();
    let image = read_archive(&archive, &Platform::host()).unwrap();
    let config = image.config_value("it").unwrap();
    assert_eq!(config["config"]["Labels"]["who"], "me");
    remove.output().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_can_be_a_base_and_a_new_one_is_a_new_image() {
    let Some(server) = Server::start("archive base", None).await else {
        return;
    };
    let it = Fixture::new(Some(&server.host));
    let task = Ui::silent().task("web");
    let base = it.dir.path().join("base.tar");
    let mut image = Fixture::layers();
    it.images()
        .save(&it.plan(&image), &base, &task)
        .await
        .unwrap();
    let spec = image.layers.as_mut().unwrap();
    spec.base = "./base.tar".to_owned();
    spec.files = [("main.txt".to_owned(), "/extra/".to_owned())].into();
    let first = it.plan(&image);
    let made = it.dir.path().join("made.tar");
    it.images().save(&first, &made, &task).await.unwrap();
    let built = read_archive(&made, &Platform::host()).unwrap();
    let config = built.config_value("it").unwrap();
    assert_eq!(built.layers.len(), 2);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    assert_eq!(config["history"].as_array().unwrap().len(), 2);
    let pushed = it.ensure(&image, &Target::Registry).await;
    assert_eq!(delivery(pushed), Some(Delivery::Pushed));

    fs::write(it.dir.path().join("web/main.txt"), "2").unwrap();
    it.images()
        .save(&it.plan(&Fixture::layers()), &base, &task)
        .await
        .unwrap();
    fs::write(it.dir.path().join("web/main.txt"), "1").unwrap();
    assert_ne!(it.plan(&image).tag, first.tag);
}
