#!/usr/bin/env python3
"""Records the objects that the tests of health judge, from a real cluster.

    record.py DIRECTORY      (KUBECONFIG names the cluster; DEV_REGISTRY a registry that its nodes reach)

Makes services that each have one kind of trouble, waits until the troubles have shown, writes one file for each service (its
workload, what the workload's controller made, and the events about them), and removes everything. What the tests do not read is
left out. The image dev.local/testbox:1 must be on every node.
"""

import json
import os
import subprocess
import sys
import time

IMAGE = "dev.local/testbox:1"
REGISTRY = os.environ.get("DEV_REGISTRY", "localhost:5005")
MAIN, QUOTA, RESTRICTED = "health", "health-quota", "health-restricted"
KINDS = "deployments.apps statefulsets.apps daemonsets.apps replicasets.apps jobs.batch pods persistentvolumeclaims events"


def kubectl(*args, stdin=None):
    return subprocess.run(["kubectl", *args], input=stdin, capture_output=True, text=True, check=True).stdout


def workload(name, args=("serve",), kind="Deployment", image=IMAGE, container=None, pod=None, **spec):
    box = {"name": "app", "image": image, "imagePullPolicy": "IfNotPresent", "args": list(args), **(container or {})}
    labels = {"app": name, "dev/service": name}
    body = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, **spec}
    body["template"] = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [box], **(pod or {})},
    }
    if kind == "DaemonSet":
        del body["replicas"]
    if kind == "StatefulSet":
        body["serviceName"] = name
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": body}


def job(name, args, **spec):
    pod = {"restartPolicy": "Never", "containers": [{"name": "app", "image": IMAGE, "args": list(args)}]}
    body = {"backoffLimit": 1, **spec, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}


def probe(kind, path="/healthz", port=8080):
    return {kind: {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, "failureThreshold": 2}}


def env(kind, name, key):
    return {"env": [{"name": "X", "valueFrom": {kind: {"name": name, "key": key}}}]}


def volume(source):
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    return {"container": mount, "pod": {"volumes": [{"name": "v", **source}]}}


NEVER_READY = ("serve", "-ready-after", "1h")
SCENARIOS = {
    MAIN: [
        workload("good", replicas=2, container=probe("readinessProbe")),
        workload("crash", ["fail", "no DATABASE_URL"]),
        workload("ended", ["print", "done"]),
        workload("out-of-memory", ["cat", "/dev/zero"], container={"resources": {"limits": {"memory": "20Mi"}}}),
        workload("no-image", image=f"{REGISTRY}/none/such:1"),
        workload("no-registry", image="localhost:5999/x/y:1"),
        workload("never-pull", image=f"{REGISTRY}/none/never:1", container={"imagePullPolicy": "Never"}),
        workload("bad-name", image="UPPER/Case:::1"),
        workload("no-configmap", container=env("configMapKeyRef", "missing", "k")),
        workload("no-key", container=env("secretKeyRef", "some", "k")),
        workload("no-secret-volume", **volume({"secret": {"secretName": "absent"}})),
        workload("too-big", container={"resources": {"requests": {"cpu": "64", "memory": "4Ti"}}}),
        workload("no-node", pod={"nodeSelector": {"disk": "golden"}}),
        workload("unbound-claim", **volume({"persistentVolumeClaim": {"claimName": "data"}})),
        workload("gated", pod={"schedulingGates": [{"name": "example.com/hold"}]}),
        workload("not-ready", NEVER_READY, container=probe("readinessProbe")),
        workload("wrong-port", container=probe("readinessProbe", "/", 9999)),
        workload("liveness", NEVER_READY, container=probe("livenessProbe")),
        workload("startup", NEVER_READY, container=probe("startupProbe")),
        workload("init-fails", pod={"initContainers": [{"name": "migrate", "image": IMAGE, "args": ["fail", "migration 7"]}]}),
        workload("bad-command", container={"command": ["/no/such"]}),
        workload("root", container={"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}),
        workload("no-account", pod={"serviceAccountName": "ghost"}),
        workload("deadline", image=f"{REGISTRY}/none/such:2", progressDeadlineSeconds=5),
        workload("paused", paused=True),
        workload("set", kind="StatefulSet", replicas=2),
        workload("set-crash", ["fail", "x"], kind="StatefulSet", replicas=2, podManagementPolicy="Parallel"),
        workload("daemons", kind="DaemonSet"),
        job("job-done", ["print", "hello"]),
        job("job-failed", ["fail", "cannot migrate"]),
        job("job-late", ["sleep"], activeDeadlineSeconds=3),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod-failed"},
         "spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": IMAGE, "args": ["fail", "bye"]}]}},
    ],
    QUOTA: [
        workload("quota", replicas=3, container={"resources": {"requests": {"cpu": "100m"}}}),
        workload("quota-wants"),
        workload("quota-set", kind="StatefulSet", container={"resources": {"requests": {"cpu": "100m"}}}),
    ],
    RESTRICTED: [
        workload("restricted"),
        workload("restricted-set", kind="StatefulSet"),
        job("restricted-job", ["print", "x"]),
    ],
}


def extras():
    yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "some", "namespace": MAIN}, "stringData": {"a": "b"}}
    yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": MAIN},
           "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    yield {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": QUOTA},
           "spec": {"hard": {"pods": "1", "requests.cpu": "200m"}}}


def keep(value, *fields):
    return {field: value[field] for field in fields if value.get(field)}


def trim(thing):
    meta = thing["metadata"]
    kept = keep(meta, "name", "namespace", "uid", "generation", "creationTimestamp", "labels", "ownerReferences")
    revision = (meta.get("annotations") or {}).get("deployment.kubernetes.io/revision")
    if revision:
        kept["annotations"] = {"deployment.kubernetes.io/revision": revision}
    if thing["kind"] == "Event":
        involved = keep(thing["involvedObject"], "kind", "name", "uid", "fieldPath")
        fields = keep(thing, "kind", "apiVersion", "type", "reason", "message", "lastTimestamp", "eventTime", "series")
        return {**fields, "metadata": keep(meta, "name", "creationTimestamp"), "involvedObject": involved}
    if thing["kind"] != "Pod":
        written = [keep(entry, "manager", "operation", "subresource", "time") for entry in meta.get("managedFields", [])]
        kept["managedFields"] = written
    spec = dict(thing["spec"])
    if thing["kind"] == "Pod":
        spec = keep(spec, "nodeName", "restartPolicy", "schedulingGates", "initContainers", "containers", "volumes")
        spec["volumes"] = [one for one in spec.pop("volumes", []) if "projected" not in one]
        for box in spec["containers"] + spec.get("initContainers", []):
            for field in ("volumeMounts", "terminationMessagePath", "terminationMessagePolicy"):
                box.pop(field, None)
    else:
        # The tests judge by the pods that came of the template.
        spec.pop("template", None)
        if thing["kind"] in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"):
            spec["template"] = {}
    return {**keep(thing, "apiVersion", "kind"), "metadata": kept, "spec": spec, "status": thing.get("status", {})}


def record(namespace, directory):
    found = json.loads(kubectl("get", ",".join(KINDS.split()), "-n", namespace, "-o", "json", "--show-managed-fields"))["items"]
    things = [one for one in found if one["kind"] != "Event"]
    for wanted in SCENARIOS[namespace]:
        name = wanted["metadata"]["name"]
        chosen = [one for one in things if one["kind"] == wanted["kind"] and one["metadata"]["name"] == name]
        uids = {one["metadata"]["uid"] for one in chosen}
        for _ in range(2):
            for one in things:
                owners = {owner["uid"] for owner in one["metadata"].get("ownerReferences", [])}
                if owners & uids and one["metadata"]["uid"] not in uids:
                    uids.add(one["metadata"]["uid"])
                    chosen.append(one)
        if name == "unbound-claim":
            claims = [one for one in things if one["kind"] == "PersistentVolumeClaim"]
            uids.update(one["metadata"]["uid"] for one in claims)
            chosen += claims
        events = {}
        for event in found:
            about = event.get("involvedObject", {})
            telling = event.get("type") != "Normal" or about.get("kind") == "PersistentVolumeClaim"
            if about.get("uid") in uids and telling:
                events.setdefault((about["uid"], event["reason"]), []).append(event)
        latest = [sorted(some, key=lambda event: event["lastTimestamp"] or "")[-2:] for some in events.values()]
        items = [trim(one) for one in chosen + sum(latest, [])]
        with open(os.path.join(directory, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(items, file, indent=1, sort_keys=True)
            file.write("\n")


def shown():
    """Whether the slowest troubles have shown, at a moment when no crashed container runs again."""
    jobs = json.loads(kubectl("get", "jobs", "-n", MAIN, "-o", "json"))["items"]
    failed = {job["metadata"]["name"] for job in jobs for one in job["status"].get("conditions", []) if one["type"] == "Failed"}
    pods = json.loads(kubectl("get", "pods", "-n", MAIN, "-o", "json"))["items"]
    looping, crashed = set(), 0
    for pod in pods:
        status = pod["status"]
        for box in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
            if box["restartCount"] < 4:
                continue
            if "running" in box["state"]:
                return False
            crashed += 1
            ended = box["state"].get("terminated") or box["lastState"].get("terminated") or {}
            looping.add(ended.get("reason"))
    return {"job-failed", "job-late"} <= failed and crashed >= 9 and "OOMKilled" in looping


def main():
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    try:
        for namespace in SCENARIOS:
            kubectl("create", "namespace", namespace)
        kubectl("label", "namespace", RESTRICTED, "pod-security.kubernetes.io/enforce=restricted")
        items = list(extras())
        for namespace, wanted in SCENARIOS.items():
            items += [{**one, "metadata": {**one["metadata"], "namespace": namespace}} for one in wanted]
        everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        kubectl("apply", "--server-side", "--field-manager=dev", "-f", "-", stdin=everything)
        for _ in range(120):
            time.sleep(5)
            if shown():
                break
        for namespace in SCENARIOS:
            record(namespace, directory)
    finally:
        for namespace in SCENARIOS:
            kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


if __name__ == "__main__":
    main()
