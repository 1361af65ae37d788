//! The router's data plane by the real Envoy, everything on loopback: what the hop costs, how long a change takes until
//! requests follow it, and how both grow with the number of environments.
//!
//! `cargo bench --bench router [-- PART…] [full]`, with `DEV_TEST_ENVOY` (`source tests/toolchain.sh; toolchain_envoy`). Parts:
//! `hop`, `change`, `growth`, `apart` (50,000 versions, with `full` or by name only); all of them by default, in small counts. With
//! `full` the counts of docs/benchmarks.md.
//!
//! Each side is a process of its own, this program once more: the backend, the load, and the link (table, discovery service)
//! with its Envoy. On two cores they take time from each other, which the figures contain.

mod backend;
mod child;
mod envoy;
mod histogram;
mod link;
mod load;
mod parts;
mod trials;
mod world;

use parts::Counts;

const PARTS: [&str; 4] = ["hop", "change", "growth", "apart"];

fn main() {
    // cargo adds --bench.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["role", "backend"] => backend::main(),
        ["role", "load"] => load::main(),
        ["role", "link", ref size @ ..] => link::main(size),
        _ => measure(&words),
    }
}

fn measure(words: &[&str]) {
    let full = words.contains(&"full");
    let named: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| *word != "full")
        .collect();
    if let Some(unknown) = named.iter().find(|word| !PARTS.contains(word)) {
        panic!("{unknown}: there is no such part, there are {PARTS:?} and full");
    }
    if std::env::var_os("DEV_TEST_ENVOY").is_none() {
        println!("left out: the router, which needs DEV_TEST_ENVOY, a real Envoy");
        return;
    }
    let wanted = |part: &str| match named.is_empty() {
        true => full || part != "apart",
        false => named.contains(&part),
    };
    let counts = if full { Counts::FULL } else { Counts::SMALL };
    let stage = parts::Stage::new(counts);
    if wanted("hop") {
        stage.hop();
    }
    if wanted("change") || wanted("growth") {
        stage.growth(wanted("change"), wanted("growth"));
    }
    if wanted("apart") {
        stage.apart();
    }
}
