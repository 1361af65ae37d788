//! Where files of ours are kept (XDG base directories), and writing them so that a reader never sees half of one.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use etcetera::base_strategy::{BaseStrategy, Xdg};

use crate::error::{Error, Result};

/// The three directories of the program. None of them need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// What the person decided: `$XDG_CONFIG_HOME/dev`, else `~/.config/dev`.
    pub config: PathBuf,
    /// What was done and may not be lost lightly: `$XDG_STATE_HOME/dev`, else `~/.local/state/dev`.
    pub state: PathBuf,
    /// What can be made again: `$XDG_CACHE_HOME/dev`, else `~/.cache/dev`.
    pub cache: PathBuf,
}

impl Dirs {
    /// The directories of the person who runs this process, on every operating system by the XDG rules.
    pub fn from_env() -> Result<Self> {
        let xdg = Xdg::new().map_err(|cause| {
            Error::failed("cannot find the home directory")
                .caused_by(&cause)
                .hint("set HOME")
        })?;
        Ok(Self::from_xdg(&xdg))
    }

    /// All three below one directory, for tests.
    pub fn below(root: &Path) -> Self {
        Self {
            config: root.join("config"),
            state: root.join("state"),
            cache: root.join("cache"),
        }
    }

    fn from_xdg(xdg: &Xdg) -> Self {
        Self {
            config: xdg.config_dir().join("dev"),
            // The XDG strategy always has one.
            state: xdg
                .state_dir()
                .unwrap_or_else(|| xdg.data_dir())
                .join("dev"),
            cache: xdg.cache_dir().join("dev"),
        }
    }
}

/// Who may read a file that [`write_atomic`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Mode 0644.
    Everybody,
    /// Mode 0600: tokens, keys.
    Owner,
}

/// Replaces a file as a whole: a temporary file beside it, then a rename. Missing parent directories are made.
pub fn write_atomic(path: &Path, content: &[u8], access: Access) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    create_dir(parent)?;
    let failed = |cause: &std::io::Error| Error::io("write", path, cause);
    let mode = match access {
        Access::Everybody => 0o644,
        Access::Owner => 0o600,
    };
    let mut file = tempfile::Builder::new()
        .prefix(".dev-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(parent)
        .map_err(|cause| failed(&cause))?;
    file.write_all(content).map_err(|cause| failed(&cause))?;
    // A crash of the machine after the rename would otherwise leave an empty file in place of the old one.
    file.as_file().sync_all().map_err(|cause| failed(&cause))?;
    file.persist(path).map_err(|cause| failed(&cause.error))?;
    Ok(())
}

/// Makes a directory and its parents.
pub fn create_dir(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|cause| Error::io("create", path, &cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_readable_by_its_owner_only_and_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/token");
        write_atomic(&path, b"one", Access::Owner).unwrap();
        write_atomic(&path, b"two", Access::Owner).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let error = write_atomic(Path::new("/proc/none/x"), b"", Access::Everybody).unwrap_err();
        assert!(error.message().contains("/proc/none"), "{error}");
    }
}
