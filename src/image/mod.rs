//! Images: tags, builders, OCI layers, registries, loading into local clusters.
//!
//! [`plan()`] says which image a service has, from files alone; [`Images::ensure`] makes that image exist where the cluster
//! finds it, and does nothing when it is there already. `docs/design/image-tags.md` says what a tag stands for.

mod archive;
mod blob;
mod build;
mod command;
mod content;
mod ensure;
mod gzip;
mod layers;
mod load;
mod lock;
mod own;
mod plan;
mod reference;
mod registry;
mod tag;

pub use archive::*;
pub use blob::*;
pub use build::*;
pub use command::*;
pub use content::*;
pub use ensure::*;
pub use layers::*;
pub use load::*;
pub use own::*;
pub use plan::*;
pub use reference::*;
pub use registry::*;
pub use tag::*;
