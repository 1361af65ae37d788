//! Secrets of the base that copies in environments need: which are wished for and may be given, and how a copy is made, kept as the base's is,
//! and taken away. Pure; `control/run/secrets` acts, as the account `dev-provisioner`.
//!
//! A Service of an environment wishes for Secrets in its annotation `dev/secrets`. What is given is what the base shares by name
//! (`dev-admission`), to namespaces that it admits, and nothing else. The wishing Services own the copy, so that it goes with the last of
//! them. What was given to whom is recorded in the base before it is given.

mod copy;
mod wishes;

pub use copy::{ask, copy, fingerprint, is_given, record, replace, unrecord};
pub use wishes::{Place, Wishes, recorded, wishes};

/// The name of the account that gives Secrets, and the field manager of its writes.
pub const PROVISIONER: &str = "dev-provisioner";

/// The ConfigMap in a base that lists which Secret was given to which namespace.
pub const GIVEN: &str = "dev-given-secrets";

/// The name of the account as the API server knows it.
pub fn account(base: &str) -> String {
    format!("system:serviceaccount:{base}:{PROVISIONER}")
}
