use rustix::process::test_kill_process;

use super::*;

#[tokio::test]
async fn lines_of_both_streams_arrive() {
    let mut seen = Vec::new();
    Program::shell("echo out; echo err >&2; printf 'a\\rb\\n'")
        .stream(|line| seen.push(line.to_owned()))
        .await
        .unwrap();
    seen.sort();
    assert_eq!(seen, ["b", "err", "out"]);
}

#[tokio::test]
async fn a_failure_shows_the_last_lines_only() {
    let error = Program::shell("seq 1 100; exit 3")
        .stream(|_| {})
        .await
        .unwrap_err();
    assert!(error.message().contains("exit status: 3"), "{error}");
    let cause = &error.causes()[0];
    assert!(
        cause.starts_with("81\n") && cause.ends_with("\n100"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_failure_shows_neither_long_lines_nor_control_characters() {
    let script = "printf '\\033[2J\\007'; head -c 1000000 /dev/zero | tr '\\0' x; echo; exit 3";
    for streamed in [true, false] {
        let program = Program::shell(&format!("{{ {script}; }} >&2"));
        let error = if streamed {
            program
                .stream(|line| assert!(!line.contains('\u{7}')))
                .await
        } else {
            program.output().await.map(drop)
        };
        let error = error.unwrap_err();
        let cause = &error.causes()[0];
        assert!(cause.len() < 20 * 450, "{}", cause.len());
        assert!(!cause.contains(['\u{7}', '\u{1b}']), "{cause:?}");
    }
}

#[tokio::test]
async fn output_that_something_left_running_holds_open_is_not_waited_for() {
    let begin = Instant::now();
    let output = Program::shell("sleep 30 & echo $!").output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let left = KillOnDrop(Pid::from_raw(text.trim().parse().unwrap()).unwrap());
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(test_kill_process(left.0).is_ok());
}

#[tokio::test]
async fn input_and_output_pass_through() {
    let output = Program::new("cat").stdin("secret").output().await.unwrap();
    assert_eq!(output.stdout, b"secret");
}

#[tokio::test]
async fn a_missing_program_and_a_missing_directory_are_told_apart() {
    let error = Program::new("no-such-program-x")
        .output()
        .await
        .unwrap_err();
    assert!(error.message().contains("cannot start `no-such-program-x`"));
    let error = Program::new("true")
        .dir("/no/such")
        .output()
        .await
        .unwrap_err();
    assert_eq!(error.message(), "/no/such is no directory");
}

#[tokio::test]
async fn what_a_program_leaves_running_is_not_waited_for() {
    let begin = Instant::now();
    let mut left = None;
    // Holds stdout open for longer than the test may take.
    Program::shell("sleep 30 & echo $!")
        .stream(|line| left = line.parse().ok().and_then(Pid::from_raw).map(KillOnDrop))
        .await
        .unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(test_kill_process(left.unwrap().0).is_ok());
}

struct KillOnDrop(Pid);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _gone = rustix::process::kill_process(self.0, Signal::KILL);
    }
}

#[tokio::test]
async fn dropping_ends_the_whole_group() {
    let (pid_tx, mut pid_rx) = mpsc::unbounded_channel();
    let program = Program::shell("sleep 60 & echo $!; wait");
    {
        let run = program.stream(|line| pid_tx.send(line.parse::<i32>().unwrap()).unwrap());
        tokio::pin!(run);
        let pid = tokio::select! {
            pid = pid_rx.recv() => pid.unwrap(),
            ended = &mut run => panic!("ended: {ended:?}"),
        };
        pid_tx.send(pid).unwrap();
    }
    let pid = Pid::from_raw(pid_rx.recv().await.unwrap()).unwrap();
    ended(pid).await;
}

/// Waits until a process runs no more. Signals take effect a moment later, and a zombie that PID 1 has not reaped yet is dead as well.
pub(crate) async fn ended(pid: Pid) {
    let begin = Instant::now();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        test_kill_process(pid).is_ok() && !stat.is_ok_and(|stat| stat.contains(") Z "))
    };
    while alive() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it runs on");
        tokio::task::yield_now().await;
    }
}

#[test]
fn which_finds_programs_by_name_and_by_path() {
    let sh = which("sh").unwrap();
    assert_eq!(which(sh.to_str().unwrap()), Some(sh));
    assert_eq!(which("no-such-program-x"), None);
    let plain = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(which(plain.path().to_str().unwrap()), None);
}

#[test]
fn the_command_line_is_quoted() {
    let program = Program::new("/usr/bin/docker").args(["build", "a b", "it's"]);
    assert_eq!(program.display(), r"docker build 'a b' 'it'\''s'");
}
