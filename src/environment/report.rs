//! PURE: what a command says of the services of an environment when it is done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{ImageReport, Overlay, Scope};
use crate::cluster::health::{Health, ServiceObjects, State, Target};
use crate::cluster::url::Exposed;
use crate::error::Error;
use crate::manifest::ObjectKey;
use crate::plan::Counts;
use crate::ui::{table, took};

/// What `dev up` did, and what runs now.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The application.
    pub app: String,
    /// The environment.
    pub env: String,
    /// Its namespace.
    pub namespace: String,
    /// The context of the cluster.
    pub context: String,
    /// What was written.
    pub changes: Counts,
    /// What was done for images.
    pub images: Vec<ImageReport>,
    /// The services.
    pub services: Vec<ServiceReport>,
    /// What an overlay borrows, and which requests reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// Whether readiness was waited for.
    pub waited: bool,
    /// How long all of it took, in seconds.
    pub seconds: f64,
}

/// One service.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReport {
    /// Its health.
    #[serde(flatten)]
    pub health: Health,
    /// Its version.
    pub version: String,
    /// Where that runs.
    pub namespace: String,
    /// Where it is reached.
    pub urls: Vec<String>,
    /// In an overlay: the header of those requests to the base that reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<String>,
}

impl Report {
    /// The form for people.
    pub fn table(&self) -> String {
        let mut text = services_table(&self.services, self.overlay.as_ref());
        let time = took(Duration::from_secs_f64(self.seconds));
        let state = match self.waited {
            true => format!("is up in namespace {}", self.namespace),
            false => format!("is applied in namespace {}, not waited for", self.namespace),
        };
        let changes = self.changes.done();
        text.push_str(&format!("\n\n{} {state}: {changes} ({time})", self.env));
        text
    }
}

/// The services of an environment with where each is reached.
pub fn service_reports(
    healths: Vec<Health>,
    scope: &Scope,
    exposed: &Exposed,
    overlay: Option<&Overlay>,
) -> Vec<ServiceReport> {
    let report = |health: Health| ServiceReport {
        version: scope.stamp.version.clone(),
        namespace: scope.namespace.clone(),
        urls: exposed
            .urls(&health.service, &scope.stamp.env)
            .into_iter()
            .map(|url| url.url)
            .collect(),
        requests: overlay.and_then(|overlay| overlay.header(&health.service, exposed)),
        health,
    };
    healths.into_iter().map(report).collect()
}

/// The services as a table; below it, what an overlay borrows.
pub fn services_table(services: &[ServiceReport], overlay: Option<&Overlay>) -> String {
    let rows: Vec<Vec<String>> = services
        .iter()
        .map(|service| {
            let health = &service.health;
            let ready = match health.wanted {
                0 => "-".to_owned(),
                wanted => format!("{}/{wanted}", health.ready),
            };
            let mut row = vec![health.service.clone(), service.version.clone()];
            if overlay.is_some() {
                row.push(service.namespace.clone());
            }
            row.extend([state_word(&health.state).to_owned(), ready]);
            if overlay.is_some() {
                row.push(service.requests.clone().unwrap_or_else(|| "-".to_owned()));
            }
            row.push(service.urls.first().cloned().unwrap_or_default());
            row
        })
        .collect();
    let Some(overlay) = overlay else {
        return table(&["SERVICE", "VERSION", "STATE", "READY", "URL"], &rows);
    };
    let heads = [
        "SERVICE",
        "VERSION",
        "NAMESPACE",
        "STATE",
        "READY",
        "REQUESTS",
        "URL",
    ];
    let mut text = table(&heads, &rows).trim_end_matches('\n').to_owned();
    let borrowed = match overlay.borrowed.as_slice() {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    text.push_str(&format!("\nborrowed from {}: {borrowed}", overlay.base));
    if let Some(outside) = overlay.outside.iter().find(|url| !url.inside) {
        text.push_str(&format!(
            "\nfrom outside: {} by {}",
            outside.url, outside.via
        ));
    }
    for (service, why) in &overlay.unreachable {
        text.push_str(&format!(
            "\n{service} answers in the environment only: {why}"
        ));
    }
    text
}

/// One word for a state.
pub fn state_word(state: &State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Progressing => "starting",
        State::Troubled { .. } => "trouble",
        State::Failed { .. } => "failed",
    }
}

/// The objects to wait for, by service, from keys with the service that they belong to.
pub fn service_objects<'a>(
    objects: impl Iterator<Item = (&'a str, &'a ObjectKey)>,
) -> Vec<ServiceObjects> {
    let mut services: BTreeMap<&str, Vec<Target>> = BTreeMap::new();
    for (service, key) in objects {
        services
            .entry(service)
            .or_default()
            .push(Target::new(key.clone()));
    }
    services
        .into_iter()
        .map(|(service, workloads)| ServiceObjects {
            service: service.to_owned(),
            workloads,
        })
        .collect()
}

/// The error of services that are not ready, each trouble with its hint.
pub fn not_ready(services: &[Health], after: Duration) -> Error {
    let bad: Vec<&Health> = services
        .iter()
        .filter(|health| !health.is_ready())
        .collect();
    let names: Vec<&str> = bad.iter().map(|health| health.service.as_str()).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let failed = bad.iter().any(|health| health.is_failed());
    let what = if failed { "failed" } else { "not ready" };
    let mut error = Error::not_ready(format!(
        "{} {verb} {what} after {}",
        names.join(", "),
        took(after)
    ));
    if failed && bad.iter().all(|health| health.is_failed()) {
        error = Error::not_ready(format!("{} failed after {}", names.join(", "), took(after)));
    }
    if let Some(first) = bad.iter().flat_map(|health| health.troubles()).next() {
        error = error.reason(first.reason.code());
    }
    let mut hints: Vec<&str> = Vec::new();
    for health in &bad {
        if health.troubles().is_empty() {
            error = error.cause(format!("{}: {}", health.service, health.text));
        }
        for trouble in health.troubles() {
            let mut text = format!("{}: [{}] {trouble}", health.service, trouble.reason.code());
            for line in &trouble.detail {
                text.push_str(&format!("\n    {line}"));
            }
            if !trouble.lines.is_empty() {
                text.push_str("\n    its last lines:");
            }
            for line in &trouble.lines {
                text.push_str(&format!("\n    | {line}"));
            }
            error = error.cause(text);
            hints.extend(trouble.hint.as_deref().filter(|hint| !hints.contains(hint)));
        }
    }
    if hints.is_empty() {
        hints.push("`dev status` shows how it goes on; --timeout waits longer");
    }
    hints.into_iter().fold(error, Error::hint)
}
