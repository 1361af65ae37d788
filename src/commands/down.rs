//! `dev down`

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::Context;
use crate::cluster::apply::{ApplyOptions, Silent, apply};
use crate::cluster::remove::{DownOptions, NamespaceEnd, Removed, down, list_environments};
use crate::cluster::{Cluster, guard};
use crate::environment::overlay::{Extent, choose};
use crate::environment::{Scope, UpOptions, dismiss, may_write, without};
use crate::error::{Error, Result};
use crate::manifest::is_alias;
use crate::manifest::labels::{self, Stamp};
use crate::settings::Settings;

/// How often a removal says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Remove an environment, exactly what it owns
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev down                      your environment of this application
  dev down -e pr-12             another one
  dev down reviews              of an overlay: its copy of one service; the base's answers again
  dev down --keep-namespace     everything but the namespace
  dev down --all-mine           all of this application's environments that you made

It removes what the environment's inventory lists, and what dev applied with its labels; objects marked `dev/keep: \"true\"`
stay. The namespace goes only if dev made it and nothing else is in it.")]
pub struct Down {
    /// Services of an overlay, which are borrowed again [default: the whole environment]
    #[arg(value_name = "SERVICE", conflicts_with_all = ["keep_namespace", "all_mine"])]
    pub services: Vec<String>,
    /// Leave the namespace
    #[arg(long)]
    pub keep_namespace: bool,
    /// Every environment of this application that you made (label dev/owner), by your user name
    #[arg(long, conflicts_with = "keep_namespace")]
    pub all_mine: bool,
}

/// What was removed of one environment.
#[derive(Serialize)]
struct Gone {
    env: String,
    namespace: String,
    #[serde(flatten)]
    removed: Removed,
}

impl Down {
    /// Removes the environment.
    pub async fn run(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        if self.all_mine {
            return all_mine(context, &settings).await;
        }
        if !self.services.is_empty() {
            return give_back(context, &settings, &self.services).await;
        }
        let scope = Scope::choose(&settings, &[], false)?;
        remove(context, &settings, &scope, self.keep_namespace).await
    }
}

/// Removes an overlay's copies of some services; what they had names of leads to the base again.
async fn give_back(context: &Context, settings: &Settings, services: &[String]) -> Result<()> {
    let ui = &context.ui;
    let cluster = context.connect().await?;
    let extent = Extent {
        overlay: true,
        full: false,
    };
    let scope = choose(settings, services, extent, &cluster, ui).await?;
    guard::ensure_writable(&cluster, ui).await?;
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
    plan.check()?;
    may_write(&cluster, &plan).await?;
    wanted.tell(&plan, &scope, ui);
    let options = ApplyOptions {
        timeout: settings.basics.timeout,
        ..ApplyOptions::default()
    };
    apply(&cluster, &plan, &options, &Silent).await?;
    cluster.forget_given(&plan).await?;
    ui.note(format!("{}: {}", scope.namespace, plan.counts()));
    ui.data(&plan.counts(), |_| String::new())
}

/// Removes what a scope owns, and says what is left.
pub async fn remove(
    context: &Context,
    settings: &Settings,
    scope: &Scope,
    keep_namespace: bool,
) -> Result<()> {
    let cluster = context.connect().await?;
    guard::ensure_writable(&cluster, &context.ui).await?;
    let gone = one(
        context,
        settings,
        &cluster,
        &scope.stamp,
        &scope.namespace,
        keep_namespace,
    )
    .await?;
    let failure = gone.removed.failure();
    context.ui.data(&gone, |_| String::new())?;
    failure.map_or(Ok(()), Err)
}

async fn one(
    context: &Context,
    settings: &Settings,
    cluster: &Cluster,
    stamp: &Stamp,
    namespace: &str,
    keep_namespace: bool,
) -> Result<Gone> {
    let ui = &context.ui;
    let options = DownOptions {
        keep_namespace,
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
    let removed = down(cluster, stamp, namespace, &options, &tell).await?;
    let what = match (&removed.namespace, removed.removed.len()) {
        (NamespaceEnd::Deleted, count) => format!("{count} objects and the namespace removed"),
        (_, 0) if removed.failures.is_empty() => "nothing to remove".to_owned(),
        (_, count) => format!("{count} objects removed"),
    };
    match removed.failures.is_empty() {
        true => task.done(what),
        false => task.failed(what),
    }
    for key in &removed.kept {
        ui.note(format!("kept: {key} (dev/keep)"));
    }
    if let NamespaceEnd::Kept(why) = &removed.namespace
        && removed.foreign.is_empty()
        && !keep_namespace
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
    if let (Some(base), true) = (&stamp.base, removed.namespace != NamespaceEnd::Absent) {
        let gone = removed.namespace == NamespaceEnd::Deleted;
        dismiss(base, namespace, gone, cluster, ui).await?;
    }
    Ok(Gone {
        env: stamp.env.clone(),
        namespace: namespace.to_owned(),
        removed,
    })
}

async fn all_mine(context: &Context, settings: &Settings) -> Result<()> {
    let Some(mine) = crate::project::label::label_from(&settings.user) else {
        return Err(
            Error::usage("no user name is known, so no environment is known to be yours")
                .hint("name them: dev down -e NAME"),
        );
    };
    let cluster = context.connect().await?;
    guard::ensure_writable(&cluster, &context.ui).await?;
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
        let gone = one(context, settings, &cluster, &stamp, &found.namespace, false).await?;
        failure = failure.or_else(|| gone.removed.failure());
        all.push(gone);
    }
    if all.is_empty() {
        context.ui.note(format!(
            "no environment of {} was made by {mine}",
            settings.app()
        ));
    }
    context.ui.data(&all, |_| String::new())?;
    failure.map_or(Ok(()), Err)
}
