//! The objects of an installation, from the templates in this program.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::options::Options;
use crate::control::{CONTROL, ROUTER};
use crate::error::Result;
use crate::manifest::labels::{self, Stamp};
use crate::manifest::{Context, Manifest, builtin};
use crate::router::collector::Collector;

/// The name of the Service by which requests from outside reach the routers, where they do.
pub const EDGE: &str = "dev-router-edge";

/// The templates: file, text, and the part that they belong to.
pub const TEMPLATES: [(&str, &str, &str); 4] = [
    (
        "templates/router/access.yaml",
        include_str!("../../../templates/router/access.yaml"),
        ROUTER,
    ),
    (
        "templates/router/admission.yaml",
        include_str!("../../../templates/router/admission.yaml"),
        ROUTER,
    ),
    (
        "templates/router/router.yaml",
        include_str!("../../../templates/router/router.yaml"),
        ROUTER,
    ),
    (
        "templates/router/control.yaml",
        include_str!("../../../templates/router/control.yaml"),
        CONTROL,
    ),
];

/// Keys by which Services usually select pods.
const USUAL_KEYS: [&str; 4] = [
    "app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
];

/// Whose the objects of an installation are. Not of the base's own application: `dev deploy --remove` leaves them.
pub fn stamp() -> Stamp {
    Stamp {
        app: "dev".to_owned(),
        env: ROUTER.to_owned(),
        base: None,
        version: env!("CARGO_PKG_VERSION").replace('+', "_"),
    }
}

/// The objects of an installation in the namespace `base`. `pod_labels` are those of [`router_labels`].
pub fn manifests(
    base: &str,
    image: &str,
    options: &Options,
    pod_labels: &BTreeMap<String, String>,
) -> Result<Vec<Manifest>> {
    let edge = options.edge.as_ref();
    let context = Context {
        app: ROUTER.to_owned(),
        namespace: base.to_owned(),
        image: Some(image.to_owned()),
        vars: BTreeMap::from([
            ("replicas".to_owned(), json!(options.replicas)),
            ("grace".to_owned(), json!(options.grace)),
            ("options".to_owned(), json!(json!(options).to_string())),
            ("labels".to_owned(), json!(pod_labels)),
            ("secrets".to_owned(), json!(options.secrets)),
            (
                "collector".to_owned(),
                json!(
                    options
                        .collector
                        .iter()
                        .flat_map(Collector::args)
                        .collect::<Vec<_>>()
                ),
            ),
            (
                "edge".to_owned(),
                json!(edge.map(|edge| json!(edge.edge).to_string())),
            ),
            (
                "exposure".to_owned(),
                json!(edge.and_then(|edge| edge.exposure.service_type())),
            ),
        ]),
        ..Context::default()
    };
    let mut objects = Vec::new();
    for (file, text, part) in TEMPLATES {
        objects.extend(builtin(file, text, part, &context)?);
    }
    Ok(objects)
}

/// The labels of the routers' pods: each key by which a Service of the base selects its pods, so that routing it needs no roll of
/// the routers. What the running pods have stays, for the same reason.
pub fn router_labels(services: &[Value], running: Option<&Value>) -> BTreeMap<String, String> {
    let selectors = services
        .iter()
        .filter_map(|service| service["spec"]["selector"].as_object());
    let mut keys: BTreeSet<&str> = USUAL_KEYS.into();
    keys.extend(selectors.flat_map(|selector| selector.keys().map(String::as_str)));
    let before = running
        .and_then(|deployment| deployment["spec"]["template"]["metadata"]["labels"].as_object());
    keys.extend(
        before
            .into_iter()
            .flatten()
            .filter(|(_, value)| *value == ROUTER)
            .map(|(key, _)| key.as_str()),
    );
    // Those two have values of their own.
    keys.remove(labels::MANAGED_BY);
    keys.remove("pod-template-hash");
    let mut all: BTreeMap<String, String> = keys
        .into_iter()
        .map(|key| (key.to_owned(), ROUTER.to_owned()))
        .collect();
    all.insert(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::collector::Spans;
    use crate::router::install::{EdgeOptions, Exposure};
    use crate::router::model::Edge;

    fn find<'a>(objects: &'a [Manifest], kind: &str, name: &str) -> &'a Value {
        let found = objects
            .iter()
            .find(|object| object.kind() == kind && object.name() == name);
        &found.unwrap_or_else(|| panic!("no {kind} {name}")).value
    }

    fn rendered(options: &Options) -> Vec<Manifest> {
        manifests(
            "shop",
            "localhost:5000/dev-router:1",
            options,
            &router_labels(&[], None),
        )
        .unwrap()
    }

    #[test]
    fn the_names_and_ports_are_those_that_the_other_parts_know() {
        let objects = rendered(&Options::default());
        let names: Vec<String> = objects
            .iter()
            .map(|object| object.key().to_string())
            .collect();
        insta::assert_snapshot!(names.join("\n"), @r"
        ServiceAccount dev-router
        ClusterRole dev-router-shop
        ClusterRoleBinding dev-router-shop
        Role dev-router
        RoleBinding dev-router
        ServiceAccount dev-control
        ClusterRole dev-control-shop
        ClusterRoleBinding dev-control-shop
        Role dev-control
        RoleBinding dev-control
        ServiceAccount dev-provisioner
        Role dev-router-status
        ConfigMap dev-admission
        Deployment dev-router
        PodDisruptionBudget dev-router
        Service dev-router
        Deployment dev-control
        Service dev-control
        ");
        let ports = &find(&objects, "Service", ROUTER)["spec"]["ports"];
        assert_eq!(ports[0]["name"], "status");
        assert_eq!(ports[0]["port"], 15090);
        assert_eq!(ports[1]["port"], 80);
        assert_eq!(
            find(&objects, "Service", CONTROL)["spec"]["ports"][0]["port"],
            15091
        );
        let command = &find(&objects, "Deployment", ROUTER)["spec"]["template"]["spec"]["containers"]
            [0]["command"];
        assert_eq!(
            *command,
            json!([
                "/usr/local/bin/dev",
                "router-run",
                "--base",
                "shop",
                "--state-dir",
                "/run/dev"
            ])
        );
        // The list of environments is no part of it: applying it again must not empty the list.
        assert!(
            find(&objects, "ConfigMap", labels::ADMISSION)
                .get("data")
                .is_none()
        );
    }

    #[test]
    fn pods_meet_the_restricted_standard_and_no_probe_can_kill_them() {
        for (kind, name) in [("Deployment", ROUTER), ("Deployment", CONTROL)] {
            let objects = rendered(&Options::default());
            let spec = &find(&objects, kind, name)["spec"]["template"]["spec"];
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
            assert_eq!(
                spec["securityContext"]["seccompProfile"]["type"],
                "RuntimeDefault"
            );
            let container = &spec["containers"][0];
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
            // Nothing may end an Envoy that serves.
            let probed = container.get("livenessProbe").is_some();
            assert_eq!(probed, name == CONTROL);
        }
    }

    #[test]
    fn options_are_where_they_belong() {
        let options = Options {
            replicas: 3,
            grace: 60,
            edge: Some(EdgeOptions {
                edge: Edge {
                    service: "web".into(),
                    port: 9080,
                    domain: "shop.localhost".into(),
                },
                exposure: Exposure::NodePort,
            }),
            collector: Some(Collector::parse(Spans::Otlp, "collector.tracing").unwrap()),
            secrets: ["database".to_owned()].into(),
        };
        let objects = rendered(&options);
        let deployment = find(&objects, "Deployment", ROUTER);
        assert_eq!(deployment["spec"]["replicas"], 3);
        assert_eq!(
            deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"],
            60
        );
        assert_eq!(Options::of_deployment(deployment), Some(options));
        let command = &deployment["spec"]["template"]["spec"]["containers"][0]["command"];
        let command = command.as_array().unwrap();
        assert_eq!(
            command[command.len() - 2..],
            ["--otlp", "collector.tracing:4317"]
        );
        let edge = find(&objects, "Service", EDGE);
        assert_eq!(edge["spec"]["type"], "NodePort");
        assert_eq!(edge["spec"]["ports"].as_array().map(Vec::len), Some(1));
        let data = &find(&objects, "ConfigMap", labels::ADMISSION)["data"];
        assert_eq!(
            *data,
            json!({"edge": r#"{"service":"web","port":9080,"domain":"shop.localhost"}"#, "secrets": r#"["database"]"#})
        );
        let role = find(&objects, "Role", "dev-provisioner");
        assert_eq!(role["rules"][0]["resourceNames"], json!(["database"]));
    }

    #[test]
    fn the_page_about_rights_has_every_rule() {
        let page = include_str!("../../../docs/rights-router.md");
        let options = Options {
            secrets: ["NAME".to_owned()].into(),
            ..Options::default()
        };
        let words = |list: &Value| -> String {
            let items = list.as_array().into_iter().flatten();
            let quoted: Vec<String> = items
                .filter_map(|item| Some(format!("`{}`", item.as_str()?)))
                .collect();
            quoted.join(", ")
        };
        let mut rules = 0;
        for object in rendered(&options) {
            for rule in object.value["rules"].as_array().into_iter().flatten() {
                let named = match words(&rule["resourceNames"]).as_str() {
                    "" => String::new(),
                    "`shop`" => " named as the base".to_owned(),
                    "`NAME`" => " named as shared".to_owned(),
                    names => format!(" named {names}"),
                };
                let row = format!(
                    "| {} | {}{named} |",
                    words(&rule["verbs"]),
                    words(&rule["resources"])
                );
                assert!(page.contains(&row), "{}: {row}", object.key());
                rules += 1;
            }
        }
        let rows = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, rules, "the page has rules that are not given");
    }

    #[test]
    fn a_namespace_of_digits_stays_text() {
        let objects = manifests("123", "a/b:1", &Options::default(), &BTreeMap::new()).unwrap();
        let binding = find(&objects, "ClusterRoleBinding", "dev-router-123");
        assert_eq!(binding["subjects"][0]["namespace"], "123");
    }

    #[test]
    fn pods_carry_the_keys_of_every_selector_and_keep_those_they_have() {
        let services = [
            json!({"spec": {"selector": {"tier": "web", "app.kubernetes.io/managed-by": "Helm"}}}),
            json!({"spec": {}}),
        ];
        let running = json!({"spec": {"template": {"metadata": {"labels": {"old": "dev-router", "foreign": "x"}}}}});
        let found = router_labels(&services, Some(&running));
        assert_eq!(found["tier"], ROUTER);
        assert_eq!(found["old"], ROUTER);
        assert_eq!(found[labels::MANAGED_BY], "dev");
        assert!(!found.contains_key("foreign"));
    }
}
