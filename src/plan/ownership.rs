//! Whose an object is.

use crate::manifest::labels::{self, Stamp};
use crate::plan::Live;

/// Who holds an object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This environment.
    Us,
    /// Another environment of `dev`, by name.
    OtherEnvironment(String),
    /// Somebody else: the value of `app.kubernetes.io/managed-by`, or the field managers, or nothing known.
    Foreign(Option<String>),
}

/// Who holds an object. `recorded`: the environment's inventory lists it.
///
/// Every write of `dev` carries the environment's labels. Where they were taken off, the server's record of what `dev` applied
/// together with the inventory still shows whose it is; the inventory alone does not, for it lists what was only intended.
pub fn holder(live: &Live, stamp: &Stamp, recorded: bool) -> Holder {
    let label = |key: &str| {
        live.value
            .get("metadata")?
            .get("labels")?
            .get(key)?
            .as_str()
    };
    let managed_by = label(labels::MANAGED_BY);
    match (managed_by, label(labels::ENV)) {
        (Some(labels::MANAGER), Some(env)) => {
            let app = label(labels::APP);
            if env == stamp.env && app.is_none_or(|app| app == stamp.app) {
                Holder::Us
            } else {
                let app = app.unwrap_or("?");
                Holder::OtherEnvironment(format!("{env} of {app}"))
            }
        }
        (_, _) if recorded && live.owned.is_some() => Holder::Us,
        (managed_by, _) => Holder::Foreign(
            managed_by
                .map(str::to_owned)
                .or_else(|| (!live.managers.is_empty()).then(|| live.managers.join(", "))),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn stamp() -> Stamp {
        Stamp {
            app: "shop".into(),
            env: "a".into(),
            base: None,
            version: "a".into(),
        }
    }

    fn live(labels: Value, owned: bool) -> Live {
        Live {
            value: json!({"metadata": {"labels": labels}}),
            owned: owned.then(|| json!({})),
            managers: vec!["helm".into()],
        }
    }

    #[test]
    fn labels_say_whose_it_is_and_the_environment_counts() {
        let ours =
            json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "a", "dev/app": "shop"});
        assert_eq!(holder(&live(ours, false), &stamp(), false), Holder::Us);
        let other =
            json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "b", "dev/app": "shop"});
        assert_eq!(
            holder(&live(other, true), &stamp(), true),
            Holder::OtherEnvironment("b of shop".into())
        );
        let other_app =
            json!({"app.kubernetes.io/managed-by": "dev", "dev/env": "a", "dev/app": "bank"});
        assert!(matches!(
            holder(&live(other_app, true), &stamp(), true),
            Holder::OtherEnvironment(_)
        ));
    }

    #[test]
    fn an_inventory_entry_alone_proves_nothing() {
        let foreign = Holder::Foreign(Some("helm".into()));
        assert_eq!(holder(&live(json!({}), false), &stamp(), true), foreign);
        assert_eq!(holder(&live(json!({}), true), &stamp(), false), foreign);
        assert_eq!(holder(&live(json!({}), true), &stamp(), true), Holder::Us);
    }
}
