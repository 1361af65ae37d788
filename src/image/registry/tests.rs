//! Against a real registry: Debian's `docker-registry`.

pub(crate) mod server;
mod token;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use oci_client::secrets::RegistryAuth;
use serde_json::json;

use super::*;
use crate::error::Kind;
use crate::image::blob::{Blob, BuiltImage, Source, media};
use crate::image::ensure::oci_reference;
use crate::image::layers::{
    Base, Node, NodeKind, Packing, Platform, Tree, derive_config, empty_config, find_base,
    write_layer,
};
use crate::project::Layers;
use server::{PASSWORD, Server};

fn image(content: &str) -> BuiltImage {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, content).unwrap();
    let mut tree = Tree::default();
    let node = Node {
        mode: 0o644,
        kind: NodeKind::File(path),
    };
    tree.insert("app/file".into(), node).unwrap();
    let layer = write_layer(&tree, Packing::Gzip).unwrap();
    let config = empty_config(&Platform::linux("amd64"));
    let config = derive_config(config, &Layers::default(), Some(&layer)).unwrap();
    BuiltImage::new(config, vec![layer.blob]).unwrap()
}

fn registries(cache: &Path) -> Registries {
    Registries::new(None, DockerConfig::default(), cache.to_path_buf())
}

fn with_login(dir: &Path, host: &str, user: &str, password: &str) -> Registries {
    use base64::Engine;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let path = dir.join("config.json");
    std::fs::write(&path, json!({"auths": {host: {"auth": auth}}}).to_string()).unwrap();
    Registries::new(None, DockerConfig::files(vec![path]), dir.to_path_buf())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_there_and_is_not_sent_again() {
    let Some(server) = Server::start("push", None).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let reference = oci_reference(&format!("{}/shop/web:1", server.host)).unwrap();
    let registries = registries(dir.path());
    assert_eq!(registries.exists(&reference).await.unwrap(), None);
    let image = image("hello");
    let first = registries.push(&image, &reference, |_| {}).await.unwrap();
    assert_eq!((first.sent, first.present), (2, 0));
    let there = registries.exists(&reference).await.unwrap();
    assert_eq!(there.as_deref(), Some(image.digest()));

    let before = server.requests().len();
    let second = registries.push(&image, &reference, |_| {}).await.unwrap();
    assert_eq!((second.sent, second.present), (0, 2));
    let requests = server
        .requests_since(before, "PUT /v2/shop/web/manifests/1")
        .await;
    let uploads = requests
        .iter()
        .filter(|line| line.contains("/blobs/uploads/"));
    assert_eq!(uploads.count(), 0, "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_an_image_that_is_there_takes_one_question_and_a_greeting() {
    let Some(server) = Server::start("ask", None).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let reference = oci_reference(&format!("{}/shop/web:1", server.host)).unwrap();
    registries(dir.path())
        .push(&image("x"), &reference, |_| {})
        .await
        .unwrap();
    let before = server.requests().len();
    registries(dir.path())
        .exists(&reference)
        .await
        .unwrap()
        .unwrap();
    let requests = server
        .requests_since(before, "HEAD /v2/shop/web/manifests/1")
        .await;
    assert_eq!(requests.len(), 2, "{requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_in_the_registry_is_found_mounted_and_fetched_once() {
    let Some(server) = Server::start("base", None).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let registries = registries(dir.path());
    let base = format!("{}/lib/base:1", server.host);
    let base_image = image("base");
    registries
        .push(&base_image, &oci_reference(&base).unwrap(), |_| {})
        .await
        .unwrap();
    let platform = Platform::linux("amd64");
    let found = find_base(&Base::Reference(&base), &platform, &registries)
        .await
        .unwrap();
    assert_eq!(found.layers[0].descriptor, base_image.layers[0].descriptor);
    let config = Blob::memory(media::CONFIG, serde_json::to_vec(&found.config).unwrap());
    let derived = BuiltImage::new(config, found.layers).unwrap();
    let target = oci_reference(&format!("{}/shop/web:1", server.host)).unwrap();
    let pushed = registries.push(&derived, &target, |_| {}).await.unwrap();
    assert_eq!((pushed.mounted, pushed.sent), (1, 1));

    let local = registries.localize(derived.clone(), |_| {}).await.unwrap();
    let Source::File { path, .. } = &local.layers[0].source else {
        panic!("not fetched: {:?}", local.layers[0]);
    };
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(
        crate::image::blob::digest(&bytes),
        local.layers[0].descriptor.digest
    );
    let before = server.requests().len();
    registries.localize(derived, |_| {}).await.unwrap();
    assert_eq!(
        server.requests().len(),
        before,
        "the second time it comes from the cache"
    );

    let wrong = Platform::linux("s390x");
    let error = find_base(&Base::Reference(&base), &wrong, &registries)
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .contains("is for linux/amd64, and linux/s390x is wanted"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_from_another_registry_is_copied() {
    let (Some(from), Some(to)) = (
        Server::start("from", None).await,
        Server::start("to", None).await,
    ) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let registries = registries(dir.path());
    let base = format!("{}/base:1", from.host);
    registries
        .push(&image("base"), &oci_reference(&base).unwrap(), |_| {})
        .await
        .unwrap();
    let platform = Platform::linux("amd64");
    let found = find_base(&Base::Reference(&base), &platform, &registries)
        .await
        .unwrap();
    let config = Blob::memory(media::CONFIG, serde_json::to_vec(&found.config).unwrap());
    let image = BuiltImage::new(config, found.layers).unwrap();
    let target = oci_reference(&format!("{}/web:1", to.host)).unwrap();
    let pushed = registries.push(&image, &target, |_| {}).await.unwrap();
    assert_eq!((pushed.sent, pushed.mounted), (2, 0));
    assert!(registries.exists(&target).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_base_is_named() {
    let Some(server) = Server::start("missing", None).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let base = format!("{}/no/such:1", server.host);
    let platform = Platform::linux("amd64");
    let error = find_base(&Base::Reference(&base), &platform, &registries(dir.path()))
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        format!("{} has no image {base}", server.host)
    );
    assert_eq!(error.reason_code(), Some("ImageMissing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_open_the_registry_and_wrong_ones_are_told_without_the_secret() {
    let Some(server) = Server::start("auth", Some("jane")).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let reference = oci_reference(&format!("{}/web:1", server.host)).unwrap();
    let good = with_login(dir.path(), &server.host, "jane", PASSWORD);
    good.push(&image("x"), &reference, |_| {}).await.unwrap();
    assert!(good.exists(&reference).await.unwrap().is_some());

    let wrong = with_login(dir.path(), &server.host, "jane", "t0psecret");
    let anonymous = registries(dir.path());
    for (registries, as_whom) in [(wrong, "user jane of "), (anonymous, "no credentials")] {
        let push = registries
            .push(&image("y"), &reference, |_| {})
            .await
            .unwrap_err();
        let ask = registries.exists(&reference).await.unwrap_err();
        for error in [push, ask] {
            let text = crate::ui::render_error(&error);
            assert_eq!(error.kind(), Kind::Failed);
            assert_eq!(error.reason_code(), Some("RegistryUnauthorized"), "{text}");
            assert!(text.contains(as_whom), "{text}");
            assert!(!text.contains("t0psecret"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_said_to_be_unreachable() {
    server::install_tls();
    let port = server::free_port();
    let reference = oci_reference(&format!("127.0.0.1:{port}/web:1")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = registries(dir.path()).exists(&reference).await.unwrap_err();
    assert_eq!(error.reason_code(), Some("RegistryUnreachable"), "{error}");
}

#[tokio::test]
async fn credentials_are_found_as_docker_finds_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let config = json!({"auths": {
        "https://index.docker.io/v1/": {"username": "hub", "password": "p"},
        "https://r.example/v2/": {"auth": "amFuZTpwdw=="},
        "pod.example/team": {"username": "team", "password": "p"},
        "pod.example": {"username": "all", "password": "p"},
        "azure.example": {"identitytoken": "t"},
        "broken.example": {"auth": "%%%"},
    }});
    std::fs::write(&path, config.to_string()).unwrap();
    let files = DockerConfig::files(vec![dir.path().join("none.json"), path]);
    let find = |host: &'static str, repository: &'static str| {
        let files = &files;
        async move { files.find(host, repository).await }
    };
    let basic =
        |user: &str, password: &str| RegistryAuth::Basic(user.to_owned(), password.to_owned());
    assert_eq!(
        find("docker.io", "x").await.unwrap().auth,
        basic("hub", "p")
    );
    assert_eq!(
        find("r.example", "x").await.unwrap().auth,
        basic("jane", "pw")
    );
    assert_eq!(
        find("pod.example", "team/x").await.unwrap().auth,
        basic("team", "p")
    );
    assert_eq!(
        find("pod.example", "x").await.unwrap().auth,
        basic("all", "p")
    );
    let azure = find("azure.example", "x").await.unwrap().auth;
    assert_eq!(azure, basic("00000000-0000-0000-0000-000000000000", "t"));
    assert_eq!(
        find("other.example", "x").await.unwrap().auth,
        RegistryAuth::Anonymous
    );
    let error = find("broken.example", "x").await.err().unwrap();
    assert!(error.message().contains("is not base64"), "{error}");
}

#[tokio::test]
async fn a_helper_that_is_not_installed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    std::fs::write(&path, r#"{"credHelpers": {"r.example": "no-such-helper"}}"#).unwrap();
    let config = Arc::new(DockerConfig::files(vec![path]));
    let error = config.find("r.example", "x").await.err().unwrap();
    assert!(
        error.message().contains("docker-credential-no-such-helper"),
        "{error}"
    );
    assert_eq!(
        config.find("s.example", "x").await.unwrap().auth,
        RegistryAuth::Anonymous
    );
}

#[tokio::test]
async fn helpers_are_asked_through_pipes() {
    let dir = tempfile::tempdir().unwrap();
    let helper = dir.path().join("docker-credential-test");
    let text = r#"#!/bin/sh
[ "$*" = get ] || exit 9
read -r host
case $host in
  good.example) echo '{"ServerURL": "x", "Username": "jane", "Secret": "pw"}' ;;
  token.example) echo '{"Username": "<token>", "Secret": "tok"}' ;;
  odd.example) echo 'pw' ;;
  locked.example) echo 'the key ring is locked' >&2; exit 1 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;
    std::fs::write(&helper, text).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("config.json");
    // What the helper does not know may be in the file itself.
    std::fs::write(
        &path,
        r#"{"credsStore": "test", "auths": {"file.example": {"username": "f", "password": "p"}}}"#,
    )
    .unwrap();
    let config = DockerConfig::files(vec![path]).with_helpers(dir.path().to_path_buf());
    let good = config.find("good.example", "x").await.unwrap();
    assert_eq!(
        good.auth,
        RegistryAuth::Basic("jane".to_owned(), "pw".to_owned())
    );
    assert_eq!(good.origin, "user jane of docker-credential-test");
    let token = config.find("token.example", "x").await.unwrap().auth;
    let azure = "00000000-0000-0000-0000-000000000000".to_owned();
    assert_eq!(token, RegistryAuth::Basic(azure, "tok".to_owned()));
    let file = config.find("file.example", "x").await.unwrap().auth;
    assert_eq!(file, RegistryAuth::Basic("f".to_owned(), "p".to_owned()));
    let none = config.find("none.example", "x").await.unwrap().auth;
    assert_eq!(none, RegistryAuth::Anonymous);
    let locked = config.find("locked.example", "x").await.err().unwrap();
    assert_eq!(locked.causes(), ["the key ring is locked"]);
    let odd = config.find("odd.example", "x").await.err().unwrap();
    assert!(!crate::ui::render_error(&odd).contains("pw"), "{odd:?}");
}
