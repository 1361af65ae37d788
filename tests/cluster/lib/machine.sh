# shellcheck shell=bash
# Machines: sets of namespaces (processes, mounts, host name, network), each held open by a process 1 of its own. Everything
# of the cluster runs in one, so that killing process 1 ends every process in it, and its mounts, interfaces and packet
# filter rules go with the namespaces. Nothing has to be undone one by one.

# Programs of a node write below these whatever they are told (/var/lib/kubelet, /var/lib/cni, /var/log/containers,
# /run/containerd, /run/xtables.lock): each node has its own, empty at first. They are directories that every host has, for
# a mount point that had to be made would have to be removed, and removing one takes the mounts of all other machines away.
machine_directories=(/var/lib /var/log /run)
# The host's PATH may name anything; the packages' programs are here.
machine_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

machine_file() { echo "$state/machines/$1"; }

machine_alive() { process_of "$(machine_file "$1")" >/dev/null; }

# machine_start NAME NETWORK [DIRECTORY…]: NETWORK is new, host, or the name of the machine whose network it shares.
machine_start() {
	local machine=$1 network=$2 directory
	shift 2
	local -a command=(setsid)
	local -a unshared=(--pid --mount --uts --fork --kill-child --mount-proc --propagation private)
	case $network in
		new) unshared+=(--net) ;;
		host) ;;
		*) command+=(nsenter --target "$(process_of "$(machine_file "$network")")" --net) ;;
	esac
	mkdir -p "$state/machines" "$state/log"
	for directory in "$@"; do
		mkdir -p "$state/$machine$directory"
	done

	local log=$state/log/$machine.log
	"${command[@]}" unshare "${unshared[@]}" \
		sh "$here/lib/machine-init.sh" "$machine" "$state/$machine" "$pause_dir/pause" \
		"$cluster_root" "$cache" "$@" </dev/null >"$log" 2>&1 7>&- 8>&- 9>&- &
	local parent=$! init
	disown
	wait_for 10 "$log" "machine $machine" machine_init "$parent"
	init=$(machine_init "$parent")
	process_record "$(machine_file "$machine")" "$init"
}

# machine_init PARENT: prints process 1 of the machine once it is set up.
machine_init() {
	local child
	child=$(pgrep -P "$1") || return 1
	[[ $(<"/proc/$child/comm") == pause ]] || return 1
	echo "$child"
} 2>/dev/null

# machine_run MACHINE PROGRAM COMMAND…: in the background, with its log in the state directory.
machine_run() {
	local machine=$1 program=$2 init
	shift 2
	init=$(process_of "$(machine_file "$machine")") || die "machine $machine is not up"
	setsid nsenter --target "$init" --pid --mount --uts --net --wd=/ \
		env -i HOME=/root PATH="$machine_path" "$@" </dev/null >>"$state/log/$program.log" 2>&1 7>&- 8>&- 9>&- &
	process_record "$state/machines/$program.program" $!
	disown
}

# machine_do MACHINE COMMAND…: and wait for it.
machine_do() {
	local init
	init=$(process_of "$(machine_file "$1")") || die "machine $1 is not up" "cluster status"
	shift
	nsenter --target "$init" --pid --mount --uts --net --wd=/ "$@"
}

machine_names() {
	local file
	for file in "$state"/machines/*; do
		[[ ! -e $file || $file == *.program ]] || basename "$file"
	done
}

machine_programs_dead() { # prints the programs that were started and do not run
	local file
	for file in "$state"/machines/*.program; do
		[[ ! -e $file ]] || process_of "$file" >/dev/null || basename "$file" .program
	done
}

machine_stop() {
	local file pid
	file=$(machine_file "$1")
	if pid=$(process_of "$file"); then
		kill -KILL "$pid" 2>/dev/null || true # the kernel kills the rest of the namespace with its process 1
		wait_for 30 /dev/null "machine $1: process $pid does not end" machine_stopped "$file"
	fi
	rm -f "$file"
}

machine_stopped() { ! process_of "$1"; }
