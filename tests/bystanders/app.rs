//! The application of the base: servers that lose nothing when one of their pods is evicted. There are two of each, time to lead clients
//! elsewhere before one ends (preStop), clients that are asked to connect anew, and only then the end. What cannot do that (Redis), or
//! has streams that outlive an eviction, is a DaemonSet, which `kubectl drain` leaves alone.
//!
//! Each Service has a twin `…-direct`: the same pods, and never routed. What fails there has nothing to do with routers.

use serde_json::{Value, json};

/// The Services, without their twins.
#[allow(dead_code)]
pub const SERVICES: [&str; 5] = ["web", "node", "rpc", "streams", "cache"];

/// All objects, made of this image.
pub fn objects(image: &str) -> Vec<Value> {
    let go = ["/bystander", "serve"];
    let node = ["/node", "/server.js"];
    let greets = ["/bystander", "serve", "-greet-port", "3306"];
    let redis = [
        "/redis-server",
        "--save",
        "",
        "--appendonly",
        "no",
        "--protected-mode",
        "no",
    ];
    let http = [("http", 80, 8080)];
    let h2c = [("grpc", 80, 8080)];
    let with_greeting = [("grpc", 80, 8080), ("mysql", 3306, 3306)];
    let with_redis = [("http", 80, 8080), ("redis", 6379, 6379)];
    let mut objects = Vec::new();
    for (name, containers, ports, daemon) in [
        ("web", vec![container(image, &go, &http)], &http[..], false),
        ("node", vec![container(image, &node, &http)], &http, false),
        ("rpc", vec![container(image, &go, &h2c)], &h2c, false),
        (
            "streams",
            vec![container(image, &greets, &with_greeting)],
            &with_greeting,
            true,
        ),
        (
            "cache",
            vec![
                container(image, &go, &http),
                container(image, &redis, &with_redis[1..]),
            ],
            &with_redis,
            true,
        ),
    ] {
        objects.push(workload(name, &containers, daemon));
        objects.push(service(name, name, ports));
        objects.push(service(&format!("{name}-direct"), name, ports));
        if !daemon {
            objects.push(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}}}));
        }
    }
    objects
}

/// A Service as its owner writes it.
pub fn service(name: &str, app: &str, ports: &[(&str, u16, u16)]) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port, _)| json!({"name": name, "port": port, "protocol": "TCP", "targetPort": name}))
        .collect();
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"selector": {"app": app}, "ports": ports}})
}

/// A Deployment of one pod and a Service that answer as this version: what a developer copies. It ends at once.
pub fn copy(image: &str, name: &str, version: &str) -> Vec<Value> {
    let (command, port): (&[&str], _) = match name {
        "node" => (&["/node", "/server.js"], "http"),
        "rpc" | "streams" => (&["/bystander", "serve", "-drain", "0s"], "grpc"),
        _ => (&["/bystander", "serve", "-drain", "0s"], "http"),
    };
    let ports = [(port, 80, 8080)];
    let mut main = container(image, command, &ports);
    if name == "node" {
        main["env"] =
            json!([{"name": "VERSION", "value": version}, {"name": "DRAIN_MS", "value": "0"}]);
    } else {
        let args = main["command"].as_array_mut().unwrap();
        args.extend([json!("-version"), json!(version)]);
    }
    main.as_object_mut().unwrap().remove("lifecycle");
    let mut deployment = workload(name, &[main], false);
    deployment["spec"]["replicas"] = json!(1);
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(1);
    vec![deployment, service(name, name, &ports)]
}

fn container(image: &str, command: &[&str], ports: &[(&str, u16, u16)]) -> Value {
    let (first, ..) = ports[0];
    let probe = match first {
        "redis" => json!({"tcpSocket": {"port": first}, "periodSeconds": 1}),
        _ => json!({"httpGet": {"path": "/healthz", "port": first}, "periodSeconds": 1}),
    };
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, _, target)| json!({"name": name, "containerPort": target}))
        .collect();
    json!({"name": first, "image": image, "command": command, "ports": ports, "readinessProbe": probe,
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}})
}

fn workload(name: &str, containers: &[Value], daemon: bool) -> Value {
    let labels = json!({"app": name});
    let mut pod = json!({
        "terminationGracePeriodSeconds": 60,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": containers});
    let mut spec = json!({"selector": {"matchLabels": labels}});
    if !daemon {
        spec["replicas"] = json!(2);
        spec["strategy"] = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        pod["topologySpreadConstraints"] = json!([{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels}}]);
    }
    spec["template"] = json!({"metadata": {"labels": labels}, "spec": pod});
    let kind = if daemon { "DaemonSet" } else { "Deployment" };
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}
