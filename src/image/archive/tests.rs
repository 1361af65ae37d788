use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::image::blob::{BuiltImage, media};
use crate::image::layers::{
    Node, NodeKind, Packing, Platform, Tree, derive_config, empty_config, write_layer,
};
use crate::project::Layers;

fn image(packing: Packing, content: &str) -> BuiltImage {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, content).unwrap();
    let mut tree = Tree::default();
    let node = Node {
        mode: 0o755,
        kind: NodeKind::File(path),
    };
    tree.insert("app".into(), node).unwrap();
    let layer = write_layer(&tree, packing).unwrap();
    let config = empty_config(&Platform::linux("amd64"));
    let config = derive_config(config, &Layers::default(), Some(&layer)).unwrap();
    BuiltImage::new(config, vec![layer.blob]).unwrap()
}

fn bytes(blob: &crate::image::blob::Blob) -> Vec<u8> {
    let mut bytes = Vec::new();
    open_blob(blob).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn write(image: &BuiltImage, dir: &Path) -> PathBuf {
    let path = dir.join("image.tar");
    write_archive(image, "localhost/web:1", &path).unwrap();
    path
}

/// Writes some members of an archive to another one.
fn repack(
    from: &Path,
    to: &Path,
    change: impl Fn(&str) -> Option<String>,
    extra: &[(&str, &[u8])],
) {
    let mut out = tar::Builder::new(std::fs::File::create(to).unwrap());
    let mut archive = tar::Archive::new(std::fs::File::open(from).unwrap());
    let mut put = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, name, content).unwrap();
    };
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(name) = change(&name) {
            put(&name, &content);
        }
    }
    for (name, content) in extra {
        put(name, content);
    }
    out.finish().unwrap();
}

#[test]
fn what_is_written_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    for packing in [Packing::Gzip, Packing::Plain] {
        let image = image(packing, "hello");
        let read = read_archive(&write(&image, dir.path()), &Platform::host()).unwrap();
        assert_eq!(read.digest(), image.digest());
        assert_eq!(bytes(&read.layers[0]), bytes(&image.layers[0]));
        assert_eq!(bytes(&read.config), bytes(&image.config));
    }
}

#[test]
fn equal_images_make_equal_archives() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = std::fs::read(write(&image(Packing::Gzip, "x"), a.path())).unwrap();
    let two = std::fs::read(write(&image(Packing::Gzip, "x"), b.path())).unwrap();
    assert!(one == two);
}

#[test]
fn the_form_of_docker_save_is_read_as_well() {
    let dir = tempfile::tempdir().unwrap();
    for packing in [Packing::Gzip, Packing::Plain] {
        let image = image(packing, "hello");
        let docker = dir.path().join("docker.tar");
        let keep = |name: &str| {
            let layout = name == "index.json" || name == "oci-layout";
            (!layout).then(|| name.to_owned())
        };
        repack(&write(&image, dir.path()), &docker, keep, &[]);
        let read = read_archive(&docker, &Platform::host()).unwrap();
        assert_eq!(read.digest(), image.digest());
        assert_eq!(bytes(&read.layers[0]), bytes(&image.layers[0]));
    }
}

#[test]
fn a_compressed_archive_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(Packing::Plain, "hello");
    let plain = std::fs::read(write(&image, dir.path())).unwrap();
    let path = dir.path().join("image.tar.gz");
    let mut gzip = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    std::io::copy(&mut plain.as_slice(), &mut gzip).unwrap();
    gzip.finish().unwrap();
    let read = read_archive(&path, &Platform::host()).unwrap();
    assert_eq!(bytes(&read.layers[0]), bytes(&image.layers[0]));
}

#[test]
fn compressing_gives_the_image_that_would_have_been_built_compressed() {
    let plain = compress_layers(image(Packing::Plain, "hello")).unwrap();
    let gzip = image(Packing::Gzip, "hello");
    assert_eq!(plain.layers[0].descriptor.media_type, media::LAYER_GZIP);
    assert_eq!(plain.digest(), gzip.digest());
}

#[test]
fn identity_follows_the_content_alone() {
    let dir = tempfile::tempdir().unwrap();
    let identity =
        |content| archive_identity(&write(&image(Packing::Plain, content), dir.path())).unwrap();
    let first = identity("a");
    assert_eq!(identity("a"), first);
    assert_ne!(identity("b"), first);
}

#[test]
fn what_is_no_image_archive_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(&image(Packing::Plain, "x"), dir.path());
    let path = dir.path().join("bad.tar");
    let keep = |name: &str| Some(name.to_owned());
    let without =
        |gone: &'static str| move |name: &str| (!name.starts_with(gone)).then(|| name.to_owned());
    let error = || {
        read_archive(&path, &Platform::host())
            .unwrap_err()
            .message()
            .to_owned()
    };

    std::fs::write(&path, "hello").unwrap();
    assert!(
        error().ends_with("bad.tar is no tar archive"),
        "{}",
        error()
    );
    repack(&good, &path, |_| None, &[("x", b"")]);
    assert!(error().contains("neither index.json nor manifest.json"));
    repack(&good, &path, without("blobs"), &[]);
    assert!(error().contains("blobs/sha256/") && error().contains("is missing"));
    repack(&good, &path, keep, &[("index.json", b"{")]);
    assert!(error().contains("index.json is not what it should be"));
    let two = br#"{"manifests": [{"digest": "sha256:a"}, {"digest": "sha256:b"}]}"#;
    repack(&good, &path, keep, &[("index.json", two)]);
    assert!(error().contains("it holds 2 images"), "{}", error());
    let missing = read_archive(Path::new("/no/such.tar"), &Platform::host()).unwrap_err();
    assert_eq!(missing.message(), "cannot read /no/such.tar");
    let directory = read_archive(dir.path(), &Platform::host()).unwrap_err();
    assert!(directory.message().ends_with("is a directory"));
}

proptest::proptest! {
    #[test]
    fn damage_is_an_error_and_never_a_panic(at in 0usize..6000, byte: u8) {
        let dir = tempfile::tempdir().unwrap();
        let path = write(&image(Packing::Plain, "x"), dir.path());
        let mut content = std::fs::read(&path).unwrap();
        let at = at.min(content.len() - 1);
        content[at] = byte;
        std::fs::write(&path, content).unwrap();
        let _either = read_archive(&path, &Platform::host()).map(|image| image.size());
    }
}

#[test]
fn members_are_those_that_loaders_look_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&image(Packing::Plain, "x"), dir.path());
    let mut documents = BTreeMap::new();
    for entry in tar::Archive::new(std::fs::File::open(path).unwrap())
        .entries()
        .unwrap()
    {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            documents.insert(
                name,
                serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            );
        }
    }
    assert_eq!(
        documents["manifest.json"][0]["RepoTags"][0],
        "localhost/web:1"
    );
    let annotations = &documents["index.json"]["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "localhost/web:1");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
}
