use std::path::PathBuf;

use super::*;
use crate::image::blob::Source;

#[cfg(target_os = "linux")]
#[test]
fn a_dynamic_program_brings_its_loader_and_libraries() {
    let program = std::env::current_exe().unwrap();
    let linked = elf::read(&program).unwrap();
    let own = own_image(&Platform::host().architecture).unwrap();
    let files: Vec<PathBuf> = own.files().collect();
    assert!(files.contains(&PathBuf::from(PROGRAM)));
    let interpreter = linked.interpreter.expect("tests are linked dynamically");
    assert!(files.contains(&inside(&interpreter)), "{files:?}");
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

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_router_image_has_both_programs_in_layers_of_their_own() {
    use crate::image::registry::{DockerConfig, Registries};
    let dir = tempfile::tempdir().unwrap();
    let registries = Registries::new(None, DockerConfig::default(), dir.path().to_path_buf());
    // Any program does for Envoy here.
    let envoy = EnvoySource::File(std::env::current_exe().unwrap());
    let architecture = Platform::host().architecture;
    let image = router_image(&architecture, &envoy).unwrap();
    assert_eq!(image.tag, router_image(&architecture, &envoy).unwrap().tag);
    let built = image.build(Packing::Plain, &registries).await.unwrap();
    let files: Vec<Vec<String>> = built.layers.iter().map(files_of).collect();
    assert_eq!(files.len(), 2);
    assert!(files[0].contains(&ENVOY_PATH.to_owned()), "{files:?}");
    assert!(files[1].contains(&PROGRAM.to_owned()), "{files:?}");
    // The libraries of both are the same and lie in the lower layer only.
    let libc = |files: &[String]| files.iter().any(|file| file.ends_with("libc.so.6"));
    assert!(libc(&files[0]) && !libc(&files[1]), "{files:?}");
    let config = built.config_value("it").unwrap();
    assert_eq!(config["config"]["User"], USER);
    let env = config["config"]["Env"].to_string();
    assert!(env.contains("LD_LIBRARY_PATH"), "{env}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_with_libraries_is_not_put_onto_a_foreign_image() {
    let envoy = EnvoySource::Image(DEFAULT_ENVOY_IMAGE.to_owned());
    let error = router_image(&Platform::host().architecture, &envoy).unwrap_err();
    assert_eq!(error.reason_code(), Some("DynamicProgram"));
}

const ENVOY_PATH: &str = "usr/local/bin/envoy";

fn files_of(layer: &crate::image::blob::Blob) -> Vec<String> {
    let Source::File { path, .. } = &layer.source else {
        panic!("{layer:?}");
    };
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}
