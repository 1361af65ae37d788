#!/usr/bin/env bash
# Installs dev; --try shows it at work in a cluster; --untry takes all of that away again.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=tests/toolchain.sh
source "$root/tests/toolchain.sh"
# shellcheck source=tests/try.sh
source "$root/tests/try.sh"

usage() {
	cat <<'END'
Usage: ./install.sh [--try [--context NAME] [--dry-run] | --untry]

  (nothing)         build dev and install it as ${PREFIX:-~/.local}/bin/dev; Rust and a C compiler are installed with rustup or
                    apt-get where they are missing (about 5 minutes on two cores, seconds when it is built)
  --try             and show it: take a cluster, make the base of examples/bookshop in it, bring an environment up, send
                    requests. Says beforehand what it will do, and to which cluster
  --context NAME    the cluster of this context of your kubeconfig. Without it a cluster is made: with kind, k3d or minikube where
                    they are installed and work, else the bundled one (Debian or Ubuntu, root; builds Kubernetes once, about
                    10 minutes on two cores)
  --dry-run         only say what --try would do
  --untry           remove the environment, the base, the cluster if --try made it, and what else --try added

Files: PREFIX (default ~/.local), what --try did is recorded in ${XDG_STATE_HOME:-~/.local/state}/dev-try.
END
}

prefix=${PREFIX:-$HOME/.local}
target=${CARGO_TARGET_DIR:-$root/target}

install_dev() {
	toolchain_rust "$root/Cargo.toml"
	say "building dev, about 5 minutes the first time"
	(cd "$root" && cargo build --release --locked) || die "the build failed"
	mkdir -p "$prefix/bin"
	if ! cmp -s "$target/release/dev" "$prefix/bin/dev"; then
		local temporary
		temporary=$(mktemp "$prefix/bin/.dev.XXXXXX")
		cp "$target/release/dev" "$temporary"
		chmod 755 "$temporary"
		mv "$temporary" "$prefix/bin/dev"
	fi
	say "installed: $prefix/bin/dev ($("$prefix/bin/dev" --version))"
	case :$PATH: in
		*":$prefix/bin:"*) ;;
		*) say "it is not on your PATH yet: export PATH=\"$prefix/bin:\$PATH\"" ;;
	esac
}

main() {
	local action=install context='' dry_run=''
	while (($#)); do
		case $1 in
			--try) action=try ;;
			--untry) action=untry ;;
			--dry-run) dry_run=1 ;;
			--context)
				(($# > 1)) || die "--context wants a name" "./install.sh --help"
				context=$2
				shift
				;;
			--context=*) context=${1#*=} ;;
			-h | --help)
				usage
				return
				;;
			*)
				printf 'Error: no such option: %s\nHint: ./install.sh --help\n' "$1" >&2
				return 2
				;;
		esac
		shift
	done
	if [[ $action != try && -n $context$dry_run ]]; then
		printf 'Error: --context and --dry-run go with --try\nHint: ./install.sh --help\n' >&2
		return 2
	fi
	case $action in
		install) install_dev ;;
		try) try_up "$context" "$dry_run" ;;
		untry) try_down ;;
	esac
}

main "$@"
