//! `dev status`

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::cluster::remove::{Environment, list_environments};
use crate::cluster::wait::{WaitError, Watcher};
use crate::cluster::{Cluster, exposed};
use crate::environment::{
    Overlay, Scope, ServiceReport, is_borrowed, service_objects, service_reports, services_table,
};
use crate::error::{Error, Result};
use crate::plan::NamespaceState;
use crate::ui::table;

/// How long it may take to read what runs.
const LOOK: Duration = Duration::from_secs(10);

/// Show what runs in an environment
///
/// For an overlay also which requests reach it, and from the routers' statistics the requests of the last minute: how many, how many succeeded, and how
/// long they took, beside those of the base.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev status                    services, their state, where they are reached; troubles with hints
  dev status --all              every environment of this application in the cluster
  dev status --base-version     the base itself, where `dev deploy` made it
  dev status -o json | jq .overlay.traffic
  dev status -o json | jq '.services[] | select(.state != \"ready\")'")]
pub struct Status {
    /// Every environment of this application
    #[arg(long)]
    pub all: bool,
    /// The base itself in place of an environment
    #[arg(long, conflicts_with = "all")]
    pub base_version: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    app: String,
    env: String,
    namespace: String,
    context: String,
    /// `absent`, `active` or `terminating`.
    state: &'static str,
    services: Vec<ServiceReport>,
    /// What an overlay borrows, and which requests reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<Overlay>,
}

impl Status {
    /// Shows the environment.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let cluster = context.connect().await?;
        if self.all {
            let all = list_environments(&cluster, Some(settings.app())).await?;
            return context.ui.data(&all, |all| environments(all));
        }
        let scope = Scope::choose(&settings, &[], self.base_version)?;
        let shown = look(&cluster, &scope).await?;
        context.ui.data(&shown, text)?;
        for service in &shown.services {
            for trouble in service.health.troubles() {
                let code = trouble.reason.code();
                context
                    .ui
                    .note(format!("{}: [{code}] {trouble}", service.health.service));
                for line in &trouble.lines {
                    context.ui.note(format!("    | {line}"));
                }
                if let Some(hint) = &trouble.hint {
                    context.ui.note(format!("    Hint: {hint}"));
                }
            }
        }
        if let Some(overlay) = &shown.overlay {
            let remark = overlay.routing.remark(&overlay.base, &shown.namespace);
            remark.into_iter().for_each(|text| context.ui.note(text));
            let missing = overlay.traffic.iter().flat_map(|it| &it.missing);
            missing.for_each(|line| context.ui.note(format!("not counted: {line}")));
        }
        if shown.services.is_empty() && shown.overlay.is_none() {
            let (env, namespace) = (&shown.env, &shown.namespace);
            context.ui.note(match shown.state {
                "terminating" => format!("{env} is being removed (namespace {namespace})"),
                _ => {
                    let verb = if self.base_version { "deploy" } else { "up" };
                    format!("{env} is not up (namespace {namespace}): `dev {verb}` makes it")
                }
            });
        }
        Ok(())
    }
}

async fn look(cluster: &Cluster, scope: &Scope) -> Result<Shown> {
    let namespace = &scope.namespace;
    let (state, inventory, exposed) = tokio::try_join!(
        cluster.namespace_state(namespace),
        cluster.read_inventory(namespace, &scope.stamp),
        exposed::read(&cluster.client, namespace)
    )?;
    let inventory = inventory.unwrap_or_default();
    let borrowed: BTreeSet<&str> = exposed
        .services
        .iter()
        .filter(|service| is_borrowed(service))
        .filter_map(|service| service.metadata.name.as_deref())
        .collect();
    // What only leads to the base runs there.
    let owned = inventory.entries().filter(|entry| {
        let alias = entry.key.kind == "Service" && borrowed.contains(entry.key.name.as_str());
        !entry.service.is_empty() && !alias
    });
    let objects = service_objects(owned.map(|entry| (entry.service.as_str(), &entry.key)));
    let state = match state {
        NamespaceState::Absent => "absent",
        NamespaceState::Terminating { .. } => "terminating",
        NamespaceState::Active { .. } | NamespaceState::Unreadable => "active",
    };
    let mut services = Vec::new();
    let mut overlay = None;
    if state == "active" && !(objects.is_empty() && borrowed.is_empty()) {
        let watcher = Watcher::new(cluster.client.clone(), namespace, |_| {});
        let (healths, seen) = tokio::join!(
            watcher.look(&objects, LOOK),
            Overlay::seen(scope, &exposed, cluster)
        );
        let healths = healths.map_err(|error| match error {
            WaitError::Access(error) => error,
            WaitError::NotReady(_) => Error::cluster("the cluster did not answer in time"),
        })?;
        services = service_reports(healths, scope, &exposed, seen.as_ref());
        overlay = seen;
    }
    Ok(Shown {
        app: scope.stamp.app.clone(),
        env: scope.stamp.env.clone(),
        namespace: namespace.clone(),
        context: cluster.context.clone(),
        state,
        services,
        overlay,
    })
}

/// The form for people: services, and what goes through the routers.
fn text(shown: &Shown) -> String {
    let mut text = services_table(&shown.services, shown.overlay.as_ref());
    let overlay = shown.overlay.as_ref();
    if let Some(traffic) = overlay.and_then(|overlay| overlay.traffic.as_ref()) {
        text.push_str("\n\n");
        text.push_str(&traffic.table(&shown.env));
    }
    text
}

fn environments(all: &[Environment]) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|found| {
            let state = if found.terminating {
                "being removed"
            } else {
                ""
            };
            vec![
                found.env.clone(),
                found.namespace.clone(),
                found.base.clone().unwrap_or_default(),
                found.created.clone(),
                state.to_owned(),
            ]
        })
        .collect();
    table(&["ENVIRONMENT", "NAMESPACE", "BASE", "SINCE", ""], &rows)
}
