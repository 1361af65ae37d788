//! Bringing an environment up: render, plan, images, apply, wait. The order of steps is here; each step is elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::readiness::{Readiness, Shelf};
use super::report::{Report, service_reports};
use super::{Overlay, Scope, ServiceImages, Wanted, admission, profile, wanted};
use crate::cluster::apply::{self, ApplyOptions};
use crate::cluster::base::Base;
use crate::cluster::health::Health;
use crate::cluster::url::Exposed;
use crate::cluster::{Cluster, access, exposed, guard};
use crate::error::Result;
use crate::manifest;
use crate::plan::{Action, Change, Plan};
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
    let wanted = wanted(settings, scope, cluster, &images, ui).await?;
    let plan = wanted.plan(scope, options)?;
    tell(&wanted, settings, scope, &plan, ui);
    Ok(rehearsed(cluster, plan, settings.root()).await)
}

/// The plan with what the server says of it: nothing is written, and of an unchanged environment nothing is asked.
async fn rehearsed(cluster: &Cluster, plan: Plan, root: &Path) -> Plan {
    let place = |change: &Change, field: &[String]| {
        let object = change.place.as_ref()?;
        Some(manifest::place_of(object, root, field))
    };
    apply::rehearse(cluster, plan, &place).await
}

/// Makes what runs into what is desired, and waits until it is ready and, in an overlay, until requests reach it.
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
    let (identity, wanted) = tokio::try_join!(
        guard::ensure_writable(cluster, ui),
        wanted(settings, scope, cluster, &images, ui)
    )?;
    let plan = wanted.plan(scope, options)?;
    plan.check()?;
    tell(&wanted, settings, scope, &plan, ui);
    ui.note(format!(
        "{} on {}: {}",
        scope.namespace,
        cluster.context,
        plan.counts()
    ));
    may_write(cluster, &plan).await?;
    let plan = rehearsed(cluster, plan, settings.root()).await;
    plan.check()?;
    let mut base = scope.overlay.clone();
    if let Some(base) = &mut base {
        admission::admit(base, scope, cluster, settings.basics.yes, ui).await?;
    }
    let made = images
        .ensure(
            |reference| will_run(&plan, reference),
            cluster,
            &identity,
            ui,
        )
        .await?;
    let owner = label_from(&settings.user);
    let root = Some(settings.root());
    let healths = apply_and_wait(scope, cluster, &plan, options, owner, root, ui).await?;
    cluster.forget_given(&plan).await?;
    apply::confirm(cluster, &wanted.desired, &plan).await?;
    let exposed = exposed::read(&cluster.client, &scope.namespace).await?;
    let overlay = match &base {
        Some(base) => Some(look_at_routes(base, scope, &exposed, cluster, options, began).await),
        None => None,
    };
    Ok(Report {
        app: scope.stamp.app.clone(),
        env: scope.stamp.env.clone(),
        namespace: scope.namespace.clone(),
        context: cluster.context.clone(),
        changes: plan.counts(),
        images: made,
        services: service_reports(healths, scope, &exposed, overlay.as_ref()),
        overlay,
        waited: options.wait,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Says what a person should know before anything is written.
fn tell(wanted: &Wanted, settings: &Settings, scope: &Scope, plan: &Plan, ui: &Ui) {
    for remark in profile::remarks(settings, scope, plan) {
        ui.note(remark);
    }
    wanted.tell(plan, scope, ui);
}

/// Fails before the first write where a right is missing. An environment that is as it should be takes none.
pub async fn may_write(cluster: &Cluster, plan: &Plan) -> Result<()> {
    if plan.is_empty() {
        return Ok(());
    }
    let attempt = format!("bring {} up in {}", plan.stamp.env, plan.namespace);
    access::require(cluster, &attempt, &access::needed_first(plan)).await
}

/// Waits for the routers as long as time is left, or only looks.
async fn look_at_routes(
    base: &Base,
    scope: &Scope,
    exposed: &Exposed,
    cluster: &Cluster,
    options: &UpOptions,
    began: Instant,
) -> Overlay {
    let timeout = match options.wait {
        true => options.timeout.saturating_sub(began.elapsed()),
        false => Duration::ZERO,
    };
    Overlay::look(base, scope, exposed, cluster, timeout).await
}

/// Whether an object that will be written names this image.
pub fn will_run(plan: &Plan, reference: &str) -> bool {
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

/// Carries the plan out and waits, both at once: a service is waited for as soon as it is applied. `root`: the folder that the
/// places of manifests are relative to.
pub async fn apply_and_wait(
    scope: &Scope,
    cluster: &Cluster,
    plan: &Plan,
    options: &UpOptions,
    owner: Option<String>,
    root: Option<&Path>,
    ui: &Ui,
) -> Result<Vec<Health>> {
    let shelf = Shelf::new(scope, cluster, ui);
    let readiness = Readiness::new(&shelf, scope, plan, options, root, ui)?;
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
