//! Whether anybody still reads what is written to stdout.

/// Ends when the reader of stdout is gone, also while nothing is written: a write would tell, but may be long in coming.
/// Never ends where that cannot be known, such as for a file.
pub async fn stdout_closed() {
    #[cfg(unix)]
    {
        let (gone_tx, gone_rx) = tokio::sync::oneshot::channel();
        // A thread of its own, which ends with the process: the pipe is only looked at, other processes may share it.
        let watching = std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(move || {
                if reader_left() {
                    // Nobody waits for it any more where the command is over.
                    let _over = gone_tx.send(());
                }
            });
        if watching.is_ok() && gone_rx.await.is_ok() {
            return;
        }
    }
    std::future::pending().await
}

/// Blocks until the other end of stdout is closed. `false`: that cannot be told.
#[cfg(unix)]
fn reader_left() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdout = std::io::stdout();
    // Asked for nothing, poll(2) still tells errors and hang-ups.
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    loop {
        match poll(&mut watched, None) {
            Ok(_) => {
                let seen = watched[0].revents();
                return seen.intersects(PollFlags::ERR | PollFlags::HUP);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
