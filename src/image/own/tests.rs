use std::path::Path;

use super::*;
use crate::image::blob::Source;

#[cfg(target_os = "linux")]
#[test]
fn a_dynamic_program_brings_its_loader_and_libraries() {
    let program = std::env::current_exe().unwrap();
    let linked = elf::read(&program).unwrap();
    let own = own_image(&Platform::host().architecture).unwrap();
    let files: Vec<&Path> = own.files().collect();
    assert!(files.contains(&Path::new(PROGRAM)));
    let interpreter = linked.interpreter.expect("tests are linked dynamically");
    assert!(files.contains(&inside(&interpreter).as_path()), "{files:?}");
    for name in &linked.needed {
        assert!(
            files.iter().any(|file| file.ends_with(name)),
            "{name} of {files:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_image_runs_the_program_as_nobody() {
    let own = own_image(&Platform::host().architecture).unwrap();
    assert_eq!(
        own_image(&Platform::host().architecture).unwrap().tag,
        own.tag
    );
    assert!(
        own.tag
            .starts_with(&format!("{}-", env!("CARGO_PKG_VERSION")))
    );
    let image = own.build(Packing::Plain).unwrap();
    let Source::Memory(config) = &image.config.source else {
        panic!("{:?}", image.config);
    };
    let config: serde_json::Value = serde_json::from_slice(config).unwrap();
    assert_eq!(
        config["config"]["Entrypoint"],
        serde_json::json!(["/usr/local/bin/dev"])
    );
    assert_eq!(config["config"]["User"], USER);
}

#[test]
fn another_architecture_is_refused_with_what_to_do() {
    let error = own_image("s390x").unwrap_err();
    assert!(
        error.message().contains("s390x") || !cfg!(target_os = "linux"),
        "{error}"
    );
    assert_eq!(error.reason_code(), Some("OwnImageMissing"));
    assert_eq!(error.hints().len(), 1);
}

#[test]
fn what_is_no_elf_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "#!/bin/sh\n").unwrap();
    let error = elf::dependencies(file.path()).unwrap_err();
    assert!(
        error.message().ends_with("is no 64-bit ELF file"),
        "{error}"
    );
}
