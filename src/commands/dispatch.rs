//! From the command that was typed to its handler.

use super::Context;
use crate::cli::Command;
use crate::error::Result;

/// Runs a command; the value is the exit code of a command that succeeded (`dev exec` returns that of the
/// remote process).
pub async fn run(command: Command, context: &Context) -> Result<u8> {
    match command {
        Command::Up(up) => up.run(context).await,
        Command::Down(down) => down.run(context).await,
        Command::Deploy(deploy) => deploy.run(context).await,
        Command::Status(status) => status.run(context).await,
        Command::Logs(logs) => logs.run(context).await,
        Command::Exec(exec) => return exec.run(context).await,
        Command::Url(url) => url.run(context).await,
        Command::Render(render) => render.run(context).await,
        Command::Diff(diff) => return diff.run(context).await,
        Command::Validate(validate) => validate.run(context).await,
        Command::Router(router) => router.run(context).await,
        Command::Image(image) => image.run(context).await,
        Command::Admit(admit) => admit.run(context).await,
        Command::Completions(completions) => completions.run(context),
        Command::Schema(schema) => schema.run(context),
        Command::Man(man) => man.run(context),
        Command::Control(control) => control.run(context).await,
        Command::RouterRun(router) => router.run(context).await,
        Command::RouterLink(link) => link.run(context).await,
    }
    .map(|()| 0)
}
