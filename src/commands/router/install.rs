//! `dev router install`

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::image::{self, RouterImage};
use crate::cluster::routers::{self, Found};
use crate::cluster::{Cluster, access, guard, observe};
use crate::commands::Context;
use crate::commands::diff;
use crate::commands::image::EnvoyArgs;
use crate::commands::router_link::CollectorArgs;
use crate::environment::{Scope, UpOptions, apply_and_wait, will_run};
use crate::error::{Error, Result, did_you_mean};
use crate::plan::{self, Counts, Desired, NamespaceState, Plan, PlanOptions};
use crate::router::install::{
    CONTROL, EdgeOptions, Exposure, Options, ROUTER, manifests, obstacles, router_labels, stamp,
    trial_pod,
};
use crate::router::model::Edge;
use crate::settings::duration;
use crate::ui::took;

/// Make or upgrade the routers of a base
///
/// It takes rights that few people have: docs/rights.md lists them and what the routers themselves may do.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  dev router install --base bookshop
  dev router install --dry-run                       what would change
  dev router install --edge-service web --edge-type NodePort
  dev router install --otlp collector.observability.svc:4317
  dev router install --image REGISTRY/dev-router:TAG

What was given once holds for later installations until something else is given. Installing over an
older version rolls the routers one by one; established connections go on for --grace.")]
pub struct Install {
    /// The image of router and control [default: made of this program and Envoy]
    #[arg(long, value_name = "REFERENCE", conflicts_with_all = ["envoy", "envoy_image"])]
    pub image: Option<String>,
    /// Where Envoy comes from.
    #[command(flatten)]
    pub envoy: EnvoyArgs,
    /// How many routers [default: 2]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub replicas: Option<u32>,
    /// How long established connections may go on when a router goes [default: 15m]
    #[arg(long, value_name = "DURATION")]
    pub grace: Option<String>,
    /// The Service that requests from outside go to, and its port where it has several
    #[arg(long, value_name = "NAME[:PORT]")]
    pub edge_service: Option<String>,
    /// ENV.DOMAIN reaches an environment, DOMAIN the base [default: BASE.localhost]
    #[arg(long, value_name = "DOMAIN")]
    pub edge_domain: Option<String>,
    /// How the entry is reached from outside of the cluster [default: ClusterIP]
    #[arg(long, value_name = "TYPE")]
    pub edge_type: Option<Exposure>,
    /// No entry for requests from outside
    #[arg(long, conflicts_with_all = ["edge_service", "edge_domain", "edge_type"])]
    pub no_edge: bool,
    /// Where requests with an environment are reported to.
    #[command(flatten)]
    pub collector: CollectorArgs,
    /// Report requests to no collector
    #[arg(long, conflicts_with_all = ["otlp", "zipkin"])]
    pub no_tracing: bool,
    /// A Secret of the base that may be copied into its environments (repeatable; replaces the earlier list)
    #[arg(long, value_name = "NAME")]
    pub share_secret: Vec<String>,
    /// Show what would change, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Return when everything is applied, without waiting until it is ready
    #[arg(long)]
    pub no_wait: bool,
}

/// What was done.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Installed {
    base: String,
    context: String,
    image: String,
    changes: Counts,
    routers: usize,
    seconds: f64,
}

impl Install {
    /// Installs the routers.
    pub async fn run(self, context: &Context, base: &str) -> Result<()> {
        let began = Instant::now();
        let ui = &context.ui;
        let cluster = context.connect().await?;
        let found = routers::find(&cluster, base).await?;
        if let Some(error) = found.namespace.as_ref().and_then(|it| obstacles(base, it)) {
            return Err(error);
        }
        let options = self.options(&found, base)?;
        let image = image::choose(self.image.clone(), &self.envoy, &cluster, context).await?;
        let desired = desired(base, &image, &options, &found)?;
        let plan = planned(&desired, &cluster).await?;
        if self.dry_run {
            return diff::show(&plan, ui);
        }
        let identity = guard::ensure_writable(&cluster, ui).await?;
        plan.check()?;
        if !plan.is_empty() {
            may_install(&cluster, &plan, &desired, base).await?;
            image.ensure(&cluster, &identity, context).await?;
        } else if will_run(&plan, &image.plan.reference) {
            image.ensure(&cluster, &identity, context).await?;
        }
        ui.note(format!(
            "routers of {base} on {}: {}",
            cluster.context,
            plan.counts()
        ));
        let up = UpOptions {
            recreate: false,
            prune: true,
            wait: !self.no_wait,
            timeout: context.basics.timeout,
        };
        let healths = apply_and_wait(&scope(base), &cluster, &plan, &up, None, None, ui).await?;
        if found.is_leaving() {
            routers::set_uninstall(&cluster, base, false).await?;
        }
        let of_routers = healths.iter().find(|health| health.service == ROUTER);
        let installed = Installed {
            base: base.to_owned(),
            context: cluster.context.clone(),
            image: image.plan.reference.clone(),
            changes: plan.counts(),
            routers: of_routers.map_or(0, |health| health.ready as usize),
            seconds: began.elapsed().as_secs_f64(),
        };
        ui.data(&installed, |it| {
            format!(
                "{} routers are ready in {}: {} ({})",
                it.routers,
                it.base,
                it.changes,
                took(began.elapsed())
            )
        })
    }

    /// What was given now, else what was given earlier, else the defaults.
    fn options(&self, found: &Found, base: &str) -> Result<Options> {
        let mut options = found.options().unwrap_or_default();
        if let Some(replicas) = self.replicas {
            options.replicas = replicas;
        }
        if let Some(grace) = &self.grace {
            options.grace = duration(grace)
                .map_err(|error| error.hint("it was given by --grace"))?
                .as_secs();
        }
        if !self.share_secret.is_empty() {
            options.secrets = self.share_secret.iter().cloned().collect();
        }
        if self.no_tracing {
            options.collector = None;
        } else if let Some(collector) = self.collector.collector()? {
            options.collector = Some(collector);
        }
        options.edge = self.edge(options.edge.take(), found, base)?;
        Ok(options)
    }

    fn edge(
        &self,
        before: Option<EdgeOptions>,
        found: &Found,
        base: &str,
    ) -> Result<Option<EdgeOptions>> {
        if self.no_edge {
            return Ok(None);
        }
        let (service, port) = match (&self.edge_service, &before) {
            (Some(text), _) => entry_service(text, &found.services)?,
            (None, Some(before)) => (before.edge.service.clone(), before.edge.port),
            (None, None) if self.edge_domain.is_some() || self.edge_type.is_some() => {
                return Err(
                    Error::usage("an entry needs a Service that its requests go to")
                        .hint("--edge-service NAME"),
                );
            }
            (None, None) => return Ok(None),
        };
        let domain = self.edge_domain.clone();
        Ok(Some(EdgeOptions {
            exposure: self
                .edge_type
                .or(before.as_ref().map(|before| before.exposure))
                .unwrap_or_default(),
            edge: Edge {
                service,
                port,
                domain: domain
                    .or(before.map(|before| before.edge.domain))
                    .unwrap_or_else(|| format!("{base}.localhost")),
            },
        }))
    }
}

/// `NAME[:PORT]`, as a Service of the base with one of its ports.
fn entry_service(text: &str, services: &[Value]) -> Result<(String, u16)> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let named = |service: &&Value| service["metadata"]["name"] == name;
    let Some(service) = services.iter().find(named) else {
        let names = services
            .iter()
            .filter_map(|service| service["metadata"]["name"].as_str());
        return Err(Error::usage(format!("the base has no Service \"{name}\""))
            .maybe_hint(did_you_mean(name, names)));
    };
    let ports: Vec<(u16, &str)> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|port| {
            let number = u16::try_from(port["port"].as_u64()?).ok()?;
            Some((number, port["name"].as_str().unwrap_or_default()))
        })
        .collect();
    let chosen = match (port, ports.as_slice()) {
        (Some(port), ports) => ports
            .iter()
            .find(|(number, name)| number.to_string() == port || *name == port),
        (None, [only]) => Some(only),
        (None, ports) => ports
            .iter()
            .find(|(_, name)| *name == "http" || *name == "web"),
    };
    match chosen {
        Some((number, _)) => Ok((name.to_owned(), *number)),
        None => {
            let known: Vec<String> = ports.iter().map(|(number, _)| number.to_string()).collect();
            Err(Error::usage(match port {
                Some(port) => format!("the Service {name} has no port \"{port}\""),
                None => format!("the Service {name} has several ports, and none is named http"),
            })
            .hint(format!(
                "--edge-service {name}:PORT, of {}",
                known.join(", ")
            )))
        }
    }
}

fn scope(base: &str) -> Scope {
    Scope {
        stamp: stamp(),
        namespace: base.to_owned(),
        services: [ROUTER.to_owned(), CONTROL.to_owned()].into(),
        complete: true,
        base: true,
        suffix: None,
        overlay: None,
    }
}

fn desired(base: &str, image: &RouterImage, options: &Options, found: &Found) -> Result<Desired> {
    let labels = router_labels(&found.services, found.router.as_ref());
    Ok(Desired {
        stamp: stamp(),
        namespace: base.to_owned(),
        objects: manifests(base, &image.plan.reference, options, &labels)?,
        needs: BTreeMap::from([
            (ROUTER.to_owned(), Vec::new()),
            (CONTROL.to_owned(), Vec::new()),
        ]),
    })
}

async fn planned(desired: &Desired, cluster: &Cluster) -> Result<Plan> {
    let mut observed = observe::observe(cluster, desired).await?;
    // It is there, which was seen before. Whose it is plays no part: routers stand in a base whoever made that.
    observed.namespace = NamespaceState::Active {
        labels: BTreeMap::new(),
    };
    plan::plan(desired, &observed, &PlanOptions::default())
}

/// Fails before the first write where a right is missing or the namespace would not take the pods.
async fn may_install(cluster: &Cluster, plan: &Plan, desired: &Desired, base: &str) -> Result<()> {
    let attempt = format!("install routers in {base}");
    access::require(cluster, &attempt, &access::needed_first(plan)).await?;
    let roles: Vec<_> = desired
        .objects
        .iter()
        .filter(|object| changes(plan, object))
        .cloned()
        .collect();
    routers::may_grant(cluster, &attempt, &roles, base).await?;
    for object in &desired.objects {
        if object.kind() == "Deployment" && changes(plan, object) {
            routers::try_pod(cluster, base, &trial_pod(object)).await?;
        }
    }
    Ok(())
}

fn changes(plan: &Plan, object: &crate::manifest::Manifest) -> bool {
    plan.changes.iter().any(|change| {
        change.action != plan::Action::Unchanged
            && change.key.kind == object.kind()
            && change.key.name == object.name()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn services() -> Vec<Value> {
        vec![
            json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 9080}]}}),
            json!({"metadata": {"name": "both"}, "spec": {"ports": [{"port": 1, "name": "grpc"}, {"port": 2, "name": "http"}]}}),
            json!({"metadata": {"name": "none"}, "spec": {"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "b"}]}}),
        ]
    }

    #[test]
    fn the_port_of_the_entry_is_the_only_one_or_that_of_http_or_named() {
        for (text, expected) in [
            ("web", Some(("web", 9080))),
            ("both", Some(("both", 2))),
            ("both:1", Some(("both", 1))),
            ("both:grpc", Some(("both", 1))),
            ("none", None),
            ("none:3", None),
            ("wbe", None),
        ] {
            let found = entry_service(text, &services());
            let expected = expected.map(|(name, port)| (name.to_owned(), port));
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{text}");
        }
        let error = entry_service("wbe", &services()).unwrap_err();
        assert_eq!(error.hints(), ["did you mean \"web\"?"]);
    }

    fn install(args: &[&str]) -> Install {
        use clap::Parser;
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            install: Install,
        }
        Cli::parse_from([&["x"], args].concat()).install
    }

    #[test]
    fn what_was_given_once_holds_until_something_else_is_given() {
        let mut found = Found {
            services: services(),
            ..Found::default()
        };
        let first = install(&[
            "--replicas",
            "3",
            "--edge-service",
            "web",
            "--edge-type",
            "NodePort",
        ])
        .options(&found, "shop")
        .unwrap();
        assert_eq!(first.replicas, 3);
        let edge = first.edge.clone().unwrap();
        assert_eq!(edge.edge.domain, "shop.localhost");
        let text = json!(first).to_string();
        found.router = Some(json!({"metadata": {"annotations": {"dev/options": text}}}));
        assert_eq!(install(&[]).options(&found, "shop").unwrap(), first);
        let later = install(&["--edge-domain", "a.example", "--grace", "1m"])
            .options(&found, "shop")
            .unwrap();
        let edge = later.edge.unwrap();
        assert_eq!(
            (edge.edge.domain.as_str(), edge.exposure),
            ("a.example", Exposure::NodePort)
        );
        assert_eq!((later.grace, later.replicas), (60, 3));
        assert_eq!(
            install(&["--no-edge"])
                .options(&found, "shop")
                .unwrap()
                .edge,
            None
        );
    }

    #[test]
    fn an_entry_without_a_service_is_refused() {
        let error = install(&["--edge-type", "NodePort"])
            .options(&Found::default(), "shop")
            .unwrap_err();
        assert_eq!(error.hints(), ["--edge-service NAME"]);
    }
}
