//! Asking the API server how it serves kinds.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::client::APIGroupDiscoveryList;

use super::{Resource, split};
use crate::cluster::Cluster;
use crate::error::Result;
use crate::plan::{Kinds, Served};

impl Cluster {
    /// How a kind is served; `None` where this cluster does not serve it. Built-in kinds need no request; the answers for others
    /// are kept for the life of the process.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<Option<Resource>> {
        if let Some(known) = Resource::builtin(api_version, kind) {
            return Ok(Some(known));
        }
        if let Some(found) = self.remembered(api_version, kind) {
            return Ok(found);
        }
        let path = if api_version.contains('/') {
            format!("/apis/{api_version}")
        } else {
            format!("/api/{api_version}")
        };
        let list: Option<APIResourceList> = self
            .get_opt(&path, &format!("look up what {api_version} serves"))
            .await?;
        let served = list
            .into_iter()
            .flat_map(|list| list.resources)
            // Subresources have a slash in their names.
            .filter(|resource| !resource.name.contains('/'))
            .map(|resource| {
                let served = Served {
                    plural: resource.name,
                    namespaced: resource.namespaced,
                };
                (resource.kind, served)
            })
            .collect();
        if let Ok(mut discovered) = self.discovered.lock() {
            match discovered.entry(api_version.to_owned()) {
                Entry::Occupied(mut entry) => *entry.get_mut() = served,
                Entry::Vacant(entry) => {
                    entry.insert(served);
                }
            }
        }
        Ok(self.remembered(api_version, kind).flatten())
    }

    /// Forgets what discovery found for an apiVersion, after a CustomResourceDefinition was applied.
    pub fn forget_kinds(&self, group: &str) {
        if let Ok(mut discovered) = self.discovered.lock() {
            discovered.retain(|api_version, _| split(api_version).0 != group);
        }
    }

    fn remembered(&self, api_version: &str, kind: &str) -> Option<Option<Resource>> {
        let discovered = self.discovered.lock().ok()?;
        let kinds = discovered.get(api_version)?;
        Some(
            kinds
                .get(kind)
                .map(|served| Resource::new(api_version, kind, served)),
        )
    }

    /// How all of these kinds are served.
    pub async fn kinds<'a>(
        &self,
        wanted: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Kinds> {
        let lookups = wanted.into_iter().map(async |(api_version, kind)| {
            let found = self.resource(api_version, kind).await?;
            let key = (api_version.to_owned(), kind.to_owned());
            Ok((key, found.map(|resource| resource.served())))
        });
        let found: Vec<Result<_>> = futures::future::join_all(lookups).await;
        found.into_iter().collect()
    }

    /// Every namespaced kind whose objects can be listed and deleted, each in the version that the server prefers. Events and other
    /// kinds that are mere views of others are left out.
    pub async fn deletable_kinds(&self) -> Result<Vec<Resource>> {
        let attempt = "look up the kinds that the cluster serves";
        let (core, groups) = futures::future::try_join(
            self.aggregated("/api", attempt),
            self.aggregated("/apis", attempt),
        )
        .await?;
        if core.items.is_empty() {
            return self.deletable_kinds_one_by_one().await;
        }
        let mut found = Vec::new();
        for group in core.items.into_iter().chain(groups.items) {
            let name = group
                .metadata
                .and_then(|metadata| metadata.name)
                .unwrap_or_default();
            // The preferred version comes first; a kind that it lacks is taken from the next one that has it.
            for version in group.versions {
                let version_name = version.version.unwrap_or_default();
                let api_version = if name.is_empty() {
                    version_name
                } else {
                    format!("{name}/{version_name}")
                };
                for resource in version.resources {
                    let (Some(plural), Some(kind)) = (
                        resource.resource,
                        resource.response_kind.and_then(|kind| kind.kind),
                    ) else {
                        continue;
                    };
                    let namespaced = resource.scope.as_deref() == Some("Namespaced");
                    if namespaced && is_deletable(&name, &kind, &resource.verbs) {
                        found.push(Resource {
                            api_version: api_version.clone(),
                            kind,
                            plural,
                            namespaced,
                        });
                    }
                }
            }
        }
        Ok(first_of_each(found))
    }

    async fn aggregated(&self, path: &str, attempt: &str) -> Result<APIGroupDiscoveryList> {
        let request = Request::get(path)
            .header(
                http::header::ACCEPT,
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                 application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
            )
            .body(Vec::new());
        self.send(request, attempt).await
    }

    /// For servers before 1.26: one request for each version of each group.
    async fn deletable_kinds_one_by_one(&self) -> Result<Vec<Resource>> {
        let attempt = "look up the kinds that the cluster serves";
        let groups = self
            .client
            .list_api_groups()
            .await
            .map_err(|cause| self.explain(attempt, &cause))?;
        let versions = groups
            .groups
            .into_iter()
            .flat_map(|group| {
                // The preferred one first; `first_of_each` drops what it has already.
                let all = group.versions.into_iter();
                group.preferred_version.into_iter().chain(all)
            })
            .map(|version| version.group_version)
            .chain(["v1".to_owned()]);
        let lists = versions.map(async |api_version| {
            let root = if api_version.contains('/') {
                "/apis"
            } else {
                "/api"
            };
            let list: Option<APIResourceList> = self
                .get_opt(&format!("{root}/{api_version}"), attempt)
                .await?;
            Ok((api_version, list))
        });
        let mut found = Vec::new();
        let lists: Vec<Result<_>> = futures::future::join_all(lists).await;
        for list in lists {
            let (api_version, list) = list?;
            let group = split(&api_version).0.to_owned();
            for resource in list.into_iter().flat_map(|list| list.resources) {
                let subresource = resource.name.contains('/');
                if resource.namespaced
                    && !subresource
                    && is_deletable(&group, &resource.kind, &resource.verbs)
                {
                    found.push(Resource {
                        api_version: api_version.clone(),
                        kind: resource.kind,
                        plural: resource.name,
                        namespaced: true,
                    });
                }
            }
        }
        Ok(first_of_each(found))
    }
}

/// Each kind of a group once, in the first version that was listed.
fn first_of_each(found: Vec<Resource>) -> Vec<Resource> {
    let mut seen = BTreeSet::new();
    found
        .into_iter()
        .filter(|resource| seen.insert((resource.group().to_owned(), resource.kind.clone())))
        .collect()
}

fn is_deletable(group: &str, kind: &str, verbs: &[String]) -> bool {
    let can = |verb: &str| verbs.iter().any(|known| known == verb);
    let view = matches!((group, kind), ("" | "events.k8s.io", "Event"));
    can("list") && can("delete") && !view
}
