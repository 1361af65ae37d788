//! The files in a router's state folder.

use std::path::{Path, PathBuf};

/// Where a router keeps its files. The folder is the only one that it writes to.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// The files in this folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What Envoy is started with.
    pub fn bootstrap(&self) -> PathBuf {
        self.folder.join("bootstrap.json")
    }

    /// The Unix socket of the discovery service.
    pub fn ads(&self) -> PathBuf {
        self.folder.join("ads.sock")
    }

    /// The Unix socket of Envoy's admin interface.
    pub fn admin(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// The last table that was served.
    pub fn table(&self) -> PathBuf {
        self.folder.join("table.json")
    }
}

/// Writes a file so that nobody ever reads half of it.
pub(super) fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, content)?;
    std::fs::rename(&new, path)
}
