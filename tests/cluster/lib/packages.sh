# shellcheck shell=bash
# Debian packages. Only what is missing is installed, and no service is started.

# What must be there (a command, or a file where it begins with /), and the package that has it.
packages_wanted=(
	containerd:containerd ctr:containerd runc:runc
	iptables:iptables nft:nftables conntrack:conntrack
	ip:iproute2 nsenter:util-linux mount:mount sysctl:procps pgrep:procps
	docker-registry:docker-registry openssl:openssl curl:curl
	cc:gcc /usr/include/stdio.h:libc6-dev
	/etc/ssl/certs/ca-certificates.crt:ca-certificates
)

packages_missing() {
	local entry want
	for entry in "${packages_wanted[@]}"; do
		want=${entry%%:*}
		if [[ $want == /* ]]; then
			[[ -e $want ]] || echo "${entry##*:}"
		else
			command -v "$want" >/dev/null || echo "${entry##*:}"
		fi
	done
	[[ -n $(packages_cni) ]] || echo containernetworking-plugins
}

packages_cni() {
	local directory
	for directory in /usr/lib/cni /opt/cni/bin; do
		if [[ -x $directory/bridge && -x $directory/portmap ]]; then
			echo "$directory"
			return
		fi
	done
}

packages_install() {
	need_root
	PATH=$PATH:/usr/sbin:/sbin
	local missing
	missing=$(packages_missing | sort -u | tr '\n' ' ')
	[[ -n $missing ]] || return 0
	command -v apt-get >/dev/null || die "missing programs, and no apt-get to install them with: $missing"
	say "installing Debian packages, about a minute: $missing"
	mkdir -p "$cache"
	lock "$cache/.packages.lock" 7
	local log=$cache/packages.log rc=0
	# shellcheck disable=SC2086 # a list of names
	packages_apt $missing >"$log" 2>&1 || rc=$?
	exec 7>&-
	if ((rc)); then
		tail -n 20 "$log" >&2
		die "apt-get install failed" "the whole output is in $log"
	fi
	missing=$(packages_missing | tr '\n' ' ')
	[[ -z $missing ]] || die "still missing after the installation: $missing"
}

# The packages' services (containerd, docker-registry) stay off: the cluster runs programs of its own, from its own
# directories, and a service that somebody runs already is left alone.
packages_apt() {
	local policy='' service
	local -a ours=()
	for service in containerd docker-registry; do
		[[ -e /lib/systemd/system/$service.service ]] || ours+=("$service")
	done
	if [[ ! -e /usr/sbin/policy-rc.d ]]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
	fi
	local rc=0
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } </dev/null || rc=$?
	[[ -z $policy ]] || rm -f "$policy"
	if command -v systemctl >/dev/null; then
		for service in "${ours[@]}"; do
			systemctl disable "$service" || true # not started now, nor after the next boot
		done
	fi
	return $rc
}
