use std::fs;
use std::os::unix::fs::PermissionsExt;

use git2::{IndexAddOption, Repository, Signature};

use super::*;
use crate::image::reference::Registry;
use crate::left_out::left_out;
use crate::local::which;
use crate::project::Engine;

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let it = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        it.write("web/main.go", "1");
        it.write("web/Dockerfile", "FROM scratch\nCOPY dist /dist\n");
        it.write("web/.gitignore", "bin/\ndist/\n");
        it.write("other/x", "1");
        it
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self) {
        let repo = match Repository::open(self.dir.path()) {
            Ok(repo) => repo,
            Err(_) => Repository::init(self.dir.path()).unwrap(),
        };
        let mut index = repo.index().unwrap();
        index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        let who = Signature::now("test", "test@example.com").unwrap();
        let parent = repo.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<_> = parent.iter().collect();
        repo.commit(Some("HEAD"), &who, &who, "test", &tree, &parents)
            .unwrap();
    }

    fn plan(&self, image: &Image) -> Result<ImagePlan> {
        let registry = Registry::parse("localhost:5000").unwrap();
        plan("web", image, self.dir.path(), Some(&registry))
    }

    fn tag(&self, image: &Image) -> String {
        self.plan(image).unwrap().tag.unwrap()
    }
}

fn image() -> Image {
    Image {
        name: "web".to_owned(),
        build: None,
        command: None,
        layers: None,
    }
}

fn layers(change: impl FnOnce(&mut Layers)) -> Image {
    let mut spec = Layers {
        build: Some("make".to_owned()),
        base: "scratch".to_owned(),
        files: [("bin/web".to_owned(), "/app/web".to_owned())].into(),
        ..Layers::default()
    };
    change(&mut spec);
    Image {
        layers: Some(spec),
        ..image()
    }
}

fn build(change: impl FnOnce(&mut Build)) -> Image {
    let mut spec = Build {
        context: "web".into(),
        dockerfile: None,
        engine: None,
        args: Default::default(),
        target: None,
    };
    change(&mut spec);
    Image {
        build: Some(spec),
        ..image()
    }
}

#[test]
fn a_clean_context_has_a_git_tag_that_a_change_elsewhere_leaves_alone() {
    let it = Fixture::new();
    let image = layers(|_| {});
    assert!(it.tag(&image).starts_with("sha-"));
    it.commit();
    let clean = it.tag(&image);
    assert!(clean.starts_with("git-"));
    it.write("other/x", "2");
    assert_eq!(it.tag(&image), clean);
    it.commit();
    assert_eq!(it.tag(&image), clean);
    it.write("web/bin/web", "made by the command");
    assert_eq!(it.tag(&image), clean);
    it.write("web/main.go", "2");
    let dirty = it.tag(&image);
    assert!(dirty.starts_with("sha-"));
    it.write("web/main.go", "1");
    assert_eq!(it.tag(&image), clean);
}

#[test]
fn every_setting_that_changes_the_image_changes_the_tag() {
    let it = Fixture::new();
    it.commit();
    let settings: Vec<Image> = vec![
        layers(|_| {}),
        layers(|spec| spec.build = Some("make all".to_owned())),
        layers(|spec| spec.base = "debian:12".to_owned()),
        layers(|spec| spec.entrypoint = Some(vec!["/x".to_owned()])),
        layers(|spec| spec.cmd = Some(vec!["/x".to_owned()])),
        layers(|spec| spec.workdir = Some("/x".to_owned())),
        layers(|spec| spec.user = Some("1".to_owned())),
        layers(|spec| spec.ports = vec![1]),
        layers(|spec| drop(spec.env.insert("A".to_owned(), "1".to_owned()))),
        layers(|spec| drop(spec.files.insert("main.go".to_owned(), "/x".to_owned()))),
        build(|_| {}),
        build(|spec| spec.target = Some("x".to_owned())),
        build(|spec| drop(spec.args.insert("A".to_owned(), "1".to_owned()))),
        Image {
            command: Some(BuildCommand {
                run: "x".to_owned(),
                context: "web".into(),
            }),
            ..image()
        },
    ];
    let tags: std::collections::BTreeSet<String> =
        settings.iter().map(|image| it.tag(image)).collect();
    assert_eq!(tags.len(), settings.len());
    // The engine does not: each makes the same image.
    let podman = build(|spec| spec.engine = Some(Engine::Podman));
    assert_eq!(it.tag(&podman), it.tag(&build(|_| {})));
}

#[test]
fn ignored_files_that_get_into_the_image_count() {
    let it = Fixture::new();
    it.commit();
    let without_command = layers(|spec| spec.build = None);
    for image in [without_command, build(|_| {})] {
        let nothing = it.tag(&image);
        assert!(nothing.starts_with("git-"));
        it.write("web/bin/web", "1");
        it.write("web/dist/app.js", "1");
        let one = it.tag(&image);
        assert!(one.starts_with("sha-"), "{one}");
        it.write("web/bin/web", "2");
        it.write("web/dist/app.js", "2");
        assert_ne!(it.tag(&image), one);
        fs::remove_dir_all(it.dir.path().join("web/bin")).unwrap();
        fs::remove_dir_all(it.dir.path().join("web/dist")).unwrap();
        assert_eq!(it.tag(&image), nothing);
    }
}

#[test]
fn a_script_outside_the_context_counts() {
    let it = Fixture::new();
    it.write("tools/make-root", "#!/bin/sh\n");
    it.commit();
    let image = layers(|spec| spec.build = Some("../tools/make-root bin".to_owned()));
    let before = it.tag(&image);
    it.write("tools/make-root", "#!/bin/sh\ntrue\n");
    assert_ne!(it.tag(&image), before);
}

#[test]
fn docker_ignored_files_of_a_dirty_context_do_not_count() {
    let it = Fixture::new();
    it.write("web/.dockerignore", "docs\n");
    let before = it.tag(&build(|_| {}));
    it.write("web/docs/a", "1");
    assert_eq!(it.tag(&build(|_| {})), before);
    assert_ne!(it.tag(&layers(|_| {})), {
        it.write("web/docs/a", "2");
        it.tag(&layers(|_| {}))
    });
}

#[test]
fn the_context_of_layers_is_the_directory_of_the_service_or_that_of_the_project() {
    let it = Fixture::new();
    let spec = layers(|_| {});
    let Recipe::Layers(at) = it.plan(&spec).unwrap().recipe else {
        panic!("layers");
    };
    assert!(at.context.ends_with("web"));
    let Recipe::Layers(at) = plan("api", &spec, it.dir.path(), None).unwrap().recipe else {
        panic!("layers");
    };
    assert_eq!(at.context, it.dir.path().canonicalize().unwrap());
}

#[test]
fn mistakes_are_told_with_the_nearest_name() {
    let it = Fixture::new();
    let cases = [
        (
            build(|spec| spec.context = "wbe".into()),
            "context wbe does not exist",
            Some("\"web\""),
        ),
        (
            build(|spec| spec.context = "other/x".into()),
            "context other/x is no directory",
            None,
        ),
        (
            build(|spec| spec.dockerfile = Some("Dockerfil".into())),
            "Dockerfile Dockerfil does not exist",
            Some("\"Dockerfile\""),
        ),
        (
            Image {
                layers: build(|_| {}).layers.or(layers(|_| {}).layers),
                ..build(|_| {})
            },
            "more than one of",
            None,
        ),
        (
            Image {
                name: "a:b@c".to_owned(),
                ..image()
            },
            "is no image reference",
            None,
        ),
        (
            layers(|spec| spec.base = "./no.tar".to_owned()),
            "no.tar",
            None,
        ),
        (
            layers(|spec| spec.base = "Debian".to_owned()),
            "is no image reference",
            None,
        ),
    ];
    for (image, message, hint) in cases {
        let error = it.plan(&image).unwrap_err();
        assert!(error.message().contains(message), "{error}");
        if let Some(hint) = hint {
            assert!(error.hints()[0].contains(hint), "{error:?}");
        }
    }
}

#[test]
fn a_given_image_is_taken_as_it_is() {
    let it = Fixture::new();
    let given = Image {
        name: "redis:8".to_owned(),
        ..image()
    };
    let found = it.plan(&given).unwrap();
    assert_eq!(
        (found.reference.as_str(), found.tag, found.recipe.is_given()),
        ("redis:8", None, true)
    );
}

/// Root reads everything: runs a test of this program again, without the capabilities that let it.
fn without_roots_rights(test: &str) {
    if which("setpriv").is_none() {
        return left_out(&format!(
            "{test}: setpriv is not installed, and root reads everything"
        ));
    }
    let status = std::process::Command::new("setpriv")
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(
        status.success(),
        "{test}, run without root's rights: {status}"
    );
}

#[test]
fn unreadable_files_are_named() {
    let it = Fixture::new();
    let path = it.dir.path().join("web/secret");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        return without_roots_rights("image::plan::tests::unreadable_files_are_named");
    }
    let error = it.plan(&layers(|_| {})).unwrap_err();
    assert!(error.message().contains("web/secret"), "{error}");
}
