//! `dev down`

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::cluster::apply::{ApplyOptions, Silent, apply};
use crate::cluster::remove::{
    DownOptions, NamespaceEnd, Removed, down, foresee, list_environments,
};
use crate::cluster::{Cluster, guard};
use crate::environment::overlay::{Extent, choose};
use crate::environment::{Scope, UpOptions, dismiss, may_write, without};
use crate::error::{Error, Result};
use crate::manifest::is_alias;
use crate::manifest::labels::{self, Stamp};
use crate::plan::{Counts, Plan};
use crate::settings::Settings;

/// How often a removal says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Remove an environment, exactly what it owns
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev down                      your environment of this application
  dev down -e pr-12             another one
  dev down --dry-run            what would go, and nothing is removed
  dev down reviews              of an overlay: its copy of one service; the base's answers again
  dev down --keep-namespace     everything but the namespace
  dev down --all-mine           all of this application's environments that you made

It removes what the environment's inventory lists, and what dev applied with its labels; objects
marked `dev/keep: \"true\"` stay. The namespace goes only if dev made it and nothing else is in it.
Without such an environment there is nothing to do: it says which there are, and returns 0.")]
pub struct Down {
    /// Services of an overlay, which are borrowed again [default: the whole environment]
    #[arg(value_name = "SERVICE", conflicts_with_all = ["keep_namespace", "all_mine"])]
    pub services: Vec<String>,
    /// Leave the namespace
    #[arg(long)]
    pub keep_namespace: bool,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Every environment of this application that you made (label dev/owner), by your user name
    #[arg(long, conflicts_with = "keep_namespace")]
    pub all_mine: bool,
}

/// How environments are removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Leave the namespace.
    pub keep_namespace: bool,
    /// Only show it.
    pub dry_run: bool,
}

/// What was removed of one environment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Gone {
    env: String,
    namespace: String,
    /// Nothing was removed: `removed` is what would be.
    dry_run: bool,
    #[serde(flatten)]
    removed: Removed,
}

impl Down {
    /// Removes the environment.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        let how = How {
            keep_namespace: self.keep_namespace,
            dry_run: self.dry_run,
        };
        if self.all_mine {
            return all_mine(context, &settings, how).await;
        }
        if !self.services.is_empty() {
            return give_back(context, &settings, &self.services, how).await;
        }
        let scope = Scope::choose(&settings, &[], false)?;
        remove(context, &settings, &scope, how).await
    }
}

/// What giving services of an overlay back changed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GivenBack {
    env: String,
    namespace: String,
    changes: Counts,
}

impl GivenBack {
    fn of(scope: &Scope, plan: &Plan) -> Self {
        Self {
            env: scope.stamp.env.clone(),
            namespace: scope.namespace.clone(),
            changes: plan.counts(),
        }
    }
}

/// Removes an overlay's copies of some services; what they had names of leads to the base again.
async fn give_back(
    context: &Context,
    settings: &Settings,
    services: &[String],
    how: How,
) -> Result<()> {
    let ui = &context.ui;
    let cluster = context.connect().await?;
    let extent = Extent {
        overlay: true,
        full: false,
    };
    let scope = choose(settings, services, extent, &cluster, ui)
        .await
        .map_err(|error| match error.reason_code() {
            // What it is good for to have a base is another question than the one that was asked.
            Some("NoBase") => {
                Error::usage("only services of an overlay can be given back, and there is no base")
                    .reason("NoOverlay")
                    .hint("`dev down` without a service removes all of it")
            }
            _ => error,
        })?;
    if !how.dry_run {
        guard::ensure_writable(&cluster, ui).await?;
    }
    let wanted = without(settings, &scope, &cluster, ui).await?;
    let borrows = wanted
        .observed
        .objects
        .values()
        .any(|live| is_alias(&live.value));
    let is_empty = wanted.observed.inventory.is_none();
    if is_empty || !borrows {
        let what = match is_empty {
            true => "is not up",
            false => "is a full copy, of which no part can be borrowed",
        };
        return Err(Error::usage(format!("{} {what}", scope.namespace))
            .reason("NoOverlay")
            .hint("`dev down` without a service removes all of it"));
    }
    let plan = wanted.plan(&scope, &UpOptions::default())?;
    if how.dry_run {
        wanted.tell(&plan, &scope, ui);
        return super::diff::show(&plan, ui);
    }
    plan.check()?;
    may_write(&cluster, &plan).await?;
    wanted.tell(&plan, &scope, ui);
    let options = ApplyOptions {
        timeout: settings.basics.timeout,
        ..ApplyOptions::default()
    };
    apply(&cluster, &plan, &options, &Silent).await?;
    cluster.forget_given(&plan).await?;
    ui.note(format!("{}: {}", scope.namespace, plan.counts().done()));
    ui.data(&GivenBack::of(&scope, &plan), |_| String::new())
}

/// Removes what a scope owns, and says what is left.
pub async fn remove(context: &Context, settings: &Settings, scope: &Scope, how: How) -> Result<()> {
    let cluster = context.connect().await?;
    if !how.dry_run {
        guard::ensure_writable(&cluster, &context.ui).await?;
    }
    let (stamp, namespace) = (&scope.stamp, scope.namespace.as_str());
    let gone = one(context, settings, &cluster, stamp, namespace, how).await?;
    if gone.removed.is_nothing() && gone.removed.kept.is_empty() {
        context.ui.note(absent(&cluster, stamp, namespace).await);
    }
    let failure = gone.removed.failure();
    context.ui.data(&gone, Gone::preview)?;
    failure.map_or(Ok(()), Err)
}

/// Says that an environment is not there, and which are.
async fn absent(cluster: &Cluster, stamp: &Stamp, namespace: &str) -> String {
    let (app, env) = (&stamp.app, &stamp.env);
    if env == labels::BASE_VERSION {
        return format!("dev deploy has made nothing in namespace {namespace}");
    }
    let text = format!("{app} has no environment \"{env}\" (namespace {namespace})");
    // Not everybody may list namespaces.
    let Ok(all) = list_environments(cluster, Some(app)).await else {
        return text;
    };
    let others: Vec<&str> = all
        .iter()
        .map(|found| found.env.as_str())
        .filter(|name| *name != labels::BASE_VERSION)
        .collect();
    match others.is_empty() {
        true => format!("{text}; there is none"),
        false => format!("{text}; there are: {}", others.join(", ")),
    }
}

impl Gone {
    /// What would go, line by line; empty for what is gone, which was told on the way.
    fn preview(&self) -> String {
        if !self.dry_run {
            return String::new();
        }
        let mut lines: Vec<String> = self
            .removed
            .removed
            .iter()
            .map(|key| format!("- {key}"))
            .collect();
        if self.removed.namespace == NamespaceEnd::Deleted {
            lines.push(format!("- Namespace {}", self.namespace));
        }
        lines.join("\n")
    }
}

async fn one(
    context: &Context,
    settings: &Settings,
    cluster: &Cluster,
    stamp: &Stamp,
    namespace: &str,
    how: How,
) -> Result<Gone> {
    let ui = &context.ui;
    let options = DownOptions {
        keep_namespace: how.keep_namespace,
        timeout: settings.basics.timeout,
    };
    let task = ui.task(namespace);
    task.state("looking for what is to be removed");
    // Where each line stays, every single end would be one.
    let told = Mutex::new(Instant::now());
    let tell = |text: &str| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            task.state(text);
        }
    };
    let removed = match how.dry_run {
        true => foresee(cluster, stamp, namespace, how.keep_namespace).await?,
        false => down(cluster, stamp, namespace, &options, &tell).await?,
    };
    let verb = if how.dry_run { "to remove" } else { "removed" };
    let what = match (&removed.namespace, removed.removed.len()) {
        (NamespaceEnd::Deleted, count) => format!("{count} objects and the namespace {verb}"),
        (_, 0) if removed.failures.is_empty() => "nothing to remove".to_owned(),
        (_, count) => format!("{count} objects {verb}"),
    };
    match removed.failures.is_empty() {
        true => task.done(what),
        false => task.failed(what),
    }
    for key in &removed.kept {
        ui.note(format!("kept: {key} (dev/keep)"));
    }
    for key in &removed.outside {
        ui.note(format!(
            "left: {key}, in no namespace: the inventory lists it, but dev did not make it"
        ));
    }
    if let NamespaceEnd::Kept(why) = &removed.namespace
        && removed.foreign.is_empty()
        && !how.keep_namespace
    {
        ui.note(format!("the namespace {namespace} stays: {why}"));
    }
    if !removed.foreign.is_empty() {
        let names: Vec<String> = removed.foreign.iter().map(ToString::to_string).collect();
        ui.note(format!(
            "the namespace {namespace} stays, with objects that dev did not make: {}",
            names.join(", ")
        ));
    }
    let changed = !how.dry_run && removed.namespace != NamespaceEnd::Absent;
    if let (Some(base), true) = (&stamp.base, changed) {
        let gone = removed.namespace == NamespaceEnd::Deleted;
        dismiss(base, namespace, gone, cluster, ui).await?;
    }
    Ok(Gone {
        env: stamp.env.clone(),
        namespace: namespace.to_owned(),
        dry_run: how.dry_run,
        removed,
    })
}

async fn all_mine(context: &Context, settings: &Settings, how: How) -> Result<()> {
    let Some(mine) = crate::project::label::label_from(&settings.user) else {
        return Err(
            Error::usage("no user name is known, so no environment is known to be yours")
                .hint("name them: `dev down -e NAME`"),
        );
    };
    let cluster = context.connect().await?;
    if !how.dry_run {
        guard::ensure_writable(&cluster, &context.ui).await?;
    }
    let mut all = Vec::new();
    let mut failure = None;
    for found in list_environments(&cluster, Some(settings.app())).await? {
        // One without an owner may be anybody's, unless it has its name from the user's.
        let owner = found.owner.as_ref().unwrap_or(&found.env);
        if *owner != mine || found.env == labels::BASE_VERSION {
            continue;
        }
        let stamp = Stamp {
            app: found.app,
            env: found.env.clone(),
            base: found.base,
            version: found.env,
        };
        let gone = one(context, settings, &cluster, &stamp, &found.namespace, how).await?;
        failure = failure.or_else(|| gone.removed.failure());
        all.push(gone);
    }
    if all.is_empty() {
        context.ui.note(format!(
            "no environment of {} was made by {mine}",
            settings.app()
        ));
    }
    context.ui.data(&all, |all| {
        let previews: Vec<String> = all.iter().map(Gone::preview).collect();
        previews.join("\n")
    })?;
    failure.map_or(Ok(()), Err)
}
