# shellcheck shell=bash disable=SC2034,SC2154 # shared with the parts that are sourced and with those who source this
# Rust, Go and a C compiler for this project, installed where they are missing. Sourced by install.sh and tests/run.

# shellcheck source=/dev/null
for toolchain_part in common names packages go envoy; do
	source "$(dirname "${BASH_SOURCE[0]}")/cluster/lib/$toolchain_part.sh"
done

# toolchain_rust MANIFEST: cargo of the version that the manifest asks for is on the PATH afterwards. Sets $rust_installed to
# rustup or apt if it was missing.
toolchain_rust() {
	local wanted=0
	rust_installed=''
	wanted=$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' "$1")
	toolchain_cc
	local directory
	for directory in '' "$HOME/.cargo/bin"; do
		toolchain_rust_usable "$wanted" "$directory" && return
	done
	say "installing Rust 1.$wanted or later, about a minute"
	if toolchain_rustup && toolchain_rust_usable "$wanted" "$HOME/.cargo/bin"; then
		rust_installed=rustup
		return
	fi
	toolchain_rust_apt "$wanted"
	for directory in '' /usr/lib/rust-1.*/bin; do
		if toolchain_rust_usable "$wanted" "$directory"; then
			rust_installed=apt
			return
		fi
	done
	die "Rust 1.$wanted or later is neither to be had from rustup nor from apt" "https://rustup.rs"
}

# toolchain_rust_usable MINOR [DIRECTORY]: puts the directory on the PATH if its cargo will do.
toolchain_rust_usable() {
	local path=${2:+$2:}$PATH version
	version=$(PATH=$path cargo --version 2>/dev/null) || return 1
	[[ $version =~ ^cargo\ 1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= $1)) || return 1
	PATH=$path
}

# Is a registry away for machines that reach no more than Debian's: silent where it fails.
toolchain_rustup() {
	local installer rc=0
	installer=$(mktemp)
	toolchain_need curl:curl
	curl -sSf --connect-timeout 10 --max-time 60 https://sh.rustup.rs -o "$installer" 2>/dev/null &&
		sh "$installer" -y -q --profile minimal -c clippy -c rustfmt --no-modify-path >/dev/null 2>&1 || rc=$?
	rm -f "$installer"
	return $rc
}

# Debian names its up-to-date Rust rustc-web; Ubuntu has rustc-1.NN.
toolchain_rust_apt() {
	local wanted=$1 minor package
	((EUID == 0)) || die "Rust is missing, and apt-get needs root" "run this as root, or install Rust: https://rustup.rs"
	apt-get update >/dev/null 2>&1 || true
	for package in rustc-web rustc; do
		minor=$(apt-cache policy "$package" 2>/dev/null | sed -n 's/^ *Candidate: 1\.\([0-9]*\).*/\1/p')
		if ((${minor:-0} >= wanted)); then
			packages_apt "$package" "cargo${package#rustc}" >/dev/null 2>&1
			packages_apt "rustfmt${package#rustc}" >/dev/null 2>&1 || true
			return
		fi
	done
	minor=$(apt-cache search --names-only '^rustc-1\.[0-9]+$' | sed -n 's/^rustc-1\.\([0-9]*\) .*/\1/p' | sort -n | tail -n 1)
	((${minor:-0} < wanted)) || packages_apt "rustc-1.$minor" "cargo-1.$minor" >/dev/null 2>&1
}

toolchain_cc() { toolchain_need cc:gcc /usr/include/stdio.h:libc6-dev git:git; }

# toolchain_go: `go` is on the PATH afterwards.
toolchain_go() {
	mkdir -p "$cache"
	go_find
	[[ $(command -v go) == "$go" ]] || PATH=$(dirname "$go"):$PATH
}

# toolchain_envoy: DEV_TEST_ENVOY names a real Envoy afterwards; one that is named already is used as it is.
toolchain_envoy() {
	if [[ -z ${DEV_TEST_ENVOY:-} ]]; then
		envoy_find
		export DEV_TEST_ENVOY=$envoy
	fi
}

# toolchain_need COMMAND-OR-FILE:PACKAGE…
toolchain_need() {
	local entry want
	local -a packages=()
	for entry; do
		want=${entry%%:*}
		if [[ $want == /* ]]; then
			[[ -e $want ]] || packages+=("${entry##*:}")
		else
			command -v "$want" >/dev/null || packages+=("${entry##*:}")
		fi
	done
	((${#packages[@]})) || return 0
	((EUID == 0)) || die "missing: ${packages[*]}" "install them, or run this as root"
	command -v apt-get >/dev/null || die "missing, and there is no apt-get: ${packages[*]}"
	say "installing Debian packages: ${packages[*]}"
	packages_apt "${packages[@]}" >/dev/null 2>&1 || die "apt-get install ${packages[*]} failed"
}
