//! What an environment should be, fitted to what is there; and what would change.

use super::overlay::{self, Settled, settle};
use super::{Rendered, Scope, ServiceImages, UpOptions, render};
use crate::cluster::Cluster;
use crate::cluster::observe;
use crate::error::Result;
use crate::manifest::is_alias;
use crate::plan::{self, Action, Change, Desired, Observed, Plan, PlanOptions};
use crate::settings::Settings;
use crate::ui::Ui;

/// What is wanted and what is there.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The objects as they should be.
    pub desired: Desired,
    /// What the cluster holds.
    pub observed: Observed,
    /// How an overlay was fitted to it; empty for a full copy.
    pub settled: Settled,
    /// What should be said where something changes.
    pub said: Vec<String>,
}

/// Renders the services of a scope and looks at what is there of them.
pub async fn wanted(
    settings: &Settings,
    scope: &Scope,
    cluster: &Cluster,
    images: &ServiceImages,
    ui: &Ui,
) -> Result<Wanted> {
    let rendered = render(settings, scope, images, Some(cluster), ui).await?;
    rendered.tell(ui);
    fit(rendered, settings, scope, cluster, ui).await
}

/// What an overlay should be when the services of its scope are copied no more.
pub async fn without(
    settings: &Settings,
    scope: &Scope,
    cluster: &Cluster,
    ui: &Ui,
) -> Result<Wanted> {
    let mut rendered = Rendered::default();
    if let Some(base) = &scope.overlay {
        rendered.add_aliases(base, scope, &settings.cluster_domain.value);
    }
    fit(rendered, settings, scope, cluster, ui).await
}

async fn fit(
    rendered: Rendered,
    settings: &Settings,
    scope: &Scope,
    cluster: &Cluster,
    ui: &Ui,
) -> Result<Wanted> {
    let mut desired = Desired {
        stamp: scope.stamp.clone(),
        namespace: scope.namespace.clone(),
        objects: rendered.objects,
        needs: scope.needs(settings),
    };
    let observed = observe::observe(cluster, &desired).await?;
    let mut said = rendered.said;
    let mut settled = Settled::default();
    if scope.overlay.is_some() {
        settled = settle(&mut desired, &observed, scope);
        said.append(&mut settled.said);
    } else {
        tell_expected(&rendered.expected, &observed, scope, ui);
    }
    Ok(Wanted {
        desired,
        observed,
        settled,
        said,
    })
}

fn tell_expected(
    expected: &[crate::manifest::transform::Expected],
    observed: &Observed,
    scope: &Scope,
    ui: &Ui,
) {
    for expected in expected {
        let there = observed
            .objects
            .keys()
            .any(|id| id.kind == expected.kind && id.name == expected.name);
        if !there {
            ui.detail(format!(
                "{}: refers to {} {}, which no manifest makes: it must be in {} already",
                expected.service, expected.kind, expected.name, scope.namespace
            ));
        }
    }
}

impl Wanted {
    /// The changes that make it so.
    pub fn plan(&self, scope: &Scope, options: &UpOptions) -> Result<Plan> {
        let services = match (&scope.overlay, scope.complete) {
            (Some(_), _) => Some(self.settled.prune.clone()),
            (None, true) => None,
            (None, false) => Some(scope.services.clone()),
        };
        plan::plan(
            &self.desired,
            &self.observed,
            &PlanOptions {
                recreate: options.recreate,
                prune: options.prune,
                services,
                keep: self.settled.keep.clone(),
            },
        )
    }

    /// Says what a person should know about what changes.
    pub fn tell(&self, plan: &Plan, scope: &Scope, ui: &Ui) {
        if plan.is_empty() && !ui.is_verbose() {
            return;
        }
        for line in &self.said {
            ui.note(line);
        }
        let Some(base) = &scope.overlay else { return };
        let borrowed = |change: &&Change| {
            let desired = change.desired.as_ref();
            desired.is_some_and(is_alias) && change.action != Action::Unchanged
        };
        let names: Vec<&str> = plan
            .changes
            .iter()
            .filter(borrowed)
            .map(|change| change.key.name.as_str())
            .collect();
        for service in overlay::borrowable(base) {
            let name = service["metadata"]["name"].as_str().unwrap_or_default();
            if names.contains(&name) {
                for limit in overlay::limits(service, &scope.namespace) {
                    ui.note(format!("borrowed: {limit}"));
                }
            }
        }
    }
}
