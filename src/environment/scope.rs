//! PURE: what a command works on: which services, in which namespace, under which name.

use std::collections::{BTreeMap, BTreeSet};

use super::select;
use crate::cluster::base::Base;
use crate::error::{Error, Result};
use crate::manifest::labels::{BASE_VERSION, Stamp};
use crate::settings::Settings;

/// What a command works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The labels of every object.
    pub stamp: Stamp,
    /// The namespace.
    pub namespace: String,
    /// The services.
    pub services: BTreeSet<String>,
    /// Whether these are all services of the environment: only then is what is missing pruned.
    pub complete: bool,
    /// Whether this is the base itself, which is not made safe as copies are.
    pub base: bool,
    /// Ends the names of objects that live beside other versions in one namespace.
    pub suffix: Option<String>,
    /// The base that an overlay borrows all other services from, as it was read; `None` for a full copy and for the base itself.
    pub overlay: Option<Base>,
}

impl Scope {
    /// The scope of an environment, or of the base itself.
    pub fn choose(settings: &Settings, asked: &[String], base: bool) -> Result<Self> {
        let project = &settings.project.project;
        let services = select::with_needs(&project.services, settings.services.as_deref(), asked)?;
        let stamp = Stamp {
            app: project.app.clone(),
            env: settings.env.value.clone(),
            base: settings.base.as_ref().map(|base| base.value.clone()),
            version: settings.env.value.clone(),
        };
        let scope = Self {
            suffix: settings.side_by_side().then(|| stamp.version.clone()),
            stamp,
            namespace: settings.namespace.value.clone(),
            services,
            complete: asked.is_empty(),
            base: false,
            overlay: None,
        };
        if base {
            let scope = scope.of_base(settings)?.without_live(settings);
            match scope.services.is_empty() {
                false => Ok(scope),
                true => Err(Error::usage("every service is `live: true`: they are copied from the base, which others make")
                    .at(settings.project.place(&["services"]))
                    .hint("`dev deploy` is for services with manifests, helm or kustomize")),
            }
        } else {
            Ok(scope)
        }
    }

    /// The same services as versions of the base itself.
    pub fn of_base(&self, settings: &Settings) -> Result<Self> {
        let Some(base) = &settings.base else {
            return Err(
                Error::usage("there is no base: neither --base nor dev.yaml names one")
                    .at(settings.project.place(&["app"]))
                    .hint("add `base: NAMESPACE` to dev.yaml, or give --base NAMESPACE"),
            );
        };
        let mut scope = self.clone();
        scope.stamp.env = BASE_VERSION.to_owned();
        scope.stamp.version = BASE_VERSION.to_owned();
        scope.namespace.clone_from(&base.value);
        scope.base = true;
        scope.suffix = None;
        Ok(scope)
    }

    /// Whether a service is copied from what runs in the base.
    pub fn has_live(&self, settings: &Settings) -> bool {
        let services = &settings.project.project.services;
        self.services
            .iter()
            .any(|name| services.get(name).is_some_and(|service| service.live))
    }

    /// Takes the services out that are copied from what runs: the base cannot be a copy of itself.
    fn without_live(mut self, settings: &Settings) -> Self {
        self.leave_out_live(settings);
        self
    }

    /// Takes the services that are copied from the base out, and returns their names.
    pub fn leave_out_live(&mut self, settings: &Settings) -> Vec<String> {
        let services = &settings.project.project.services;
        let is_live = |name: &String| services.get(name).is_some_and(|service| service.live);
        let (live, kept): (BTreeSet<_>, BTreeSet<_>) = std::mem::take(&mut self.services)
            .into_iter()
            .partition(is_live);
        self.services = kept;
        live.into_iter().collect()
    }

    /// What each service waits for, of the services in the scope.
    pub fn needs(&self, settings: &Settings) -> BTreeMap<String, Vec<String>> {
        let services = &settings.project.project.services;
        self.services
            .iter()
            .filter_map(|name| {
                let needs = services.get(name)?.needs.iter();
                let needs = needs.filter(|need| self.services.contains(*need));
                Some((name.clone(), needs.cloned().collect()))
            })
            .collect()
    }
}
