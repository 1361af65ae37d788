//! What `dev.yaml` may say. The JSON Schema that `dev schema` prints is derived from these types.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Free values for templates: `{{ vars.NAME }}`.
pub type Vars = BTreeMap<String, serde_json::Value>;

/// The whole file.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "dev.yaml")]
pub struct Project {
    /// The application's name, a DNS label. The namespace of an environment is `<app>-<env>`.
    pub app: String,
    /// The namespace of the shared versions. Leave it out for full copies only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The domain of the cluster's DNS, in the names of services that are borrowed from the base (default: `cluster.local`).
    #[serde(
        default,
        rename = "clusterDomain",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_domain: Option<String>,
    /// Where images are pushed, such as `localhost:5000` or `registry.example.com/team`. Without one, images
    /// are loaded into a local cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Values for templates, as `{{ vars.NAME }}`; `--set NAME=VALUE` overrides them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: Vars,
    /// The services of the application, by name.
    pub services: BTreeMap<String, Service>,
    /// Variations by branch: the first profile whose `branches` match is taken, else `default`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub profiles: IndexMap<String, Profile>,
}

/// One service: where its manifests are, how its image is made, what it needs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Files, directories or globs of Kubernetes manifests; each is a Tera template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<OneOrMany>,
    /// A Helm chart in place of `manifests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<Helm>,
    /// A directory with a `kustomization.yaml` in place of `manifests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<PathBuf>,
    /// `true`: copy what runs in the base namespace, in place of `manifests`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// The image that `{{ image }}` stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// Services that must be ready before this one is applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What a copy beside a base gets for PersistentVolumeClaims of the base that it needs, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Claim>,
    /// The command that runs this service on the laptop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Values for the templates of this service only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: Vars,
}

/// What a copy gets for a PersistentVolumeClaim of the base. A claim cannot be used from another namespace, so it is never the
/// base's own.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// A claim of its own, with the size and class of the base's and without its data.
    Empty,
    /// No claim: a directory that goes with the pod (`emptyDir`).
    Scratch,
}

impl Service {
    /// The key that says where its objects come from.
    pub fn source(&self) -> &'static str {
        match self {
            Self { helm: Some(_), .. } => "helm",
            Self {
                kustomize: Some(_), ..
            } => "kustomize",
            Self { live: true, .. } => "live",
            Self { .. } => "manifests",
        }
    }
}

/// One string or a list of strings.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(untagged, expecting = "a string or a list of strings")]
pub enum OneOrMany {
    /// `manifests: k8s/`
    One(String),
    /// `manifests: [k8s/, extra.yaml]`
    Many(Vec<String>),
}

impl OneOrMany {
    /// The strings, in the order written.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A Helm chart, rendered by the `helm` program.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Helm {
    /// A directory, an archive, or a reference that `helm template` takes.
    pub chart: String,
    /// The version of a chart that is not a local directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Values files; each is a Tera template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<PathBuf>,
    /// Single values, as `--set` takes them; the values are Tera templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, serde_json::Value>,
    /// The release name in the templates (default: the service's name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What to do with the chart's hooks.
    #[serde(default)]
    pub hooks: HelmHooks,
}

/// What to do with Helm hooks, which `helm template` prints like ordinary objects.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HelmHooks {
    /// Leave hooks out and say so.
    #[default]
    Skip,
    /// Apply install and upgrade hooks as ordinary objects; leave test, delete and rollback hooks out.
    Run,
    /// A chart with hooks is an error.
    Refuse,
}

/// An image: given, or built in one of three ways.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The repository below `registry`, without a tag; with none of the builders, a complete reference.
    pub name: String,
    /// Build a Dockerfile with docker, buildah or podman.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Build with any command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<BuildCommand>,
    /// Base image plus files, put together by `dev` itself without an engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<Layers>,
}

/// A Dockerfile build.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The build context; the tag is computed from its files.
    pub context: PathBuf,
    /// The Dockerfile, relative to the context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<PathBuf>,
    /// The program that builds (default: the first installed of docker, buildah, podman).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Build arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// The stage to build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A program that builds Dockerfiles.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// `docker build`
    Docker,
    /// `buildah build`
    Buildah,
    /// `podman build`
    Podman,
}

/// A build by any command.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildCommand {
    /// Run by `sh -c` in the context. It gets `DEV_IMAGE` (the full reference to make), and either pushes that
    /// image itself or writes a docker or OCI archive to the path in `DEV_IMAGE_TAR`.
    pub run: String,
    /// The directory it works in and the tag is computed from.
    pub context: PathBuf,
}

/// Base image plus files.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Layers {
    /// The directory that the sources in `files` are relative to and the tag is computed from (default: the
    /// directory with the service's name, else that of `dev.yaml`).
    pub context: Option<PathBuf>,
    /// A local command (`sh -c`, in the context) that makes the files.
    pub build: Option<String>,
    /// `scratch`, an image reference, or the path of an OCI or docker archive that begins with `./` or `/`.
    pub base: String,
    /// Source (relative to the context) to absolute destination; `dir/` to `dir/` copies the contents.
    pub files: BTreeMap<String, String>,
    /// The entry point; the base image's where left out.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments; the base image's where left out.
    pub cmd: Option<Vec<String>>,
    /// Environment variables, added to the base image's.
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// `UID[:GID]`
    pub user: Option<String>,
    /// TCP ports that the image says it listens on.
    pub ports: Vec<u16>,
}

/// A variation of the project for some branches.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Globs of branch names, such as `pr-*`.
    pub branches: Vec<String>,
    /// How long an environment of this profile lives, such as `24h`.
    pub ttl: Option<String>,
    /// Values that override those of the project.
    pub vars: Vars,
    /// Only these services (and what they need).
    pub services: Option<Vec<String>>,
    /// Overrides the project's registry.
    pub registry: Option<String>,
}
