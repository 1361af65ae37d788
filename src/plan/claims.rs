//! PURE: the claims that StatefulSets make of their templates. They are nobody's objects by `ownerReferences`, outlive their set, and
//! are known by their names alone.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::ObjectKey;

/// A claim template of a StatefulSet: its claims are named `<template>-<set>-<ordinal>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClaimTemplate {
    /// The template's name.
    pub template: String,
    /// The StatefulSet's name.
    pub set: String,
}

impl ClaimTemplate {
    /// The templates of an object; none where it is no StatefulSet.
    pub fn of(key: &ObjectKey, value: &Value) -> BTreeSet<Self> {
        let is_set = key.group() == "apps" && key.kind == "StatefulSet";
        let templates = value["spec"]["volumeClaimTemplates"].as_array();
        templates
            .into_iter()
            .flatten()
            .filter(|_| is_set)
            .filter_map(|template| template["metadata"]["name"].as_str())
            .map(|template| Self {
                template: template.to_owned(),
                set: key.name.clone(),
            })
            .collect()
    }

    /// Whether a claim has a name that its set gives.
    pub fn names(&self, claim: &str) -> bool {
        let ordinal = claim
            .strip_prefix(self.template.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.strip_prefix(self.set.as_str()))
            .and_then(|rest| rest.strip_prefix('-'));
        // As the controller writes numbers: `0`, never `00`.
        ordinal.is_some_and(|text| {
            text.parse::<u32>()
                .is_ok_and(|ordinal| ordinal.to_string() == text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_known_by_template_set_and_ordinal() {
        let template = ClaimTemplate {
            template: "data".into(),
            set: "web".into(),
        };
        for name in ["data-web-0", "data-web-17"] {
            assert!(template.names(name), "{name}");
        }
        for name in [
            "data-web",
            "data-web-",
            "data-web-old",
            "data-web-00",
            "data-web-+1",
            "data-web-1-0",
            "data-webb-0",
            "mydata-web-0",
            "data-web-99999999999",
        ] {
            assert!(!template.names(name), "{name}");
        }
    }

    #[test]
    fn only_stateful_sets_have_templates() {
        let value = json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}, {"metadata": {}}]}});
        let key = |kind: &str| ObjectKey {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            namespace: Some("shop-a".into()),
            name: "web".into(),
        };
        assert_eq!(ClaimTemplate::of(&key("StatefulSet"), &value).len(), 1);
        assert!(ClaimTemplate::of(&key("Deployment"), &value).is_empty());
    }
}
