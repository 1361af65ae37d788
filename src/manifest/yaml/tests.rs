use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

const FILE: &str = "k8s/web.yaml";

fn read(text: &str) -> Vec<Value> {
    let documents = documents(Text::Written(text), Path::new(FILE)).expect("valid");
    documents.into_iter().map(|d| d.value).collect()
}

fn refused(text: &str) -> Error {
    documents(Text::Written(text), Path::new(FILE)).expect_err("must be refused")
}

#[test]
fn documents_are_split_as_kubectl_splits_them() {
    let text = "\u{feff}# comment\r\n---\r\na: 1\r\n---\r\n---\r\n# nothing\r\n---\r\nb: yes\r\n...\r\n---\r\nc: |\r\n  x\r\n  y\r\n";
    assert_eq!(
        read(text),
        [json!({"a": 1}), json!({"b": true}), json!({"c": "x\ny\n"})]
    );
    let found = documents(
        Text::Written("# c\n\n---\n\na: 1\n---\nb: 2\n"),
        Path::new(FILE),
    )
    .unwrap();
    assert_eq!(found.iter().map(|d| d.line).collect::<Vec<_>>(), [5, 7]);
    assert_eq!(read(""), Vec::<Value>::new());
    assert_eq!(
        read("{\"a\": [1, \"\\u00e9\\/\"]}"),
        [json!({"a": [1, "é/"]})]
    );
    assert_eq!(read("{\n\t\"a\": 1\n}"), [json!({"a": 1})]);
    assert_eq!(read(r#"{"a": "\ud83d\ude00"}"#), [json!({"a": "😀"})]);
}

#[test]
fn a_list_gives_its_items_with_their_lines() {
    let text = "kind: List\napiVersion: v1\nitems:\n- kind: A\n- kind: B\n  spec: {}\n";
    let found = documents(Text::Written(text), Path::new(FILE)).unwrap();
    let lines: Vec<_> = found
        .iter()
        .map(|d| (d.line, d.value["kind"].clone()))
        .collect();
    assert_eq!(lines, [(4, json!("A")), (5, json!("B"))]);
    let kinds = "kind: PriceList\napiVersion: shop/v1\nmetadata: {name: x}\nspec: {items: []}\n";
    assert_eq!(read(kinds).len(), 1);
}

#[test]
fn anchors_and_merges_follow_yaml_1_1() {
    let text = "base: &base {a: 1, b: {c: 2}}\nx:\n  <<: *base\n  a: 3\nw: *base\nz:\n  <<: [{a: 8}, *base]\n";
    assert_eq!(
        read(text),
        [json!({
            "base": {"a": 1, "b": {"c": 2}},
            "x": {"a": 3, "b": {"c": 2}},
            "w": {"a": 1, "b": {"c": 2}},
            "z": {"a": 8, "b": {"c": 2}},
        })]
    );
    let error = refused("base: &base {a: 1}\nx:\n  a: 3\n  <<: *base\n");
    assert_eq!(error.place(), Some(&Place::at(FILE, 4, 3)));
    assert!(error.hints()[0].contains("put << first"));
}

#[test]
fn keys_become_text_as_in_json() {
    assert_eq!(
        read("yes: 1\n8080: 2\n1.5: 3\n0644: 4\n\"on\": 5\n"),
        [json!({"true": 1, "8080": 2, "1.5": 3, "420": 4, "on": 5})]
    );
    assert!(refused("~: 1").message().contains("null cannot be a key"));
    let error = refused("a: {{ b }}\n");
    assert!(
        error.message().contains("a mapping cannot be a key"),
        "{error}"
    );
}

#[test]
fn broken_yaml_names_its_place() {
    let cases = [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "the key \"a\" is here twice"),
        ("a: \"x\n", 1, 4, "unclosed quote"),
        ("a: b\n  c: d\n", 2, 4, "mapping values are not allowed"),
        ("a:\n\tb: 1\n", 2, 2, "tabs"),
        ("a: *x\n", 1, 4, "unknown anchor"),
        ("a: .inf\n", 1, 4, "no number that JSON can hold"),
        ("a: &x [*x]\n", 1, 8, "inside its own anchor"),
        ("a: !!int b\n", 1, 10, "not what its tag says"),
    ];
    for (text, line, column, words) in cases {
        let error = refused(text);
        assert_eq!(
            error.place().and_then(|p| p.line),
            Some(line),
            "{text:?}: {error}"
        );
        assert_eq!(
            error.place().and_then(|p| p.column),
            Some(column),
            "{text:?}: {error}"
        );
        assert!(error.message().contains(words), "{text:?}: {error}");
        assert!(
            error.snippet_text().is_some_and(|s| s.contains('^')),
            "{text:?}"
        );
    }
}

#[test]
fn hostile_input_is_refused_cheaply() {
    let mut bomb = String::from("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        let alias = format!("*a{}, ", i - 1).repeat(10);
        writeln!(bomb, "k{i}: &a{i} [{}]", alias.trim_end_matches(", ")).unwrap();
    }
    assert!(refused(&bomb).message().contains("too much data"));
    let mut long = format!("a: &a \"{}\"\nb:\n", "x".repeat(1 << 20));
    long.push_str(&"- *a\n".repeat(100_000));
    assert!(refused(&long).message().contains("too much data"));
    let mut chain = String::from("k0: &a0 1\n");
    for i in 1..2000 {
        writeln!(chain, "k{i}: &a{i} [[[[*a{}]]]]", i - 1).unwrap();
    }
    assert!(refused(&chain).message().contains("levels deep"));
    assert!(documents(Text::Written(&"[".repeat(200_000)), Path::new(FILE)).is_err());
    assert!(documents(Text::Written(&"a:\n ".repeat(5_000)), Path::new(FILE)).is_err());
    let steps: String = (0..5000)
        .map(|i| format!("{}a:\n", " ".repeat(i)))
        .collect();
    assert!(documents(Text::Written(&steps), Path::new(FILE)).is_err());
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read for its errors")]
struct Typed {
    app: String,
    #[serde(default)]
    port: Option<u16>,
    services: BTreeMap<String, Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read for its errors")]
struct Inner {
    #[serde(default)]
    live: bool,
    #[serde(default)]
    needs: Vec<String>,
}

#[test]
fn typed_errors_say_place_value_and_expectation() {
    let cases = [
        (
            "app: a\nservcies: {}\n",
            "dev.yaml:2:1: unknown field \"servcies\"",
            Some("did you mean \"services\"?"),
        ),
        ("app: a\n", "the field \"services\" is missing", None),
        (
            "app: a\nport: x\nservices: {}\n",
            "dev.yaml:2:7: port: expected a whole number that fits, not negative, found \"x\"",
            None,
        ),
        ("app: a\nport: 70000\n", "found \"70000\"", None),
        (
            "app: a\nservices:\n  web: {needs: x}\n",
            "dev.yaml:3:16: services.web.needs: expected a list, found \"x\"",
            None,
        ),
        (
            "app: a\nservices:\n  web:\n    live: maybe\n",
            "services.web.live: expected true or false, found \"maybe\"",
            None,
        ),
        (
            "app: a\nservices:\n  web:\n    lvie: true\n",
            "dev.yaml:4:5: services.web: unknown field \"lvie\"",
            Some("did you mean \"live\"?"),
        ),
        (
            "app: [a]\nservices: {}\n",
            "app: expected text, found \"[a]\"",
            None,
        ),
        (
            "app:\nservices: {}\n",
            "expected text, found nothing",
            Some("write \"\" for empty text"),
        ),
        (
            "app: a\nservices:\n",
            "services: expected a mapping",
            Some("the value is empty"),
        ),
        ("- a\n", "expected a mapping", None),
        ("", "the file is empty", None),
        ("app: a\napp: b\n", "the key \"app\" is here twice", None),
        (
            "app: \"a\n",
            "dev.yaml:1:6: cannot read YAML: unclosed quote",
            None,
        ),
    ];
    for (text, words, hint) in cases {
        let error = from_str::<Typed>(text, Path::new("dev.yaml")).expect_err(text);
        assert!(error.to_string().contains(words), "{text:?}: {error}");
        match hint {
            Some(hint) => assert!(error.hints().iter().any(|h| h.contains(hint)), "{error:?}"),
            None => assert!(error.hints().is_empty(), "{error:?}"),
        }
    }
}

/// Strings that YAML readers are known to turn into something else.
const TRICKY: &[&str] = &[
    "yes",
    "on",
    "y",
    "N",
    "off",
    "0644",
    "1e3",
    "0x10",
    "0o17",
    "0b1",
    "1:30",
    "null",
    "~",
    "",
    " a",
    "a ",
    "a\nb",
    "a\n",
    "\n",
    "\na",
    "a\n\n",
    "\ta",
    "a\tb",
    "é",
    "🦀",
    "=",
    "<<",
    "- a",
    "a: b",
    "a #b",
    "#a",
    "&a",
    "*a",
    "!a",
    "%a",
    "@a",
    "`a",
    "{a}",
    "[a]",
    "'a'",
    "\"a\"",
    "a\\b",
    "2001-01-01",
    "1_000",
    ".5",
    "5.",
    "+1",
    "-1",
    ".inf",
    ".nan",
    "08",
    "---",
    "--- a",
    "...",
    "a\r\nb",
    "\u{85}",
    "\u{2028}",
    "\u{feff}x",
    "\u{0}",
    " \n x\n",
    "a:",
    ":",
    "a,b",
    "? a",
    "|",
    ">",
    "true",
    "NULL",
    "trail \nx",
    "x\n y\n",
    "  x\ny\n",
    "\tx\ny",
    "\n \tx\n",
];

#[test]
fn what_is_written_is_read_back() {
    let list: Vec<Value> = TRICKY.iter().map(|s| json!(s)).collect();
    let map: serde_json::Map<_, _> = TRICKY
        .iter()
        .map(|s| ((*s).to_owned(), json!([s])))
        .collect();
    for value in [json!({"list": list}), json!({"map": map}), json!(list)] {
        let text = to_string(&value).unwrap();
        assert_eq!(read(&text), [value], "{text}");
    }
    let long = json!({"a": "word ".repeat(60), "b": format!("x\n{}", "word ".repeat(60))});
    let text = to_string(&long).unwrap();
    assert_eq!(read(&text), [long]);
    assert!(!text.contains('>'), "{text}");
}

/// `sigs.k8s.io/yaml` refuses a block whose first line begins with a tab.
#[test]
fn a_block_never_begins_with_a_tab() {
    assert_eq!(
        to_string(&json!({"a": "\tx\ny"})).unwrap(),
        "a: \"\\tx\\ny\"\n"
    );
    assert_eq!(
        to_string(&json!({"a": "x\n\ty"})).unwrap(),
        "a: |-\n  x\n  \ty\n"
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[-+:#yn0-9e._~ \\n\\t|>*&!%=<]{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_survives_the_round_trip(value in any_json()) {
        let value = json!({"a": value});
        let text = to_string(&value).unwrap();
        prop_assert_eq!(read(&text), vec![value], "{}", text);
    }

    #[test]
    fn the_reader_never_panics(text in any::<String>(), yaml in "[-a:{}\\[\\] \\n&*!|>'\"#,?%<~0]{0,60}") {
        for text in [&text, &yaml] {
            let _ = documents(Text::Written(text), Path::new(FILE));
            let _ = from_str::<Typed>(text, Path::new(FILE));
        }
    }
}
