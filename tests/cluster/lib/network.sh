# shellcheck shell=bash
# The wires: a switch (a bridge in a network namespace of its own, so that no firewall of the host sees its frames), the
# host's interface on it, and one of each node.
#
#   host dk0 10.231.0.1 ── switch ┬─ node 1 eth0 10.231.0.11, pods 10.232.1.0/24
#                                 └─ node 2 eth0 10.231.0.12, pods 10.232.2.0/24
#
# The host has routes to pods and ClusterIPs; no rule and no setting of the host is changed. Nothing is forwarded to other
# networks: pods reach the cluster and this host only.

network_host() {
	local module
	for module in br_netfilter overlay; do
		modprobe "$module" 2>/dev/null || true # may be built in
	done
	[[ -z $(ip -4 route show "10.231.$number.0/24") ]] || die "10.231.$number.0/24 is in use on this machine already" \
		"another cluster of this number? 'cluster --name OTHER up' takes other addresses"
	machine_start switch new
	local switch
	switch=$(process_of "$(machine_file switch)")
	machine_do switch ip link add br0 type bridge
	machine_do switch ip link set br0 up
	ip link add name "$link" type veth peer name host netns "$switch"
	machine_do switch ip link set host master br0 up
	ip address add "$host_address/24" dev "$link"
	ip link set "$link" up
}

network_node() { # NODE
	local node=$1 machine=node$1 switch init other
	switch=$(process_of "$(machine_file switch)")
	init=$(process_of "$(machine_file "$machine")")
	ip link add name "$link$machine" type veth peer name eth0 netns "$init"
	ip link set "$link$machine" netns "$switch"
	machine_do switch ip link set "$link$machine" master br0 up
	machine_do "$machine" ip link set lo up
	machine_do "$machine" ip address add "$(node_address "$node")/24" dev eth0
	machine_do "$machine" ip link set eth0 up
	machine_do "$machine" ip route add default via "$host_address"
	machine_do "$machine" sysctl -q -w net.ipv4.ip_forward=1
	machine_do "$machine" sysctl -q -w net.bridge.bridge-nf-call-iptables=1 ||
		die "net.bridge.bridge-nf-call-iptables cannot be set" "the kernel needs br_netfilter (modprobe br_netfilter)"
	for other in $(node_numbers); do
		((other == node)) || machine_do "$machine" ip route replace "$(node_pods "$other")" via "$(node_address "$other")"
		((other == node)) || machine_do "node$other" ip route replace "$(node_pods "$node")" via "$(node_address "$node")"
	done
	ip route replace "$(node_pods "$node")" via "$(node_address "$node")"
	((node != 1)) || ip route replace "$service_cidr" via "$(node_address 1)"
}
