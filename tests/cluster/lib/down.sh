# shellcheck shell=bash
# Stop and remove. Works on whatever is there: a running cluster, half of one, what a crash left.

down() {
	local check=${1:-}
	need_root
	lock "$cluster_root/.$name.lock" 9
	if [[ -e $state ]]; then
		say "taking the cluster $name down"
		down_everything
		say "the cluster $name is down"
	else
		say "there is no cluster $name"
	fi
	rm -f "$cluster_root/.$name.lock"
	rmdir --ignore-fail-on-non-empty "$cluster_root" 2>/dev/null || true
	[[ -z $check ]] || down_check
}

down_everything() {
	local machine
	# The control plane goes first, so that nothing is rescheduled; the switch last.
	for machine in control $(machine_names); do
		[[ $machine == switch ]] || machine_stop "$machine"
	done
	machine_stop switch
	# The network namespaces end with their last process; the interface's other end with the switch's.
	ip link delete "$link" 2>/dev/null || true
	down_cgroups
	rm -rf --one-file-system "$state"
}

# Killed containers leave their (empty) groups.
down_cgroups() {
	local hierarchy
	for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
		[[ ! -d $hierarchy$cgroup ]] || find "$hierarchy$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
}

# down_check: fails and names what is left of the cluster on this machine.
down_check() {
	local left=''
	left+=$(down_processes)
	left+=$(grep -F "$state" /proc/self/mountinfo | sed 's/^/mount: /' || true)
	left+=$(ip -o link show "$link" 2>/dev/null | sed 's/^/interface: /' || true)
	left+=$(ip -4 route show | grep -F "10.231.$number." | sed 's/^/route: /' || true)
	left+=$(find /sys/fs/cgroup -maxdepth 2 -type d -path "*$cgroup" 2>/dev/null | sed 's/^/cgroup: /' || true)
	[[ ! -e $state ]] || left+="directory: $state"
	if [[ -n $left ]]; then
		printf 'left behind:\n%s\n' "$left" >&2
		return 1
	fi
	say "nothing is left of the cluster $name"
}

# Processes that mention the state directory on their command line, or whose open or mounted files are in it.
down_processes() {
	local process
	for process in /proc/[0-9]*; do
		[[ ${process#/proc/} != "$$" ]] || continue
		if tr '\0' ' ' <"$process/cmdline" | grep -qF "$state/" || grep -qF "$state/" "$process/mountinfo"; then
			printf 'process: %s %s\n' "${process#/proc/}" "$(tr '\0' ' ' <"$process/cmdline")"
		fi
	done 2>/dev/null
}
