# shellcheck shell=bash
# Push from the host, pull on both nodes under the same name, delete; import without a registry.

# The images are this test's own, content and all, so that removing them takes nothing from others.

# shellcheck source=tests/cluster/lib/images.sh
source "$here/lib/images.sh"

work=$(mktemp -d)
reference=$DEV_REGISTRY/selftest/pushed:$$
cp "$(readlink -f "$state/bin/testbox")" "$work/pushed$$"
images_make "$work/pushed.tar" "$reference" "$work/pushed$$"
node1_ctr() { ctr -a "$state/node1/run/containerd/containerd.sock" -n k8s.io "$@"; }

node1_ctr images import "$work/pushed.tar" >/dev/null
check "an image is pushed from the host" node1_ctr images push --plain-http "$reference"
node1_ctr images rm --sync "$reference" >/dev/null 2>&1
for node in 1 2; do
	image=$reference pull=Always pod selftest-a "pulled$node" "node$node" "app: pulled" print "pulled on node $node" | kubectl apply -f - >/dev/null
done
for node in 1 2; do
	check "node $node pulls it under the same name" kubectl -n selftest-a wait "pod/pulled$node" --for 'jsonpath={.status.phase}=Succeeded' --timeout 30s
	check "and runs it" says "pulled on node $node" kubectl -n selftest-a logs "pulled$node"
done

accept="Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
manifest=http://$DEV_REGISTRY/v2/selftest/pushed/manifests
digest=$(curl -sI -H "$accept" "$manifest/$$" | tr -d '\r' | sed -n 's/^Docker-Content-Digest: //Ip')
check "the registry deletes" says 202 curl -s -o /dev/null -w '%{http_code}' -X DELETE "$manifest/$digest"
nodes_registry=${server%:*}:${DEV_REGISTRY#*:} # the API server's address, the registry's port
check "what was deleted on the host is gone for the nodes too" says 404 cluster node 1 \
	curl -s -o /dev/null -w '%{http_code}' -H "$accept" "http://${nodes_registry#https://}/v2/selftest/pushed/manifests/$digest"

loaded=dev.local/selftest-loaded:$$
cp "$work/pushed$$" "$work/loaded$$"
images_make "$work/loaded.tar" "$loaded" "$work/loaded$$"
check "'cluster load' imports an archive" says "$loaded" cluster load "$work/loaded.tar"
for node in 1 2; do
	image=$loaded pod selftest-a "loaded$node" "node$node" "app: loaded" print "loaded on node $node" | kubectl apply -f - >/dev/null
done
for node in 1 2; do
	check "node $node has it" kubectl -n selftest-a wait "pod/loaded$node" --for 'jsonpath={.status.phase}=Succeeded' --timeout 30s
done
check "'cluster load' of something else is an error" says "not imported" cluster load "$KUBECONFIG"

kubectl -n selftest-a delete pods -l 'app in (pulled, loaded)' --grace-period 0 --force >/dev/null 2>&1
for node in 1 2; do
	cluster node "$node" ctr -n k8s.io images rm "$reference" "$loaded" >/dev/null 2>&1
done
rm -rf "$work"
