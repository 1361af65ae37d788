//! Registries that want a bearer token (Docker Hub, GitHub's, GitLab's), played by a few lines of HTTP.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::server::{PASSWORD, install_tls};
use super::{registries, with_login};
use crate::image::ensure::oci_reference;

/// Serves `/v2/`, `/token` and the manifest of `web:1`; notes the path of each request.
async fn serve(listener: TcpListener, host: String, seen: Arc<Mutex<Vec<String>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, host.clone(), Arc::clone(&seen)));
    }
}

async fn connection(stream: TcpStream, host: String, seen: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut authorization) = (String::new(), String::new());
        if stream.read_line(&mut first).await.unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                value.trim().clone_into(&mut authorization);
            }
        }
        let path = first.split(' ').nth(1).unwrap().to_owned();
        seen.lock().unwrap().push(path.clone());
        let (status, headers, body) = answer(&path, &authorization, &host);
        let body = if first.starts_with("HEAD") { "" } else { body };
        let text = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
    }
}

fn answer(path: &str, authorization: &str, host: &str) -> (&'static str, String, &'static str) {
    let login = format!("Basic {}", STANDARD.encode(format!("jane:{PASSWORD}")));
    if path.starts_with("/token?") {
        return match authorization == login && path.contains("scope=repository%3Aweb%3Apull") {
            true => ("200 OK", String::new(), r#"{"token": "t0ken"}"#),
            false => ("401 Unauthorized", String::new(), "who are you?"),
        };
    }
    if authorization != "Bearer t0ken" {
        let realm = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
        return (
            "401 Unauthorized",
            format!("WWW-Authenticate: {realm}\r\n"),
            "",
        );
    }
    let digest = format!("Docker-Content-Digest: sha256:{}\r\n", "a".repeat(64));
    ("200 OK", digest, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_fetched_with_the_credentials_and_used() {
    install_tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let seen = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(serve(listener, host.clone(), Arc::clone(&seen)));
    let dir = tempfile::tempdir().unwrap();
    let reference = oci_reference(&format!("{host}/web:1")).unwrap();

    let good = with_login(dir.path(), &host, "jane", PASSWORD);
    assert!(good.exists(&reference).await.unwrap().is_some());
    assert!(good.exists(&reference).await.unwrap().is_some());
    let asked = seen.lock().unwrap().clone();
    let tokens = asked.iter().filter(|path| path.starts_with("/token"));
    assert_eq!(tokens.count(), 1, "the token is used again: {asked:?}");

    let wrong = with_login(dir.path(), &host, "jane", "t0psecret");
    for registries in [wrong, registries(dir.path())] {
        let error = registries.exists(&reference).await.unwrap_err();
        assert_eq!(
            error.reason_code(),
            Some("RegistryUnauthorized"),
            "{error:?}"
        );
        assert!(!crate::ui::render_error(&error).contains("t0psecret"));
    }
}
