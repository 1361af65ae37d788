//! What a dynamically linked program needs: its loader and its libraries, transitively.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, StringTable};

use crate::error::{Error, Result};

/// Where the loader looks, besides what the program and `/etc/ld.so.conf` say.
const DEFAULT_DIRS: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];
/// Loaded by libc at run time, to look up names; part of libc itself since glibc 2.34.
const NAME_SERVICE: [&str; 3] = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];

/// The dynamic part of an ELF file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Linked {
    /// PT_INTERP.
    pub(super) interpreter: Option<PathBuf>,
    /// DT_NEEDED.
    pub(super) needed: Vec<String>,
    /// DT_RPATH and DT_RUNPATH, with `$ORIGIN` replaced.
    pub(super) search: Vec<PathBuf>,
}

/// The paths at which a program expects files: none for a static one.
pub(super) fn dependencies(program: &Path) -> Result<Vec<PathBuf>> {
    let first = read(program)?;
    let Some(interpreter) = first.interpreter.clone() else {
        return Ok(Vec::new());
    };
    let system = system_dirs();
    let mut found = BTreeSet::from([interpreter.clone()]);
    let loader = interpreter
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let mut queue: VecDeque<(PathBuf, Linked)> = [(program.to_path_buf(), first)].into();
    let mut names = BTreeSet::new();
    while let Some((by, linked)) = queue.pop_front() {
        for name in &linked.needed {
            if Some(name) == loader.as_ref() || !names.insert(name.clone()) {
                continue;
            }
            let path = find(name, linked.search.iter().chain(&system)).ok_or_else(|| {
                Error::failed(format!(
                    "library {name}, which {} needs, was not found",
                    by.display()
                ))
                .hint("build `dev` statically: RUSTFLAGS='-C target-feature=+crt-static'")
            })?;
            queue.push_back((path.clone(), read(&path)?));
            found.insert(path);
        }
    }
    if names.contains("libc.so.6") {
        found.extend(
            NAME_SERVICE
                .iter()
                .filter_map(|name| find(name, system.iter())),
        );
    }
    Ok(found.into_iter().collect())
}

/// Reads the dynamic part of a file.
pub(super) fn read(path: &Path) -> Result<Linked> {
    let data = std::fs::read(path).map_err(|cause| Error::io("read", path, &cause))?;
    parse(&data, path.parent().unwrap_or(Path::new("/"))).map_err(|cause| {
        Error::failed(format!("{} is no 64-bit ELF file", path.display())).caused_by(&cause)
    })
}

fn parse(data: &[u8], origin: &Path) -> object::read::Result<Linked> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let mut linked = Linked::default();
    for segment in header.program_headers(endian, data)? {
        if let Some(path) = segment.interpreter(endian, data)? {
            linked.interpreter = Some(PathBuf::from(text(path)));
        }
    }
    let sections = header.sections(endian, data)?;
    let Some((entries, strings)) = sections.dynamic(endian, data)? else {
        return Ok(linked);
    };
    let strings: StringTable<'_> = sections.strings(endian, data, strings)?;
    for entry in entries {
        let tag = entry.d_tag(endian);
        if tag == DT_NEEDED {
            linked
                .needed
                .push(text(entry_string(entry, endian, strings)?));
        } else if tag == DT_RPATH || tag == DT_RUNPATH {
            let dirs = text(entry_string(entry, endian, strings)?);
            let origin = origin.to_string_lossy();
            let dirs = dirs
                .replace("${ORIGIN}", &origin)
                .replace("$ORIGIN", &origin);
            linked.search.extend(dirs.split(':').map(PathBuf::from));
        }
    }
    Ok(linked)
}

fn entry_string<'data>(
    entry: &impl Dyn<Endian = Endianness>,
    endian: Endianness,
    strings: StringTable<'data>,
) -> object::read::Result<&'data [u8]> {
    entry.string(endian, strings)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn find<'a>(name: &str, dirs: impl Iterator<Item = &'a PathBuf>) -> Option<PathBuf> {
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The directories of `/etc/ld.so.conf` and those that need not be named.
fn system_dirs() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    conf(Path::new("/etc/ld.so.conf"), &mut dirs, 0);
    dirs.extend(DEFAULT_DIRS.map(PathBuf::from));
    dirs
}

/// A file that is missing or unreadable adds nothing: the loader sees it so as well.
fn conf(path: &Path, dirs: &mut Vec<PathBuf>, depth: u8) {
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include") {
            Some(pattern) if depth < 4 => {
                for path in expand(pattern.trim(), path) {
                    conf(&path, dirs, depth + 1);
                }
            }
            Some(_) => {}
            None if line.starts_with('/') => dirs.push(PathBuf::from(line)),
            None => {}
        }
    }
}

/// The files of an include pattern, whose wildcards are in the last part only (`ld.so.conf.d/*.conf`).
fn expand(pattern: &str, from: &Path) -> Vec<PathBuf> {
    let pattern = from.parent().unwrap_or(Path::new("/")).join(pattern);
    let (Some(dir), Some(Ok(glob))) = (
        pattern.parent(),
        pattern
            .file_name()
            .map(|name| globset::Glob::new(&name.to_string_lossy())),
    ) else {
        return Vec::new();
    };
    let matcher = glob.compile_matcher();
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| matcher.is_match(name)))
        .collect();
    files.sort();
    files
}
