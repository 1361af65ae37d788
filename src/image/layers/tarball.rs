//! A layer: a tar archive of a tree in which nothing depends on when, where or by whom it was made.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::{NodeKind, Tree};
use crate::error::{Error, Result};
use crate::image::blob::{Blob, Descriptor, Source, hex, media};
use crate::image::gzip::Gzip;

/// Whether layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// With gzip: for registries.
    Gzip,
    /// Not at all: for archives that a cluster on this machine unpacks at once.
    Plain,
}

/// A layer and the digest of its uncompressed bytes.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The layer, in a temporary file.
    pub blob: Blob,
    /// `sha256:…` of the uncompressed tar archive, which configurations list.
    pub diff_id: String,
}

/// Writes a tree as a layer. Owner and group are 0, times are 0, order is by path.
pub fn write_layer(tree: &Tree, packing: Packing) -> Result<Layer> {
    let dir = tempfile::Builder::new()
        .prefix("dev-layer-")
        .tempdir()
        .map_err(|cause| Error::io("create", &std::env::temp_dir(), &cause))?;
    let path = dir.path().join("layer");
    let failed = |cause: std::io::Error| Error::io("write", &path, &cause);
    let file = File::create(&path).map_err(failed)?;
    let outer = Hashing::new(BufWriter::with_capacity(1 << 20, file));
    let (outer, diff_id) = match packing {
        Packing::Plain => {
            let mut outer = outer;
            write_tar(tree, &mut outer)?;
            let diff_id = outer.digest();
            (outer, diff_id)
        }
        Packing::Gzip => {
            let mut inner = Hashing::new(Gzip::new(outer));
            write_tar(tree, &mut inner)?;
            let diff_id = inner.digest();
            (inner.writer.finish().map_err(failed)?, diff_id)
        }
    };
    let (size, digest) = (outer.written, outer.digest());
    outer
        .writer
        .into_inner()
        .map_err(|cause| failed(cause.into_error()))?;
    let media_type = match packing {
        Packing::Gzip => media::LAYER_GZIP,
        Packing::Plain => media::LAYER,
    };
    Ok(Layer {
        diff_id,
        blob: Blob {
            descriptor: Descriptor {
                media_type: media_type.to_owned(),
                digest,
                size,
            },
            source: Source::File {
                path,
                offset: 0,
                keep: Some(Arc::new(dir)),
            },
        },
    })
}

fn write_tar(tree: &Tree, out: &mut impl Write) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    for (path, node) in &tree.nodes {
        let failed = |cause: std::io::Error| {
            Error::failed(format!("cannot write /{} to the layer", path.display()))
                .caused_by(&cause)
        };
        let mut header = Header::new_gnu();
        header.set_mode(node.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        match &node.kind {
            NodeKind::Directory => {
                header.set_entry_type(EntryType::Directory);
                tar.append_data(&mut header, path.join(""), std::io::empty())
                    .map_err(failed)?;
            }
            NodeKind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                tar.append_link(&mut header, path, target).map_err(failed)?;
            }
            NodeKind::File(source) => {
                header.set_entry_type(EntryType::Regular);
                append_file(&mut tar, &mut header, path, source)?;
            }
        }
    }
    tar.finish()
        .map_err(|cause| Error::failed("cannot write the layer").caused_by(&cause))
}

fn append_file(
    tar: &mut tar::Builder<impl Write>,
    header: &mut Header,
    path: &Path,
    source: &Path,
) -> Result<()> {
    let failed = |cause: std::io::Error| Error::io("read", source, &cause);
    let file = File::open(source).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.size();
    header.set_size(size);
    let mut content = Counting {
        reader: BufReader::with_capacity(1 << 17, file).take(size),
        read: 0,
    };
    tar.append_data(header, path, &mut content)
        .map_err(failed)?;
    // The header promises as many bytes as there were: anything else would be a broken archive.
    if content.read != size {
        return Err(
            Error::failed(format!("{} changed while it was read", source.display()))
                .hint("try again when nothing writes to it"),
        );
    }
    Ok(())
}

struct Counting<R> {
    reader: R,
    read: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// Passes bytes on and keeps their digest and number.
pub(in crate::image) struct Hashing<W> {
    pub(in crate::image) writer: W,
    hasher: Sha256,
    pub(in crate::image) written: u64,
}

impl<W> Hashing<W> {
    pub(in crate::image) fn new(writer: W) -> Self {
        Self {
            writer,
            hasher: Sha256::new(),
            written: 0,
        }
    }

    /// `sha256:…` of what was written so far.
    pub(in crate::image) fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hasher.clone().finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}
