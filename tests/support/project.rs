//! A project in a folder of its own, and `dev` run in it.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

/// A folder with files, a home and nothing of the person who runs the tests.
pub struct Project {
    dir: TempDir,
}

/// What a run of `dev` gave.
#[derive(Debug)]
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Project {
    /// A project of these files (path, content).
    pub fn new(files: &[(&str, &str)]) -> Self {
        let project = Self {
            dir: TempDir::new().unwrap(),
        };
        std::fs::create_dir_all(project.dir.path().join("home")).unwrap();
        std::fs::create_dir_all(project.root()).unwrap();
        for (path, content) in files {
            project.write(path, content);
        }
        project
    }

    /// The folder of the project.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The command `dev`, in the project's folder, with a cleared environment.
    pub fn command(&self) -> Command {
        command_in(&self.root(), &self.dir.path().join("home"))
    }

    /// Runs `dev` with these arguments.
    pub fn dev(&self, args: &[&str]) -> Run {
        run(self.command().args(args))
    }
}

/// The command `dev` in a folder, with a cleared environment and this home.
pub fn command_in(folder: &Path, home: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("dev"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("USER", "tester");
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asserts that a run gave one error with a hint, this exit code, and these words.
pub fn told(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, code, "{}", run.stderr);
    for word in words {
        assert!(
            run.stderr.contains(word),
            "\"{word}\" is not in: {}",
            run.stderr
        );
    }
    assert_eq!(run.stderr.matches("Error:").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("Hint:"), "{}", run.stderr);
}
