//! Which fields of which kinds name other objects: one table, like the `nameReference` configuration of kustomize.

use serde_json::{Map, Value};

use super::walk;

/// A field that names another object of the same namespace, or of the one that `namespace` beside it names.
#[derive(Debug)]
pub struct Reference<'a> {
    /// The mapping that holds the name.
    pub holder: &'a mut Map<String, Value>,
    /// The key of the name in it.
    pub field: &'static str,
    /// The kind of the object that is named.
    pub kind: String,
    /// Whether the pod works without the object.
    pub optional: bool,
}

impl Reference<'_> {
    /// The name, where it is one.
    pub fn name(&self) -> Option<&str> {
        self.holder.get(self.field)?.as_str()
    }

    /// The namespace that stands beside the name.
    pub fn namespace(&self) -> Option<&str> {
        self.holder.get("namespace")?.as_str()
    }
}

/// What a row of the table points to.
enum To {
    /// Always this kind.
    Kind(&'static str),
    /// The kind that `kind` beside the name says, else this one.
    Said(&'static str),
}

use To::{Kind, Said};

/// In a pod's `spec`: the path of the holder, the field, the kind.
const IN_PODS: &[(&str, &str, To)] = &[
    ("", "serviceAccountName", Kind("ServiceAccount")),
    ("", "serviceAccount", Kind("ServiceAccount")),
    ("", "subdomain", Kind("Service")),
    ("imagePullSecrets[]", "name", Kind("Secret")),
    (
        "resourceClaims[]",
        "resourceClaimName",
        Kind("ResourceClaim"),
    ),
    (
        "resourceClaims[]",
        "resourceClaimTemplateName",
        Kind("ResourceClaimTemplate"),
    ),
    ("volumes[].configMap", "name", Kind("ConfigMap")),
    ("volumes[].secret", "secretName", Kind("Secret")),
    (
        "volumes[].persistentVolumeClaim",
        "claimName",
        Kind("PersistentVolumeClaim"),
    ),
    (
        "volumes[].projected.sources[].configMap",
        "name",
        Kind("ConfigMap"),
    ),
    (
        "volumes[].projected.sources[].secret",
        "name",
        Kind("Secret"),
    ),
    ("volumes[].csi.nodePublishSecretRef", "name", Kind("Secret")),
    ("volumes[].flexVolume.secretRef", "name", Kind("Secret")),
    ("volumes[].azureFile", "secretName", Kind("Secret")),
    ("volumes[].cephfs.secretRef", "name", Kind("Secret")),
    ("volumes[].iscsi.secretRef", "name", Kind("Secret")),
    ("volumes[].rbd.secretRef", "name", Kind("Secret")),
    ("volumes[].scaleIO.secretRef", "name", Kind("Secret")),
    ("volumes[].storageos.secretRef", "name", Kind("Secret")),
    (
        "volumes[].ephemeral.volumeClaimTemplate.spec.dataSource",
        "name",
        Said("PersistentVolumeClaim"),
    ),
    (
        "volumes[].ephemeral.volumeClaimTemplate.spec.dataSourceRef",
        "name",
        Said("PersistentVolumeClaim"),
    ),
];

/// In each container of a pod.
const IN_CONTAINERS: &[(&str, &str, To)] = &[
    ("env[].valueFrom.configMapKeyRef", "name", Kind("ConfigMap")),
    ("env[].valueFrom.secretKeyRef", "name", Kind("Secret")),
    ("envFrom[].configMapRef", "name", Kind("ConfigMap")),
    ("envFrom[].secretRef", "name", Kind("Secret")),
];

const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// By kind (the group matters only where two groups share a kind, and their paths do not overlap).
const BY_KIND: &[(&str, &str, &str, To)] = &[
    ("StatefulSet", "spec", "serviceName", Kind("Service")),
    (
        "StatefulSet",
        "spec.volumeClaimTemplates[].spec.dataSource",
        "name",
        Said("PersistentVolumeClaim"),
    ),
    (
        "StatefulSet",
        "spec.volumeClaimTemplates[].spec.dataSourceRef",
        "name",
        Said("PersistentVolumeClaim"),
    ),
    (
        "PersistentVolumeClaim",
        "spec.dataSource",
        "name",
        Said("PersistentVolumeClaim"),
    ),
    (
        "PersistentVolumeClaim",
        "spec.dataSourceRef",
        "name",
        Said("PersistentVolumeClaim"),
    ),
    ("ServiceAccount", "secrets[]", "name", Kind("Secret")),
    (
        "ServiceAccount",
        "imagePullSecrets[]",
        "name",
        Kind("Secret"),
    ),
    ("RoleBinding", "roleRef", "name", Said("Role")),
    ("RoleBinding", "subjects[]", "name", Said("User")),
    ("ClusterRoleBinding", "subjects[]", "name", Said("User")),
    (
        "Secret",
        "metadata.annotations",
        "kubernetes.io/service-account.name",
        Kind("ServiceAccount"),
    ),
    (
        "EndpointSlice",
        "metadata.labels",
        "kubernetes.io/service-name",
        Kind("Service"),
    ),
    (
        "HorizontalPodAutoscaler",
        "spec.scaleTargetRef",
        "name",
        Said("Deployment"),
    ),
    (
        "HorizontalPodAutoscaler",
        "spec.metrics[].object.describedObject",
        "name",
        Said("Service"),
    ),
    (
        "VerticalPodAutoscaler",
        "spec.targetRef",
        "name",
        Said("Deployment"),
    ),
    (
        "ScaledObject",
        "spec.scaleTargetRef",
        "name",
        Said("Deployment"),
    ),
    (
        "ScaledObject",
        "spec.triggers[].authenticationRef",
        "name",
        Said("TriggerAuthentication"),
    ),
    (
        "ScaledJob",
        "spec.triggers[].authenticationRef",
        "name",
        Said("TriggerAuthentication"),
    ),
    (
        "TriggerAuthentication",
        "spec.secretTargetRef[]",
        "name",
        Kind("Secret"),
    ),
    (
        "TriggerAuthentication",
        "spec.configMapTargetRef[]",
        "name",
        Kind("ConfigMap"),
    ),
    (
        "Ingress",
        "spec.defaultBackend.service",
        "name",
        Kind("Service"),
    ),
    (
        "Ingress",
        "spec.defaultBackend.resource",
        "name",
        Said("Service"),
    ),
    (
        "Ingress",
        "spec.rules[].http.paths[].backend.service",
        "name",
        Kind("Service"),
    ),
    (
        "Ingress",
        "spec.rules[].http.paths[].backend.resource",
        "name",
        Said("Service"),
    ),
    ("Ingress", "spec.backend", "serviceName", Kind("Service")),
    (
        "Ingress",
        "spec.rules[].http.paths[].backend",
        "serviceName",
        Kind("Service"),
    ),
    ("Ingress", "spec.tls[]", "secretName", Kind("Secret")),
    (
        "Gateway",
        "spec.listeners[].tls.certificateRefs[]",
        "name",
        Said("Secret"),
    ),
    (
        "Gateway",
        "spec.servers[].tls",
        "credentialName",
        Kind("Secret"),
    ),
    ("HTTPRoute", "spec.parentRefs[]", "name", Said("Gateway")),
    (
        "HTTPRoute",
        "spec.rules[].backendRefs[]",
        "name",
        Said("Service"),
    ),
    (
        "HTTPRoute",
        "spec.rules[].filters[].requestMirror.backendRef",
        "name",
        Said("Service"),
    ),
    (
        "HTTPRoute",
        "spec.rules[].filters[].extensionRef",
        "name",
        Said("Middleware"),
    ),
    (
        "HTTPRoute",
        "spec.rules[].backendRefs[].filters[].requestMirror.backendRef",
        "name",
        Said("Service"),
    ),
    ("GRPCRoute", "spec.parentRefs[]", "name", Said("Gateway")),
    (
        "GRPCRoute",
        "spec.rules[].backendRefs[]",
        "name",
        Said("Service"),
    ),
    (
        "GRPCRoute",
        "spec.rules[].filters[].requestMirror.backendRef",
        "name",
        Said("Service"),
    ),
    ("TCPRoute", "spec.parentRefs[]", "name", Said("Gateway")),
    (
        "TCPRoute",
        "spec.rules[].backendRefs[]",
        "name",
        Said("Service"),
    ),
    ("TLSRoute", "spec.parentRefs[]", "name", Said("Gateway")),
    (
        "TLSRoute",
        "spec.rules[].backendRefs[]",
        "name",
        Said("Service"),
    ),
    ("UDPRoute", "spec.parentRefs[]", "name", Said("Gateway")),
    (
        "UDPRoute",
        "spec.rules[].backendRefs[]",
        "name",
        Said("Service"),
    ),
    (
        "BackendTLSPolicy",
        "spec.targetRefs[]",
        "name",
        Said("Service"),
    ),
    (
        "BackendTLSPolicy",
        "spec.validation.caCertificateRefs[]",
        "name",
        Said("ConfigMap"),
    ),
    ("ReferenceGrant", "spec.to[]", "name", Said("Service")),
    (
        "IngressRoute",
        "spec.routes[].services[]",
        "name",
        Said("Service"),
    ),
    (
        "IngressRoute",
        "spec.routes[].middlewares[]",
        "name",
        Kind("Middleware"),
    ),
    ("IngressRoute", "spec.tls", "secretName", Kind("Secret")),
    (
        "IngressRouteTCP",
        "spec.routes[].services[]",
        "name",
        Said("Service"),
    ),
    ("Route", "spec.to", "name", Said("Service")),
    ("Route", "spec.alternateBackends[]", "name", Said("Service")),
    (
        "ServiceMonitor",
        "spec.endpoints[].basicAuth.username",
        "name",
        Kind("Secret"),
    ),
    (
        "ServiceMonitor",
        "spec.endpoints[].basicAuth.password",
        "name",
        Kind("Secret"),
    ),
    (
        "ServiceMonitor",
        "spec.endpoints[].bearerTokenSecret",
        "name",
        Kind("Secret"),
    ),
    (
        "ServiceMonitor",
        "spec.endpoints[].authorization.credentials",
        "name",
        Kind("Secret"),
    ),
    (
        "PodMonitor",
        "spec.podMetricsEndpoints[].bearerTokenSecret",
        "name",
        Kind("Secret"),
    ),
    ("Certificate", "spec", "secretName", Kind("Secret")),
    ("Certificate", "spec.issuerRef", "name", Said("Issuer")),
    (
        "Certificate",
        "spec.keystores.jks.passwordSecretRef",
        "name",
        Kind("Secret"),
    ),
    (
        "Certificate",
        "spec.keystores.pkcs12.passwordSecretRef",
        "name",
        Kind("Secret"),
    ),
    ("Issuer", "spec.ca", "secretName", Kind("Secret")),
    (
        "Issuer",
        "spec.acme.privateKeySecretRef",
        "name",
        Kind("Secret"),
    ),
    (
        "ExternalSecret",
        "spec.secretStoreRef",
        "name",
        Said("SecretStore"),
    ),
    ("ExternalSecret", "spec.target", "name", Kind("Secret")),
    (
        "SealedSecret",
        "spec.template.metadata",
        "name",
        Kind("Secret"),
    ),
    ("Rollout", "spec.workloadRef", "name", Said("Deployment")),
    (
        "Rollout",
        "spec.strategy.canary",
        "stableService",
        Kind("Service"),
    ),
    (
        "Rollout",
        "spec.strategy.canary",
        "canaryService",
        Kind("Service"),
    ),
    (
        "Rollout",
        "spec.strategy.blueGreen",
        "activeService",
        Kind("Service"),
    ),
    (
        "Rollout",
        "spec.strategy.blueGreen",
        "previewService",
        Kind("Service"),
    ),
    (
        "MutatingWebhookConfiguration",
        "webhooks[].clientConfig.service",
        "name",
        Kind("Service"),
    ),
    (
        "ValidatingWebhookConfiguration",
        "webhooks[].clientConfig.service",
        "name",
        Kind("Service"),
    ),
    (
        "CustomResourceDefinition",
        "spec.conversion.webhook.clientConfig.service",
        "name",
        Kind("Service"),
    ),
    ("APIService", "spec.service", "name", Kind("Service")),
];

/// Annotations of ingress-nginx that name a Secret as `NAME` or `NAMESPACE/NAME`.
pub(super) const SECRET_ANNOTATIONS: [&str; 3] = [
    "nginx.ingress.kubernetes.io/auth-secret",
    "nginx.ingress.kubernetes.io/auth-tls-secret",
    "nginx.ingress.kubernetes.io/proxy-ssl-secret",
];

/// Objects that controllers make under a name that an object gives: kind of the object, path of the name, kind made.
/// Where the path leads nowhere and the last column says so, the object's own name.
pub(super) const MADE: &[(&str, &str, &str, bool)] = &[
    ("Certificate", "spec.secretName", "Secret", false),
    ("ExternalSecret", "spec.target.name", "Secret", true),
    (
        "SealedSecret",
        "spec.template.metadata.name",
        "Secret",
        true,
    ),
];

/// Calls `found` with every reference in an object, those of its pods included.
pub fn each(value: &mut Value, group: &str, kind: &str, found: &mut dyn FnMut(Reference<'_>)) {
    for (_, path, field, to) in BY_KIND.iter().filter(|row| row.0 == kind) {
        row(value, path, field, to, found);
    }
    let Some(template) = walk::pod_template(group, kind) else {
        return;
    };
    let path = if template.is_empty() {
        "spec".to_owned()
    } else {
        format!("{template}.spec")
    };
    if let Some(pod) = walk::get_mut(value, &path) {
        each_in_pod(pod, found);
    }
}

/// Calls `found` with every reference in the `spec` of a pod.
pub fn each_in_pod(pod: &mut Value, found: &mut dyn FnMut(Reference<'_>)) {
    for (path, field, to) in IN_PODS {
        row(pod, path, field, to, found);
    }
    for list in CONTAINERS {
        let Some(Value::Array(containers)) = pod.get_mut(list) else {
            continue;
        };
        for container in containers {
            for (path, field, to) in IN_CONTAINERS {
                row(container, path, field, to, found);
            }
        }
    }
}

fn row(
    value: &mut Value,
    path: &str,
    field: &'static str,
    to: &To,
    found: &mut dyn FnMut(Reference<'_>),
) {
    walk::maps(value, path, &mut |holder| {
        if !holder.get(field).is_some_and(Value::is_string) {
            return;
        }
        let kind = match to {
            Kind(kind) => (*kind).to_owned(),
            Said(default) => holder
                .get("kind")
                .and_then(Value::as_str)
                .unwrap_or(default)
                .to_owned(),
        };
        let optional = holder.get("optional").and_then(Value::as_bool) == Some(true);
        found(Reference {
            holder,
            field,
            kind,
            optional,
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_in_every_kind_of_workload() {
        let pod = json!({
            "serviceAccountName": "sa",
            "initContainers": [{"envFrom": [{"secretRef": {"name": "s", "optional": true}}]}],
            "containers": [{"env": [{"name": "A", "value": "x"}, {"valueFrom": {"configMapKeyRef": {"name": "c"}}}]}],
            "volumes": [{"projected": {"sources": [{"secret": {"name": "t"}}]}}],
        });
        let cases = [
            ("", "Pod", json!({"spec": pod})),
            (
                "apps",
                "Deployment",
                json!({"spec": {"template": {"spec": pod}}}),
            ),
            (
                "batch",
                "CronJob",
                json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}}),
            ),
            ("", "PodTemplate", json!({"template": {"spec": pod}})),
        ];
        for (group, kind, mut value) in cases {
            let mut seen = Vec::new();
            each(&mut value, group, kind, &mut |reference| {
                let name = reference.name().unwrap_or_default().to_owned();
                seen.push(format!("{} {name} {}", reference.kind, reference.optional));
            });
            seen.sort();
            assert_eq!(
                seen,
                [
                    "ConfigMap c false",
                    "Secret s true",
                    "Secret t false",
                    "ServiceAccount sa false"
                ],
                "{kind}"
            );
        }
    }
}
