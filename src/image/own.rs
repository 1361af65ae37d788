//! The image of `dev`'s own roles in a cluster: this very program on an empty base.

mod elf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::blob::{BuiltImage, hex};
use super::content::hash_file;
use super::layers::{
    Node, NodeKind, Packing, Platform, Tree, add_parents, derive_config, empty_config, write_layer,
};
use crate::error::{Error, Result};
use crate::project::Layers;

/// Where the program is in the image.
const PROGRAM: &str = "usr/local/bin/dev";
/// The user it runs as: no user of any base image.
const USER: &str = "65532:65532";

/// Published images by version, with their digests: for laptops whose own program does not run in a cluster.
const PUBLISHED: &[(&str, &str)] = &[];

/// The image of this program and its tag.
#[derive(Clone, Debug)]
pub struct OwnImage {
    /// `<version>-<12 hex>`
    pub tag: String,
    /// The files of its layer.
    tree: Tree,
    env: BTreeMap<String, String>,
    platform: Platform,
}

/// Finds the files of the image of this program for a cluster of this architecture (`amd64`, `arm64`).
///
/// # Errors
/// This program does not run there, and no published image does.
pub fn own_image(architecture: &str) -> Result<OwnImage> {
    let host = Platform::host();
    if !cfg!(target_os = "linux") || host.architecture != architecture {
        return Err(elsewhere(architecture, &host));
    }
    let program = std::env::current_exe()
        .map_err(|cause| Error::failed("cannot find the running program").caused_by(&cause))?;
    of_program(&program, host)
}

/// The image that was published for this version, if one was: its full reference with a digest.
pub fn published_image() -> Option<&'static str> {
    PUBLISHED
        .iter()
        .find(|(version, _)| *version == env!("CARGO_PKG_VERSION"))
        .map(|(_, reference)| *reference)
}

impl OwnImage {
    /// Makes the image.
    pub fn build(&self, packing: Packing) -> Result<BuiltImage> {
        let layer = write_layer(&self.tree, packing)?;
        let spec = Layers {
            entrypoint: Some(vec![format!("/{PROGRAM}")]),
            user: Some(USER.to_owned()),
            env: self.env.clone(),
            ..Layers::default()
        };
        let config = derive_config(empty_config(&self.platform), &spec, Some(&layer))?;
        BuiltImage::new(config, vec![layer.blob])
    }

    /// The files in it, relative to its root.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.tree.nodes.keys().map(PathBuf::as_path)
    }
}

fn elsewhere(architecture: &str, host: &Platform) -> Error {
    let what = if cfg!(target_os = "linux") {
        format!("this `dev` is for {host} and the cluster is linux/{architecture}")
    } else {
        format!(
            "this `dev` is a program for {}, which no cluster runs",
            std::env::consts::OS
        )
    };
    let error = Error::failed(what).reason("OwnImageMissing");
    match published_image() {
        Some(reference) => error.hint(format!("use the published image: {reference}")),
        None => error
            .cause(format!("no image of version {} is published", env!("CARGO_PKG_VERSION")))
            .hint(format!(
                "build `dev` on linux/{architecture}, run `dev image push` there, and name the result here"
            )),
    }
}

fn of_program(program: &Path, platform: Platform) -> Result<OwnImage> {
    let mut tree = Tree::default();
    let mut env = BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned())]);
    let file = |path: PathBuf| Node {
        mode: 0o755,
        kind: NodeKind::File(path),
    };
    tree.insert(PROGRAM.into(), file(program.to_path_buf()))?;
    tree.insert(
        "tmp".into(),
        Node {
            mode: 0o1777,
            kind: NodeKind::Directory,
        },
    )?;
    let mut dirs: Vec<String> = Vec::new();
    for path in elf::dependencies(program)? {
        let real = path
            .canonicalize()
            .map_err(|cause| Error::io("read", &path, &cause))?;
        if let Some(dir) = path.parent().map(|dir| dir.to_string_lossy().into_owned())
            && !dirs.contains(&dir)
        {
            dirs.push(dir);
        }
        // The file lies where it really is, and a link where the loader looks for it.
        tree.nodes.insert(inside(&real), file(real.clone()));
        if real != path {
            let link = Node {
                mode: 0o777,
                kind: NodeKind::Link(real),
            };
            tree.nodes.entry(inside(&path)).or_insert(link);
        }
    }
    if !dirs.is_empty() {
        // There is no ld.so.cache in the image.
        env.insert("LD_LIBRARY_PATH".to_owned(), dirs.join(":"));
    }
    add_parents(&mut tree);
    Ok(OwnImage {
        tag: format!("{}-{}", env!("CARGO_PKG_VERSION"), tree_hash(&tree)?),
        tree,
        env,
        platform,
    })
}

fn tree_hash(tree: &Tree) -> Result<String> {
    let mut hasher = Sha256::new();
    for (path, node) in &tree.nodes {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update([0]);
        match &node.kind {
            NodeKind::Directory => {}
            NodeKind::File(source) => hasher.update(hash_file(source)?),
            NodeKind::Link(target) => hasher.update(target.as_os_str().as_encoded_bytes()),
        }
    }
    let digest = hex(&hasher.finalize());
    Ok(digest[..12].to_owned())
}

/// A path relative to the image's root.
fn inside(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_path_buf()
}
