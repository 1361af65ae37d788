//! The record of known clusters: `clusters.json` in the state directory.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};

use super::{Identity, LocalKind};
use crate::cluster::{Cluster, address};
use crate::error::{Error, Place, Result};

/// One known cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The UID of `kube-system`; empty where it could not be read.
    #[serde(default)]
    pub uid: String,
    /// SHA-256 of the certificate authority, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The context by which it was reached; empty once that context is another cluster.
    pub context: String,
    /// The API server's address at that time.
    pub server: String,
    /// When it was recorded, in seconds since 1970.
    pub since: u64,
    /// What kind of local cluster it is; `None`: it was admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalKind>,
}

/// All known clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    clusters: Vec<Record>,
}

impl Known {
    /// The record of a cluster. Where its UID can be read, that decides; else its certificate authority.
    pub(super) fn find(&self, identity: &Identity) -> Option<&Record> {
        self.clusters
            .iter()
            .find(|record| matches(record, identity))
    }

    /// Another cluster that this context meant before.
    pub(super) fn other_cluster_of_context(
        &self,
        context: &str,
        identity: &Identity,
    ) -> Option<Record> {
        self.clusters
            .iter()
            .find(|record| record.context == context && !matches(record, identity))
            .cloned()
    }

    /// Records a cluster. A local one that the context meant before is forgotten, for it was made anew; an admitted one stays.
    pub(super) fn insert(
        &mut self,
        cluster: &Cluster,
        identity: &Identity,
        local: Option<LocalKind>,
    ) {
        let made_anew =
            |record: &Record| record.context == cluster.context && record.local.is_some();
        self.clusters
            .retain(|record| !(matches(record, identity) || made_anew(record)));
        for record in &mut self.clusters {
            if record.context == cluster.context {
                record.context.clear();
            }
        }
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.clusters.push(Record {
            uid: identity.uid.clone().unwrap_or_default(),
            authority: identity.authority.clone(),
            context: cluster.context.clone(),
            server: cluster.server.clone(),
            since,
            local,
        });
    }

    /// Takes out the clusters with this identity or context.
    pub(super) fn remove(&mut self, name: &str) -> Vec<Record> {
        let named = |record: &Record| {
            let authority = record.authority.as_deref().map(super::authority_name);
            record.uid == name || record.context == name || authority.as_deref() == Some(name)
        };
        let (removed, kept) = std::mem::take(&mut self.clusters)
            .into_iter()
            .partition(named);
        self.clusters = kept;
        removed
    }
}

fn matches(record: &Record, identity: &Identity) -> bool {
    match &identity.uid {
        Some(uid) if !record.uid.is_empty() => record.uid == *uid,
        Some(_) | None => identity.authority.is_some() && record.authority == identity.authority,
    }
}

/// Where the record is.
#[derive(Clone, Debug)]
pub struct Store {
    file: PathBuf,
}

impl Store {
    /// `$DEV_STATE_DIR/clusters.json`, else `dev/clusters.json` in the state directory of this person.
    pub fn of_this_person() -> Result<Self> {
        if let Some(directory) = std::env::var_os("DEV_STATE_DIR").filter(|value| !value.is_empty())
        {
            return Ok(Self::in_directory(Path::new(&directory)));
        }
        let strategy = etcetera::choose_base_strategy().map_err(|cause| {
            Error::failed("the home directory is unknown")
                .caused_by(&cause)
                .hint("set HOME or DEV_STATE_DIR")
        })?;
        let state = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
        Ok(Self::in_directory(&state.join("dev")))
    }

    /// In this directory, which is made when it is needed.
    pub fn in_directory(directory: &Path) -> Self {
        Self {
            file: directory.join("clusters.json"),
        }
    }

    /// The known clusters, in the order recorded.
    pub fn records(&self) -> Result<Vec<Record>> {
        Ok(self.read()?.clusters)
    }

    pub(super) fn read(&self) -> Result<Known> {
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Known::default());
            }
            Err(cause) => return Err(Error::io("read", &self.file, &cause)),
        };
        let mut known: Known = serde_json::from_str(&text).map_err(|cause| {
            Error::failed("the record of known clusters is broken")
                .at(Place::at(&self.file, cause.line(), cause.column()))
                .reason("BrokenState")
                .caused_by(&cause)
                .hint("delete the file: clusters that were admitted are asked about again")
        })?;
        // Earlier versions wrote the address down with the password in it.
        for record in &mut known.clusters {
            record.server = address::text_without_user(&record.server);
        }
        Ok(known)
    }

    /// Replaces the file at once: readers see the old or the new one.
    pub(super) fn write(&self, known: &Known) -> Result<()> {
        let failed = |cause: &std::io::Error| Error::io("write", &self.file, cause);
        let directory = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(|cause| failed(&cause))?;
        let text = serde_json::to_string_pretty(known)
            .map_err(|cause| Error::failed("cannot write JSON").caused_by(&cause))?;
        let mut file =
            tempfile::NamedTempFile::new_in(directory).map_err(|cause| failed(&cause))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(|cause| failed(&cause))?;
        file.persist(&self.file)
            .map_err(|cause| failed(&cause.error))?;
        Ok(())
    }
}
