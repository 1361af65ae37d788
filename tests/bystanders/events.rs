//! What happens while the clients ask. Each is over when its effect is seen.

use std::process::{Command, Stdio};
use std::time::Instant;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::app;
use super::clients::Clients;
use super::processes;
use super::world::{DEVELOPERS, World};
use crate::support::left_out::left_out;
use crate::support::proxy::{Kill, Moment, Signal};

/// What a developer has beside the others, to be killed.
const VICTIM: &str = "cid";

/// The base, its clients, and when it began.
pub struct Events<'a> {
    /// The base.
    pub world: &'a World,
    /// Those that are asked for requests with a header too.
    pub clients: &'a Clients,
    /// When.
    pub began: Instant,
}

impl Events<'_> {
    fn say(&self, what: &str) {
        println!("{:6.1} s  {what}", self.began.elapsed().as_secs_f64());
    }

    /// The routers come, and are put before every Service.
    pub async fn insert(&self) {
        self.say("routers are installed, and copies come up of every Service: each is routed for the first time");
        self.world.insert(self.clients).await;
    }

    /// Copies go and come again, of two developers at once.
    pub async fn copies(&self, rounds: usize) {
        for round in 1..=rounds {
            self.say(&format!("round {round} of {rounds}: copies go and come"));
            let both = DEVELOPERS.map(|(env, services)| async move {
                // One stays, so that the namespace does.
                let some = &services[1..];
                let down = [&["down", "-e", env], some].concat();
                self.world.routers.good(&down).await;
                for service in some {
                    self.world.reached(self.clients, service, env, "base").await;
                }
                self.world.up(self.clients, env, services).await;
            });
            futures::future::join_all(both).await;
        }
    }

    /// The routers' pods are deleted one by one.
    pub async fn pods(&self) {
        for pod in self.world.pods("dev-router").await {
            let name = pod.metadata.name.unwrap();
            self.say(&format!("pod {name} is deleted"));
            self.world.delete_pod("dev-router", &name).await;
        }
    }

    /// The routers are rolled, as `kubectl rollout restart` does it.
    pub async fn roll(&self) {
        self.say("the routers are rolled");
        let deployments = Api::<Deployment>::namespaced(
            self.world.routers.cluster.client.clone(),
            self.world.base(),
        );
        let now = Timestamp::now().to_string();
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": now}}}}});
        deployments
            .patch(
                "dev-router",
                &PatchParams::default(),
                &Patch::Strategic(patch),
            )
            .await
            .unwrap();
        self.world.await_deployment("dev-router").await;
    }

    /// SIGKILL for every link and for control, everywhere at once. Envoy goes on.
    pub async fn kill_all_but_envoy(&self) {
        let mut pods = self.world.pods("dev-router").await;
        pods.extend(self.world.pods("dev-control").await);
        let all = processes::of(&pods);
        let ours = |process: &&processes::Process| {
            process.line.contains(" router-link ") || process.line.contains(" control ")
        };
        let ours: Vec<_> = all.iter().filter(ours).cloned().collect();
        if ours.is_empty() {
            left_out("the kills: the processes of the pods are not on this machine");
            return;
        }
        self.say(&format!(
            "SIGKILL for {} processes: every link, and control",
            ours.len()
        ));
        assert_eq!(ours.len(), 3, "{all:#?}");
        processes::kill(&ours);
        self.world.await_routers().await;
    }

    /// A node is drained, as for an upgrade, and comes back. The routers' pods go on there until their last stream has ended.
    pub async fn drain(&self, node: &str) {
        self.say(&format!("{node} is drained"));
        let drain = [
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
        ];
        // It waits for the end of the pods, which are not waited for here.
        let Some(mut child) = self.world.start_kubectl(&drain) else {
            return;
        };
        self.world.await_drained(node).await;
        for name in ["dev-router", "dev-control", "web", "node", "rpc"] {
            self.world.await_deployment(name).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        self.world.await_routers().await;
        self.world.kubectl(&["uncordon", node], "");
    }

    /// The API server is away for so many seconds.
    pub async fn pause_api(&self, seconds: u64) {
        let Some(script) = self.world.cluster_script().await else {
            left_out("the API server goes away: it is not that of a bundled cluster");
            return;
        };
        self.say(&format!("the API server is away for {seconds} s"));
        let status = tokio::task::spawn_blocking(move || {
            Command::new(script)
                .args(["pause-api", &seconds.to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap()
        });
        assert!(status.await.unwrap().success());
        self.world.await_routers().await;
    }

    /// The owner of the base writes to routed Services in three ways, and lets them be routed again.
    pub async fn owner(&self, release: usize) {
        let world = self.world;
        let label = json!({"release": release.to_string()});
        self.say("the owner writes: server-side apply to node, three-way merge to rpc, kubectl apply to web");
        let mut node = app::service("node", "node", &[("http", 80, 8080)]);
        node["metadata"]["labels"]["release"] = label["release"].clone();
        world.routers.cluster.put(world.base(), &[node]).await;

        // What `helm upgrade` makes of the release before, the new one and what there is.
        let patch = json!({"metadata": {"labels": label}, "spec": {
            "$setElementOrder/ports": [{"port": 80}],
            "ports": [{"port": 80, "targetPort": "grpc"}],
            "selector": {"app": "rpc"}}});
        let services =
            Api::<Service>::namespaced(world.routers.cluster.client.clone(), world.base());
        let helm = PatchParams {
            field_manager: Some("helm".to_owned()),
            ..PatchParams::default()
        };
        services
            .patch("rpc", &helm, &Patch::Strategic(patch))
            .await
            .unwrap();

        let mut web = app::service("web", "web", &[("http", 80, 8080)]);
        web["metadata"]["labels"]["release"] = label["release"].clone();
        let written = ["node", "rpc", "web"];
        let written = match world.kubectl(&["apply", "-f", "-"], &web.to_string()) {
            true => &written[..],
            false => &written[..2],
        };
        world.await_states("stood-down", written).await;
        for service in written {
            world.reached(self.clients, service, "ann", "base").await;
        }
        self.say("they are to be routed again");
        let resume = async |service: &&str| {
            world.routers.good(&["router", "resume", service]).await;
        };
        futures::future::join_all(written.iter().map(resume)).await;
        world.await_states("routed", written).await;
        world.reached(self.clients, "rpc", "ann", "ann").await;
    }

    /// `dev up` is killed at its writes: at `some` of them, or at every one, before and after.
    pub async fn kill_cli(&self, some: Option<usize>) {
        let world = self.world;
        let namespace = format!("{}-{VICTIM}", world.base());
        let _guard = world.routers.cluster.guard(&namespace);
        world.routers.good(&["router", "admit", &namespace]).await;
        let up = ["up", "web", "--overlay", "-e", VICTIM];
        world.routers.good(&up).await;
        let writes = world.routers.proxy.writes().len();
        world.routers.good(&["down", "-e", VICTIM]).await;
        let step = some.map_or(1, |some| writes.div_ceil(some).max(1));
        for write in (1..=writes).step_by(step) {
            for moment in [Moment::Before, Moment::After] {
                self.say(&format!(
                    "dev up is killed at write {write} of {writes}, {moment:?}"
                ));
                self.killed(&up, write, moment).await;
                world.routers.good(&["down", "-e", VICTIM]).await;
                if some.is_some() {
                    break;
                }
            }
        }
        world.routers.good(&["router", "revoke", VICTIM]).await;
    }

    async fn killed(&self, args: &[&str], write: usize, moment: Moment) {
        let routers = &self.world.routers;
        routers.proxy.arm(None);
        let root = routers.project.root();
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("dev"))
            .args(args)
            .current_dir(&root)
            .env_clear()
            .env("HOME", &root)
            .env("KUBECONFIG", routers.proxy.kubeconfig(&root))
            .env("DEV_CLUSTER_UID", &routers.cluster.uid)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        routers.proxy.arm(Some(Kill {
            pid: i32::try_from(child.id()).unwrap(),
            write,
            moment,
            signal: Signal::Kill,
        }));
        tokio::task::spawn_blocking(move || child.wait().unwrap())
            .await
            .unwrap();
        routers.proxy.arm(None);
    }

    /// The developers leave, and the routers.
    pub async fn remove(&self) {
        self.say("copies go");
        let down = async |env: &str| {
            self.world.routers.good(&["down", "-e", env]).await;
        };
        let all = DEVELOPERS.map(|(env, _)| down(env));
        futures::future::join_all(all).await;
        self.say("routers are uninstalled: each ends with its last connection");
        self.world.routers.good(&["router", "uninstall"]).await;
        self.say("they are gone");
    }
}
