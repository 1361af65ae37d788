//! The labels and annotations that `dev` writes, and the values they carry.

/// Says that `dev` manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`], and the field manager of every write.
pub const MANAGER: &str = "dev";
/// The environment that an object belongs to; `base` objects carry the base's name.
pub const ENV: &str = "dev/env";
/// The namespace of the base of the environment.
pub const BASE: &str = "dev/base";
/// The logical service.
pub const SERVICE: &str = "dev/service";
/// The version of the service: an environment's name, or `base`.
pub const VERSION: &str = "dev/version";
/// The application of `dev.yaml`.
pub const APP: &str = "dev/app";

/// Label of namespaces and inventories: who made the environment, as a DNS label.
pub const OWNER: &str = "dev/owner";

/// Annotation: `true` keeps an object from every deletion by `dev`.
pub const KEEP: &str = "dev/keep";
/// Annotation: SHA-256 (hex, shortened) of the object as it was last applied.
pub const APPLIED: &str = "dev/applied";
/// Label with the value `true` of the ConfigMap that lists what an environment owns.
pub const INVENTORY: &str = "dev/inventory";

/// Label with the value `true` of a Service that only points at the base's service of the same name.
pub const ALIAS: &str = "dev/alias";
/// Label of a shadow Service: the Service of the base whose pods it keeps selecting while that one selects the routers.
pub const SHADOW: &str = "dev/shadow";
/// Annotation of a shadow: JSON, `port/protocol` of the Service → the port that the routers listen on.
pub const PORTS: &str = "dev/ports";
/// Annotation of a shadow: JSON with the `selector` and `ports` of the Service before it was routed.
pub const ORIGINAL: &str = "dev/original";
/// Annotation of a shadow: JSON, the Service's `managedFields` before it was routed.
pub const MANAGED_FIELDS: &str = "dev/managed-fields";
/// Annotation of a shadow: JSON, why `dev` leaves a Service alone that somebody else has changed.
pub const STAND_DOWN: &str = "dev/stand-down";
/// Annotation of a shadow: JSON, how far the control process is with the Service.
pub const PROGRESS: &str = "dev/progress";
/// Annotation of a routed Service: the JSON Patch (RFC 6902) that undoes the routing.
pub const RESTORE: &str = "dev/restore";
/// Annotation of an environment's Service: `base` lets the base answer while nothing of it is ready.
pub const FALLBACK: &str = "dev/fallback";
/// Annotation of what was brought along from the base: the copied services that need it, separated by commas.
pub const NEEDED_BY: &str = "dev/needed-by";
/// Annotation of an environment's Service: the Secrets of the base that its copy needs and somebody else is to bring, separated by
/// commas.
pub const SECRETS: &str = "dev/secrets";
/// Annotation of a Secret that was given to an environment: the base and the name of its Secret, `shop/database`.
pub const SHARED_FROM: &str = "dev/shared-from";
/// The ConfigMap in a base that says which namespaces are its environments.
pub const ADMISSION: &str = "dev-admission";

/// Annotation of that ConfigMap: `true` while the routers are taken away; every Service is restored then.
pub const UNINSTALL: &str = "dev/uninstall";

/// The name of the ConfigMap that lists what an environment owns: several environments may live in one namespace.
pub fn inventory_name(env: &str) -> String {
    format!("dev-inventory-{env}")
}

/// The name that the base's own objects carry as their environment and version.
pub const BASE_VERSION: &str = "base";

/// What stamps the objects of one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The application.
    pub app: String,
    /// The environment's name.
    pub env: String,
    /// The base's namespace, where there is one.
    pub base: Option<String>,
    /// The version.
    pub version: String,
}

impl Stamp {
    /// The labels of an object of this service, in a fixed order.
    pub fn labels<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
        [
            (MANAGED_BY, MANAGER),
            (APP, self.app.as_str()),
            (ENV, self.env.as_str()),
            (SERVICE, service),
            (VERSION, self.version.as_str()),
        ]
        .into_iter()
        .chain(self.base.as_deref().map(|base| (BASE, base)))
    }
}
