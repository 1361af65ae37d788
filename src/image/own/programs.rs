//! Programs of this machine with all that they need to run on an empty base: loader, libraries, a `/tmp`.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{elf, inside};
use crate::error::{Error, Result};
use crate::image::blob::hex;
use crate::image::content::hash_file;
use crate::image::layers::{Node, NodeKind, Tree, add_parents};

/// The files of a layer of programs.
#[derive(Clone, Debug, Default)]
pub(super) struct Programs {
    tree: Tree,
    /// Where the loader finds their libraries: there is no `ld.so.cache` in the image.
    dirs: Vec<String>,
}

impl Programs {
    /// Adds a program at a path of the image, with its loader and libraries where it expects them.
    pub(super) fn add(&mut self, at: &str, program: &Path) -> Result<()> {
        self.tree
            .nodes
            .insert(at.into(), executable(program.to_path_buf()));
        for path in elf::dependencies(program)? {
            let real = path
                .canonicalize()
                .map_err(|cause| Error::io("read", &path, &cause))?;
            if let Some(dir) = path.parent().map(|dir| dir.to_string_lossy().into_owned())
                && !self.dirs.contains(&dir)
            {
                self.dirs.push(dir);
            }
            // The file lies where it really is, and a link where the loader looks for it.
            self.tree
                .nodes
                .insert(inside(&real), executable(real.clone()));
            if real != path {
                let link = Node {
                    mode: 0o777,
                    kind: NodeKind::Link(real),
                };
                self.tree.nodes.entry(inside(&path)).or_insert(link);
            }
        }
        Ok(())
    }

    /// Whether a program needs libraries.
    pub(super) fn is_dynamic(&self) -> bool {
        !self.dirs.is_empty()
    }

    /// Leaves out what is there already, in a layer below.
    pub(super) fn without(&self, below: &Self) -> Self {
        let mut left = self.clone();
        left.tree
            .nodes
            .retain(|path, node| below.tree.nodes.get(path) != Some(node));
        left
    }

    /// The variables that they need.
    pub(super) fn env(&self) -> BTreeMap<String, String> {
        let path = (!self.dirs.is_empty()).then(|| self.dirs.join(":"));
        path.map(|path| ("LD_LIBRARY_PATH".to_owned(), path))
            .into_iter()
            .collect()
    }

    /// The files, with a `/tmp` and the directories above them.
    pub(super) fn tree(&self) -> Tree {
        let mut tree = self.tree.clone();
        tree.nodes.insert(
            "tmp".into(),
            Node {
                mode: 0o1777,
                kind: NodeKind::Directory,
            },
        );
        add_parents(&mut tree);
        tree
    }

    /// SHA-256 of paths and contents, in hexadecimal.
    pub(super) fn hash(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        for (path, node) in &self.tree().nodes {
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update([0]);
            match &node.kind {
                NodeKind::Directory => {}
                NodeKind::File(source) => hasher.update(hash_file(source)?),
                NodeKind::Link(target) => hasher.update(target.as_os_str().as_encoded_bytes()),
            }
        }
        Ok(hex(&hasher.finalize()))
    }
}

/// SHA-256 of texts, in hexadecimal.
pub(super) fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
        hasher.update([0]);
    }
    hex(&hasher.finalize())
}

fn executable(source: std::path::PathBuf) -> Node {
    Node {
        mode: 0o755,
        kind: NodeKind::File(source),
    }
}
