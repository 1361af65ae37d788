//! The files that an image is made from, and one digest of them all.

mod dockerignore;
#[cfg(test)]
mod tests;

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use ignore::{WalkBuilder, WalkState};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
pub use dockerignore::DockerIgnore;

/// SHA-256.
pub type Hash = [u8; 32];

/// What is below a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Relative to the directory that was walked.
    pub path: PathBuf,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// What it is.
    pub kind: EntryKind,
}

/// File, directory or symbolic link. Anything else (sockets, devices) is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file, with the digest of its content where that was asked for.
    File(Hash),
    /// A symbolic link and its target.
    Link(PathBuf),
}

/// Which files of a directory count.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Leave out what git ignores (`.gitignore`, `.git/info/exclude`, the person's `core.excludesFile`).
    pub gitignore: bool,
    /// Leave out what `.dockerignore` excludes.
    pub dockerignore: Option<Arc<DockerIgnore>>,
}

/// The entries below `path`, which is `root` or something in it, sorted by path, with the digest of every file. Paths
/// are relative to `root`. Never descends into `.git`, and follows no link. Runs on all processors.
///
/// # Errors
/// A directory or file cannot be read.
pub fn entries(root: &Path, path: &Path, filter: &Filter) -> Result<Vec<Entry>> {
    let in_git = path.ancestors().any(|dir| dir.join(".git").exists());
    let ignored = filter.dockerignore.clone();
    let base = root.to_path_buf();
    let walk = WalkBuilder::new(path)
        .standard_filters(false)
        .git_ignore(filter.gitignore)
        .git_exclude(filter.gitignore)
        .git_global(filter.gitignore)
        // Without a repository only the `.gitignore` files below count: one in the home directory is about something else.
        .parents(filter.gitignore && in_git)
        .require_git(in_git)
        .follow_links(false)
        .filter_entry(move |entry| {
            if entry.depth() > 0 && entry.file_name() == ".git" {
                return false;
            }
            let relative = entry.path().strip_prefix(&base).unwrap_or(entry.path());
            match &ignored {
                // A directory is entered where a later pattern could bring back something in it.
                Some(rules) if rules.excludes(relative) => {
                    rules.has_exceptions() && entry.file_type().is_some_and(|kind| kind.is_dir())
                }
                Some(_) | None => true,
            }
        })
        .build_parallel();
    let (entry_tx, entry_rx) = mpsc::channel();
    walk.run(|| {
        let entry_tx = entry_tx.clone();
        let rules = filter.dockerignore.clone();
        let mut buffer = vec![0; 128 * 1024];
        Box::new(move |found| {
            let result = match found {
                Ok(found) if found.path() == root => return WalkState::Continue,
                Ok(found) => {
                    let relative = found.path().strip_prefix(root).unwrap_or(found.path());
                    if rules.as_ref().is_some_and(|rules| rules.excludes(relative)) {
                        return WalkState::Continue;
                    }
                    entry(found.path(), relative, &mut buffer)
                }
                Err(cause) if is_gone(&cause) => return WalkState::Continue,
                Err(cause) => {
                    Err(Error::failed(format!("cannot read {}", path.display())).caused_by(&cause))
                }
            };
            let state = match &result {
                Ok(_) => WalkState::Continue,
                Err(_) => WalkState::Quit,
            };
            match entry_tx.send(result) {
                Ok(()) => state,
                Err(_) => WalkState::Quit,
            }
        })
    });
    drop(entry_tx);
    let mut entries = Vec::new();
    for entry in entry_rx {
        entries.extend(entry?);
    }
    entries.sort();
    Ok(entries)
}

/// One digest of entries. Changes with any name, mode, link target or content.
pub fn hash_entries(entries: &[Entry]) -> Hash {
    let mut hasher = Sha256::new();
    for entry in entries {
        let (kind, content): (u8, &[u8]) = match &entry.kind {
            EntryKind::Directory => (b'd', &[]),
            EntryKind::File(hash) => (b'f', hash),
            EntryKind::Link(target) => (b'l', target.as_os_str().as_bytes()),
        };
        hasher.update([kind]);
        hasher.update(entry.mode.to_le_bytes());
        for part in [entry.path.as_os_str().as_bytes(), content] {
            // Lengths keep one field from running into the next.
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().into()
}

/// The digest of one file's content.
pub fn hash_file(path: &Path) -> Result<Hash> {
    content_hash(path, &mut vec![0; 128 * 1024]).map_err(|cause| Error::io("read", path, &cause))
}

/// `None`: it is gone again, or is neither file nor directory nor link.
fn entry(path: &Path, relative: &Path, buffer: &mut [u8]) -> Result<Option<Entry>> {
    match try_entry(path, relative, buffer) {
        Ok(entry) => Ok(entry),
        // Editors write, rename and remove temporary files all the time.
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::io("read", path, &cause)),
    }
}

fn try_entry(path: &Path, relative: &Path, buffer: &mut [u8]) -> std::io::Result<Option<Entry>> {
    let meta = std::fs::symlink_metadata(path)?;
    let kind = if meta.is_dir() {
        EntryKind::Directory
    } else if meta.is_symlink() {
        EntryKind::Link(std::fs::read_link(path)?)
    } else if meta.is_file() {
        EntryKind::File(content_hash(path, buffer)?)
    } else {
        return Ok(None);
    };
    Ok(Some(Entry {
        path: relative.to_path_buf(),
        mode: mode(&meta),
        kind,
    }))
}

/// The bits of a mode that an image keeps. Links have none of their own.
pub(super) fn mode(meta: &Metadata) -> u32 {
    if meta.is_symlink() {
        0o777
    } else {
        meta.mode() & 0o7777
    }
}

fn content_hash(path: &Path, buffer: &mut [u8]) -> std::io::Result<Hash> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

fn is_gone(cause: &ignore::Error) -> bool {
    cause
        .io_error()
        .is_some_and(|cause| cause.kind() == ErrorKind::NotFound)
}
