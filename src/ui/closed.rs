//! Whether anybody still reads what is written to stdout.

/// Ends when the reader of stdout is gone, also while nothing is written: a write would tell, but may be long in coming.
/// Never ends where that cannot be known, such as for a file.
pub async fn stdout_closed() {
    #[cfg(unix)]
    {
        use tokio::io::Interest;
        use tokio::io::unix::AsyncFd;
        // Only watched, never set to non-blocking: other processes may share the pipe.
        if let Ok(stdout) = AsyncFd::register_with_interest(std::io::stdout(), Interest::WRITABLE) {
            while let Ok(mut ready) = stdout.writable().await {
                if ready.ready().is_write_closed() {
                    return;
                }
                // Edge-triggered: the next change is that the pipe was read from, or that its reader is gone.
                ready.clear_ready();
            }
        }
    }
    std::future::pending().await
}
