//! Which requests of the base reach an overlay's copies: whether its routers have taken them over, and what should be said.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use serde::Serialize;

use super::admission::taken_by;
use super::traffic::Traffic;
use super::{Scope, overlay};
use crate::cluster::Cluster;
use crate::cluster::base::Base;
use crate::cluster::exposed;
use crate::cluster::router_status::Unknown;
use crate::cluster::url::{Exposed, Url};
use crate::error::Error;
use crate::manifest::labels;

/// How requests of the base reach an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "state",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Routing {
    /// Every router leads requests with this header to the copies.
    Routed {
        /// The value of the header.
        env: String,
    },
    /// The base admits the environment; whether its routers have taken it over is not known.
    Unconfirmed {
        /// The value of the header.
        env: String,
        /// Why it is not known.
        why: String,
    },
    /// Some routers do not lead to all copies.
    Late {
        /// The value of the header.
        env: String,
        /// The services that are not led.
        services: Vec<String>,
        /// What the routers say.
        errors: Vec<String>,
    },
    /// The base does not admit the environment.
    NotAdmitted {
        /// The namespace that has the environment's name already, if one has.
        taken_by: Option<String>,
    },
    /// The base has no routers.
    NoRouter,
}

impl Routing {
    /// The header by which requests reach this copy, where they do.
    pub fn header(&self, service: &str) -> Option<String> {
        match self {
            Self::Routed { env } | Self::Unconfirmed { env, .. } => Some(header(env)),
            Self::Late { env, services, .. } => {
                (!services.iter().any(|late| late == service)).then(|| header(env))
            }
            Self::NotAdmitted { .. } | Self::NoRouter => None,
        }
    }

    /// What should be said about it, without a full stop; nothing where all is as it should be.
    pub fn remark(&self, base: &str, namespace: &str) -> Option<String> {
        match self {
            Self::Routed { .. } => None,
            Self::Unconfirmed { env, why } => Some(format!(
                "whether requests with {} reach {namespace} is not known: {why}",
                header(env)
            )),
            Self::Late {
                env,
                services,
                errors,
            } => {
                let mut text = format!(
                    "requests with {} do not reach {} of {namespace} yet",
                    header(env),
                    services.join(", ")
                );
                for error in errors {
                    text.push_str(&format!("\n    {error}"));
                }
                Some(text)
            }
            Self::NotAdmitted { taken_by: None } => Some(format!(
                "no request to {base} reaches {namespace}: {base} does not admit it. The copies answer inside {namespace}"
            )),
            Self::NotAdmitted {
                taken_by: Some(other),
            } => Some(format!(
                "no request to {base} reaches {namespace}: the namespace {other} has its name there. The copies answer inside {namespace}"
            )),
            Self::NoRouter => Some(format!(
                "no request to {base} reaches {namespace}: {base} has no routers (`dev router install`). The copies answer inside {namespace}"
            )),
        }
    }

    /// The failure that it is where requests were to be routed.
    pub fn failure(&self, base: &str, namespace: &str, env: &str) -> Option<Error> {
        let message = self.remark(base, namespace)?;
        match self {
            Self::Routed { .. } | Self::Unconfirmed { .. } | Self::NoRouter => None,
            Self::NotAdmitted { taken_by: None } => Some(
                Error::not_ready(message)
                    .reason("NotAdmitted")
                    .hint(format!(
                        "who may write in {base} admits it: `dev router admit {namespace} --base {base}`"
                    ))
                    .hint("--no-wait is content without it"),
            ),
            Self::NotAdmitted { taken_by: Some(_) } => Some(
                Error::not_ready(message)
                    .reason("NotAdmitted")
                    .hint(format!("another name for the environment than \"{env}\" helps: --env NAME")),
            ),
            Self::Late { .. } => Some(
                Error::not_ready(message)
                    .reason("NotRouted")
                    .hint(format!("`dev router status --base {base}` shows what the routers wait for; --timeout waits longer")),
            ),
        }
    }
}

/// What an overlay borrows, and how requests reach its copies.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overlay {
    /// The base's namespace.
    pub base: String,
    /// The Services that lead to the base.
    pub borrowed: Vec<String>,
    /// How requests of the base reach the copies.
    pub routing: Routing,
    /// Services whose copies no request to the base can reach, with why; in the environment they answer by their names.
    pub unreachable: BTreeMap<String, String>,
    /// Where the environment answers from outside, by the routers; the best address first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<Url>,
    /// What goes through the routers, where somebody has asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// The Services whose copies requests can reach.
    #[serde(skip)]
    routable: Vec<String>,
}

impl Overlay {
    /// Looks at an overlay, after waiting at most this long until its copies are reached.
    pub async fn look(
        base: &Base,
        scope: &Scope,
        exposed: &Exposed,
        cluster: &Cluster,
        timeout: Duration,
    ) -> Self {
        let copied = exposed
            .services
            .iter()
            .filter(|service| !is_borrowed(service));
        let mut routable = Vec::new();
        let mut unreachable = BTreeMap::new();
        for name in copied.filter_map(|service| service.metadata.name.as_ref()) {
            match overlay::unreachable(base, name) {
                None => routable.push(name.clone()),
                Some(why) => {
                    unreachable.insert(name.clone(), why);
                }
            }
        }
        let (namespace, env) = (&scope.namespace, &scope.stamp.env);
        let (routing, refused) = follow(base, namespace, env, &routable, cluster, timeout).await;
        routable.retain(|name| !refused.contains_key(name));
        let refused = refused.into_iter().map(|(name, why)| {
            let why = overlay::left_alone(base, &why);
            (name, why)
        });
        unreachable.extend(refused);
        let entry = exposed::entry(&cluster.client, base, namespace).await;
        let outside = entry.map(|entry| entry.urls()).unwrap_or_default();
        Self {
            base: base.name.clone(),
            borrowed: borrowed(exposed),
            routing,
            routable,
            unreachable,
            outside,
            traffic: None,
        }
    }

    /// Looks at the overlay that is there; `None` where nothing is borrowed and no base leads requests there. What may not be read of the
    /// base is left out.
    pub async fn seen(scope: &Scope, exposed: &Exposed, cluster: &Cluster) -> Option<Self> {
        let of_base = |service: &Service| {
            let marks = service.metadata.labels.as_ref()?;
            marks.get(labels::BASE).cloned()
        };
        let mut aliases = exposed
            .services
            .iter()
            .filter(|service| is_borrowed(service));
        let borrows = aliases.find_map(of_base);
        let name = match &borrows {
            Some(name) => name.clone(),
            // A copy of everything is an overlay where the base admits it.
            None => exposed.services.iter().find_map(of_base)?,
        };
        let base = match cluster.read_base(&name).await {
            Ok(base) if borrows.is_some() || base.env_of(&scope.namespace).is_some() => base,
            Err(error) if borrows.is_some() => {
                return Some(Self {
                    base: name,
                    borrowed: borrowed(exposed),
                    routing: Routing::Unconfirmed {
                        env: scope.stamp.env.clone(),
                        why: error.to_string(),
                    },
                    routable: Vec::new(),
                    unreachable: BTreeMap::new(),
                    outside: Vec::new(),
                    traffic: None,
                });
            }
            Ok(_) | Err(_) => return None,
        };
        let (mut overlay, traffic) = tokio::join!(
            Self::look(&base, scope, exposed, cluster, Duration::ZERO),
            traffic(&base, scope, cluster)
        );
        overlay.traffic = traffic;
        Some(overlay)
    }

    /// The header by which requests to the base reach this service of `dev.yaml`.
    pub fn header(&self, service: &str, exposed: &Exposed) -> Option<String> {
        let label = |one: &Service, key: &str| one.metadata.labels.as_ref()?.get(key).cloned();
        let mut own = exposed.services.iter().filter(|one| {
            label(one, labels::SERVICE).as_deref() == Some(service) && !is_borrowed(one)
        });
        own.find_map(|one| {
            let name = one.metadata.name.as_ref()?;
            let routable = self.routable.contains(name);
            routable.then(|| self.routing.header(name)).flatten()
        })
    }
}

/// What the routers have counted. Where they cannot be asked, [`Routing`] says why.
async fn traffic(base: &Base, scope: &Scope, cluster: &Cluster) -> Option<Traffic> {
    let env = base.has_router().then(|| base.env_of(&scope.namespace))??;
    match cluster.router_traffic(&base.name, env).await {
        Ok(report) => Some(Traffic::of(report, env)),
        Err(unknown) => {
            tracing::debug!(error = %unknown.error(), "no traffic");
            None
        }
    }
}

fn borrowed(exposed: &Exposed) -> Vec<String> {
    let aliases = exposed
        .services
        .iter()
        .filter(|service| is_borrowed(service));
    aliases
        .filter_map(|service| service.metadata.name.clone())
        .collect()
}

/// Whether a Service only leads to the base.
pub fn is_borrowed(service: &Service) -> bool {
    let marks = service.metadata.labels.as_ref();
    let external = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
    marks.is_some_and(|marks| marks.get(labels::ALIAS).is_some_and(|mark| mark == "true"))
        && external == Some("ExternalName")
}

pub(super) fn header(env: &str) -> String {
    format!("baggage: dev-env={env}")
}

/// How requests reach the copies of these Services of the base, after waiting until they do, and those that are not routed, with why. No
/// time: only a look.
pub async fn follow(
    base: &Base,
    namespace: &str,
    env: &str,
    copies: &[String],
    cluster: &Cluster,
    timeout: Duration,
) -> (Routing, BTreeMap<String, String>) {
    let nothing = BTreeMap::new();
    if !base.has_router() {
        return (Routing::NoRouter, nothing);
    }
    let Some(env) = base.env_of(namespace).map(str::to_owned) else {
        let taken_by = taken_by(base, namespace, env);
        return (Routing::NotAdmitted { taken_by }, nothing);
    };
    match cluster
        .await_routes(&base.name, &env, copies, timeout)
        .await
    {
        Ok(awaited) if awaited.late.is_empty() => (Routing::Routed { env }, awaited.refused),
        Ok(awaited) => {
            let late = Routing::Late {
                env,
                services: awaited.late.into_iter().collect(),
                errors: awaited.errors,
            };
            (late, awaited.refused)
        }
        Err(Unknown::NoRight(error)) => {
            let why = error.to_string();
            (Routing::Unconfirmed { env, why }, nothing)
        }
        Err(Unknown::NoAnswer(error)) => {
            let late = Routing::Late {
                env,
                services: copies.to_vec(),
                errors: vec![error.to_string()],
            };
            (late, nothing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_says_who_can_mend_it() {
        let not_admitted = Routing::NotAdmitted { taken_by: None };
        let failure = not_admitted.failure("shop", "shop-ann", "ann").unwrap();
        assert_eq!(failure.reason_code(), Some("NotAdmitted"));
        assert!(
            failure.hints()[0].contains("dev router admit shop-ann"),
            "{failure:?}"
        );
        assert_eq!(Routing::NoRouter.failure("shop", "shop-ann", "ann"), None);
        assert!(
            Routing::NoRouter
                .remark("shop", "shop-ann")
                .unwrap()
                .contains("no routers")
        );
        let late = Routing::Late {
            env: "ann".into(),
            services: vec!["reviews".into()],
            errors: vec!["dev-router-1: stale".into()],
        };
        assert_eq!(
            late.failure("shop", "shop-ann", "ann")
                .unwrap()
                .reason_code(),
            Some("NotRouted")
        );
        assert_eq!(late.header("reviews"), None);
        assert_eq!(
            late.header("details").as_deref(),
            Some("baggage: dev-env=ann")
        );
    }
}
