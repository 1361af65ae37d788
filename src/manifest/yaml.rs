//! YAML as Kubernetes reads it. The only file that names the YAML crate.

use serde::Serialize;

use crate::error::{Error, Result};

/// The YAML text of a value, read the same by YAML 1.1 and 1.2.
pub fn to_string<T: Serialize>(value: &T) -> Result<String> {
    serde_saphyr::to_string(value)
        .map_err(|cause| Error::failed("cannot write YAML").caused_by(&cause))
}
