//! Takes away copies of Secrets that were given to an environment and that nothing of it needs any more.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::cluster::write::{Path, Written};
use crate::control::secrets::is_given;
use crate::error::Result;
use crate::plan::{Action, Plan};

impl Cluster {
    /// Deletes those for which a plan that was carried out took the permission away: control may not do it any more.
    ///
    /// # Errors
    /// Rights that are missing, and a cluster that does not answer.
    pub async fn forget_given(&self, plan: &Plan) -> Result<()> {
        let Some(base) = &plan.stamp.base else {
            return Ok(());
        };
        let secrets = Path::namespaced("/api/v1", &plan.namespace, "secrets");
        for name in unneeded(plan) {
            let Some(secret) = self.read_at(&secrets, &name).await? else {
                continue;
            };
            let uid = secret["metadata"]["uid"].as_str();
            if let Some(uid) = uid.filter(|_| is_given(base, &secret)) {
                match self.delete_at(&secrets, &name, uid).await {
                    Written::Done(_) | Written::Outdated => {}
                    Written::Failed(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// PURE: the Secrets that Roles of the plan were for, which go.
fn unneeded(plan: &Plan) -> BTreeSet<String> {
    let of_wishes = plan.changes.iter().filter(|change| {
        change.action == Action::Delete
            && change.key.kind == "Role"
            && change
                .key
                .name
                .starts_with(crate::control::secrets::PROVISIONER)
    });
    let rules = of_wishes
        .filter_map(|change| change.live.as_ref()?.value["rules"].as_array())
        .flatten();
    let names = rules.filter_map(|rule| rule["resourceNames"].as_array());
    names
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}
