//! PURE: addresses without what is secret in them, and which proxy leads to one.

use http::Uri;
use http::uri::Authority;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;

/// The address without the user and the password that it may bring. What is shown, stored or logged of an address is this.
pub(super) fn without_user(address: &Uri) -> Uri {
    let Some(host) = address
        .authority()
        .and_then(|authority| authority.as_str().rsplit_once('@'))
        .and_then(|(_, host)| host.parse::<Authority>().ok())
    else {
        return address.clone();
    };
    let mut parts = address.clone().into_parts();
    parts.authority = Some(host);
    // Only the authority is another one, and it was parsed.
    Uri::from_parts(parts).unwrap_or_default()
}

/// [`without_user`] for an address that was written down as text.
pub(super) fn text_without_user(address: &str) -> String {
    match address.parse::<Uri>() {
        Ok(parsed) if address.contains('@') => without_user(&parsed).to_string(),
        Ok(_) | Err(_) => address.to_owned(),
    }
}

/// The user and the password of an address, as HTTP's basic authentication sends them.
pub(super) fn user(address: &Uri) -> Option<(String, String)> {
    let (user, _) = address.authority()?.as_str().rsplit_once('@')?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decode(name), decode(password)))
}

/// The proxy that the environment names for a server, as kubectl takes it: `HTTPS_PROXY`, but for what `NO_PROXY` lists and for
/// this machine. The names are also looked for in lower case.
pub(super) fn environment_proxy(
    server: &Uri,
    variables: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let variable = |name: &str| {
        [name.to_owned(), name.to_lowercase()]
            .iter()
            .find_map(|name| variables(name).filter(|value| !value.is_empty()))
    };
    let host = server.host()?.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if here || server.scheme_str() != Some("https") {
        return None;
    }
    let proxy = variable("HTTPS_PROXY")?;
    let exceptions = variable("NO_PROXY").unwrap_or_default();
    if exceptions.split(',').any(|entry| entry.trim() == "*") {
        return None;
    }
    let matcher = Matcher::builder()
        // Any proxy does: the question is only whether the server is an exception.
        .all("http://proxy.invalid")
        .no(exceptions)
        .build();
    matcher.intercept(server).map(|_| proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_taken_out() {
        for (address, shown, user_and_password) in [
            (
                "https://jane:p%40ss@h.example:6443/k8s/x?y=1",
                "https://h.example:6443/k8s/x?y=1",
                Some(("jane", "p@ss")),
            ),
            (
                "https://jane@[::1]:1",
                "https://[::1]:1/",
                Some(("jane", "")),
            ),
            ("http://a:b:c@h", "http://h/", Some(("a", "b:c"))),
            ("https://h.example:6443", "https://h.example:6443/", None),
        ] {
            let parsed: Uri = address.parse().unwrap();
            assert_eq!(without_user(&parsed).to_string(), shown);
            let expected = user_and_password.map(|(name, word)| (name.to_owned(), word.to_owned()));
            assert_eq!(user(&parsed), expected, "{address}");
        }
        assert_eq!(text_without_user("http://a:b@h"), "http://h/");
        assert_eq!(text_without_user("as it is"), "as it is");
    }

    #[test]
    fn the_environments_proxy_is_for_what_is_neither_here_nor_excepted() {
        let proxy = "http://p.example:3128";
        for (server, no_proxy, expected) in [
            ("https://k.example:6443", "", true),
            ("https://k.example:6443", "other.example", true),
            ("https://k.example:6443", "example", false),
            ("https://k.example:6443", "10.0.0.0/8, .k.example", false),
            ("https://10.1.2.3:6443", "10.0.0.0/8", false),
            ("https://10.1.2.3:6443", "192.168.0.0/16", true),
            ("https://10.1.2.3:6443", "*", false),
            ("https://127.0.0.1:6443", "", false),
            ("https://[::1]:6443", "", false),
            ("https://localhost:6443", "", false),
            ("http://k.example", "", false),
        ] {
            let variables = |name: &str| match name {
                "https_proxy" => Some(proxy.to_owned()),
                "NO_PROXY" => Some(no_proxy.to_owned()),
                _ => None,
            };
            let found = environment_proxy(&server.parse().unwrap(), variables);
            assert_eq!(found.is_some(), expected, "{server} {no_proxy}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_password_is_left_in_any_address(name in "[a-z%@:]{0,6}", word in "[a-z0-9%:@!]{1,8}", host in "[a-z]{1,5}") {
            let word = format!("s3cr3t{word}");
            if let Ok(address) = format!("https://{name}:{word}@{host}/x").parse::<Uri>() {
                proptest::prop_assert!(!without_user(&address).to_string().contains("s3cr3t"), "{address}");
            }
        }
    }
}
