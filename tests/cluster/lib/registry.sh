# shellcheck shell=bash
# A registry under one name, localhost:PORT, for the host and for the nodes: two processes over one directory, one on the
# host's loopback, one that the nodes' containerd reaches under the same name (hosts.toml).

registry_up() {
	command -v docker-registry >/dev/null || die "docker-registry is missing"
	! (: <"/dev/tcp/127.0.0.1/$registry_port") 2>/dev/null || die "port $registry_port of this machine is taken" \
		"the registry wants it; 'cluster --name OTHER up' takes another one"
	mkdir -p "$state/registry"
	local secret
	secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	registry_config "127.0.0.1:$registry_port" "$secret" >"$state/registry-host.yaml"
	registry_config "$control_address:$registry_port" "$secret" >"$state/registry-nodes.yaml"
	machine_start host host
	machine_run host registry-host docker-registry serve "$state/registry-host.yaml"
	machine_run control registry-nodes docker-registry serve "$state/registry-nodes.yaml"
}

# No descriptor cache: what one process deletes the other one must not remember.
registry_config() {
	cat <<-END
		version: 0.1
		log: {level: warn, accesslog: {disabled: true}}
		storage:
		  filesystem: {rootdirectory: $state/registry}
		  delete: {enabled: true}
		http: {addr: "$1", secret: $2}
	END
}

registry_ready() {
	curl -sf -o /dev/null "http://127.0.0.1:$registry_port/v2/" && curl -sf -o /dev/null "http://$control_address:$registry_port/v2/"
}

# registry_hosts DIRECTORY: how a node's containerd reaches it.
registry_hosts() {
	mkdir -p "$1/$registry"
	cat >"$1/$registry/hosts.toml" <<-END
		server = "http://$control_address:$registry_port"
		[host."http://$control_address:$registry_port"]
		  capabilities = ["pull", "resolve"]
	END
}
