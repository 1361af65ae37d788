//! The owner of a Service and the tools by which owners write. Real ones: what they send is what this is about.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::left_out::left_out;

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `kubectl apply`: a three-way merge by the client.
    Apply,
    /// `kubectl apply --server-side`.
    ServerSide,
    /// `helm upgrade` as Helm 3 did it: a three-way merge by the client.
    Helm,
    /// `helm upgrade` by server-side apply.
    HelmServerSide,
    /// `kubectl replace`.
    Replace,
    /// `kubectl replace --force`: the Service is deleted and made anew.
    Recreate,
    /// `kubectl patch` of one label of two in the selector.
    Patch,
    /// The command of the documentation that restores a Service without `dev`. Elsewhere it is no write.
    ByHand,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Apply,
        Self::ServerSide,
        Self::Helm,
        Self::HelmServerSide,
        Self::Replace,
        Self::Recreate,
        Self::Patch,
        Self::ByHand,
    ];

    /// The Service that is written by it.
    pub fn service(self) -> &'static str {
        match self {
            Self::Apply => "by-apply",
            Self::ServerSide => "by-server-side",
            Self::Helm => "by-helm",
            Self::HelmServerSide => "by-helm-server-side",
            Self::Replace => "by-replace",
            Self::Recreate => "by-recreate",
            Self::Patch => "by-patch",
            Self::ByHand => "by-hand",
        }
    }

    /// Whether a write of it changes all that matters at once, so that nothing is left to repair.
    pub fn is_whole(self) -> bool {
        self != Self::Patch
    }
}

/// Somebody with the rights of a kubeconfig, and a folder for manifests and charts.
pub struct Owner {
    kubeconfig: PathBuf,
    folder: TempDir,
}

impl Owner {
    /// `None`, and a line that says what is left out, where a tool is missing.
    pub fn new(test: &str, kubeconfig: &Path) -> Option<Self> {
        if ["kubectl", "helm"]
            .iter()
            .any(|tool| dev::local::which(tool).is_none())
        {
            left_out(&format!(
                "{test} needs kubectl and helm (`tests/cluster/cluster env` has both)"
            ));
            return None;
        }
        Some(Self {
            kubeconfig: kubeconfig.to_owned(),
            folder: TempDir::new().unwrap(),
        })
    }

    /// Makes the Service of a tool in a namespace, as the first version of its manifest has it.
    pub fn make(&self, tool: Tool, namespace: &str) {
        match tool {
            Tool::Recreate | Tool::Replace | Tool::Patch | Tool::ByHand => {
                self.apply(tool, namespace, 1, &["apply"]);
            }
            Tool::Apply | Tool::ServerSide | Tool::Helm | Tool::HelmServerSide => {
                self.write(tool, namespace, 1);
            }
        }
    }

    /// The next version.
    pub fn change(&self, tool: Tool, namespace: &str) {
        self.write(tool, namespace, 2);
    }

    fn write(&self, tool: Tool, namespace: &str, version: u32) {
        match tool {
            Tool::Apply => self.apply(tool, namespace, version, &["apply"]),
            Tool::ServerSide => self.apply(tool, namespace, version, &["apply", "--server-side"]),
            Tool::Helm => self.helm(tool, namespace, version, "false"),
            Tool::HelmServerSide => self.helm(tool, namespace, version, "true"),
            Tool::Replace => self.apply(tool, namespace, version, &["replace"]),
            Tool::Recreate => self.apply(tool, namespace, version, &["replace", "--force"]),
            Tool::Patch => {
                let patch = r#"{"spec":{"selector":{"track":"two"}}}"#;
                self.kubectl(
                    namespace,
                    &["patch", "service", tool.service(), "-p", patch],
                );
            }
            Tool::ByHand => self.by_hand(namespace, tool.service()),
        }
    }

    fn apply(&self, tool: Tool, namespace: &str, version: u32, verb: &[&str]) {
        let file = self.folder.path().join(format!("{}.json", tool.service()));
        std::fs::write(&file, manifest(tool, version).to_string()).unwrap();
        let file = file.to_str().unwrap();
        self.kubectl(namespace, &[verb, &["-f", file]].concat());
    }

    fn helm(&self, tool: Tool, namespace: &str, version: u32, server_side: &str) {
        let chart = self.folder.path().join(tool.service());
        std::fs::create_dir_all(chart.join("templates")).unwrap();
        let about = format!(
            "apiVersion: v2\nname: {}\nversion: 0.0.{version}\n",
            tool.service()
        );
        std::fs::write(chart.join("Chart.yaml"), about).unwrap();
        let template = chart.join("templates/service.yaml");
        std::fs::write(template, manifest(tool, version).to_string()).unwrap();
        let side = format!("--server-side={server_side}");
        let args = [
            "upgrade",
            "--install",
            "-n",
            namespace,
            &side,
            tool.service(),
        ];
        self.run("helm", &[&args[..], &[chart.to_str().unwrap()]].concat());
    }

    /// As `docs/rights-router.md` shows it.
    fn by_hand(&self, namespace: &str, service: &str) {
        let path = "jsonpath={.metadata.annotations.dev/restore}";
        let patch = self.kubectl(namespace, &["get", "service", service, "-o", path]);
        if !patch.is_empty() {
            self.kubectl(
                namespace,
                &["patch", "service", service, "--type=json", "-p", &patch],
            );
        }
    }

    fn kubectl(&self, namespace: &str, args: &[&str]) -> String {
        self.run("kubectl", &[&["-n", namespace], args].concat())
    }

    /// Runs a tool, which must succeed: who owns a Service is never told of a conflict with `dev`.
    fn run(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program)
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The Service that a tool writes: two ports, and a selector of two labels.
pub fn manifest(tool: Tool, version: u32) -> Value {
    let target = if version == 1 {
        json!("http")
    } else {
        json!(8080)
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": tool.service(), "labels": {"version": format!("v{version}")}},
        "spec": {
            "selector": {"app": "shop", "track": "one"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": target},
                {"name": "raw", "port": 81, "targetPort": 8080},
            ],
        },
    })
}
