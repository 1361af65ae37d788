//! Peers that hang, refuse or answer nonsense: credential plug-ins, registries, build commands. `dev` must not hang, must end what it
//! started, and must tell what is wrong.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::project::{Project, run, told};

/// Longer than anything here may take, on a machine that does other things too.
const LONG: Duration = Duration::from_secs(60);

/// Looks again until something is so, or panics.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

/// The process whose id a program wrote to a file.
fn pid_in(file: &Path) -> Pid {
    wait("no process wrote its id", || {
        let text = std::fs::read_to_string(file).ok()?;
        let id = text.strip_suffix('\n')?.parse().ok()?;
        Pid::from_raw(id)
    })
}

/// Waits until a process runs no more; a zombie that nobody has reaped yet is dead as well.
fn ended(pid: Pid) {
    wait("it runs on", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        let dead = test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "));
        dead.then_some(())
    });
}

/// `dev` with these arguments, running. Hang-ups end it, also where the tests themselves run under `nohup`, which is inherited.
fn start(project: &Project, args: &[&str]) -> Child {
    let typed = project.command();
    let mut command = Command::new("env");
    command
        .arg("--default-signal=HUP")
        .arg(typed.get_program())
        .args(args)
        .current_dir(project.root())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, value) in typed.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
        .env("KUBECONFIG", project.root().join("config"))
        .spawn()
        .unwrap()
}

/// A kubeconfig whose user logs in by a program that never answers and writes its child's id to `pid`.
fn hanging_plugin(project: &Project) -> std::path::PathBuf {
    let file = project.root().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    project.write(
        "config",
        format!(
            "current-context: x\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1'}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\nusers:\n- name: u\n  user: {{exec: {{\
             apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['-c', '{script}'], interactiveMode: IfAvailable}}}}\n"
        ),
    );
    file
}

const PLAIN: &str = "app: shop\nservices: {web: {manifests: web.yaml}}\n";

#[test]
fn a_plugin_that_hangs_is_given_up_after_the_timeout() {
    let project = Project::new(&[("dev.yaml", PLAIN), ("web.yaml", "")]);
    let file = hanging_plugin(&project);
    let began = Instant::now();
    let status = run(project
        .command()
        .env("KUBECONFIG", project.root().join("config"))
        .args(["status", "--timeout", "1s"]));
    told(&status, 3, &["within 1s", "[CredentialPluginTimedOut]"]);
    assert!(began.elapsed() < LONG);
    ended(pid_in(&file));
}

#[test]
fn signals_end_a_plugin_and_all_it_started() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let project = Project::new(&[("dev.yaml", PLAIN), ("web.yaml", "")]);
        let file = hanging_plugin(&project);
        let mut dev = start(&project, &["status"]);
        let plugin = pid_in(&file);
        kill_process(Pid::from_child(&dev), signal).unwrap();
        assert_eq!(dev.wait().unwrap().code(), Some(130), "{signal:?}");
        ended(plugin);
    }
}

#[test]
fn a_hang_up_is_no_signal_where_it_is_ignored() {
    let project = Project::new(&[("dev.yaml", PLAIN), ("web.yaml", "")]);
    let file = hanging_plugin(&project);
    let dev = assert_cmd::cargo::cargo_bin!("dev");
    let mut shell = Command::new("sh")
        .current_dir(project.root())
        .args(["-c", "trap '' HUP; exec \"$0\" status --timeout 2s"])
        .arg(dev)
        .env("KUBECONFIG", project.root().join("config"))
        .env("HOME", project.root())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let plugin = pid_in(&file);
    kill_process(Pid::from_child(&shell), Signal::HUP).unwrap();
    assert_eq!(shell.wait().unwrap().code(), Some(3), "as `nohup dev` does");
    ended(plugin);
}

#[test]
fn a_kubeconfig_that_nobody_writes_to_is_given_up() {
    let project = Project::new(&[("dev.yaml", PLAIN), ("web.yaml", "")]);
    let pipe = project.root().join("config");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let status =
        run(project
            .command()
            .env("KUBECONFIG", &pipe)
            .args(["status", "--timeout", "1s"]));
    told(&status, 2, &["within 1s", "[UnreadableKubeconfig]"]);
}

#[test]
fn a_signal_ends_dev_where_a_file_never_ends() {
    let project = Project::new(&[]);
    let pipe = project.root().join("dev.yaml");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut dev = start(&project, &["render", "-f", "dev.yaml"]);
    // The signal would otherwise come before `dev` listens for it.
    wait("no handler", || handles_signals(&dev).then_some(()));
    kill_process(Pid::from_child(&dev), Signal::INT).unwrap();
    assert_eq!(dev.wait().unwrap().code(), Some(130));
}

/// Whether a process has a handler for SIGINT.
fn handles_signals(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 0b10 != 0)
}
