//! PURE: what is desired against what is observed gives a list of changes. No cluster, no files, no clock.
