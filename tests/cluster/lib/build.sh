# shellcheck shell=bash
# The programs, built from source once per user. Each is kept in a directory named after the hash of its sources, so that a
# fresh checkout builds nothing again; it appears there by a rename, complete or not at all.

kubernetes_version=1.35.4
coredns_version=1.13.1
helm_version=4.3.1

go_flags=(-trimpath -ldflags '-s -w')
kube_ldflags="-s -w"
for field in gitVersion=v$kubernetes_version gitMajor=1 gitMinor=35 gitTreeState=clean; do
	kube_ldflags+=" -X k8s.io/component-base/version.$field"
done

# build_directory PROGRAM: where the program built from these sources is. File times, owners and the path of the checkout
# do not matter.
build_directory() {
	local sources=$here/$1 hash
	hash=$({
		if [[ -d $sources ]]; then
			(cd "$sources" && find . -type f \( -name '*.go' -o -name '*.c' -o -name go.mod -o -name go.sum \) ! -name '*_test.go' -print0 |
				LC_ALL=C sort -z | xargs -0 sha256sum)
		fi
		declare -f "build_$1"
		echo "$kube_ldflags ${go_flags[*]} $helm_version $(uname -m)"
	} | sha256sum)
	echo "$cache/$1-${hash:0:16}"
}

build_kube() {
	(cd "$here/kube" && "$go" build -v -mod=readonly -trimpath -ldflags "$kube_ldflags" -o "$1/kube" .)
	local program
	for program in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
		ln -s kube "$1/$program"
	done
}

build_coredns() {
	(cd "$here/coredns" && "$go" build -v -mod=readonly "${go_flags[@]}" -o "$1/coredns" .)
	images_make "$1/image.tar" "dev.local/coredns:$coredns_version" "$1/coredns"
}

build_helm() {
	GOBIN=$1 "$go" install -v "${go_flags[@]}" "helm.sh/helm/v4/cmd/helm@v$helm_version"
}

build_netpol() {
	(cd "$here/netpol" && "$go" build -v -mod=readonly "${go_flags[@]}" -o "$1/netpol" . &&
		"$go" build -v -mod=readonly "${go_flags[@]}" -o "$1/dev-netpol" ./cni)
}

build_testbox() {
	(cd "$here/testbox" && "$go" build -v -mod=readonly "${go_flags[@]}" -o "$1/testbox" .)
	images_make "$1/image.tar" dev.local/testbox:1 "$1/testbox"
}

build_pause() {
	cc -O2 -Wall -Wextra -static -s -o "$1/pause" "$here/pause/pause.c"
	images_make "$1/image.tar" dev.local/pause:1 "$1/pause"
}

build_all() {
	mkdir -p "$cache"
	build_one pause "the pause program" "a second"
	build_one testbox "the test pods' program" "20 s"
	build_one kube "the Kubernetes programs $kubernetes_version" "10 minutes on two cores"
	build_one coredns "CoreDNS $coredns_version" "1 minute"
	build_one netpol "the network policy agent" "half a minute"
	[[ -n $without_helm ]] || build_one helm "helm $helm_version" "2 minutes"
}

build_one() {
	local program=$1 title=$2 usual=$3 directory
	directory=$(build_directory "$program")
	printf -v "${program}_dir" %s "$directory"
	[[ ! -d $directory ]] || return 0

	lock "$cache/.build.lock" 8
	if [[ -d $directory ]]; then # somebody else was faster
		exec 8>&-
		return
	fi
	rm -rf "$cache"/.tmp.* # of builds that were cut off: nobody builds while this lock is held
	[[ $program == pause ]] || go_find
	say "building $title, about $usual, once per user"
	local temporary log=$cache/$program.log
	temporary=$(mktemp -d "$cache/.tmp.$program.XXXXXX")
	(
		exec 8>&-
		export CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off
		unset GOOS GOARCH GOBIN
		"build_$program" "$temporary"
	) >"$log" 2>&1 &
	if ! build_watch $! "$log"; then
		tail -n 25 "$log" >&2
		die "building $title failed" "the whole output is in $log"
	fi
	chmod 755 "$temporary"
	mv -T "$temporary" "$directory"
	rm -f "$log"
	exec 8>&-
	say "built $title: $directory"
}

# build_watch PID LOG: one line every half minute; on a terminal, a line that moves every second.
build_watch() {
	local pid=$1 log=$2 begin=$SECONDS passed=0 step=30
	[[ ! -t 2 ]] || step=1
	while kill -0 "$pid" 2>/dev/null; do
		if ((SECONDS - begin >= passed + step)); then
			passed=$((SECONDS - begin))
			local count
			count=$(grep -cv '^go: ' "$log" || true)
			if [[ -t 2 ]]; then
				printf '\r         %d:%02d, %d packages compiled ' $((passed / 60)) $((passed % 60)) "$count" >&2
			else
				say "  $((passed / 60)):$(printf %02d $((passed % 60))), $count packages compiled"
			fi
		fi
		sleep 0.1
	done
	[[ ! -t 2 ]] || ((passed == 0)) || echo >&2
	wait "$pid"
}
