//! The files of a layer: which path of the image comes from which file here.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::Mapping;
use crate::error::{Error, Result};
use crate::image::content::mode;
use crate::image::plan::missing;

/// One path of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: NodeKind,
}

/// What a path of a layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A copy of a file.
    File(PathBuf),
    /// A symbolic link and its target.
    Link(PathBuf),
}

/// The paths of a layer, relative to the image's root, sorted: a directory comes before what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By path.
    pub nodes: BTreeMap<PathBuf, Node>,
    /// Sources that are neither file nor directory nor link and were left out.
    pub skipped: Vec<PathBuf>,
}

/// Collects the mapped files of a context.
///
/// # Errors
/// A source does not exist (with the nearest name), is not what its slash says, leads out of the context, or cannot be
/// read; two sources have one destination.
pub fn collect(context: &Path, mappings: &[Mapping]) -> Result<Tree> {
    let mut tree = Tree::default();
    for mapping in mappings {
        add_mapping(&mut tree, context, mapping)?;
    }
    check_parents(&tree)?;
    add_parents(&mut tree);
    Ok(tree)
}

/// What lies below a path that is mapped to a file cannot be unpacked. Below a link it can: `/lib` is one in most images.
fn check_parents(tree: &Tree) -> Result<()> {
    for path in tree.nodes.keys() {
        for parent in path.ancestors().skip(1) {
            if let Some(Node {
                kind: NodeKind::File(_),
                ..
            }) = tree.nodes.get(parent)
            {
                return Err(Error::usage(format!(
                    "files: /{} lies below /{}, which is no directory",
                    path.display(),
                    parent.display()
                )));
            }
        }
    }
    Ok(())
}

fn add_mapping(tree: &mut Tree, context: &Path, mapping: &Mapping) -> Result<()> {
    let source = context.join(&mapping.source);
    // A source that is itself a link stands for what it points to; links within a directory stay links.
    let real = match source.canonicalize() {
        Ok(real) => real,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            let error = missing("source", &source, &mapping.source);
            return Err(error.hint("does the `build` command make it?"));
        }
        Err(cause) => return Err(Error::io("read", &source, &cause)),
    };
    let context = context
        .canonicalize()
        .map_err(|cause| Error::io("read", context, &cause))?;
    if !real.starts_with(&context) {
        return Err(Error::usage(format!(
            "source {} leads out of the context to {}",
            mapping.source.display(),
            real.display()
        )));
    }
    let meta = std::fs::metadata(&real).map_err(|cause| Error::io("read", &real, &cause))?;
    if meta.is_dir() {
        if !mapping.dest.as_os_str().is_empty() {
            tree.insert(mapping.dest.clone(), directory(&meta))?;
        }
        return add_directory(tree, &real, &mapping.dest);
    }
    if mapping.source_is_dir {
        return Err(Error::usage(format!(
            "source {}/ is no directory",
            mapping.source.display()
        )));
    }
    let dest = match (mapping.dest_is_dir, mapping.source.file_name()) {
        (true, Some(name)) => mapping.dest.join(name),
        (_, _) => mapping.dest.clone(),
    };
    if !meta.is_file() {
        return Err(Error::usage(format!(
            "source {} is neither a file nor a directory",
            mapping.source.display()
        )));
    }
    let node = Node {
        mode: mode(&meta),
        kind: NodeKind::File(real),
    };
    tree.insert(dest, node)
}

/// The contents of a directory. `.git` is left out: it is never part of a program and would change with every commit.
fn add_directory(tree: &mut Tree, source: &Path, dest: &Path) -> Result<()> {
    let failed = |cause: std::io::Error| Error::io("read", source, &cause);
    for entry in std::fs::read_dir(source).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name() == ".git" {
            continue;
        }
        let (path, dest) = (entry.path(), dest.join(entry.file_name()));
        let meta = entry
            .metadata()
            .map_err(|cause| Error::io("read", &path, &cause))?;
        if meta.is_dir() {
            tree.insert(dest.clone(), directory(&meta))?;
            add_directory(tree, &path, &dest)?;
        } else if meta.is_symlink() {
            let target =
                std::fs::read_link(&path).map_err(|cause| Error::io("read", &path, &cause))?;
            let node = Node {
                mode: 0o777,
                kind: NodeKind::Link(target),
            };
            tree.insert(dest, node)?;
        } else if meta.is_file() {
            let node = Node {
                mode: mode(&meta),
                kind: NodeKind::File(path),
            };
            tree.insert(dest, node)?;
        } else {
            tree.skipped.push(path);
        }
    }
    Ok(())
}

fn directory(meta: &Metadata) -> Node {
    Node {
        mode: mode(meta),
        kind: NodeKind::Directory,
    }
}

impl Tree {
    /// Adds a path. Two directories become one, with the mode of the last.
    ///
    /// # Errors
    /// The path is taken by something else.
    pub fn insert(&mut self, path: PathBuf, node: Node) -> Result<()> {
        match self.nodes.entry(path) {
            Entry::Vacant(free) => {
                free.insert(node);
            }
            Entry::Occupied(mut taken) => {
                let both = (&taken.get().kind, &node.kind);
                if both != (&NodeKind::Directory, &NodeKind::Directory) {
                    return Err(Error::usage(format!(
                        "files: two sources have the destination /{}",
                        taken.key().display()
                    )));
                }
                taken.insert(node);
            }
        }
        Ok(())
    }
}

/// Directories that nothing was mapped to, so that every path has its parents in the layer.
pub(in crate::image) fn add_parents(tree: &mut Tree) {
    let parents: Vec<PathBuf> = tree
        .nodes
        .keys()
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|path| !path.as_os_str().is_empty() && !tree.nodes.contains_key(*path))
        .map(Path::to_path_buf)
        .collect();
    for path in parents {
        tree.nodes.insert(
            path,
            Node {
                mode: 0o755,
                kind: NodeKind::Directory,
            },
        );
    }
}
