//! The entry from outside: the host says the environment.

use super::matcher::Choice;
use super::names;
use super::routes::{answered_by, environments, refused, resource, to_cluster};
use super::snapshot::Resource;
use crate::manifest::labels::BASE_VERSION;
use crate::router::baggage::HEADER;
use crate::router::model::{Entry, Table};

/// Runs on every request from outside.
const SCRIPT: &str = include_str!("../edge.lua");

/// The script for this domain, which is made of DNS labels.
pub(super) fn script(domain: &str) -> String {
    SCRIPT.replace("@DOMAIN@", domain)
}

/// The routes from outside. Unlike inside, an environment that is not admitted is refused: nobody passes through by
/// chance on the way to somewhere else.
pub(super) fn routes(entry: &Entry, table: &Table) -> Resource {
    let (service, port) = (entry.edge.service.as_str(), entry.edge.port);
    let base = if entry.base.is_empty() {
        refused(format!(
            "dev: nothing of {service} is ready: no endpoints of Service {}/{service}\n",
            table.base
        ))
    } else {
        to_cluster(names::base(service, port))
    };
    let borrowed = answered_by(base.clone(), service, BASE_VERSION);
    let mut choice = Choice {
        environments: environments(service, port, &entry.overrides),
        other: refused(format!(
            "dev: there is no environment %REQ({HEADER})% of {}\n",
            table.base
        )),
        none: base,
    };
    for env in &table.environments {
        choice
            .environments
            .entry(env)
            .or_insert_with(|| borrowed.clone());
    }
    resource(names::EDGE, &choice)
}
