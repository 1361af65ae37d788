//! Whether the entry point can run in the cluster. A kubelet would only say "exec format error".

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{NodeKind, Platform, Tree};
use crate::error::{Error, Result};

/// Checks the program of an entry point, if it is one of the layer's files: architecture, operating system, mode.
///
/// # Errors
/// It cannot run on the platform.
pub fn check_program(tree: &Tree, program: &str, platform: &Platform) -> Result<()> {
    let inside = program.strip_prefix('/').map(Path::new);
    let Some((node, NodeKind::File(source))) = inside
        .and_then(|path| tree.nodes.get(path))
        .map(|node| (node, &node.kind))
    else {
        return Ok(());
    };
    if node.mode & 0o111 == 0 {
        return Err(Error::failed(format!(
            "the entry point {program} may not be executed: its mode is {:04o}",
            node.mode
        ))
        .hint(format!("chmod +x {}", source.display())));
    }
    let mut header = Vec::new();
    File::open(source)
        .and_then(|file| file.take(20).read_to_end(&mut header))
        .map_err(|cause| Error::io("read", source, &cause))?;
    match system_of(&header) {
        Some(found) if found != platform.to_string() => Err(Error::failed(format!(
            "the entry point {program} is a program for {found}, and {platform} is wanted"
        ))
        .reason("WrongArchitecture")
        .cause(format!("it is {}", source.display()))
        .hint(
            "build for the cluster: DEV_PLATFORM in the environment of `build` names its platform",
        )
        .hint("for Go: GOOS=linux GOARCH=${DEV_PLATFORM#*/} go build …")),
        Some(_) | None => Ok(()),
    }
}

/// What the first bytes of a program say it runs on; `None` for scripts and what is unknown.
fn system_of(header: &[u8]) -> Option<String> {
    let magic: [u8; 4] = header.get(..4)?.try_into().ok()?;
    match magic {
        [0x7f, b'E', b'L', b'F'] => {
            let machine: [u8; 2] = header.get(18..20)?.try_into().ok()?;
            let big_endian = *header.get(5)? == 2;
            let machine = if big_endian {
                u16::from_be_bytes(machine)
            } else {
                u16::from_le_bytes(machine)
            };
            architecture(machine, big_endian).map(|name| format!("linux/{name}"))
        }
        // Mach-O of 64 bits, or for several architectures.
        [0xcf, 0xfa, 0xed, 0xfe] | [0xca, 0xfe, 0xba, 0xbe] => Some("macOS".to_owned()),
        [b'M', b'Z', _, _] => Some("Windows".to_owned()),
        _ => None,
    }
}

/// Go's name for the `e_machine` of an ELF header (from `elf.h`).
fn architecture(machine: u16, big_endian: bool) -> Option<&'static str> {
    match (machine, big_endian) {
        (3, _) => Some("386"),
        (62, _) => Some("amd64"),
        (40, _) => Some("arm"),
        (183, _) => Some("arm64"),
        (21, false) => Some("ppc64le"),
        (22, _) => Some("s390x"),
        (243, _) => Some("riscv64"),
        _ => None,
    }
}
