#!/usr/bin/env python3
"""Records what an API server answers to requests that it refuses: statuses.json, by the name of the case.

Needs a kubeconfig with client certificates (KUBECONFIG) of a cluster that may be written to. It makes namespaces and cluster-wide
objects whose names begin with "dev-refusals", and removes them.
"""
import base64, json, os, ssl, subprocess, tempfile, time, urllib.parse, http.client

config = json.loads(subprocess.check_output(["kubectl", "config", "view", "--raw", "--minify", "-o", "json"]))
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]


def material(data, name):
    if name + "-data" in data:
        file = tempfile.NamedTemporaryFile(delete=False)
        file.write(base64.b64decode(data[name + "-data"]))
        file.close()
        return file.name
    return data[name]


server = urllib.parse.urlparse(cluster["server"])
tls = ssl.create_default_context(cafile=material(cluster, "certificate-authority"))
bare = ssl.create_default_context(cafile=material(cluster, "certificate-authority"))
tls.load_cert_chain(material(user, "client-certificate"), material(user, "client-key"))


def call(method, path, body=None, kind="application/json", headers=None, context=tls):
    connection = http.client.HTTPSConnection(server.hostname, server.port, context=context)
    payload = None if body is None else body if isinstance(body, str) else json.dumps(body)
    connection.request(method, path, payload, {"Content-Type": kind, **(headers or {})})
    answer = connection.getresponse()
    text = answer.read().decode()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        # As the kube crate makes it of an answer that is no Status.
        return {"status": "Failure", "code": answer.status, "message": text.strip(), "reason": "Failed to parse error data"}


APPLY = "application/apply-patch+yaml"
NS = "dev-refusals"
core = f"/api/v1/namespaces/{NS}"
jane = {"Impersonate-User": "jane"}
found = {}


def refused(name, *args, **kwargs):
    answer = call(*args, **kwargs)
    assert answer.get("status") == "Failure", (name, answer)
    found[name] = answer


def pod(name, **spec):
    container = {"name": "a", "image": "x:1", **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


def config_map(name, value="1", **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": value}}


def named(kind, version, name, **rest):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest}


def namespace(name, **metadata):
    call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, **metadata}})


rbac = "/apis/rbac.authorization.k8s.io/v1"
try:
    namespace(NS)
    time.sleep(1)  # the service account and the quota of a new namespace take a moment
    refused("unauthenticated", "GET", core + "/pods", headers={"Authorization": "Bearer expired"}, context=bare)
    refused("may-not-list", "GET", core + "/pods", headers=jane)
    refused("may-not-list-group", "GET", f"/apis/apps/v1/namespaces/{NS}/deployments", headers=jane)
    refused("may-not-list-nodes", "GET", "/api/v1/nodes", headers=jane)
    refused("may-not-exec", "POST", core + "/pods/x/exec?command=a", headers=jane)
    refused("may-not-create-namespace", "POST", "/api/v1/namespaces", named("Namespace", "v1", "x"), headers=jane)
    call("POST", rbac + f"/namespaces/{NS}/roles", named("Role", "rbac.authorization.k8s.io/v1", "roles",
         rules=[{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}]))
    call("POST", rbac + f"/namespaces/{NS}/rolebindings", named("RoleBinding", "rbac.authorization.k8s.io/v1", "roles",
         roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "roles"},
         subjects=[{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]))
    time.sleep(1)
    refused("rights-escalation", "POST", rbac + f"/namespaces/{NS}/roles", named("Role", "rbac.authorization.k8s.io/v1", "more",
            rules=[{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]), headers=jane)

    call("POST", core + "/resourcequotas", named("ResourceQuota", "v1", "small", spec={"hard": {"configmaps": "1", "count/secrets": "0"}}))
    for _ in range(50):
        if call("GET", core + "/resourcequotas/small").get("status", {}).get("used"):
            break
        time.sleep(0.1)
    refused("quota", "POST", core + "/secrets", named("Secret", "v1", "x"))
    call("DELETE", core + "/resourcequotas/small")
    call("POST", core + "/limitranges", named("LimitRange", "v1", "small", spec={"limits": [{"type": "Container", "max": {"cpu": "1"}}]}))
    time.sleep(1)
    refused("limits", "POST", core + "/pods", pod("x", resources={"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}))
    call("DELETE", core + "/limitranges/small")

    namespace(NS + "-strict", labels={"pod-security.kubernetes.io/enforce": "restricted"})
    time.sleep(1)
    refused("pod-security", "POST", f"/api/v1/namespaces/{NS}-strict/pods", pod("x"))
    namespace(NS + "-going")
    call("POST", f"/api/v1/namespaces/{NS}-going/configmaps", config_map("held", finalizers=["example.org/hold"]))
    call("DELETE", f"/api/v1/namespaces/{NS}-going")
    refused("namespace-terminating", "POST", f"/api/v1/namespaces/{NS}-going/configmaps", config_map("x"))
    refused("namespace-missing", "POST", "/api/v1/namespaces/dev-refusals-none/configmaps", config_map("x"))
    refused("namespace-missing-apply", "PATCH", "/api/v1/namespaces/dev-refusals-none/configmaps/x?fieldManager=dev", config_map("x"), APPLY)

    refused("not-found", "GET", core + "/configmaps/none")
    refused("kind-not-served", "GET", f"/apis/example.org/v1/namespaces/{NS}/shelves")
    call("PATCH", core + "/configmaps/held?fieldManager=kubectl-edit", config_map("held"), APPLY)
    refused("field-conflict", "PATCH", core + "/configmaps/held?fieldManager=dev", config_map("held", "2"), APPLY)
    deployment = named("Deployment", "apps/v1", "web", spec={"replicas": 0, "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}}})
    deployments = f"/apis/apps/v1/namespaces/{NS}/deployments"
    call("PATCH", deployments + "/web?fieldManager=dev", deployment, APPLY)
    call("PATCH", deployments + "/web/scale?fieldManager=kubectl", {"spec": {"replicas": 1}}, "application/merge-patch+json")
    refused("replicas-conflict", "PATCH", deployments + "/web?fieldManager=dev", deployment, APPLY)
    refused("exists", "POST", core + "/configmaps", config_map("held"))
    refused("outdated", "PUT", core + "/configmaps/held", config_map("held", "3", resourceVersion="1"))

    moved = json.loads(json.dumps(deployment))
    moved["spec"]["selector"]["matchLabels"] = moved["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    refused("immutable-selector", "PATCH", deployments + "/web?fieldManager=dev&force=true", moved, APPLY)
    job = named("Job", "batch/v1", "seed", spec={"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x:1"}]}}})
    call("PATCH", f"/apis/batch/v1/namespaces/{NS}/jobs/seed?fieldManager=dev", job, APPLY)
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "x:2"
    refused("immutable-job", "PATCH", f"/apis/batch/v1/namespaces/{NS}/jobs/seed?fieldManager=dev", job, APPLY)
    service = named("Service", "v1", "web", spec={"ports": [{"port": 80}]})
    call("PATCH", core + "/services/web?fieldManager=dev", service, APPLY)
    service["spec"]["clusterIP"] = "None"
    refused("immutable-cluster-ip", "PATCH", core + "/services/web?fieldManager=dev&force=true", service, APPLY)
    claim = named("PersistentVolumeClaim", "v1", "data", spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})
    call("PATCH", core + "/persistentvolumeclaims/data?fieldManager=dev", claim, APPLY)
    claim["spec"]["accessModes"] = ["ReadWriteMany"]
    refused("immutable-claim", "PATCH", core + "/persistentvolumeclaims/data?fieldManager=dev", claim, APPLY)
    stateful = named("StatefulSet", "apps/v1", "db", spec={**deployment["spec"], "serviceName": "a"})
    call("PATCH", f"/apis/apps/v1/namespaces/{NS}/statefulsets/db?fieldManager=dev", stateful, APPLY)
    stateful["spec"]["serviceName"] = "b"
    refused("immutable-stateful-set", "PATCH", f"/apis/apps/v1/namespaces/{NS}/statefulsets/db?fieldManager=dev", stateful, APPLY)
    call("POST", core + "/configmaps", {**config_map("frozen"), "immutable": True})
    refused("immutable-config-map", "PUT", core + "/configmaps/frozen", {**config_map("frozen", "2"), "immutable": True})

    refused("invalid", "POST", core + "/services", named("Service", "v1", "Upper_Case", spec={"ports": [{"port": 99999}]}))
    refused("unknown-field", "PATCH", core + "/configmaps/x?fieldManager=dev&fieldValidation=Strict", {**config_map("x"), "dato": {}}, APPLY)
    refused("wrong-type", "PATCH", deployments + "/x?fieldManager=dev", named("Deployment", "apps/v1", "x", spec={"replicas": "two"}), APPLY)
    refused("wrong-value", "PATCH", core + "/secrets/x?fieldManager=dev&fieldValidation=Strict", named("Secret", "v1", "x", data={"a": "plain text"}), APPLY)
    refused("broken-body", "POST", core + "/configmaps", "{")
    refused("too-large", "POST", core + "/configmaps", config_map("big", "x" * 2_000_000))
    refused("far-too-large", "POST", core + "/configmaps", config_map("big", "x" * 4_000_000))

    admission = "/apis/admissionregistration.k8s.io/v1"
    selector = {"matchLabels": {"kubernetes.io/metadata.name": NS}}
    call("POST", admission + "/validatingadmissionpolicies", named("ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1", NS, spec={
        "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}]},
        "validations": [{"expression": "false", "message": "no secrets here"}]}))
    call("POST", admission + "/validatingadmissionpolicybindings", named("ValidatingAdmissionPolicyBinding", "admissionregistration.k8s.io/v1", NS,
         spec={"policyName": NS, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}))
    hook = {"name": "hook.example.org", "admissionReviewVersions": ["v1"], "sideEffects": "None", "namespaceSelector": selector,
            "clientConfig": {"service": {"namespace": NS, "name": "none"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}]}
    call("POST", admission + "/validatingwebhookconfigurations", named("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", NS, webhooks=[hook]))
    time.sleep(3)
    refused("policy", "POST", core + "/secrets", named("Secret", "v1", "x"))
    refused("webhook-down", "POST", core + "/services", named("Service", "v1", "x", spec={"ports": [{"port": 80}]}))
finally:
    call("PATCH", f"/api/v1/namespaces/{NS}-going/configmaps/held", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    for kind in ["validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations"]:
        call("DELETE", f"/apis/admissionregistration.k8s.io/v1/{kind}/{NS}")
    for name in [NS, NS + "-strict", NS + "-going"]:
        call("DELETE", f"/api/v1/namespaces/{name}")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "statuses.json"), "w") as file:
    json.dump(found, file, indent=1)
