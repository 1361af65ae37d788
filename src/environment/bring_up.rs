//! Bringing an environment up: render, plan, images, apply, wait. The order of steps is here; each step is elsewhere.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::readiness::{Readiness, Shelf};
use super::report::{Report, ServiceReport};
use super::{Scope, ServiceImages, render};
use crate::cluster::apply::{self, ApplyOptions};
use crate::cluster::health::Health;
use crate::cluster::{Cluster, exposed, guard, observe};
use crate::error::Result;
use crate::plan::{self, Action, Desired, Plan, PlanOptions};
use crate::project::label::label_from;
use crate::settings::Settings;
use crate::ui::Ui;

/// What a person allows, and how long it may take.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Objects whose immutable fields change are deleted and made anew.
    pub recreate: bool,
    /// Objects that are desired no more are deleted.
    pub prune: bool,
    /// Wait until everything is ready.
    pub wait: bool,
    /// How long to wait.
    pub timeout: Duration,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            recreate: false,
            prune: true,
            wait: true,
            timeout: Duration::from_secs(300),
        }
    }
}

/// What would change.
pub async fn preview(
    settings: &Settings,
    scope: &Scope,
    cluster: &Cluster,
    options: &UpOptions,
    ui: &Ui,
) -> Result<Plan> {
    let images = ServiceImages::plan(settings, scope).await?;
    planned(settings, scope, cluster, &images, options, ui).await
}

async fn planned(
    settings: &Settings,
    scope: &Scope,
    cluster: &Cluster,
    images: &ServiceImages,
    options: &UpOptions,
    ui: &Ui,
) -> Result<Plan> {
    let rendered = render(settings, scope, images, Some(cluster), ui).await?;
    rendered.tell(ui);
    let desired = Desired {
        stamp: scope.stamp.clone(),
        namespace: scope.namespace.clone(),
        objects: rendered.objects,
        needs: scope.needs(settings),
    };
    let observed = observe::observe(cluster, &desired).await?;
    for expected in &rendered.expected {
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
    plan::plan(
        &desired,
        &observed,
        &PlanOptions {
            recreate: options.recreate,
            prune: options.prune,
            services: (!scope.complete).then(|| scope.services.clone()),
        },
    )
}

/// Makes what runs into what is desired, and waits until it is ready.
///
/// Dropping the future stops it at any point: what was written is recorded in the inventory before.
pub async fn bring_up(
    settings: &Settings,
    scope: &Scope,
    cluster: &Cluster,
    options: &UpOptions,
    ui: &Ui,
) -> Result<Report> {
    let began = Instant::now();
    let images = ServiceImages::plan(settings, scope).await?;
    let (identity, plan) = tokio::try_join!(
        guard::ensure_writable(cluster, ui),
        planned(settings, scope, cluster, &images, options, ui)
    )?;
    plan.check()?;
    ui.note(format!(
        "{} on {}: {}",
        scope.namespace,
        cluster.context,
        plan.counts()
    ));
    let made = images
        .ensure(
            |reference| will_run(&plan, reference),
            cluster,
            &identity,
            ui,
        )
        .await?;
    let owner = label_from(&settings.user);
    let healths = apply_and_wait(scope, cluster, &plan, options, owner, ui).await?;
    let exposed = exposed::read(&cluster.client, &scope.namespace).await?;
    Ok(Report {
        app: scope.stamp.app.clone(),
        env: scope.stamp.env.clone(),
        namespace: scope.namespace.clone(),
        context: cluster.context.clone(),
        changes: plan.counts(),
        images: made,
        services: healths
            .into_iter()
            .map(|health| ServiceReport {
                version: scope.stamp.version.clone(),
                urls: exposed
                    .urls(&health.service, &scope.stamp.env)
                    .into_iter()
                    .map(|url| url.url)
                    .collect(),
                health,
            })
            .collect(),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Whether an object that will be written names this image.
fn will_run(plan: &Plan, reference: &str) -> bool {
    fn names(value: &Value, reference: &str) -> bool {
        match value {
            // It may be a part: `--worker=registry/worker:tag`.
            Value::String(text) => text.contains(reference),
            Value::Array(items) => items.iter().any(|item| names(item, reference)),
            Value::Object(map) => map.values().any(|item| names(item, reference)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
    let written = plan
        .changes
        .iter()
        .filter(|change| change.action != Action::Unchanged);
    written
        .filter_map(|change| change.desired.as_ref())
        .any(|desired| names(desired, reference))
}

/// Carries the plan out and waits, both at once: a service is waited for as soon as it is applied.
async fn apply_and_wait(
    scope: &Scope,
    cluster: &Cluster,
    plan: &Plan,
    options: &UpOptions,
    owner: Option<String>,
    ui: &Ui,
) -> Result<Vec<Health>> {
    let shelf = Shelf::new(scope, cluster, ui);
    let readiness = Readiness::new(&shelf, scope, plan, options, ui)?;
    let apply_options = ApplyOptions {
        timeout: options.timeout,
        owner,
    };
    let applied = apply::apply(cluster, plan, &apply_options, &readiness);
    if !options.wait {
        applied.await?;
        return readiness.look().await;
    }
    let ready = async { Ok(readiness.all().await) };
    match futures::future::try_join(applied, ready).await {
        Ok((_, results)) => readiness.conclude(results),
        // A service that others need and that is not ready is the error to tell, not its consequence.
        Err(error) => Err(readiness.not_ready().unwrap_or(error)),
    }
}
