# shellcheck shell=bash
# Messages, waiting, locks, processes known by id and start time.

started_at=${EPOCHREALTIME/./}

say() {
	local now=${EPOCHREALTIME/./}
	printf '[%3d.%ds] %s\n' $(((now - started_at) / 1000000)) $(((now - started_at) / 100000 % 10)) "$*" >&2
}

# die MESSAGE [HINT]
die() {
	printf 'Error: %s\n' "$1" >&2
	[[ -z ${2:-} ]] || printf 'Hint: %s\n' "$2" >&2
	exit 1
}

usage_error() {
	printf 'Error: %s\nHint: cluster --help\n' "$1" >&2
	exit 2
}

need_root() {
	((EUID == 0)) || die "network namespaces, mounts and containerd need root" "run it as root, or with sudo -E"
}

# wait_for SECONDS LOG WHAT COMMAND…: until the command succeeds; the log's end explains a failure.
wait_for() {
	local patience=$1 log=$2 what=$3
	shift 3
	local deadline=$((SECONDS + patience))
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= deadline)); then
			[[ ! -s $log ]] || { printf -- '--- the end of %s:\n' "$log"; tail -n 25 "$log"; } >&2
			die "$what: not within $patience s" "logs are in $state/log; 'cluster up' starts anew, 'cluster down' clears away"
		fi
		sleep 0.1
	done
}

# close_inherited: what the caller has open (a lock, a pipe) must not stay open for as long as the cluster runs.
close_inherited() {
	local descriptor
	for descriptor in /proc/self/fd/*; do
		descriptor=${descriptor##*/}
		# Bash reads the script from 255.
		((descriptor <= 2 || descriptor == 255)) || eval "exec $descriptor>&-"
	done
}

# lock FILE FD: exclusive until the program ends. Whoever waits is told.
lock() {
	mkdir -p "$(dirname "$1")"
	eval "exec $2>\"\$1\""
	if ! flock -n "$2"; then
		say "waiting for another 'cluster' to finish ($1)"
		flock "$2"
	fi
}

# A process is its id and its start time, so that a reused id is never mistaken for it.
process_start_time() {
	local stat
	[[ -r /proc/$1/stat ]] && stat=$(<"/proc/$1/stat") || return 1
	stat=${stat##*) }
	# shellcheck disable=SC2086 # fields are wanted
	set -- $stat # fields from 3 (state) on
	[[ $1 != Z && $1 != X ]] || return 1
	echo "${20}"
} 2>/dev/null

process_record() { # FILE PID
	echo "$2 $(process_start_time "$2")" >"$1"
}

# process_of FILE: prints the recorded process' id if it still runs.
process_of() {
	local pid start
	[[ -s $1 ]] && read -r pid start <"$1" || return 1
	[[ -n $start && $(process_start_time "$pid") == "$start" ]] || return 1
	echo "$pid"
}

# all PID…: waits for background jobs, fails if one failed.
all() {
	local pid failed=0
	for pid in "$@"; do
		wait "$pid" || failed=1
	done
	return $failed
}
