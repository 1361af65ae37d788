# shellcheck shell=bash
# NetworkPolicies: what they forbid does not connect, what they allow does, within a node (1 to 1) and across nodes (1 to 2).

server1=$(address selftest-a server1)
server2=$(address selftest-a server2)
api=$(kubectl get service kubernetes -o 'jsonpath={.spec.clusterIP}')

# Enforcement follows a policy within milliseconds, not at the same instant; each expectation may take 5 seconds to come true.
allowed() { check "allowed: $1" within 5 reach "${@:2}"; }
forbidden() { check "forbidden: $1" within 5 refused "${@:2}"; }

for target in 1 2; do
	where="node 1 to node $target"
	server=server$target
	allowed "$where, without any policy" selftest-a stranger1 "${!server}:8080"
done

kubectl apply -f - >/dev/null <<'END'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: friends-only, namespace: selftest-a}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {role: friend}}}]
    ports: [{port: http}]
END
for target in 1 2; do
	where="node 1 to node $target"
	server=server$target
	forbidden "$where, a pod that the podSelector does not name" selftest-a stranger1 "${!server}:8080"
	forbidden "$where, the same labels in another namespace" selftest-b other1 "${!server}:8080"
	allowed "$where, the pod that it names, on the named port" selftest-a friend1 "${!server}:8080"
	forbidden "$where, through the ClusterIP" selftest-a stranger1 "server$target:80"
	allowed "$where, through the ClusterIP" selftest-a friend1 "server$target:80"
done
check "probes go on: no server becomes unready" fails kubectl -n selftest-a wait pods -l app=server --for condition=Ready=false --timeout 4s

kubectl apply -f - >/dev/null <<'END'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: team-b, namespace: selftest-a}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: b}}}]
    ports: [{port: 8000, endPort: 8080}]
END
for target in 1 2; do
	server=server$target
	allowed "node 1 to node $target, a namespace that the namespaceSelector names, a range of ports" selftest-b other1 "${!server}:8080"
	forbidden "node 1 to node $target, still a stranger" selftest-a stranger1 "${!server}:8080"
done
kubectl -n selftest-a patch networkpolicy team-b --type json \
	-p '[{"op":"replace","path":"/spec/ingress/0/ports/0","value":{"port":8081,"endPort":9000}}]' >/dev/null
for target in 1 2; do
	server=server$target
	forbidden "node 1 to node $target, outside of the range of ports" selftest-b other1 "${!server}:8080"
done
kubectl -n selftest-a delete networkpolicy friends-only team-b >/dev/null
for target in 1 2; do
	server=server$target
	allowed "node 1 to node $target, once the policies are gone" selftest-a stranger1 "${!server}:8080"
done

allowed "egress to the API server without a policy" selftest-a friend1 "$api:443"
for target in 1 2; do
	server=server$target
	other=server$((3 - target))
	kubectl apply -f - >/dev/null <<-END
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: egress, namespace: selftest-a}
		spec:
		  podSelector: {matchLabels: {role: friend}}
		  policyTypes: [Egress]
		  egress:
		  - to: [{ipBlock: {cidr: 10.232.0.0/16, except: [${!server}/32]}}]
		    ports: [{port: 8080, protocol: TCP}]
	END
	forbidden "egress, node 1 to node $target, excepted from the ipBlock" selftest-a friend1 "${!server}:8080"
	allowed "egress, node 1 to node $((3 - target)), in the ipBlock" selftest-a friend1 "${!other}:8080"
	allowed "egress of a pod that the policy does not select, node 1 to node $target" selftest-a stranger1 "${!server}:8080"
done
for node in 1 2; do
	forbidden "egress from node $node to the API server, which is on node 1" selftest-a "friend$node" "$api:443"
done
kubectl -n selftest-a delete networkpolicy egress >/dev/null

kubectl apply -f - >/dev/null <<'END'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: jail, namespace: selftest-a}
spec:
  podSelector: {matchLabels: {role: jailed}}
  policyTypes: [Ingress, Egress]
END
for node in 1 2; do
	for try in 1 2 3; do
		pod selftest-a "jailed$node-$try" "node$node" "role: jailed" tcp -timeout 1s "$server2:8080"
		pod selftest-a "free$node-$try" "node$node" "role: free" tcp -timeout 5s "$server2:8080"
	done
done | kubectl apply -f - >/dev/null
for node in 1 2; do
	for try in 1 2 3; do
		check "a new pod on node $node is isolated before it runs ($try)" \
			kubectl -n selftest-a wait "pod/jailed$node-$try" --for 'jsonpath={.status.phase}=Failed' --timeout 30s
		check "and connects at its first try where nothing forbids it ($try)" \
			kubectl -n selftest-a wait "pod/free$node-$try" --for 'jsonpath={.status.phase}=Succeeded' --timeout 30s
	done
done
