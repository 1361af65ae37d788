//! Images: tags, builders, OCI layers, registries, loading into local clusters.
