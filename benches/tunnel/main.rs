//! The tunnel with everything on loopback, carriers included: what it adds to a connection, and how much goes through.
//!
//! `cargo bench --bench tunnel [-- PART…] [full]`. Parts: `requests`, `bulk`, `idle`; all of them by default, in small counts. With
//! `DEV_BENCH_BORE` and `DEV_BENCH_RATHOLE` (the programs of the crates bore-cli and rathole, `cargo install` them) these two plain TCP tunnels
//! do the same in the same run.
//!
//! Each side is a process of its own, this program once more: the service on the laptop, the load in the cluster, the agent, the
//! client. On two cores they take time from each other, which the figures contain.

mod bulk;
mod ends;
mod parts;
mod ways;

#[path = "../router/backend.rs"]
mod backend;
#[path = "../router/child.rs"]
mod child;
#[path = "../router/histogram.rs"]
mod histogram;
#[path = "../router/load.rs"]
mod load;

const PARTS: [&str; 3] = ["requests", "bulk", "idle"];

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
        ["role", "bulk"] => bulk::main(),
        ["role", "agent"] => ends::agent(),
        ["role", "client", control, lanes, ref ports @ ..] => ends::client(control, lanes, ports),
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
    let wanted = |part: &str| named.is_empty() || named.contains(&part);
    let stage = parts::Stage::new(full);
    // First: afterwards there is memory that was freed and not given back.
    if wanted("idle") {
        stage.idle();
    }
    if wanted("requests") {
        stage.requests();
    }
    if wanted("bulk") {
        stage.bulk();
    }
}
