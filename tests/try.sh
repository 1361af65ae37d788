# shellcheck shell=bash disable=SC2154 # prefix, root, target: install.sh
# `./install.sh --try` and `--untry`. What was done is recorded before it is done, so that --untry removes exactly that, also
# after a run that was cut off.

try_state=${XDG_STATE_HOME:-$HOME/.local/state}/dev-try
try_shop=$root/examples/bookshop
try_cluster() { "$root/tests/cluster/cluster" --name try "$@"; }

try_note() { # KEY VALUE
	mkdir -p "$try_state"
	grep -qxF "$1 $2" "$try_state/record" 2>/dev/null || echo "$1 $2" >>"$try_state/record"
}
try_noted() { [[ ! -e $try_state/record ]] || sed -n "s/^$1 //p" "$try_state/record"; }

# try_choose CONTEXT: sets $kind (context, kind, k3d, minikube, bundled) and $cluster_name, how people call it.
try_choose() {
	local given=$1 before
	kind=$(try_noted cluster)
	if [[ -n $given ]]; then
		before=$(try_noted context)
		[[ -z $kind || $before == "$given" ]] || die "--try is at work in another cluster already: $kind ${before:-}" "./install.sh --untry"
		kind=context
	elif [[ $kind == context ]]; then
		given=$(try_noted context)
	elif [[ -z $kind ]]; then
		kind=bundled
		if command -v kind >/dev/null && kind get clusters >/dev/null 2>&1; then
			kind=kind
		elif command -v k3d >/dev/null && k3d cluster list >/dev/null 2>&1; then
			kind=k3d
		elif command -v minikube >/dev/null && command -v docker >/dev/null && docker info >/dev/null 2>&1; then
			kind=minikube
		fi
	fi
	try_context=$given
	[[ $kind != context ]] || try_find_context "$given"
	case $kind in
		context) cluster_name="the cluster of the context $given of your kubeconfig, because you named it" ;;
		bundled) cluster_name="a Kubernetes of its own on this machine, from $root/tests/cluster" ;;
		*) cluster_name="a new $kind cluster, dev-try" ;;
	esac
}

# try_find_context NAME: fails where the kubeconfig has no such context. Without kubectl dev says it later, before anything is written.
try_find_context() {
	local known
	command -v kubectl >/dev/null || return 0
	known=$(kubectl config get-contexts -o name 2>/dev/null) || known=''
	grep -qxF -e "$1" <<<"$known" ||
		die "there is no context $1 in your kubeconfig (${KUBECONFIG:-~/.kube/config})" "contexts: ${known:+$(paste -sd ' ' <<<"$known")}"
}

try_say_plan() {
	cat >&2 <<-END

		This will
		  1. install dev as $prefix/bin/dev
		  2. use $cluster_name
	END
	case $kind in
		context) echo "     and admit it for writing (dev admit)" >&2 ;;
		bundled)
			cat >&2 <<-END
				     its programs are built once, about 10 minutes on two cores; Debian packages that are missing are installed
				     (containerd, runc, CNI plugins, docker-registry, nftables, …), no service is started, no setting of the host is changed
			END
			;;
	esac
	cat >&2 <<-END
		  3. make the base of examples/bookshop in the namespace bookshop of that cluster
		  4. bring an environment of it up in the namespace bookshop-try, send requests to both
		No other cluster and no other namespace is written to. ./install.sh --untry removes all of it.

	END
}

# Caches that the builds fill, if they are not there yet: --untry removes them.
try_note_caches() {
	local directory
	local cargo=${CARGO_HOME:-$HOME/.cargo}
	for directory in "$target" "$cargo/registry" "$cargo/git" "${GOCACHE:-$HOME/.cache/go-build}" \
		"${GOMODCACHE:-${GOPATH:-$HOME/go}/pkg/mod}" "${XDG_CONFIG_HOME:-$HOME/.config}/go" "$cache" \
		"${XDG_STATE_HOME:-$HOME/.local/state}/dev" "${XDG_CACHE_HOME:-$HOME/.cache}/debian-root" "$try_shop"/{web,reviews,ratings}/bin "$try_shop"/{details,redis}/build; do
		[[ -e $directory ]] || try_note made "$directory"
	done
	[[ -e $prefix/bin/dev ]] || try_note installed "$prefix/bin/dev"
	[[ -e $HOME/.rustup ]] || try_note no-rustup yes
	if [[ ! -e $try_state/packages ]] && command -v dpkg-query >/dev/null; then
		mkdir -p "$try_state"
		dpkg-query -W -f '${Package}\n' | sort >"$try_state/packages"
	fi
}

# A cluster that is called as ours would be may be somebody's: it is not used, and --untry would delete it.
try_refuse_foreign_cluster() {
	[[ -z $(try_noted cluster) ]] || return 0
	local found=''
	case $kind in
		bundled) if try_cluster status >/dev/null 2>&1; then found='a bundled cluster named try'; fi ;;
		kind) if kind get clusters 2>/dev/null | grep -qx dev-try; then found='a kind cluster dev-try'; fi ;;
		k3d) if k3d cluster list dev-try >/dev/null 2>&1; then found='a k3d cluster dev-try'; fi ;;
		minikube) if minikube status -p dev-try >/dev/null 2>&1; then found='a minikube profile dev-try'; fi ;;
	esac
	[[ -z $found ]] || die "there is $found already, and --try did not make it" "remove it, or name it yourself: --try --context NAME"
}

# try_start: the cluster runs; sets KUBECONFIG for a cluster that --try made, and $context_flag.
try_start() {
	context_flag=()
	case $kind in
		context)
			context_flag=(--context "$try_context")
			"$prefix/bin/dev" admit "${context_flag[@]}" >/dev/null
			;;
		bundled)
			try_cluster up --without-helm
			eval "$(try_cluster env)"
			;;
		kind)
			export KUBECONFIG=$try_state/kubeconfig
			kind get clusters 2>/dev/null | grep -qx dev-try || {
				say "making a kind cluster, about a minute"
				kind create cluster --name dev-try --kubeconfig "$KUBECONFIG" --wait 120s >&2
			}
			;;
		k3d)
			export KUBECONFIG=$try_state/kubeconfig
			k3d cluster list dev-try >/dev/null 2>&1 || {
				say "making a k3d cluster, about a minute"
				k3d cluster create dev-try --kubeconfig-update-default=false --wait >&2
			}
			k3d kubeconfig get dev-try >"$KUBECONFIG"
			;;
		minikube)
			export KUBECONFIG=$try_state/kubeconfig
			say "starting minikube with the profile dev-try, some minutes the first time"
			minikube start -p dev-try >&2
			;;
	esac
}

# In a cluster of somebody's the namespaces may exist already; whatever is in them is not ours to change.
try_refuse_foreign_namespaces() {
	[[ -z $(try_noted started) ]] || return 0
	command -v kubectl >/dev/null || die "kubectl is missing: it is asked whether the namespaces bookshop and bookshop-try are free" \
		"install kubectl, or leave --context out"
	local found
	found=$(kubectl --context "$try_context" get namespaces bookshop bookshop-try --ignore-not-found -o name) ||
		die "the cluster of the context $try_context does not answer"
	[[ -z $found ]] || die "this cluster has $(tr '\n' ' ' <<<"$found")already, and --try did not make it" "remove it, or try another cluster"
}

try_up() { # CONTEXT DRY-RUN
	local context_flag kind cluster_name try_context
	try_choose "$1"
	try_say_plan
	[[ -z $2 ]] || return 0
	try_refuse_foreign_cluster
	[[ $kind != context ]] || try_refuse_foreign_namespaces
	try_note_caches
	install_dev
	[[ $rust_installed != rustup || -z $(try_noted no-rustup) ]] || try_note rustup yes
	toolchain_need curl:curl
	toolchain_go # the bookshop's services are built with it
	try_note cluster "$kind"
	[[ -z $try_context ]] || try_note context "$try_context"
	try_start
	try_note started yes

	local -a run=("$prefix/bin/dev" "${context_flag[@]}")
	cd "$try_shop" || return
	say "making the base: the shared version of five services, about a minute the first time"
	"${run[@]}" deploy
	say "bringing an environment up: a copy of your own, seconds, because the images are there"
	"${run[@]}" up -e try
	say "asking both"
	local base mine
	base=$(try_ask "${run[@]}" -n bookshop url web)
	mine=$(try_ask "${run[@]}" -e try url web)
	try_say_result "$base" "$mine"
}

# try_ask COMMAND…: the API of the bookshop, through a port of this machine that is forwarded meanwhile.
try_ask() {
	local address='' log answer='' pid
	log=$(mktemp)
	"$@" --forward 0 >"$log" 2>&1 &
	pid=$!
	local deadline=$((SECONDS + 30))
	while [[ -z $address ]] && kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do
		address=$(grep -oE -m 1 'http://(127\.0\.0\.1|localhost):[0-9]+' "$log" || true)
		[[ -n $address ]] || sleep 0.1
	done
	[[ -z $address ]] || answer=$(curl -sS --max-time 20 -H 'baggage: dev-env=try' "$address/api/product" 2>&1 || true)
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	if [[ $answer != *'"versions"'* ]]; then
		cat "$log" >&2
		rm -f "$log"
		die "the bookshop does not answer: ${answer:-no address to ask}" "dev status, dev logs web"
	fi
	rm -f "$log"
	grep -oE '"versions": *\{[^}]*\}' <<<"$answer"
}

try_say_result() { # BASE MINE
	local environment='' flag=''
	case $kind in
		bundled) environment="eval \"\$($root/tests/cluster/cluster --name try env)\"" ;;
		context) flag=" --context $try_context" ;;
		*) environment="export KUBECONFIG=$try_state/kubeconfig" ;;
	esac
	[[ :$PATH: == *":$prefix/bin:"* && $(command -v dev) == "$prefix/bin/dev" ]] ||
		environment="export PATH=\"$prefix/bin:\$PATH\"${environment:+; $environment}"
	cat <<-END

		It works. Two complete bookshops run in the cluster; each answer names the version of every service that took part:

		  the base          $1
		  your environment  $2

		Go on:
		  cd $try_shop${environment:+
		  $environment}
		  dev$flag url web -e try --forward 8080   # then open http://localhost:8080
		  dev$flag status -e try                   # what runs in it
		  dev$flag logs web -e try
		  dev$flag diff -e try                     # nothing; change a text in reviews/reviews.go and look again
		  dev$flag up -e try                       # only reviews is built and rolled

		Remove it all: $root/install.sh --untry
	END
}

try_down() {
	local kind directory failed='' context_flag=()
	[[ -e $try_state/record ]] || die "there is nothing to remove: no record of --try in $try_state"
	kind=$(try_noted cluster)
	case $kind in
		context)
			try_remove_from "$(try_noted context)" || failed=1
			;;
		bundled)
			say "removing the cluster"
			try_cluster down --check || failed=1
			;;
		kind) kind delete cluster --name dev-try >&2 || failed=1 ;;
		k3d) k3d cluster delete dev-try >&2 || failed=1 ;;
		minikube) minikube delete -p dev-try >&2 || failed=1 ;;
	esac
	[[ -z $failed ]] || die "not everything in the cluster was removed; the rest stays too" "mend what is named above, then ./install.sh --untry again"
	if [[ -n $(try_noted rustup) ]]; then
		say "removing Rust"
		"$HOME/.cargo/bin/rustup" self uninstall -y >/dev/null 2>&1 || true
	fi
	try_noted installed | while read -r directory; do
		rm -f "$directory"
		say "removed $directory"
	done
	try_noted made | while read -r directory; do
		[[ -d $directory ]] || continue
		chmod -R u+w "$directory" # Go's modules are read-only
		rm -rf "$directory"
		say "removed $directory"
	done
	try_say_packages
	rm -rf "$try_state"
	say "--try is undone"
}

try_remove_from() { # CONTEXT
	[[ -n $(try_noted started) ]] || return 0
	local -a run=("$prefix/bin/dev" --context "$1")
	[[ -x $prefix/bin/dev ]] || die "$prefix/bin/dev is missing, and it takes it to remove what it made" "./install.sh, then ./install.sh --untry"
	(
		cd "$try_shop" || return
		"${run[@]}" down -e try && "${run[@]}" deploy --remove && "${run[@]}" admit --forget
	)
}

try_say_packages() {
	[[ -e $try_state/packages ]] || return 0
	local added
	added=$(dpkg-query -W -f '${Package}\n' | sort | comm -13 "$try_state/packages" - | tr '\n' ' ')
	[[ -z $added ]] || say "Debian packages that came since --try stay; to remove them: apt-get purge $added"
}
