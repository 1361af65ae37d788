//! Which kinds belong to a namespace and which to the whole cluster.

/// What an object belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A namespace.
    Namespaced,
    /// The whole cluster.
    Cluster,
}

/// The scope of the kinds of Kubernetes itself and of widespread extensions. `None` for a kind that is not known.
pub fn builtin_scope(group: &str, kind: &str) -> Option<Scope> {
    let cluster = match group {
        "" => matches!(
            kind,
            "Namespace" | "Node" | "PersistentVolume" | "ComponentStatus"
        ),
        "rbac.authorization.k8s.io" => kind.starts_with("Cluster"),
        "storage.k8s.io" => kind != "CSIStorageCapacity",
        "networking.k8s.io" => matches!(kind, "IngressClass" | "IPAddress" | "ServiceCIDR"),
        "policy" => kind == "PodSecurityPolicy",
        "gateway.networking.k8s.io" => kind == "GatewayClass",
        "resource.k8s.io" => matches!(kind, "DeviceClass" | "ResourceSlice" | "DeviceTaintRule"),
        "cert-manager.io" => kind == "ClusterIssuer",
        "external-secrets.io" => kind.starts_with("Cluster"),
        "keda.sh" => kind.starts_with("Cluster"),
        "kyverno.io" => kind.starts_with("Cluster"),
        "snapshot.storage.k8s.io" => kind != "VolumeSnapshot",
        "apps"
        | "batch"
        | "autoscaling"
        | "discovery.k8s.io"
        | "events.k8s.io"
        | "extensions"
        | "coordination.k8s.io"
        | "monitoring.coreos.com"
        | "argoproj.io"
        | "networking.istio.io"
        | "traefik.io"
        | "route.openshift.io" => false,
        "apiextensions.k8s.io"
        | "apiregistration.k8s.io"
        | "admissionregistration.k8s.io"
        | "scheduling.k8s.io"
        | "node.k8s.io"
        | "certificates.k8s.io"
        | "flowcontrol.apiserver.k8s.io"
        | "internal.apiserver.k8s.io"
        | "storagemigration.k8s.io" => true,
        _ => return None,
    };
    Some(if cluster {
        Scope::Cluster
    } else {
        Scope::Namespaced
    })
}

/// Why an object of the whole cluster is not copied.
pub(super) fn reason(kind: &str) -> &'static str {
    match kind {
        "Namespace" => "the namespace is made by dev",
        "ClusterRoleBinding" => {
            "it belongs to the whole cluster, and would give the copy rights beyond its namespace"
        }
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            "it belongs to the whole cluster, and would act on everybody's objects"
        }
        _ => "it belongs to the whole cluster, where one for all versions is enough",
    }
}
