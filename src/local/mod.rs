//! The laptop: git, processes, paths.
