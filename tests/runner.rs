//! One test binary, one file for each subject. A file in this folder that is not listed here fails the test
//! `every_test_file_is_listed`.

// Helpers of tests panic as tests do; the lint knows only functions with `#[test]`.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

mod apply;
mod at_once;
mod bad_input;
mod base;
mod bookshop;
mod bystanders;
mod cli;
mod control;
mod faults;
mod flags;
mod json;
mod kill;
mod logs;
mod overlay;
mod overlay_rights;
mod peers;
mod readme;
mod rehearse;
mod remove;
mod remove_foreign;
mod render;
mod rights;
mod router_ads;
mod router_envoy;
mod router_install;
mod router_pod;
mod same_namespace;
mod secrets;
mod seen;
mod sources;
mod tunnel;
mod up;
mod up_and_down;
mod wait;

#[test]
fn every_test_file_is_listed() {
    let listed = include_str!("runner.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(module) = name.strip_suffix(".rs").filter(|name| *name != "runner") {
            let line = format!("mod {module};");
            assert!(listed.contains(&line), "tests/{name} is not in runner.rs");
        }
    }
}
