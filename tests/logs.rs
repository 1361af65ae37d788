//! `dev logs`, `exec` and `url --forward` on a real cluster.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use assert_cmd::Command;

use crate::support::app::{two_services, unique};
use crate::support::cluster::{Cluster, Guard, cluster};
use crate::support::project::{Project, Run, run};

struct App {
    cluster: Cluster,
    project: Project,
    namespace: String,
    _guard: Guard,
}

impl App {
    /// The small application, brought up.
    async fn up(test: &str) -> Option<Self> {
        let cluster = cluster(test).await?;
        let name = unique("logs");
        let namespace = format!("{name}-t");
        let app = Self {
            _guard: cluster.guard(&namespace),
            project: two_services(&name),
            namespace,
            cluster,
        };
        let up = app.dev(&["up"]);
        assert_eq!(up.code, 0, "{up:?}");
        Some(app)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.project.command();
        command
            .args(["-e", "t"])
            .args(args)
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .env("DEV_CLUSTER_UID", &self.cluster.uid);
        command
    }

    fn dev(&self, args: &[&str]) -> Run {
        run(&mut self.command(args))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_carry_service_pod_and_container() {
    let Some(app) = App::up("logs").await else {
        return;
    };
    let all = app.dev(&["logs"]);
    assert_eq!(all.code, 0, "{all:?}");
    for service in ["store", "web"] {
        let prefix = format!("{service}/{service}-");
        let line = all.stdout.lines().find(|line| line.starts_with(&prefix));
        assert!(
            line.is_some_and(|line| line.contains(" main | ")),
            "{all:?}"
        );
    }
    let json = app.dev(&["logs", "web", "--tail", "1", "-o", "json"]);
    let line: serde_json::Value = serde_json::from_str(json.stdout.trim()).unwrap();
    assert_eq!(
        (&line["service"], &line["container"]),
        (&"web".into(), &"main".into())
    );
    assert!(
        line["time"].is_string() && line["line"].is_string(),
        "{line}"
    );

    let wrong = app.dev(&["logs", "web", "-c", "mian"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.stderr.contains("did you mean \"main\"?"), "{wrong:?}");
    let previous = app.dev(&["logs", "web", "--previous"]);
    assert_eq!(previous.code, 1, "{previous:?}");
    assert!(previous.stderr.contains("no previous run"), "{previous:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_returns_the_exit_code_and_passes_input_on() {
    let Some(app) = App::up("exec").await else {
        return;
    };
    let good = app.dev(&["exec", "web", "--", "/testbox", "print", "hello"]);
    assert_eq!((good.code, good.stdout.trim()), (0, "hello"), "{good:?}");
    let bad = app.dev(&["exec", "web", "--", "/testbox", "fail", "no"]);
    assert_eq!(bad.code, 1, "{bad:?}");
    assert!(bad.stderr.contains("no"), "{bad:?}");
    let usage = app.dev(&["exec", "web", "--", "/testbox"]);
    assert_eq!(usage.code, 2, "the command's own code: {usage:?}");
    let mut input = app.command(&[
        "exec",
        "-i",
        "web",
        "--",
        "/testbox",
        "cat",
        "/proc/self/fd/0",
    ]);
    let input = run(input.write_stdin("from here"));
    assert_eq!(
        (input.code, input.stdout.trim()),
        (0, "from here"),
        "{input:?}"
    );
    let shell = app.dev(&["exec", "web", "--", "sh"]);
    assert_eq!(shell.code, 1, "{shell:?}");
    assert!(shell.stderr.contains("no shell"), "{shell:?}");
}

/// Ends the process when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl App {
    /// Starts `dev` and gives its output through a pipe.
    fn start(&self, args: &[&str]) -> Running {
        let typed = self.command(args);
        let mut command = std::process::Command::new(typed.get_program());
        command
            .args(typed.get_args())
            .env_clear()
            .envs(
                typed
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .current_dir(self.project.root())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }
}

/// The first line that it writes, and the rest of its output.
fn first_line(running: &mut Running) -> (String, BufReader<std::process::ChildStdout>) {
    let mut reader = BufReader::new(running.0.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    (line, reader)
}

/// Sends SIGINT; its end: the exit code, and what it wrote to stderr.
fn interrupt(mut running: Running) -> (Option<i32>, String) {
    let id = running.0.id().to_string();
    let mut kill = std::process::Command::new("kill");
    assert!(kill.args(["-INT", &id]).status().unwrap().success());
    let code = running.0.wait().unwrap().code();
    let mut said = String::new();
    let stderr = running.0.stderr.take();
    stderr.unwrap().read_to_string(&mut said).unwrap();
    (code, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn following_ends_when_nobody_reads_or_when_it_is_asked_to() {
    let Some(app) = App::up("logs -f and a closed pipe").await else {
        return;
    };
    // The service writes one line when it starts, and is quiet then.
    let mut running = app.start(&["logs", "-f", "web"]);
    let (line, reader) = first_line(&mut running);
    assert!(line.starts_with("web/web-"), "{line}");
    drop(reader);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));

    let mut running = app.start(&["logs", "-f", "web"]);
    let (_, _reader) = first_line(&mut running);
    assert_eq!(interrupt(running), (Some(130), String::new()));

    let mut running = app.start(&["url", "web", "--forward", "-q"]);
    let (address, _reader) = first_line(&mut running);
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    assert_eq!(interrupt(running), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_reaches_the_pods_that_are_there() {
    let Some(app) = App::up("url --forward").await else {
        return;
    };
    let mut running = app.start(&["url", "web", "--forward"]);
    let (address, _reader) = first_line(&mut running);
    let address = address.trim().trim_start_matches("http://").to_owned();
    let get = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.lines().last().unwrap_or_default().to_owned()
    };
    let first = get();
    assert!(first.starts_with("web-"), "{first}");
    let pods = kube::Api::<k8s_openapi::api::core::v1::Pod>::namespaced(
        app.cluster.client.clone(),
        &app.namespace,
    );
    pods.delete(&first, &Default::default()).await.unwrap();
    // The next connection waits for the pod that comes after it.
    let gone = kube::runtime::wait::await_condition(
        pods.clone(),
        &first,
        |pod: Option<&k8s_openapi::api::core::v1::Pod>| pod.is_none(),
    );
    gone.await.unwrap();
    let second = tokio::task::block_in_place(get);
    assert!(second.starts_with("web-") && second != first, "{second}");
}
