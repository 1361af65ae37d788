# shellcheck shell=bash
# Everything that follows from the cluster's name: directories, addresses, ports.

cluster_root=${DEV_CLUSTER_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/dev-cluster}
cache=${DEV_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dev-cluster}

names_set() {
	name=$1
	[[ $name =~ ^[a-z][a-z0-9-]{0,19}$ ]] || usage_error "--name $name: expected at most 20 of a-z, 0-9 and -, beginning with a letter"
	state=$cluster_root/$name
	context=dev-$name
	# An overlay of sockets: the longest path below is of this kind.
	local longest=$state/node1/run/containerd/containerd.sock
	((${#longest} < 108)) || die "$state: too long for unix sockets" "set DEV_CLUSTER_DIR to a shorter path"

	# Sixteen clusters fit side by side; the default one has number 0.
	number=0
	[[ $name == bundled ]] || number=$(($(cksum <<<"$name" | cut -d' ' -f1) % 15 + 1))
	link=dk$number                              # the host's interface
	host_address=10.231.$number.1               # on it
	control_address=$(node_address 1)           # etcd, API server, controller manager, scheduler: in node 1's network
	cluster_cidr=10.232.$((number * 16)).0/20   # pods; a /24 for each node
	service_cidr=10.233.$((number * 16)).0/20
	service_first=10.233.$((number * 16)).1     # the API server's ClusterIP
	dns_address=10.233.$((number * 16)).10
	registry_port=$((5005 + number))            # on the host's loopback and on control_address
	registry=localhost:$registry_port
	server=https://$control_address:6443
	audit_log=$state/log/audit.log
	admin=$state/kubeconfig
	cgroup=/dev-cluster-$name                   # of all containers
}

node_address() { echo "10.231.$number.$((10 + $1))"; }
node_pods() { echo "10.232.$((number * 16 + $1)).0/24"; }
