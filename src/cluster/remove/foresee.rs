//! What `dev down` would do, without doing it.

use super::classify::Class;
use super::end::{holds, stays};
use super::{NamespaceEnd, Removed, Whole, look_around};
use crate::cluster::Cluster;
use crate::error::Result;
use crate::manifest::labels::{self, Stamp};
use crate::plan::NamespaceState;

/// What would be removed of an environment, and what would be left. Nothing is written; what others do in the meantime may make
/// it otherwise.
///
/// # Errors
/// As [`super::down`].
pub async fn foresee(
    cluster: &Cluster,
    stamp: &Stamp,
    namespace: &str,
    keep_namespace: bool,
) -> Result<Removed> {
    let mut report = Removed::default();
    let state = cluster.namespace_state(namespace).await?;
    match &state {
        NamespaceState::Absent => return Ok(report),
        NamespaceState::Terminating { .. } => {
            report.namespace = NamespaceEnd::Deleted;
            return Ok(report);
        }
        NamespaceState::Active { .. } | NamespaceState::Unreadable => {}
    }
    let Whole { survey, .. } = look_around(cluster, stamp, namespace).await?;
    report.failures = survey.failures;
    let record = labels::inventory_name(&stamp.env);
    for found in survey.found {
        let key = found.target.key;
        match found.class {
            // It is not counted when it is removed either.
            Class::Owned if key.kind == "ConfigMap" && key.name == record => {}
            Class::Owned => report.removed.push(key),
            Class::Kept => report.kept.push(key),
            Class::Foreign => report.leave(key),
            Class::Dependent | Class::Ambient => {}
        }
    }
    let left = [report.kept.as_slice(), &report.foreign].concat();
    let why = stays(&state, stamp, keep_namespace)
        .map(str::to_owned)
        .or_else(|| holds(&left, &survey.unseen));
    report.namespace = match why {
        Some(why) => NamespaceEnd::Kept(why),
        None => NamespaceEnd::Deleted,
    };
    Ok(report)
}
