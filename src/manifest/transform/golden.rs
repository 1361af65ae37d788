//! One rich application, transformed in every way, kept as snapshots.

use std::fmt::Write as _;
use std::path::Path;

use super::{Mode, Target, transform, unknown_scope};
use crate::manifest::labels::Stamp;
use crate::manifest::snippet::Text;
use crate::manifest::{Manifest, Origin, yaml};

fn shop() -> Vec<Manifest> {
    let text = Text::Written(include_str!("golden/shop.yaml"));
    let documents = yaml::documents(text, Path::new("shop.yaml"));
    let manifest = |document: yaml::Document| Manifest {
        value: document.value,
        origin: Origin {
            service: "shop".into(),
            place: None,
        },
    };
    documents.unwrap().into_iter().map(manifest).collect()
}

fn run(target: &Target) -> String {
    let result = transform(shop(), target, &unknown_scope).unwrap();
    let mut text = yaml::stream(&result.objects).unwrap();
    for skipped in &result.skipped {
        writeln!(text, "# {skipped}").unwrap();
    }
    for note in &result.notes {
        writeln!(text, "# {note}").unwrap();
    }
    for expected in &result.expected {
        writeln!(text, "# needs {} {}", expected.kind, expected.name).unwrap();
    }
    text
}

fn target(env: &str, namespace: &str) -> Target {
    Target {
        stamp: Stamp {
            app: "shop".into(),
            env: env.into(),
            base: Some("shop".into()),
            version: env.into(),
        },
        namespace: namespace.into(),
        home: vec!["shop".into()],
        suffix: None,
        domain: None,
        mode: Mode::Copy,
    }
}

#[test]
fn a_copy_in_another_namespace() {
    let target = Target {
        domain: Some("preview.example.net".into()),
        ..target("try", "shop-try")
    };
    insta::assert_snapshot!(run(&target));
}

#[test]
fn a_version_beside_the_original() {
    let target = Target {
        suffix: Some("v2".into()),
        ..target("v2", "shop")
    };
    insta::assert_snapshot!(run(&target));
}

#[test]
fn the_base_gets_namespace_and_labels() {
    let target = Target {
        mode: Mode::Base,
        ..target("base", "shop")
    };
    insta::assert_snapshot!(run(&target));
}
