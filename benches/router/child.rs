//! This program once more, in another role: a line in, a line of JSON out.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A process in a role. It ends when it is dropped, and when this process ends.
pub struct Child {
    process: Process,
    pipes: RefCell<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Child {
    /// Starts one. Gives its first line too.
    pub fn start(role: &[String]) -> (Self, Value) {
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .arg("role")
            .args(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let stdin = process.stdin.take().expect("piped");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let child = Self {
            process,
            pipes: RefCell::new(Some((stdin, stdout))),
        };
        let first = child.read();
        (child, first)
    }

    /// Has it do something.
    pub fn ask(&self, line: &str) -> Value {
        let mut pipes = self.pipes.borrow_mut();
        let (stdin, _) = pipes.as_mut().expect("running");
        writeln!(stdin, "{line}").expect("the child reads");
        drop(pipes);
        self.read()
    }

    fn read(&self) -> Value {
        let mut pipes = self.pipes.borrow_mut();
        let (_, stdout) = pipes.as_mut().expect("running");
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the child answers");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the child ended: {line:?}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.pipes.take());
        let _code = self.process.wait();
    }
}

/// What this process was told to do, until nobody tells it anything any more.
pub fn lines() -> impl Iterator<Item = String> {
    std::io::stdin().lines().map_while(Result::ok)
}

/// Answers.
pub fn answer(value: &Value) {
    println!("{value}");
}
