use serde_json::{Value, json};

use crate::manifest::labels::Stamp;
use crate::manifest::transform::{Mode, Target, Transformed, transform, unknown_scope};
use crate::manifest::{Manifest, Origin};

fn object(value: Value) -> Manifest {
    Manifest {
        value,
        origin: Origin::default(),
    }
}

fn run(data: &Value, suffix: Option<&str>) -> Transformed {
    let service = |name: &str, port: u64| {
        object(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"ports": [{"port": port}]},
        }))
    };
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"rules": [{"host": "shop.example.com"}]},
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"serviceName": "db"},
    });
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data,
    });
    let target = Target {
        stamp: Stamp {
            app: "shop".into(),
            env: "try".into(),
            base: Some("shop".into()),
            version: "try".into(),
        },
        namespace: if suffix.is_some() {
            "shop".into()
        } else {
            "shop-try".into()
        },
        home: vec!["shop".into()],
        suffix: suffix.map(str::to_owned),
        domain: None,
        mode: Mode::Copy,
    };
    let objects = vec![
        service("reviews", 9080),
        service("db", 5432),
        object(set),
        object(ingress),
        object(config),
    ];
    transform(objects, &target, &unknown_scope).unwrap()
}

fn check(suffix: Option<&str>, cases: &[(&str, &str, &str)]) {
    for (key, before, after) in cases {
        let result = run(&json!({*key: before}), suffix);
        let config = result.objects.last().unwrap();
        assert_eq!(config.value["data"][key], *after, "{key}: {before}");
        let notes = result
            .notes
            .iter()
            .filter(|n| n.text.starts_with(&format!("{key}: ")));
        assert_eq!(notes.count() > 0, before != after, "{key}: {before}");
    }
}

#[test]
fn qualified_names_follow_into_another_namespace() {
    check(
        None,
        &[
            (
                "a",
                "http://reviews.shop:9080/x?y",
                "http://reviews.shop-try:9080/x?y",
            ),
            ("a", "reviews.shop.svc", "reviews.shop-try.svc"),
            (
                "a",
                "x=reviews.shop.svc.cluster.local. y",
                "x=reviews.shop-try.svc.cluster.local. y",
            ),
            ("a", "reviews.shop", "reviews.shop-try"),
            (
                "a",
                "postgres://u:p@db.shop/x",
                "postgres://u:p@db.shop-try/x",
            ),
            (
                "a",
                "db-0.db.shop.svc:5432,db-1.db.shop.svc:5432",
                "db-0.db.shop-try.svc:5432,db-1.db.shop-try.svc:5432",
            ),
            (
                "a",
                "_http._tcp.reviews.shop.svc",
                "_http._tcp.reviews.shop-try.svc",
            ),
            (
                "a",
                "https://shop.example.com/login",
                "https://shop-try.example.com/login",
            ),
            (
                "a",
                "see reviews.shop for more",
                "see reviews.shop for more",
            ),
            ("a", "com.reviews.shop.Main", "com.reviews.shop.Main"),
            ("image", "reviews.shop.svc", "reviews.shop-try.svc"),
            ("a", "reviews.other.svc", "reviews.other.svc"),
            ("a", "unknown.shop.svc", "unknown.shop.svc"),
            ("a", "http://reviews:9080", "http://reviews:9080"),
            ("a", "myreviews.shop.svc", "myreviews.shop.svc"),
            (
                "a",
                "reviews.shop.svc.example.com",
                "reviews.shop.svc.example.com",
            ),
            (
                "a",
                "reviews.shop.cluster.local",
                "reviews.shop.cluster.local",
            ),
            ("a", "/etc/reviews.shop:1", "/etc/reviews.shop:1"),
            ("a", "é reviews.shop.svc é", "é reviews.shop-try.svc é"),
        ],
    );
}

#[test]
fn short_names_follow_a_suffix_where_they_are_hosts() {
    check(
        Some("b"),
        &[
            (
                "a",
                "http://reviews:9080/reviews",
                "http://reviews-b:9080/reviews",
            ),
            ("a", "http://reviews/", "http://reviews-b/"),
            ("a", "--peer=reviews:9080", "--peer=reviews-b:9080"),
            ("a", "db:5432,reviews:9080", "db-b:5432,reviews-b:9080"),
            ("a", "reviews:7", "reviews:7"),
            ("a", "reviews:9080x", "reviews:9080x"),
            ("a", "reviews", "reviews"),
            ("REVIEWS_HOST", "reviews", "reviews-b"),
            ("reviewsHost", "reviews", "reviews-b"),
            ("a", "db-0.db:5432", "db-b-0.db-b:5432"),
            ("a", "reviews.shop.svc", "reviews-b.shop.svc"),
            (
                "a",
                "http://example.com/reviews:9080",
                "http://example.com/reviews:9080",
            ),
            ("a", "http://u@reviews", "http://u@reviews-b"),
            ("a", "${reviews:9080}", "${reviews:9080}"),
        ],
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken(text in "\\PC*", other in "[a-z.:/@ é_-]{0,30}") {
        for text in [text, other] {
            run(&json!({"a": text}), Some("b"));
            run(&json!({"a": text}), None);
        }
    }
}
