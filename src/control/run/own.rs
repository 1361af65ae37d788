//! What this process has written itself, until the watch shows it: no decision is made upon what it knows to be outdated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

/// Services by name, with own writes on top.
#[derive(Debug, Default)]
pub(super) struct Own(BTreeMap<String, Newer>);

#[derive(Debug, Default)]
struct Newer {
    /// Versions that are older than the object, `None` among them where there was none.
    older: BTreeSet<Option<String>>,
    /// As it was written; `None`: deleted.
    object: Option<Arc<Service>>,
}

impl Own {
    /// A write turned `before` into `after`.
    pub(super) fn wrote(&mut self, name: &str, before: Option<&Service>, after: Option<Service>) {
        let newer = self.0.entry(name.to_owned()).or_default();
        newer.older.insert(version(before));
        if let Some(object) = &newer.object {
            newer.older.insert(version(Some(object)));
        }
        newer.object = after.map(Arc::new);
    }

    /// The objects as they are, as far as this process can know. Own writes that the watch shows are forgotten.
    pub(super) fn on_top_of(
        &mut self,
        mut seen: BTreeMap<String, Arc<Service>>,
    ) -> BTreeMap<String, Arc<Service>> {
        self.0.retain(|name, newer| {
            let seen = seen.get(name).map(|seen| &**seen);
            newer.older.contains(&version(seen))
        });
        for (name, newer) in &self.0 {
            match &newer.object {
                Some(object) => seen.insert(name.clone(), Arc::clone(object)),
                None => seen.remove(name),
            };
        }
        seen
    }
}

fn version(object: Option<&Service>) -> Option<String> {
    object?.metadata.resource_version.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(version: &str) -> Service {
        let mut service = Service::default();
        service.metadata.resource_version = Some(version.to_owned());
        service
    }

    fn seen(version: Option<&str>) -> BTreeMap<String, Arc<Service>> {
        let object = version.map(|version| ("a".to_owned(), Arc::new(service(version))));
        object.into_iter().collect()
    }

    fn now(own: &mut Own, watch: Option<&str>) -> Option<String> {
        let all = own.on_top_of(seen(watch));
        version(all.get("a").map(|object| &**object))
    }

    #[test]
    fn own_writes_count_until_the_watch_has_them_or_something_later() {
        let mut own = Own::default();
        own.wrote("a", Some(&service("1")), Some(service("2")));
        own.wrote("a", Some(&service("2")), Some(service("3")));
        assert_eq!(now(&mut own, Some("1")).as_deref(), Some("3"));
        assert_eq!(now(&mut own, Some("2")).as_deref(), Some("3"));
        assert_eq!(now(&mut own, Some("4")).as_deref(), Some("4"));
        // Once it is seen, it is the watch's again.
        assert_eq!(now(&mut own, Some("1")).as_deref(), Some("1"));
    }

    #[test]
    fn creating_and_deleting_are_writes_too() {
        let mut own = Own::default();
        own.wrote("a", None, Some(service("1")));
        assert_eq!(now(&mut own, None).as_deref(), Some("1"));
        own.wrote("a", Some(&service("1")), None);
        assert_eq!(now(&mut own, Some("1")), None);
        assert_eq!(now(&mut own, None), None);
        assert_eq!(now(&mut own, Some("5")).as_deref(), Some("5"));
    }
}
