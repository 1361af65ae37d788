#!/bin/sh
# Records what an API server makes of desired.yaml: live.json, and desired.json with the same objects as JSON.
# Needs kubectl and a cluster that may be written to. It makes the namespace dev-recording and a CustomResourceDefinition, and removes both.
set -eu
cd "$(dirname "$0")"
ns=dev-recording
kubectl create namespace "$ns"
trap 'kubectl delete namespace "$ns" >/dev/null; kubectl delete crd shelves.recording.example.org >/dev/null' EXIT
apply="kubectl apply --server-side --field-manager=dev -n $ns"
# The kind has to be served before an object of it is applied.
$apply -f desired.yaml >/dev/null 2>&1 || kubectl wait --for condition=established crd/shelves.recording.example.org >/dev/null
$apply -f desired.yaml
kubectl create -n "$ns" --dry-run=client -o json -f desired.yaml | python3 -c '
import json, sys
text, objects = sys.stdin.read().strip(), []
decoder = json.JSONDecoder()
while text:
    value, end = decoder.raw_decode(text)
    objects += value["items"] if value["kind"] == "List" else [value]
    text = text[end:].lstrip()
json.dump(objects, open("desired.json", "w"), indent=1)
'
kubectl get -n "$ns" --show-managed-fields -o json -f desired.yaml | python3 -c '
import json, sys
json.dump(json.load(sys.stdin)["items"], open("live.json", "w"), indent=1)
'
