//! The `dev` command.

fn main() -> std::process::ExitCode {
    dev::run()
}
