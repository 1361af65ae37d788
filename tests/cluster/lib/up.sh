# shellcheck shell=bash
# Start, in the order that gives the shortest wait.

up() {
	local wanted=${1:-}
	need_root
	packages_install
	build_all
	lock "$cluster_root/.$name.lock" 9
	local present
	present=$(node_numbers | wc -l)
	if ((present > 0)) && status_healthy; then
		wanted=${wanted:-$present}
		if ((present >= wanted)); then
			say "the cluster $name is up already ($present nodes)"
			return
		fi
		up_nodes $((present + 1)) "$wanted"
		up_nodes_wait "$wanted"
		say "the cluster $name is up ($wanted nodes)"
		return
	fi
	if [[ -e $state ]]; then
		say "the cluster $name is there only in part: taking it down first"
		down_everything
	fi
	up_new "${wanted:-1}"
}

up_new() {
	local nodes=$1 begin=$SECONDS
	mkdir -p "$state/log"
	chmod 700 "$state" # keys
	say "starting the cluster $name, $nodes nodes, about 20 s"
	network_host
	up_machines 1 "$nodes"
	pki_control
	local -a jobs=()
	local node
	for node in $(node_numbers); do
		node_images "$node" &
		jobs+=($!)
	done
	control_up
	registry_up
	say "the API server is ready"
	addons_apply $((nodes > 1 ? 2 : 1))
	all "${jobs[@]}" || die "the nodes' images were not imported" "see $state/log"
	up_join 1 "$nodes"
	up_nodes_wait "$nodes"
	say "$nodes of $nodes nodes are ready"
	addons_dns
	wait_for 10 "$state/log/registry-host.log" "the registry" registry_ready
	up_wrapper
	k get namespace kube-system -o 'jsonpath={.metadata.uid}' >"$state/uid"
	say "DNS answers in a pod: the cluster $name is up, $((SECONDS - begin)) s after its start began"
	say "for your shell: eval \"\$($state/bin/cluster env)\""
}

up_machines() { # FROM TO
	local node
	for ((node = $1; node <= $2; node++)); do
		node_machine "$node"
	done
}

up_join() { # FROM TO
	local node
	for ((node = $1; node <= $2; node++)); do
		node_join "$node"
	done
}

up_nodes() { # FROM TO: more nodes for a cluster that runs
	local node
	say "adding nodes $1 to $2"
	up_machines "$1" "$2"
	for ((node = $1; node <= $2; node++)); do
		node_images "$node"
	done
	up_join "$1" "$2"
	k -n kube-system scale deployment/coredns --replicas 2 >/dev/null
}

up_nodes_wait() { # NODES
	local node
	for ((node = 1; node <= $1; node++)); do
		wait_for 30 "$state/log/node$node-kubelet.log" "node $node registers" node_registered "$node"
		k annotate --overwrite node "node$node" "dev/cluster-script=$state/bin/cluster" >/dev/null
	done
	k wait node --all --for condition=Ready --timeout 60s >/dev/null ||
		die "the nodes do not become ready" "see $state/log/node1-kubelet.log, kubectl describe nodes"
}

# A way to call this script for this very cluster, and the programs to use it with.
up_wrapper() {
	mkdir -p "$state/bin"
	ln -sf "$kube_dir/kubectl" "$testbox_dir/testbox" "$state/bin/"
	[[ -n $without_helm ]] || ln -sf "$helm_dir/helm" "$state/bin/"
	cat >"$state/bin/cluster" <<-END
		#!/bin/sh
		DEV_CLUSTER_DIR='$cluster_root' DEV_CLUSTER_CACHE='$cache' exec '$here/cluster' --name '$name' "\$@"
	END
	chmod +x "$state/bin/cluster"
}
