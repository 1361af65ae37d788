//! What a person waits for: `dev --version` beside `kubectl version --client`, and `dev up` of an unchanged bookshop beside
//! `kubectl apply` of the same objects.
//!
//! `cargo bench --bench up`, with `DEV_TEST_KUBECONFIG` of a cluster that may be written to and `DEV_REGISTRY` where it has one.
//! `DEV_BIN` is the `dev` to measure (default: that of this build). The environment is removed at the end.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 30;
const ENV: &str = "bench";

fn main() {
    let dev =
        std::env::var_os("DEV_BIN").map_or_else(|| env!("CARGO_BIN_EXE_dev").into(), PathBuf::from);
    println!("median of {RUNS} runs (fastest, slowest)");
    measure("dev --version", || {
        Command::new(&dev).arg("--version").spawn_quiet()
    });
    measure("kubectl version --client", || {
        Command::new("kubectl")
            .args(["version", "--client"])
            .spawn_quiet()
    });
    let Some(kubeconfig) = std::env::var_os("DEV_TEST_KUBECONFIG") else {
        println!("left out: dev up and kubectl apply, which need DEV_TEST_KUBECONFIG");
        return;
    };
    let bookshop = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bookshop");
    let command = |args: &[&str]| {
        let mut command = Command::new(&dev);
        command
            .args(["-e", ENV])
            .args(args)
            .current_dir(&bookshop)
            .env("KUBECONFIG", &kubeconfig);
        command
    };
    assert!(
        command(&["up"]).status().expect("dev starts").success(),
        "dev up"
    );
    measure("dev up, nothing changed", || command(&["up"]).spawn_quiet());
    measure("dev diff, nothing changed", || {
        command(&["diff"]).spawn_quiet()
    });

    let rendered = command(&["render", "-q"])
        .output()
        .expect("dev starts")
        .stdout;
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&rendered).expect("written");
    let path = file.path().to_owned();
    let kubectl = |args: &[&str]| {
        let mut command = Command::new("kubectl");
        command
            .args(args)
            .arg("-f")
            .arg(&path)
            .env("KUBECONFIG", &kubeconfig);
        command
    };
    measure("kubectl diff --server-side, the same objects", || {
        kubectl(&["diff", "--server-side", "--field-manager=dev"]).spawn_quiet()
    });
    measure("kubectl apply --server-side, the same objects", || {
        kubectl(&[
            "apply",
            "--server-side",
            "--field-manager=dev",
            "--force-conflicts",
        ])
        .spawn_quiet()
    });
    assert!(
        command(&["down"]).status().expect("dev starts").success(),
        "dev down"
    );
}

trait SpawnQuiet {
    /// Runs to the end without output; whether it succeeded is not asked (`kubectl diff` returns 1).
    fn spawn_quiet(&mut self);
}

impl SpawnQuiet for Command {
    fn spawn_quiet(&mut self) {
        self.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("the program is installed");
    }
}

fn measure(name: &str, mut run: impl FnMut()) {
    run();
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{name:50} {:8.1} ms ({:.1}, {:.1})",
        ms(times[RUNS / 2]),
        ms(times[0]),
        ms(times[RUNS - 1])
    );
}
