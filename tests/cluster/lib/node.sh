# shellcheck shell=bash
# Nodes: containerd, kubelet, kube-proxy and the network policy agent, each node a machine with a network of its own.

# node_numbers: the nodes that were started.
node_numbers() {
	local file
	for file in "$state"/machines/node*; do
		if [[ $file =~ /node([0-9]+)$ ]]; then
			echo "${BASH_REMATCH[1]}"
		fi
	done | sort -n
}

# node_machine NODE: namespaces, network, containerd with its images. Needs no API server.
node_machine() {
	local node=$1 root=$state/node$1
	machine_start "node$node" new "${machine_directories[@]}"
	network_node "$node"
	mkdir -p "$root/cni/bin" "$root/cni/net.d" "$root/containerd"
	local plugin plugins
	plugins=$(packages_cni)
	for plugin in bridge host-local loopback portmap; do
		ln -sf "$plugins/$plugin" "$root/cni/bin/$plugin"
	done
	ln -sf "$netpol_dir/dev-netpol" "$root/cni/bin/dev-netpol"
	node_cni "$node" >"$root/cni/net.d/10-dev.conflist"
	registry_hosts "$root/registries"
	node_containerd "$node" >"$root/containerd.toml"
	machine_run "node$node" "node$node-containerd" containerd --config "$root/containerd.toml"
}

node_images() { # NODE
	local node=$1 directory
	wait_for 30 "$state/log/node$node-containerd.log" "containerd of node $node" node_ctr "$node" version
	for directory in "$pause_dir" "$coredns_dir" "$testbox_dir"; do
		images_import "$node" "$directory/image.tar" >/dev/null
	done
}

# node_join NODE: what talks to the API server.
node_join() {
	local node=$1 root=$state/node$1 pki=$state/pki
	pki_node "$node"
	node_kubelet "$node" >"$root/kubelet.yaml"
	node_proxy "$node" >"$root/kube-proxy.yaml"
	: >"$root/resolv.conf" # of pods with dnsPolicy Default, of which CoreDNS is one: there is no outside to ask
	machine_run "node$node" "node$node-netpol" "$netpol_dir/netpol" \
		--kubeconfig "$pki/node$node-netpol.kubeconfig" --node "node$node" --socket "$root/netpol.sock"
	machine_run "node$node" "node$node-kube-proxy" "$kube_dir/kube-proxy" --config "$root/kube-proxy.yaml"
	machine_run "node$node" "node$node-kubelet" "$kube_dir/kubelet" --config "$root/kubelet.yaml" \
		--kubeconfig "$pki/node$node.kubeconfig" --hostname-override "node$node" --node-ip "$(node_address "$node")" \
		--node-labels dev/bundled-cluster=true --v 1
}

node_registered() { k get node "node$1" -o name; }

node_enter() { # NODE [COMMAND…]
	local node=${1:-}
	[[ $node =~ ^[0-9]+$ ]] || usage_error "node ${node:-without a number}: expected the number of a node"
	need_root
	shift
	machine_alive "node$node" || die "node $node of the cluster $name is not up" "cluster status"
	(($#)) || set -- "${SHELL:-/bin/sh}"
	machine_do "node$node" "$@"
}

node_cni() {
	cat <<-END
		{"cniVersion": "1.0.0", "name": "dev", "plugins": [
		  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
		   "ipam": {"type": "host-local", "dataDir": "/var/lib/cni/networks",
		            "ranges": [[{"subnet": "$(node_pods "$1")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
		  {"type": "dev-netpol", "socket": "$state/node$1/netpol.sock"}
		]}
	END
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE runc cannot lower a score and dies.
node_containerd() {
	local root=$state/node$1
	cat <<-END
		version = 2
		root = "$root/containerd"
		state = "/run/containerd/state"
		disabled_plugins = [
		  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
		  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
		]
		[grpc]
		  address = "/run/containerd/containerd.sock"
		[plugins."io.containerd.internal.v1.opt"]
		  path = "$root/opt"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "dev.local/pause:1"
		  restrict_oom_score_adj = true
		  netns_mounts_under_state_dir = true
		  [plugins."io.containerd.grpc.v1.cri".containerd]
		    snapshotter = "overlayfs"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		      runtime_type = "io.containerd.runc.v2"
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "$root/cni/bin"
		    conf_dir = "$root/cni/net.d"
		  [plugins."io.containerd.grpc.v1.cri".registry]
		    config_path = "$root/registries"
	END
}

# An image is found by its name whatever was pulled before: with the default of 1.35, NeverVerifyPreloadedImages, a pull of the
# same content under another name makes an imported image unusable.
# cgroups are not managed per class of pods: that wants a systemd or a unified hierarchy which not every machine of the
# tests has. Images are never collected: they could not be pulled again.
node_kubelet() {
	cat <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		address: $(node_address "$1")
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: $state/pki/ca.crt}
		authorization: {mode: Webhook}
		tlsCertFile: $state/pki/node$1.crt
		tlsPrivateKeyFile: $state/pki/node$1.key
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		clusterDNS: [$dns_address]
		clusterDomain: cluster.local
		podLogsDir: /var/log/pods
		resolvConf: $state/node$1/resolv.conf
		volumePluginDir: $state/node$1/volume-plugins
		cgroupDriver: cgroupfs
		cgroupsPerQOS: false
		cgroupRoot: $cgroup
		enforceNodeAllocatable: []
		failSwapOn: false
		failCgroupV1: false
		oomScoreAdj: 0
		makeIPTablesUtilChains: true
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
		imagePullCredentialsVerificationPolicy: NeverVerify
		serializeImagePulls: false
		kubeAPIQPS: 200
		kubeAPIBurst: 400
		healthzPort: 10248
		nodeStatusUpdateFrequency: 5s
		shutdownGracePeriod: 0s
	END
}

node_proxy() {
	cat <<-END
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		clientConnection: {kubeconfig: $state/pki/node$1-proxy.kubeconfig}
		hostnameOverride: node$1
		mode: iptables
		clusterCIDR: $cluster_cidr
		oomScoreAdj: 0
		iptables: {minSyncPeriod: 100ms, syncPeriod: 30s}
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
	END
}
