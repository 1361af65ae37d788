//! PURE: the shadow of a Service: a headless Service that keeps selecting the base's pods, and the control process's memory of
//! the Service that it stands for. Everything that must outlive the process is written on it.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control::listeners::Listeners;
use crate::control::routing::Routing;
use crate::manifest::{labels, names};

/// A shadow as it is, or as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Shadow {
    /// The Service that it stands for.
    pub service: String,
    /// Selector and ports as their owner wrote them.
    pub original: Routing,
    /// Where the routers listen.
    pub listeners: Listeners,
    /// Who owned which fields of the Service when it was last looked at before a change.
    pub managed_fields: Vec<ManagedFieldsEntry>,
    /// How far it is.
    pub progress: Progress,
    /// Why the Service is left alone.
    pub stand_down: Option<StandDown>,
    /// Fields of the Service's spec that its endpoints depend on.
    pub traits: Traits,
}

/// How far the control process is with a Service: the annotation `dev/progress`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The UID of the Service: one that was created anew is another.
    pub uid: String,
    /// The switch to the routers was about to be made, so target ports that are listeners may be left over from it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub switching: bool,
    /// It was seen routed, and nobody has decided otherwise: if it is not, somebody else wrote to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub routed: bool,
    /// Since when no environment overrides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since: Option<Timestamp>,
    /// Since when new connections reach the base's pods again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_since: Option<Timestamp>,
}

/// Why a Service is left alone: the annotation `dev/stand-down`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandDown {
    /// One sentence without a full stop.
    pub reason: String,
    /// Since when.
    pub time: Timestamp,
}

/// Fields of a Service's spec that a shadow has in common with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traits {
    publish_not_ready_addresses: Option<bool>,
    ip_families: Option<Vec<String>>,
    ip_family_policy: Option<String>,
}

impl Traits {
    /// Those of a Service.
    pub fn of(service: &Service) -> Self {
        let Some(spec) = &service.spec else {
            return Self::default();
        };
        Self {
            // The API server leaves `false` out.
            publish_not_ready_addresses: spec.publish_not_ready_addresses.filter(|yes| *yes),
            ip_families: spec.ip_families.clone(),
            ip_family_policy: spec.ip_family_policy.clone(),
        }
    }
}

/// The name of the shadow of a Service.
pub fn name(service: &str) -> String {
    names::suffixed(service, "dev-base", names::LABEL)
}

/// Which Service an object is the shadow of, if it is one.
pub fn of(object: &Service) -> Option<&str> {
    let labels = object.metadata.labels.as_ref()?;
    let ours = labels.get(labels::MANAGED_BY).map(String::as_str) == Some(labels::MANAGER);
    labels
        .get(labels::SHADOW)
        .filter(|_| ours)
        .map(String::as_str)
}

impl Shadow {
    /// Reads what is written on a shadow.
    ///
    /// # Errors
    /// One sentence, for a shadow that somebody else has changed.
    pub fn read(object: &Service) -> Result<Self, String> {
        let service = of(object).ok_or("it is no shadow")?;
        let managed_fields = read(object, labels::MANAGED_FIELDS)?;
        let stand_down = match annotation(object, labels::STAND_DOWN) {
            Some(_) => Some(read(object, labels::STAND_DOWN)?),
            None => None,
        };
        Ok(Self {
            service: service.to_owned(),
            original: read(object, labels::ORIGINAL)?,
            listeners: read(object, labels::PORTS)?,
            managed_fields,
            progress: read(object, labels::PROGRESS)?,
            stand_down,
            traits: Traits::of(object),
        })
    }

    /// Whether the object selects what it should: somebody may have changed it.
    pub fn is_intact(&self, object: &Service) -> bool {
        Routing::of(object).same(&self.original)
    }

    /// The annotations.
    pub fn annotations(&self) -> Value {
        let mut annotations = json!({
            (labels::PORTS): text(&self.listeners),
            (labels::ORIGINAL): text(&self.original),
            (labels::MANAGED_FIELDS): text(&self.managed_fields),
            (labels::PROGRESS): text(&self.progress),
        });
        if let Some(stand_down) = &self.stand_down {
            annotations[labels::STAND_DOWN] = Value::from(text(stand_down));
        }
        annotations
    }

    /// The object to create.
    pub fn object(&self) -> Value {
        let bare = self.original.ports.iter().cloned().map(|mut port| {
            port.node_port = None;
            port
        });
        let spec = ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(self.original.selector.clone()),
            ports: Some(bare.collect()),
            publish_not_ready_addresses: self.traits.publish_not_ready_addresses,
            ip_families: self.traits.ip_families.clone(),
            ip_family_policy: self.traits.ip_family_policy.clone(),
            ..ServiceSpec::default()
        };
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": name(&self.service),
                "labels": {(labels::MANAGED_BY): labels::MANAGER, (labels::SHADOW): self.service},
                "annotations": self.annotations(),
            },
            "spec": spec,
        })
    }
}

fn annotation<'a>(object: &'a Service, name: &str) -> Option<&'a str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

fn read<T: DeserializeOwned>(object: &Service, name: &str) -> Result<T, String> {
    let text = annotation(object, name).ok_or_else(|| format!("its annotation {name} is gone"))?;
    serde_json::from_str(text).map_err(|cause| format!("its annotation {name} is broken: {cause}"))
}

/// Values of these types have no maps with keys that are not text, so writing them cannot fail.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
