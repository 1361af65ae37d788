//! A router's Envoy, and what processes use.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use dev::router::envoy::Families;
use dev::router::envoy::bootstrap::{Bootstrap, READY_PORT, bootstrap};

/// Worker threads.
pub const CONCURRENCY: usize = 2;

/// A running Envoy. It ends when it is dropped.
pub struct Envoy(Child);

impl Envoy {
    /// Starts one with the bootstrap of a router in a folder where its discovery service has `ads.sock`.
    pub fn start(folder: &Path, ready: u16) -> Self {
        let made = bootstrap(&Bootstrap {
            node: "dev-router-0",
            base: "shop",
            ads: &folder.join("ads.sock"),
            admin: &folder.join("admin.sock"),
            families: Families::default(),
        });
        // Several of them run on this machine.
        let text = made
            .to_string()
            .replace(&READY_PORT.to_string(), &ready.to_string());
        let file = folder.join("bootstrap.json");
        std::fs::write(&file, text).expect("written");
        let program = std::env::var_os("DEV_TEST_ENVOY").expect("asked for before");
        let process = Command::new(program)
            .args(["--concurrency", &CONCURRENCY.to_string()])
            .args(["--disable-hot-restart", "--log-level", "error", "-c"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("Envoy starts");
        Self(process)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _code = self.0.wait();
    }
}

/// A line of `/proc/<id>/status` in MiB: `VmRSS`, `VmHWM`.
pub fn mebibytes(process: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("running");
    let found = status.lines().find_map(|one| one.strip_prefix(line));
    let text = found.expect("Linux has it").trim_start_matches(':').trim();
    let kilobytes: f64 = text.trim_end_matches(" kB").parse().expect("a number");
    kilobytes / 1024.0
}

/// The processor time that a process has used, in milliseconds. It is counted in steps of 10.
pub fn processor(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("running");
    let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
    // utime and stime are the 14th and 15th of all, the 12th and 13th after the name.
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks
        .map(|field| field.parse::<f64>().expect("a number"))
        .sum();
    ticks * 10.0
}
