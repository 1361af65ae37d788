//! One build of an image at a time on this machine; whoever waited learns what the other did.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use super::blob::digest;
use crate::error::{Error, Result};
use crate::local::create_dir;

/// How often a taken lock is tried again: locks of files cannot be awaited.
const RETRY: Duration = Duration::from_millis(50);

/// A lock that is held until this value is dropped, or its process ends.
pub(super) struct BuildLock {
    file: File,
    /// Whether somebody else held it first.
    pub(super) waited: bool,
}

impl BuildLock {
    /// Takes the lock of a repository (a reference without its tag). `waiting` is called once if it is taken.
    pub(super) async fn take(
        state: &Path,
        reference: &str,
        waiting: impl FnOnce(),
    ) -> Result<Self> {
        let dir = state.join("images");
        create_dir(&dir)?;
        let repository = reference
            .rsplit_once(':')
            .map_or(reference, |(name, _)| name);
        let name = digest(repository.as_bytes());
        let path = dir.join(format!("{}.lock", &name[7..23]));
        let failed = |cause: std::io::Error| Error::io("lock", &path, &cause);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(Self {
                        file,
                        waited: waiting.is_none(),
                    });
                }
                Err(TryLockError::WouldBlock) => {
                    if let Some(waiting) = waiting.take() {
                        waiting();
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
            }
        }
    }

    /// What the last holder delivered: see [`BuildLock::record`].
    pub(super) fn last(&mut self) -> Result<String> {
        let mut text = String::new();
        self.file
            .rewind()
            .and_then(|()| self.file.read_to_string(&mut text))
            .map_err(|cause| Error::failed("cannot read a lock file").caused_by(&cause))?;
        Ok(text)
    }

    /// Leaves word of what was delivered where, for those who wait.
    pub(super) fn record(&mut self, what: &str) -> Result<()> {
        self.file
            .rewind()
            .and_then(|()| self.file.set_len(0))
            .and_then(|()| self.file.write_all(what.as_bytes()))
            .map_err(|cause| Error::failed("cannot write a lock file").caused_by(&cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_and_learns_what_the_first_did() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = BuildLock::take(dir.path(), "r/web:1", || panic!("free"))
            .await
            .unwrap();
        assert!(!first.waited);
        let (waiting_tx, waiting_rx) = tokio::sync::oneshot::channel();
        let path = dir.path().to_path_buf();
        let second = tokio::spawn(async move {
            BuildLock::take(&path, "r/web:2", || waiting_tx.send(()).unwrap()).await
        });
        waiting_rx.await.unwrap();
        let _other = BuildLock::take(dir.path(), "r/api:1", || panic!("another image"))
            .await
            .unwrap();
        first.record("done").unwrap();
        drop(first);
        let mut second = second.await.unwrap().unwrap();
        assert!(second.waited);
        assert_eq!(second.last().unwrap(), "done");
    }
}
