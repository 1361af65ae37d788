use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::*;
use crate::error::Error;
use crate::image::archive::open_blob;
use crate::image::blob::{Blob, Source};
use crate::project::Layers;

fn spec(files: &[(&str, &str)]) -> Layers {
    Layers {
        files: files
            .iter()
            .map(|(source, dest)| ((*source).to_owned(), (*dest).to_owned()))
            .collect(),
        ..Layers::default()
    }
}

fn write(root: &Path, path: &str, content: &str, mode: u32) {
    let path = root.join(path);
    let parent = path.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    if parent != root {
        fs::set_permissions(parent, Permissions::from_mode(0o755)).unwrap();
    }
}

fn context() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "bin/web", "program", 0o755);
    write(root, "static/index.html", "<html>", 0o644);
    write(root, "static/css/a.css", "a {}", 0o600);
    write(root, "static/.git/HEAD", "x", 0o644);
    symlink("css/a.css", root.join("static/link.css")).unwrap();
    symlink("web", root.join("bin/current")).unwrap();
    dir
}

fn tree(context: &Path, files: &[(&str, &str)]) -> Result<Tree, Error> {
    collect(context, &check_layers(&spec(files))?)
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.nodes
        .iter()
        .map(|(path, node)| {
            let kind = match &node.kind {
                NodeKind::Directory => "/".to_owned(),
                NodeKind::File(_) => String::new(),
                NodeKind::Link(target) => format!(" -> {}", target.display()),
            };
            format!("{:o} {}{kind}", node.mode, path.display())
        })
        .collect()
}

#[test]
fn files_and_directories_go_where_they_are_mapped() {
    let dir = context();
    let tree = tree(
        dir.path(),
        &[
            ("bin/web", "/app/web"),
            ("static/", "/app/static/"),
            ("bin/current", "/app/bin/"),
        ],
    )
    .unwrap();
    assert_eq!(
        paths(&tree),
        [
            "755 app/",
            "755 app/bin/",
            "755 app/bin/current",
            "755 app/static/",
            "755 app/static/css/",
            "600 app/static/css/a.css",
            "644 app/static/index.html",
            "777 app/static/link.css -> css/a.css",
            "755 app/web",
        ]
    );
}

#[test]
fn a_directory_can_become_the_root() {
    let dir = context();
    let tree = tree(dir.path(), &[("static/", "/"), ("bin/web", "/css/web")]).unwrap();
    assert_eq!(
        paths(&tree),
        [
            "755 css/",
            "600 css/a.css",
            "755 css/web",
            "644 index.html",
            "777 link.css -> css/a.css",
        ]
    );
}

#[test]
fn sources_that_cannot_be_are_explained() {
    let dir = context();
    symlink("/etc", dir.path().join("out")).unwrap();
    for (files, expected) in [
        (vec![("bin/wbe", "/x")], "source bin/wbe does not exist"),
        (vec![("bin/web/", "/x")], "source bin/web/ is no directory"),
        (
            vec![("out/", "/x")],
            "source out leads out of the context to /etc",
        ),
        (
            vec![("bin/web", "/x"), ("static/index.html", "/x")],
            "two sources have the destination /x",
        ),
        (
            vec![("bin/web", "/x/css"), ("static/", "/x")],
            "two sources have the destination /x/css",
        ),
    ] {
        let error = tree(dir.path(), &files).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
    let error = tree(dir.path(), &[("bin/wbe", "/x")]).unwrap_err();
    assert_eq!(error.hints()[0], "did you mean \"web\"?");
}

#[test]
fn a_path_below_a_file_is_refused() {
    let dir = context();
    let error = tree(
        dir.path(),
        &[("bin/web", "/x"), ("static/index.html", "/x/y")],
    )
    .unwrap_err();
    assert!(
        error
            .message()
            .contains("/x/y lies below /x, which is no directory"),
        "{error}"
    );
}

fn layer_bytes(blob: &Blob) -> Vec<u8> {
    let mut bytes = Vec::new();
    open_blob(blob).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn equal_files_make_equal_layers_wherever_and_whenever_they_are() {
    let files = [("bin/web", "/app/web"), ("static/", "/app/static")];
    let (a, b) = (context(), context());
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options()
        .write(true)
        .open(b.path().join("bin/web"))
        .unwrap();
    file.set_modified(old).unwrap();
    for packing in [Packing::Gzip, Packing::Plain] {
        let one = write_layer(&tree(a.path(), &files).unwrap(), packing).unwrap();
        let two = write_layer(&tree(b.path(), &files).unwrap(), packing).unwrap();
        assert!(layer_bytes(&one.blob) == layer_bytes(&two.blob));
        assert_eq!(one.blob.descriptor, two.blob.descriptor);
        assert_eq!(one.diff_id, two.diff_id);
    }
}

/// The digests of a tree that never changes: another value means that every image of everybody gets a new digest, so
/// change the generation in `tag.rs` with it.
#[test]
fn digests_are_those_of_the_last_release() {
    let dir = context();
    let files = [("bin/web", "/app/web"), ("static/", "/app/static")];
    let layer = write_layer(&tree(dir.path(), &files).unwrap(), Packing::Plain).unwrap();
    insta::assert_snapshot!(layer.diff_id, @"sha256:0262a1ba5cfebce9dbf40a4bb67f158c407f0c298808a4649131cbd655d097eb");
    let config = empty_config(&Platform::linux("amd64"));
    let config = derive_config(config, &full_spec(), Some(&layer)).unwrap();
    let Source::Memory(json) = &config.source else {
        panic!("{config:?}");
    };
    insta::assert_snapshot!(String::from_utf8_lossy(json), @r#"{"created":"1970-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{"Entrypoint":["/app/web"],"Cmd":["--verbose"],"WorkingDir":"/app","User":"65532:65532","Env":["A=1","B=2"],"ExposedPorts":{"8080/tcp":{},"9090/tcp":{}}},"rootfs":{"type":"layers","diff_ids":["sha256:0262a1ba5cfebce9dbf40a4bb67f158c407f0c298808a4649131cbd655d097eb"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"dev layers"}]}"#);
}

fn full_spec() -> Layers {
    Layers {
        entrypoint: Some(vec!["/app/web".to_owned()]),
        cmd: Some(vec!["--verbose".to_owned()]),
        env: [("B", "2"), ("A", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        workdir: Some("/app".to_owned()),
        user: Some("65532:65532".to_owned()),
        ports: vec![9090, 8080],
        ..Layers::default()
    }
}

#[test]
fn a_layer_has_its_digest_and_its_uncompressed_one() {
    let dir = context();
    let tree = tree(dir.path(), &[("static/", "/s")]).unwrap();
    let gzip = write_layer(&tree, Packing::Gzip).unwrap();
    let plain = write_layer(&tree, Packing::Plain).unwrap();
    let bytes = layer_bytes(&gzip.blob);
    assert_eq!(
        crate::image::blob::digest(&bytes),
        gzip.blob.descriptor.digest
    );
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(crate::image::blob::digest(&unpacked), gzip.diff_id);
    assert_eq!(plain.diff_id, gzip.diff_id);
    assert_eq!(plain.blob.descriptor.digest, plain.diff_id);
    for entry in tar::Archive::new(unpacked.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let stamps = (
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
        );
        assert_eq!(stamps, (0, 0, 0));
    }
}

#[test]
fn long_and_odd_names_survive() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("{}/{}", "d".repeat(150), "ü".repeat(100));
    write(dir.path(), &name, "x", 0o644);
    let target = "t".repeat(200);
    symlink(&target, dir.path().join("link")).unwrap();
    let tree = tree(dir.path(), &[("./", "/")]).unwrap();
    let layer = write_layer(&tree, Packing::Plain).unwrap();
    let bytes = layer_bytes(&layer.blob);
    let mut archive = tar::Archive::new(bytes.as_slice());
    let found: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let link = entry.link_name().unwrap().map(|link| link.into_owned());
            (entry.path().unwrap().into_owned(), link)
        })
        .collect();
    assert!(found.contains(&(name.into(), None)));
    assert!(found.contains(&("link".into(), Some(target.into()))));
}

fn derived(base: Value, spec: &Layers) -> Value {
    let config = derive_config(base, spec, None).unwrap();
    let Source::Memory(bytes) = config.source else {
        panic!("{:?}", config.source);
    };
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_base_configuration_is_kept_where_nothing_is_said() {
    let base = json!({
        "architecture": "amd64", "os": "linux", "variant": "v3",
        "config": {
            "Env": ["PATH=/bin", "A=0"], "Entrypoint": ["/e"], "Cmd": ["c"], "Labels": {"l": "1"},
            "ExposedPorts": {"80/tcp": {}}, "User": "1", "Healthcheck": {"Test": ["x"]},
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:a"]},
    });
    let same = derived(base.clone(), &Layers::default());
    assert_eq!(same["config"], base["config"]);
    assert_eq!(same["variant"], "v3");
    assert_eq!(same["rootfs"], base["rootfs"]);

    let full = derived(base.clone(), &full_spec());
    assert_eq!(full["config"]["Env"], json!(["PATH=/bin", "A=1", "B=2"]));
    assert_eq!(full["config"]["Labels"], json!({"l": "1"}));
    let ports = json!({"80/tcp": {}, "8080/tcp": {}, "9090/tcp": {}});
    assert_eq!(full["config"]["ExposedPorts"], ports);

    let entry = Layers {
        entrypoint: Some(vec!["/mine".to_owned()]),
        ..Layers::default()
    };
    assert_eq!(
        derived(base, &entry)["config"].get("Cmd"),
        None,
        "arguments of another program"
    );
}

#[test]
fn null_fields_of_other_builders_are_filled() {
    let base = json!({"architecture": "amd64", "os": "linux", "config": null, "rootfs": null});
    let config = derived(base, &full_spec());
    assert_eq!(config["config"]["User"], "65532:65532");
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    let dir = context();
    let tree = tree(dir.path(), &[("bin/web", "/x")]).unwrap();
    fs::remove_file(dir.path().join("bin/web")).unwrap();
    let error = write_layer(&tree, Packing::Plain).unwrap_err();
    assert!(error.message().contains("bin/web"), "{error}");
}

fn program(header: &[u8], mode: u32) -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("web"), header).unwrap();
    fs::set_permissions(dir.path().join("web"), Permissions::from_mode(mode)).unwrap();
    let tree = tree(dir.path(), &[("web", "/app/web")])?;
    check_program(&tree, "/app/web", &Platform::linux("amd64"))
}

fn elf(machine: u16) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(18, 0);
    header.extend(machine.to_le_bytes());
    header
}

#[test]
fn a_program_that_the_cluster_cannot_run_is_found_before_it_is_there() {
    program(&elf(62), 0o755).unwrap();
    program(b"#!/bin/sh\n", 0o755).unwrap();
    program(b"", 0o755).unwrap();
    program(b"\x7fEL", 0o755).unwrap();
    for (header, mode, expected) in [
        (
            elf(183),
            0o755,
            "is a program for linux/arm64, and linux/amd64 is wanted",
        ),
        (
            vec![0xcf, 0xfa, 0xed, 0xfe, 0, 0, 0, 0],
            0o755,
            "is a program for macOS",
        ),
        (b"MZ......".to_vec(), 0o755, "is a program for Windows"),
        (elf(62), 0o644, "may not be executed: its mode is 0644"),
    ] {
        let error = program(&header, mode).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
}

#[test]
fn a_program_of_the_base_is_not_looked_at() {
    check_program(&Tree::default(), "/bin/sh", &Platform::host()).unwrap();
    check_program(&Tree::default(), "python3", &Platform::host()).unwrap();
}
