# shellcheck shell=bash
# Nodes, DNS, services, exec, logs, port-forward, admission, rights, audit log.

check "two nodes are ready" test "$(kubectl get nodes -o 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')" = "True True"
check "nodes carry the label that dev knows them by" test "$(kubectl get nodes -l dev/bundled-cluster=true -o name | wc -l)" -ge 2
check "nodes name the script of their cluster" test -x "$(kubectl get node node1 -o 'jsonpath={.metadata.annotations.dev/cluster-script}')"
check "the server is Kubernetes 1.35" says '"minor": "35"' kubectl get --raw /version

for namespace in "${namespaces[@]}"; do
	kubectl create namespace "$namespace" >/dev/null
	kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted "team=${namespace#selftest-}" >/dev/null
done
{
	for node in 1 2; do
		probe='readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1, failureThreshold: 1}' \
			pod selftest-a "server$node" "node$node" "app: server, on: node$node" serve -message "I am server$node"
		pod selftest-a "friend$node" "node$node" "role: friend" sleep
		pod selftest-a "stranger$node" "node$node" "role: stranger" sleep
	done
	pod selftest-b other1 node1 "role: friend" sleep
	for node in 1 2; do
		cat <<-END
			---
			apiVersion: v1
			kind: Service
			metadata: {name: server$node, namespace: selftest-a}
			spec: {selector: {on: node$node}, ports: [{port: 80, targetPort: http}]}
		END
	done
} | kubectl apply -f - >/dev/null
must "pods of the restricted kind start on both nodes" kubectl wait pods --all -n selftest-a --for condition=Ready --timeout 60s
must "and in another namespace" kubectl wait pods --all -n selftest-b --for condition=Ready --timeout 60s

for node in 1 2; do
	inside=(kubectl -n selftest-a exec "friend$node" -- /testbox)
	check "DNS answers on node $node" "${inside[@]}" dns server1.selftest-a.svc.cluster.local
	check "short names are found on node $node" "${inside[@]}" dns "server2"
	check "a name that does not exist is an error on node $node, at once" says "no such host" "${inside[@]}" dns nowhere.example
	for target in 1 2; do
		check "ClusterIP: node $node to a pod on node $target" says "I am server$target" "${inside[@]}" get "http://server$target/"
	done
	check "logs from node $node" says "serving on port 8080" kubectl -n selftest-a logs "server$node"
	check "exec passes the exit code from node $node" says "exit code 1" kubectl -n selftest-a exec "friend$node" -- /testbox fail no
done

port_forward() {
	local port log=$1 pid text=''
	kubectl -n selftest-a port-forward pod/server2 :8080 >"$log" 2>&1 &
	pid=$!
	if within 10 grep -q 'Forwarding from 127' "$log"; then
		port=$(sed -n 's/^Forwarding from 127[^:]*:\([0-9]*\) .*/\1/p' "$log")
		text=$(curl -s --max-time 5 "http://127.0.0.1:$port/")
	fi
	kill "$pid"
	[[ $text == "I am server2" ]]
}
forward_log=$(mktemp)
check "port-forward reaches a pod on node 2" port_forward "$forward_log"
rm -f "$forward_log"

check "the host reaches a pod on node 2 directly" says "I am server2" curl -s --max-time 5 "http://$(address selftest-a server2):8080/"
check "the host reaches a ClusterIP" says "I am server2" curl -s --max-time 5 "http://$(kubectl -n selftest-a get service server2 -o 'jsonpath={.spec.clusterIP}')/"

privileged='{"spec":{"containers":[{"name":"main","image":"dev.local/testbox:1","securityContext":{"privileged":true}}]}}'
check "Pod Security refuses a privileged pod" says 'violates PodSecurity "restricted' \
	kubectl -n selftest-a run bad --image dev.local/testbox:1 --overrides "$privileged"
check "an account without rights is refused" says "forbidden" \
	kubectl -n selftest-a get pods --as system:serviceaccount:selftest-a:default
server=$(kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
check "nobody may ask for health" says ok curl -sk --max-time 5 "$server/readyz"
check "nobody may not ask for more" says '"code": 401' curl -sk --max-time 5 "$server/api/v1/namespaces"
check "a kubelet may not write another node (NodeRestriction)" says "forbidden" \
	kubectl --kubeconfig "$state/pki/node1.kubeconfig" label node node2 selftest=1

kubectl -n selftest-a create configmap audited >/dev/null
audited() { grep '"name":"audited"' "$DEV_CLUSTER_AUDIT_LOG" | grep '"verb":"create"' | tail -n 1; }
for field in '"user":{"username":"dev-admin"' '"userAgent":"kubectl' '"resource":"configmaps","namespace":"selftest-a"' '"responseStatus":{"metadata":{},"code":201}'; do
	check "the audit log has $field" says "$field" audited
done
