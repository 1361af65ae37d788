# shellcheck shell=bash
# What is there, for people, for shells and for `up`.

status_healthy() {
	[[ -s $state/uid ]] && [[ -z $(machine_programs_dead) ]] && kube_dir=$(build_directory kube) && control_ready >/dev/null 2>&1 &&
		k wait node --all --for condition=Ready --timeout 5s >/dev/null 2>&1
}

status() {
	if [[ ! -e $state ]]; then
		echo "cluster $name: down"
		return 1
	fi
	local dead
	dead=$(machine_programs_dead | tr '\n' ' ')
	if ! status_healthy; then
		echo "cluster $name: broken${dead:+, not running: $dead}"
		echo "logs: $state/log"
		echo "'cluster up' makes it anew, 'cluster down' clears it away"
		return 2
	fi
	cat <<-END
		cluster $name: up
		Kubernetes:  $kubernetes_version at $server
		kubeconfig:  $admin (context $context)
		registry:    $registry
		audit log:   $audit_log
		logs:        $state/log
		state:       $state
		programs:    $cache
	END
	k get nodes -o wide
}

status_env() {
	[[ -s $state/uid ]] || die "the cluster $name is not up" "cluster up"
	printf 'export KUBECONFIG=%q\n' "$admin"
	# shellcheck disable=SC2016 # expanded by the one who evaluates it
	printf 'export PATH=%q:"$PATH"\n' "$state/bin"
	printf 'export DEV_REGISTRY=%q\n' "$registry"
	printf 'export DEV_CLUSTER_AUDIT_LOG=%q\n' "$audit_log"
}

status_logs() {
	[[ -d $state/log ]] || die "the cluster $name is not up" "cluster up"
	if (($# == 0)); then
		ls -1 "$state/log"
		return
	fi
	[[ -f $state/log/$1.log ]] || die "$1: no such program" "one of: $(cd "$state/log" && echo *.log | sed 's/\.log//g')"
	tail -n 100 -F "$state/log/$1.log"
}
