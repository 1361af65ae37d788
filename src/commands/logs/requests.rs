//! `dev logs --requests`: the requests that carried the environment's name, from the routers of its base.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use super::Logs;
use crate::cluster::Cluster;
use crate::cluster::router_status::Unknown;
use crate::commands::Context;
use crate::environment::exactly;
use crate::error::{Error, Result};
use crate::router::requests::{Page, Request};
use crate::settings::Settings;
use crate::ui::{Format, Ui};

/// How many are shown unless something else is said: all that routers keep of an environment.
const TAIL: usize = 500;
/// How long the routers may keep an answer, in seconds; less than the API server waits.
const HANG: u64 = 20;
/// The pause before routers that did not answer are asked again.
const AGAIN: Duration = Duration::from_secs(1);

impl Logs {
    /// Prints requests.
    pub(super) async fn requests(self, context: &Context) -> Result<()> {
        let settings = context.settings()?;
        exactly(&settings.project.project.services, &self.services)?;
        let cluster = context.connect().await?;
        let (base, env) = asked(&settings, &cluster).await?;
        let ui = &context.ui;
        let since = self.since.map(|since| {
            let now = Timestamp::now();
            let ago = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
            now.checked_sub(ago).unwrap_or(Timestamp::MIN).to_string()
        });
        let tail = match self.tail {
            Some(tail) => usize::try_from(tail).unwrap_or(TAIL),
            None => TAIL,
        };
        let shown = |page: &Page| -> Result<()> {
            let young = |one: &&Request| since.as_ref().is_none_or(|since| one.time >= *since);
            page.requests
                .iter()
                .filter(young)
                .try_for_each(|one| ui.write(line(one, ui.format()).as_bytes()))
        };
        let first = cluster
            .router_requests(&base, &env, &self.services, tail, None)
            .await
            .map_err(Error::from)?;
        shown(&first)?;
        let mut troubles = Vec::new();
        tell(&mut troubles, first.errors, ui);
        if !self.follow {
            if first.requests.is_empty() {
                ui.note(format!(
                    "no request with dev-env={env} has come to the routers of {base} lately"
                ));
            }
            return Ok(());
        }
        let mut next = first.next;
        loop {
            let after = Some((next.as_str(), HANG));
            match cluster
                .router_requests(&base, &env, &self.services, tail, after)
                .await
            {
                Ok(page) => {
                    shown(&page)?;
                    tell(&mut troubles, page.errors, ui);
                    next = page.next;
                }
                Err(unknown @ Unknown::NoRight(_)) => return Err(unknown.into()),
                // Routers come and go; what they keep is told afterwards.
                Err(Unknown::NoAnswer(error)) => {
                    tell(&mut troubles, vec![error.to_string()], ui);
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

/// The base, and the name by which it knows the environment.
async fn asked(settings: &Settings, cluster: &Cluster) -> Result<(String, String)> {
    let namespace = &settings.namespace.value;
    let Some(base) = &settings.base else {
        return Err(Error::usage(
            "requests are told by the routers of a base, and there is no base",
        )
        .reason("NoBase")
        .hint("add `base: NAMESPACE` to dev.yaml or give --base NAMESPACE"));
    };
    let base = cluster.read_base(&base.value).await?;
    if !base.has_router() {
        return Err(
            Error::failed(format!("the base {} has no routers", base.name))
                .reason("NoRouter")
                .hint(format!("dev router install --base {}", base.name)),
        );
    }
    match base.env_of(namespace) {
        Some(env) => Ok((base.name.clone(), env.to_owned())),
        None => Err(Error::failed(format!(
            "the base {} does not admit {namespace}: no request is led there",
            base.name
        ))
        .reason("NotAdmitted")
        .hint(format!(
            "who may write in {0} admits it: dev router admit {namespace} --base {0}",
            base.name
        ))),
    }
}

/// Says what is new among what is wrong.
fn tell(said: &mut Vec<String>, now: Vec<String>, ui: &Ui) {
    for line in now.iter().filter(|line| !said.contains(line)) {
        ui.note(line);
    }
    *said = now;
}

/// One line, with its end.
fn line(request: &Request, format: Format) -> String {
    match format {
        Format::Json => {
            let mut text = serde_json::to_string(request).unwrap_or_default();
            text.push('\n');
            text
        }
        Format::Table | Format::Yaml => text(request),
    }
}

/// `2026-01-02T10:11:12.345Z reviews=ann GET /reviews/1 200 12 ms`
fn text(request: &Request) -> String {
    let Request {
        time,
        service,
        version,
        method,
        path,
        milliseconds,
        ..
    } = request;
    let status = match request.status {
        0 => "no answer".to_owned(),
        status => status.to_string(),
    };
    let grpc = request
        .grpc_status
        .map(|status| format!(" grpc-status {status}"))
        .unwrap_or_default();
    let details = request
        .details
        .as_ref()
        .map(|details| format!(" ({details})"))
        .unwrap_or_default();
    format!(
        "{} {service}={version} {method} {path} {status}{grpc} {milliseconds:.0} ms{details}\n",
        short(time)
    )
}

/// Without what is below milliseconds.
fn short(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => format!("{time:.3}"),
        Err(_) => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line() {
        let mut request = Request {
            time: "2026-01-02T10:11:12.345678Z".into(),
            env: "ann".into(),
            service: "reviews".into(),
            version: "ann".into(),
            method: "GET".into(),
            path: "/reviews/1".into(),
            status: 200,
            milliseconds: 12.3,
            router: "r1".into(),
            ..Request::default()
        };
        assert_eq!(
            line(&request, Format::Table),
            "2026-01-02T10:11:12.345Z reviews=ann GET /reviews/1 200 12 ms\n"
        );
        request.grpc_status = Some(14);
        request.details = Some("direct_response".into());
        assert_eq!(
            line(&request, Format::Table),
            "2026-01-02T10:11:12.345Z reviews=ann GET /reviews/1 200 grpc-status 14 12 ms (direct_response)\n"
        );
        let json: Request = serde_json::from_str(&line(&request, Format::Json)).unwrap();
        assert_eq!(json, request);
    }
}
