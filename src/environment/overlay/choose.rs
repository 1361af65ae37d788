//! Whether a command works on a full copy or on an overlay.

use std::collections::BTreeSet;

use clap::Args;

use crate::cluster::Cluster;
use crate::cluster::base::Base;
use crate::environment::{Scope, exactly};
use crate::error::{Error, Result};
use crate::manifest::labels::Stamp;
use crate::plan::NamespaceState;
use crate::settings::{Settings, Sourced};
use crate::ui::Ui;

/// How much of the application an environment copies.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Copy only these services and borrow all others of the base [default where services are named and the base has routers]
    #[arg(long, conflicts_with = "full")]
    pub overlay: bool,
    /// Copy these services with everything that they need
    #[arg(long)]
    pub full: bool,
}

/// What is in the environment's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Here {
    /// The services that are copied.
    copied: BTreeSet<String>,
    /// Whether anything is borrowed.
    borrows: bool,
}

/// The scope of a command for these services.
///
/// An overlay where `--overlay` says so, or where services are named, there is a base that can route, and the environment is no full
/// copy yet; else a full copy.
pub async fn choose(
    settings: &Settings,
    asked: &[String],
    extent: Extent,
    cluster: &Cluster,
    ui: &Ui,
) -> Result<Scope> {
    // What was typed wrongly is told before the cluster is asked.
    let full = Scope::choose(settings, asked, false)?;
    if extent.full {
        return Ok(full);
    }
    let base = match possible(settings) {
        Ok(base) => base,
        Err(error) if extent.overlay => return Err(error),
        Err(_) => return Ok(full),
    };
    if extent.overlay {
        return forced(settings, asked, &full.stamp, base, cluster).await;
    }
    if asked.is_empty() {
        return Ok(full);
    }
    let (base, here) = match futures::future::try_join(
        cluster.read_base(&base.value),
        look_here(settings, &full.stamp, cluster),
    )
    .await
    {
        Ok(found) => found,
        Err(error) if error.reason_code() == Some("MissingRight") => {
            ui.note(format!(
                "a full copy, because nothing can be borrowed: {error}"
            ));
            return Ok(full);
        }
        Err(error) => return Err(error),
    };
    if !base.routes() {
        ui.detail(format!(
            "a full copy: the base {} has no routers",
            base.name
        ));
        return Ok(full);
    }
    if !here.borrows && !here.copied.is_empty() {
        ui.detail(format!(
            "{} is a full copy and stays one; --overlay overrides this",
            full.namespace
        ));
        return Ok(full);
    }
    Scope::overlay(settings, asked, base)
}

/// The base of an overlay, where there can be one.
fn possible(settings: &Settings) -> Result<&Sourced<String>> {
    let Some(base) = &settings.base else {
        return Err(Error::usage("there is no base to borrow services from")
            .reason("NoBase")
            .at(settings.project.place(&["app"]))
            .hint("add `base: NAMESPACE` to dev.yaml or give --base NAMESPACE; without one, `dev up` copies everything"));
    };
    if base.value == settings.namespace.value {
        return Err(Error::usage(format!(
            "an overlay needs a namespace of its own, and {} is the base itself",
            base.value
        ))
        .reason("NoBase")
        .hint("leave --namespace out"));
    }
    Ok(base)
}

async fn forced(
    settings: &Settings,
    asked: &[String],
    stamp: &Stamp,
    base: &Sourced<String>,
    cluster: &Cluster,
) -> Result<Scope> {
    let (found, state) = futures::future::try_join(
        cluster.read_base(&base.value),
        cluster.namespace_state(&base.value),
    )
    .await?;
    if state == NamespaceState::Absent {
        return Err(Error::usage(format!(
            "there is no namespace {} in {} to borrow services from",
            base.value, cluster.context
        ))
        .reason("NoBase")
        .hint("`dev deploy` makes a base; --base NAMESPACE names another one")
        .hint("or copy everything: leave --overlay out"));
    }
    if !asked.is_empty() {
        return Scope::overlay(settings, asked, found);
    }
    // Nothing named: those of the profile, else those that are copied already.
    let services: Vec<String> = match &settings.services {
        Some(services) => services.clone(),
        None => {
            let known = &settings.project.project.services;
            let here = look_here(settings, stamp, cluster).await?;
            here.copied
                .into_iter()
                .filter(|name| known.contains_key(name))
                .collect()
        }
    };
    if services.is_empty() {
        return Err(Error::usage("no service is named, and none is copied yet")
            .reason("NothingToCopy")
            .hint("name those that you change: `dev up SERVICE… --overlay`"));
    }
    Scope::overlay(settings, &services, found)
}

async fn look_here(settings: &Settings, stamp: &Stamp, cluster: &Cluster) -> Result<Here> {
    let namespace = &settings.namespace.value;
    let (inventory, aliases) = futures::future::try_join(
        cluster.read_inventory(namespace, stamp),
        cluster.alias_names(namespace),
    )
    .await?;
    let inventory = inventory.unwrap_or_default();
    let copied = inventory.entries().filter(|entry| {
        let is_alias = entry.key.kind == "Service" && aliases.contains(&entry.key.name);
        !entry.service.is_empty() && !is_alias
    });
    Ok(Here {
        copied: copied.map(|entry| entry.service.clone()).collect(),
        borrows: !aliases.is_empty(),
    })
}

impl Scope {
    /// An overlay of a base that copies exactly these services.
    pub fn overlay(settings: &Settings, services: &[String], base: Base) -> Result<Self> {
        exactly(&settings.project.project.services, services)?;
        let mut scope = Self::choose(settings, services, false)?;
        scope.services = services.iter().cloned().collect();
        scope.stamp.base = Some(base.name.clone());
        scope.complete = false;
        scope.overlay = Some(base);
        Ok(scope)
    }
}
