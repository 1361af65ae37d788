//! Names of resources. A DNS label never holds `|`, so that they can be taken apart again.

/// The listener and the route configuration of the entry from outside.
pub const EDGE: &str = "edge";

/// The listener and the route configuration of a port of a routed Service.
pub fn service(service: &str, port: u16) -> String {
    format!("svc|{service}|{port}")
}

/// The cluster of the link, by which everything else comes and the log of requests goes.
pub const LINK: &str = "ads";

/// The listener inside of Envoy that reports requests to a collector, and the cluster that leads to it.
pub const TRACED: &str = "traced";

/// The cluster of the collector.
pub const COLLECTOR: &str = "collector";

/// The cluster of the base's pods.
pub fn base(service: &str, port: u16) -> String {
    format!("base|{service}|{port}")
}

/// The cluster of an environment's pods.
pub fn environment(env: &str, service: &str, port: u16) -> String {
    format!("env|{env}|{service}|{port}")
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// A listener or route configuration of a Service port.
    Service(&'a str, u16),
    /// The base's cluster for a Service port.
    Base(&'a str, u16),
    /// An environment's cluster for a Service port: environment, service, port.
    Environment(&'a str, &'a str, u16),
    /// The entry from outside.
    Edge,
}

/// Takes a name apart; `None` for one that is not made here.
pub fn parse(name: &str) -> Option<Named<'_>> {
    if name == EDGE {
        return Some(Named::Edge);
    }
    let parts: Vec<&str> = name.split('|').collect();
    match *parts.as_slice() {
        ["svc", service, port] => Some(Named::Service(service, port.parse().ok()?)),
        ["base", service, port] => Some(Named::Base(service, port.parse().ok()?)),
        ["env", env, service, port] => Some(Named::Environment(env, service, port.parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_be_taken_apart() {
        assert_eq!(parse(&service("web", 80)), Some(Named::Service("web", 80)));
        assert_eq!(parse(&base("web", 80)), Some(Named::Base("web", 80)));
        assert_eq!(
            parse(&environment("ann", "web", 80)),
            Some(Named::Environment("ann", "web", 80))
        );
        assert_eq!(parse(EDGE), Some(Named::Edge));
        for foreign in ["", "ads", "svc|web", "svc|web|x", "env|a|b|c|1"] {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }
}
