//! Where in a tar file its members are, so that a layer is read from where it lies.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::error::{Error, Result};

/// A member that is larger than this is no JSON document of an image.
const LARGEST_DOCUMENT: u64 = 16 << 20;

/// An uncompressed tar file and the places of its members.
pub(super) struct TarIndex {
    /// The tar file itself, or its decompressed copy.
    pub(super) path: PathBuf,
    /// Keeps the copy.
    pub(super) keep: Option<Arc<tempfile::TempDir>>,
    /// As the person would name it.
    name: String,
    members: HashMap<PathBuf, Member>,
}

enum Member {
    File { offset: u64, size: u64 },
    Link(PathBuf),
}

/// A member's place.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl TarIndex {
    /// Reads the headers of a tar file, which may be compressed with gzip.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = |cause: std::io::Error| Error::io("read", path, &cause);
        if path.is_dir() {
            return Err(Error::usage(format!("{} is a directory", path.display()))
                .hint("an image archive is a tar file, as `docker save` or `skopeo copy … oci-archive:` write it"));
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 2];
        let read = file.read(&mut magic).map_err(failed)?;
        file.rewind().map_err(failed)?;
        let (file, keep, real) = if read == 2 && magic == [0x1f, 0x8b] {
            let (file, dir, real) = decompress(file, path)?;
            (file, Some(Arc::new(dir)), real)
        } else {
            (file, None, path.to_path_buf())
        };
        Ok(Self {
            members: members(file).map_err(|cause| {
                Error::failed(format!("{} is no tar archive", path.display())).caused_by(&cause)
            })?,
            path: real,
            keep,
            name: path.display().to_string(),
        })
    }

    /// Where a member is; links are followed.
    pub(super) fn span(&self, name: &Path) -> Option<Span> {
        let mut name = name.to_path_buf();
        // A chain of links longer than this is a circle.
        for _ in 0..8 {
            match self.members.get(&name)? {
                Member::File { offset, size } => {
                    return Some(Span {
                        offset: *offset,
                        size: *size,
                    });
                }
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// The bytes of a document.
    pub(super) fn document(&self, name: &str) -> Result<Bytes> {
        let span = self
            .span(Path::new(name))
            .ok_or_else(|| self.broken(&format!("{name} is missing")))?;
        if span.size > LARGEST_DOCUMENT {
            return Err(self.broken(&format!("{name} has {} bytes", span.size)));
        }
        let mut bytes = Vec::new();
        self.reader(span)
            .and_then(|mut reader| reader.read_to_end(&mut bytes))
            .map_err(|cause| Error::io("read", &self.path, &cause))?;
        Ok(bytes.into())
    }

    pub(super) fn reader(&self, span: Span) -> std::io::Result<impl Read + use<>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(span.offset))?;
        Ok(BufReader::with_capacity(1 << 17, file).take(span.size))
    }

    /// An error about the archive.
    pub(super) fn broken(&self, why: &str) -> Error {
        Error::failed(format!("{} is no image archive: {why}", self.name))
            .hint("write one with `docker save`, `podman save`, `buildah push … docker-archive:` or `skopeo copy`")
    }
}

fn decompress(file: File, path: &Path) -> Result<(File, tempfile::TempDir, PathBuf)> {
    let dir = tempfile::Builder::new()
        .prefix("dev-archive-")
        .tempdir()
        .map_err(|cause| Error::io("create", &std::env::temp_dir(), &cause))?;
    let real = dir.path().join("archive.tar");
    let failed = |cause: std::io::Error| Error::io("decompress", path, &cause);
    let mut out = File::create(&real).map_err(failed)?;
    let mut input = MultiGzDecoder::new(BufReader::with_capacity(1 << 17, file));
    std::io::copy(&mut input, &mut out).map_err(failed)?;
    let file = File::open(&real).map_err(failed)?;
    Ok((file, dir, real))
}

fn members(file: File) -> std::io::Result<HashMap<PathBuf, Member>> {
    let mut members = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let name = clean(&entry.path()?);
        let kind = entry.header().entry_type();
        let member = match (kind, entry.link_name()?) {
            (EntryType::Symlink, Some(target)) => {
                Member::Link(clean(&name.parent().unwrap_or(Path::new("")).join(target)))
            }
            (EntryType::Link, Some(target)) => Member::Link(clean(&target)),
            _ if kind.is_file() => Member::File {
                offset: entry.raw_file_position(),
                size: entry.size(),
            },
            _ => continue,
        };
        members.insert(name, member);
    }
    Ok(members)
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}
