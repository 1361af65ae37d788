//! The builder itself: command, base, files, configuration.

use super::{
    Base, Packing, Platform, check_layers, check_program, collect, derive_config, find_base,
    write_layer,
};
use crate::error::{Error, Result};
use crate::image::blob::BuiltImage;
use crate::image::plan::At;
use crate::image::registry::Registries;
use crate::local::Program;
use crate::project::Layers;

/// Builds an image from its base and files. `state` gets what is being done, and each line of the `build` command.
pub async fn build_layers(
    at: &At<Layers>,
    platform: &Platform,
    packing: Packing,
    registries: &Registries,
    mut state: impl FnMut(&str),
) -> Result<BuiltImage> {
    let mappings = check_layers(&at.spec)?;
    if let Some(command) = &at.spec.build {
        state(command);
        Program::shell(command)
            .dir(&at.context)
            .env("DEV_CONTEXT", &at.context)
            .env("DEV_PLATFORM", platform.to_string())
            .stream(|line| state(line))
            .await?;
    }
    state("reading the base image");
    let base = find_base(&Base::parse(&at.spec.base), platform, registries).await?;
    state("collecting files");
    let (context, platform) = (at.context.clone(), platform.clone());
    let program = at
        .spec
        .entrypoint
        .as_ref()
        .and_then(|words| words.first())
        .cloned();
    let work = move || -> Result<_> {
        let tree = collect(&context, &mappings)?;
        if let Some(program) = program {
            check_program(&tree, &program, &platform)?;
        }
        let layer = if tree.nodes.is_empty() {
            None
        } else {
            Some(write_layer(&tree, packing)?)
        };
        Ok((layer, tree.skipped))
    };
    let (layer, skipped) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::failed("cannot make the layer").caused_by(&cause))??;
    for path in skipped {
        tracing::warn!("{} is no file, directory or link: left out", path.display());
    }
    let config = derive_config(base.config, &at.spec, layer.as_ref())?;
    let mut layers = base.layers;
    layers.extend(layer.map(|layer| layer.blob));
    BuiltImage::new(config, layers)
}
