//! The entry from outside: the host says the environment.

use super::matcher::Choice;
use super::names;
use super::routes::{Leads, refused, resource, to_cluster};
use super::snapshot::Resource;
use crate::manifest::labels::BASE_VERSION;
use crate::router::baggage::HEADER;
use crate::router::model::{Entry, Table};

/// Runs on every request from outside.
const SCRIPT: &str = concat!(include_str!("../members.lua"), include_str!("../edge.lua"));

/// The script for this domain, which is made of DNS labels.
pub(super) fn script(domain: &str) -> String {
    SCRIPT.replace("@DOMAIN@", domain)
}

/// The routes from outside. Unlike inside, an environment that is not admitted is refused: nobody passes through by
/// chance on the way to somewhere else.
pub(super) fn routes(entry: &Entry, table: &Table, traced: bool) -> Resource {
    let (service, port) = (entry.edge.service.as_str(), entry.edge.port);
    let leads = Leads {
        service,
        port,
        traced,
    };
    let nothing = format!(
        "dev: nothing of {service} is ready: no endpoints of Service {}/{service}\n",
        table.base
    );
    let (borrowed, none) = match entry.base.is_empty() {
        true => (
            leads.refused(nothing.clone(), BASE_VERSION),
            refused(nothing),
        ),
        false => (leads.to_base(), to_cluster(names::base(service, port))),
    };
    let mut choice = Choice {
        environments: leads.environments(&entry.overrides),
        other: refused(format!(
            "dev: there is no environment %REQ({HEADER})% of {}\n",
            table.base
        )),
        none,
    };
    for env in &table.environments {
        choice
            .environments
            .entry(env)
            .or_insert_with(|| borrowed.clone());
    }
    resource(names::EDGE, &choice)
}
