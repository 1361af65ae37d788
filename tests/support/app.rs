//! A small application of two services that starts at once, for tests on a cluster.

use std::sync::atomic::{AtomicU32, Ordering};

use super::cluster::image;
use super::project::Project;

/// A name that no other test of this run or another run at the same time has.
pub fn unique(word: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("dev-test-{word}-{}-{count}", std::process::id())
}

/// A Deployment of one pod that starts at once, and its Service. Its text is `{{ vars.text }}`; `extra` are lines of the
/// pod's spec.
pub fn workload(name: &str, extra: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
{extra}      containers:
      - name: main
        image: {}
        command: [/testbox, serve]
        env: [{{name: TEXT, value: '{{{{ vars.text }}}}'}}]
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 1}}
        resources: {{requests: {{cpu: 5m, memory: 8Mi}}}}
        securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
",
        image()
    )
}

/// `web`, which needs `store`: a ConfigMap, a Secret, an account, Services, Deployments.
pub fn two_services(app: &str) -> Project {
    Project::new(&[
        (
            "dev.yaml",
            &format!(
                "app: {app}\nvars: {{text: hello}}\nservices:\n  store: {{manifests: store.yaml}}\n  web: {{manifests: web.yaml, needs: [store]}}\n"
            ),
        ),
        (
            "store.yaml",
            &(workload("store", "")
                + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: store}\nstringData: {password: not-a-secret}\n"),
        ),
        (
            "web.yaml",
            &(workload("web", "      serviceAccountName: web\n")
                + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {text: '{{ vars.text }}'}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n"),
        ),
    ])
}
