//! Archives of one image: an OCI layout and `docker save`'s form in one tar file, as docker itself writes them since 25.
//! containerd, CRI-O, docker, podman, skopeo and whatever is built on them read one of the two.

mod index;
mod read;
mod write;

pub use read::*;
pub use write::*;

#[cfg(test)]
mod tests;
