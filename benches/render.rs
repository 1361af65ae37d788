//! 1,000 Deployments (and a Service that all name) from one file: `dev` (templates, transform for an environment, checks) beside `helm template`
//! and `kubectl kustomize`, which transform nothing.
//!
//! `cargo bench --bench render [-- OBJECTS]`. Programs that are not installed are left out and named. `DEV_BIN` is
//! the `dev` to measure (default: that of this build).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use dev::manifest::labels::Stamp;
use dev::manifest::template::Renderer;
use dev::manifest::transform::{Mode, Target, transform, unknown_scope};
use dev::manifest::{Context, read_files, validate, yaml};

const RUNS: usize = 15;

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(1000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path();
    generate(root, count);
    println!("{count} Deployments, median of {RUNS} runs (fastest, slowest)");
    library(root);
    let dev =
        std::env::var_os("DEV_BIN").map_or_else(|| env!("CARGO_BIN_EXE_dev").into(), PathBuf::from);
    let file = root.join("dev.yaml");
    let file = file.to_str().expect("UTF-8");
    program(
        "dev render",
        &dev,
        &["render", "-q", "-f", file, "-e", "try"],
        root,
    );
    program(
        "helm template",
        Path::new("helm"),
        &["template", "shop", "chart"],
        root,
    );
    program(
        "kubectl kustomize",
        Path::new("kubectl"),
        &["kustomize", "overlay"],
        root,
    );
}

/// The same objects three times: as a template of `dev`, as a chart, as a kustomization.
fn generate(root: &Path, count: usize) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write(
        "dev.yaml",
        "app: shop\nbase: shop\nvars: {tag: \"1.2.3\"}\nservices:\n  all: {manifests: k8s/all.yaml}\n",
    );
    write("k8s/all.yaml", &deployments(count, "{{ vars.tag }}"));
    write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 0.1.0\n",
    );
    write("chart/values.yaml", "tag: \"1.2.3\"\n");
    write(
        "chart/templates/all.yaml",
        &deployments(count, "{{ .Values.tag }}"),
    );
    write("overlay/kustomization.yaml", "resources: [all.yaml]\n");
    write("overlay/all.yaml", &deployments(count, "1.2.3"));
}

fn deployments(count: usize, tag: &str) -> String {
    let mut text =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 8080}]}\n"
            .to_owned();
    for i in 0..count {
        write!(
            text,
            r#"---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-{i}
  labels:
    app: web-{i}
    tier: frontend
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web-{i}
  template:
    metadata:
      labels:
        app: web-{i}
        tier: frontend
    spec:
      serviceAccountName: web
      containers:
      - name: main
        image: registry.example.com/shop/web-{i}:{tag}
        args: ["--port=8080", "--peer=http://web.shop.svc.cluster.local:8080"]
        ports:
        - containerPort: 8080
          name: http
        env:
        - name: PORT
          value: "8080"
        - name: PASSWORD
          valueFrom:
            secretKeyRef:
              name: web-{i}
              key: password
        resources:
          requests:
            cpu: 10m
            memory: 32Mi
          limits:
            memory: 64Mi
        readinessProbe:
          httpGet:
            path: /healthz
            port: http
"#
        )
        .expect("a string takes it");
    }
    text
}

/// The path that `dev render` takes, without the process around it, with its parts.
fn library(root: &Path) {
    let context = Context {
        app: "shop".into(),
        env: "try".into(),
        service: "all".into(),
        version: "try".into(),
        namespace: "shop-try".into(),
        vars: [("tag".to_owned(), "1.2.3".into())].into(),
        ..Context::default()
    };
    let target = Target {
        stamp: Stamp {
            app: "shop".into(),
            env: "try".into(),
            base: Some("shop".into()),
            version: "try".into(),
        },
        namespace: "shop-try".into(),
        home: vec!["shop".into()],
        suffix: None,
        domain: None,
        mode: Mode::Copy,
    };
    let beside = Target {
        namespace: "shop".into(),
        suffix: Some("try".into()),
        ..target.clone()
    };
    let renderer = Renderer::new(&context).expect("plain values");
    let entries = ["k8s/all.yaml".to_owned()];
    let mut parts = [const { Vec::new() }; 5];
    for _ in 0..RUNS {
        let start = Instant::now();
        let loaded = read_files(&entries, root, "all", &renderer).expect("valid");
        parts[1].push(start.elapsed());
        let again = loaded.manifests.clone();
        let at = Instant::now();
        validate::check_unique(&loaded.manifests).expect("unique");
        let result = transform(loaded.manifests, &target, &unknown_scope).expect("fits");
        parts[2].push(at.elapsed());
        let at = Instant::now();
        let text = yaml::stream(&result.objects).expect("written");
        parts[3].push(at.elapsed());
        assert!(
            text.contains("web.shop-try.svc"),
            "the transform did its work"
        );
        let total = [&parts[1], &parts[2], &parts[3]].map(|part| part[part.len() - 1]);
        parts[0].push(total.iter().sum());
        let at = Instant::now();
        transform(again, &beside, &unknown_scope).expect("fits");
        parts[4].push(at.elapsed());
    }
    let names = [
        "library: all of it",
        "  read, render, parse, check",
        "  transform (another namespace)",
        "  print",
        "  transform (beside, with a suffix; not in the sum)",
    ];
    for (name, times) in names.iter().zip(&mut parts) {
        report(name, times);
    }
}

fn program(name: &str, program: &Path, args: &[&str], dir: &Path) {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let output = Command::new(program)
            .args(args)
            .current_dir(dir)
            .stdin(Stdio::null())
            .output();
        times.push(start.elapsed());
        match output {
            Ok(output) if output.status.success() => {
                let objects = String::from_utf8_lossy(&output.stdout)
                    .matches("kind: Deployment")
                    .count();
                assert!(objects > 0, "{name} printed no Deployment");
            }
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stderr);
                println!(
                    "{name:<52} failed: {}",
                    words.lines().next().unwrap_or_default()
                );
                return;
            }
            Err(cause) => {
                println!("{name:<52} left out: {cause}");
                return;
            }
        }
    }
    report(name, &mut times);
}

fn report(name: &str, times: &mut [Duration]) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{name:<52} {:7.1} ms  ({:.1}, {:.1})",
        ms(times[times.len() / 2]),
        ms(times[0]),
        ms(times[times.len() - 1])
    );
}
