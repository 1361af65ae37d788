//! From the sources of each service to the objects of an environment.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use super::{Scope, ServiceImages, overlay, sets};
use crate::cluster::Cluster;
use crate::cluster::base::Base;
use crate::error::{Error, Result};
use crate::local::Git;
use crate::manifest::labels::BASE_VERSION;
use crate::manifest::transform::{
    Expected, Mode, Scope as KindScope, Target, builtin_scope, transform,
};
use crate::manifest::{self, Manifest, Note, Skipped, live, validate};
use crate::settings::Settings;
use crate::ui::Ui;

/// The objects of an environment, and what should be said about them.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// In the order of the services and their sources.
    pub objects: Vec<Manifest>,
    /// What the sources of services hold that is not applied as it stands there, such as Helm hooks.
    pub sources: Vec<Note>,
    /// What was changed to make a copy.
    pub notes: Vec<Note>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// What an overlay brings along from its base.
    pub said: Vec<String>,
    /// What is referred to and must be in the namespace already.
    pub expected: Vec<Expected>,
}

impl Rendered {
    /// Adds an alias for each Service of the base that is not made here.
    pub fn add_aliases(&mut self, base: &Base, scope: &Scope, domain: &str) {
        let made: BTreeSet<String> = self
            .objects
            .iter()
            .filter(|object| object.kind() == "Service" && object.key().group().is_empty())
            .map(|object| object.name().to_owned())
            .collect();
        let aliases = overlay::aliases(base, scope, domain, &|name| made.contains(name));
        self.objects.extend(aliases);
    }

    /// Says what was left out, and with `-v` what was changed.
    pub fn tell(&self, ui: &Ui) {
        for skipped in &self.skipped {
            ui.note(skipped.to_string());
        }
        for note in &self.sources {
            ui.note(note.to_string());
        }
        for note in &self.notes {
            ui.detail(note.to_string());
        }
        match self.notes.len() {
            0 => {}
            _ if ui.is_verbose() => {}
            1 => ui.note("1 change makes the copy safe or follows its names; -v says which"),
            count => ui.note(format!(
                "{count} changes make the copy safe or follow its names; -v says which"
            )),
        }
    }
}

/// Renders every service of the scope and makes copies of them for its namespace. A cluster is asked only for
/// services that are `live: true`; without one those are an error.
pub async fn render(
    settings: &Settings,
    scope: &Scope,
    images: &ServiceImages,
    cluster: Option<&Cluster>,
    ui: &Ui,
) -> Result<Rendered> {
    sets::check(settings, ui)?;
    let root = settings.root();
    let git = git_state(settings).await?;
    let references = images.references();
    let services = &settings.project.project.services;
    let chosen = services
        .iter()
        .filter(|(name, _)| scope.services.contains(*name));
    let loads = chosen.clone().map(|(name, service)| {
        let context = manifest::Context {
            app: settings.app().to_owned(),
            env: scope.stamp.env.clone(),
            service: name.clone(),
            version: scope.stamp.version.clone(),
            namespace: scope.namespace.clone(),
            image: references.get(name).cloned(),
            images: references.clone(),
            profile: settings.profile.value.clone(),
            git: git.clone(),
            user: settings.user.clone(),
            vars: settings.vars(&service.vars),
        };
        async move {
            let loaded = match service.live {
                true => copy_of_the_base(name, settings, cluster).await,
                false => manifest::load(name, service, root, &context, ui).await,
            };
            loaded.map_err(|error| match error.place() {
                Some(_) => error,
                None => error.at(settings
                    .project
                    .place(&["services", name, service.source()])),
            })
        }
    });
    let mut objects = Vec::new();
    let mut sources = Vec::new();
    let mut skipped = Vec::new();
    for ((_, service), mut loaded) in chosen.zip(try_join_all(loads).await?) {
        if scope.overlay.is_some() {
            overlay::use_scratch(&mut loaded.manifests, &service.claims);
            if service.live {
                let (kept, left) = overlay::without_followed(loaded.manifests);
                loaded.manifests = kept;
                skipped.extend(left);
            }
        }
        objects.extend(loaded.manifests);
        sources.extend(loaded.notes);
    }
    // Two live services may share a ConfigMap.
    let mut objects = live::without_repeats(objects);
    let at_the_name = |error| manifest::at_the_name(error, root);
    validate::check_unique(&objects).map_err(at_the_name)?;
    let scopes = scopes_of(&objects, cluster).await?;
    let target = Target {
        stamp: scope.stamp.clone(),
        namespace: scope.namespace.clone(),
        home: settings
            .base
            .iter()
            .map(|base| base.value.clone())
            .collect(),
        suffix: scope.suffix.clone(),
        domain: None,
        mode: if scope.base { Mode::Base } else { Mode::Copy },
    };
    let scope_of = |api_version: &str, kind: &str| {
        let kind = (api_version.to_owned(), kind.to_owned());
        scopes.get(&kind).copied()
    };
    let (mut said, mut permissions) = (Vec::new(), Vec::new());
    let overlay = scope.overlay.as_ref().zip(cluster);
    if let Some((base, cluster)) = overlay {
        // What is missing shows only when all references are followed; what is brought along is then treated like the rest.
        let expected = transform(objects.clone(), &target, &scope_of)
            .map_err(at_the_name)?
            .expected;
        let brought = overlay::bring(settings, scope, base, cluster, &expected).await?;
        objects.extend(brought.objects);
        overlay::mark(&mut objects, &brought.wishes)?;
        said = brought.said;
        // Their subject is in the base: they are not part of what is fitted to the environment.
        permissions = overlay::permissions(&brought.wishes, scope, base);
    }
    let transformed = transform(objects, &target, &scope_of).map_err(at_the_name)?;
    skipped.extend(transformed.skipped);
    let mut rendered = Rendered {
        objects: transformed.objects,
        sources,
        notes: transformed.notes,
        skipped,
        said,
        expected: transformed.expected,
    };
    rendered.objects.extend(permissions);
    if let Some((base, _)) = overlay {
        rendered.add_aliases(base, scope, &settings.cluster_domain.value);
    }
    Ok(rendered)
}

/// Whether kinds that are not built in belong to namespaces, as the cluster says where there is one.
async fn scopes_of(
    objects: &[Manifest],
    cluster: Option<&Cluster>,
) -> Result<BTreeMap<(String, String), KindScope>> {
    let mut scopes = BTreeMap::new();
    let Some(cluster) = cluster else {
        return Ok(scopes);
    };
    for object in objects {
        let kind = (object.api_version().to_owned(), object.kind().to_owned());
        if builtin_scope(object.key().group(), &kind.1).is_some() || scopes.contains_key(&kind) {
            continue;
        }
        if let Some(resource) = cluster.resource(&kind.0, &kind.1).await? {
            let scope = match resource.namespaced {
                true => KindScope::Namespaced,
                false => KindScope::Cluster,
            };
            scopes.insert(kind, scope);
        }
    }
    Ok(scopes)
}

/// What runs in the base as this service.
async fn copy_of_the_base(
    name: &str,
    settings: &Settings,
    cluster: Option<&Cluster>,
) -> Result<manifest::Loaded> {
    let place = settings.project.place(&["services", name, "live"]);
    let Some(cluster) = cluster else {
        return Err(Error::usage(format!(
            "service \"{name}\" is `live: true`: it is copied from what runs, which takes a cluster"
        ))
        .at(place));
    };
    let base = settings
        .base
        .as_ref()
        .map_or(BASE_VERSION, |base| &base.value);
    let observed = crate::cluster::observe::everything(cluster, base).await?;
    let observed = live::unrouted(observed);
    let manifests = live::closure(name, &observed).map_err(|error| error.at(place))?;
    Ok(manifest::Loaded {
        manifests,
        notes: Vec::new(),
    })
}

async fn git_state(settings: &Settings) -> Result<manifest::Git> {
    let root = settings.root().to_path_buf();
    let state = tokio::task::spawn_blocking(move || match Git::discover(&root) {
        Ok(Some(git)) => git.state().map(Some),
        // One that git refuses was told about when the settings were read.
        Ok(None) | Err(_) => Ok(None),
    })
    .await
    .map_err(|cause| Error::failed("asking git was cut short").caused_by(&cause))??;
    Ok(
        state.map_or_else(manifest::Git::default, |state| manifest::Git {
            branch: state.branch.unwrap_or_default(),
            commit: state.commit.unwrap_or_default(),
            dirty: state.dirty,
        }),
    )
}
