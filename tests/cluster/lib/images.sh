# shellcheck shell=bash
# Container images, made here from one static binary each, and imported into the nodes.

image_architecture() {
	case $(uname -m) in
		x86_64) echo amd64 ;;
		aarch64) echo arm64 ;;
		*) uname -m ;;
	esac
}

# images_make OUT.tar REFERENCE BINARY: an image in `docker save` format that holds /NAME and runs it as user 65532.
# Equal input gives equal bytes.
images_make() {
	local out=$1 reference=$2 binary=$3 work program tar_flags
	program=$(basename "$binary")
	tar_flags=(--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=755 --format=ustar)
	work=$(mktemp -d "$(dirname "$out")/image.XXXXXX")
	tar "${tar_flags[@]}" -cf "$work/layer.tar" -C "$(dirname "$binary")" "$program"
	cat >"$work/config.json" <<-END
		{"architecture":"$(image_architecture)","os":"linux","created":"1970-01-01T00:00:00Z",
		 "config":{"Entrypoint":["/$program"],"User":"65532:65532","WorkingDir":"/"},
		 "rootfs":{"type":"layers","diff_ids":["sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)"]}}
	END
	echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$reference\"],\"Layers\":[\"layer.tar\"]}]" >"$work/manifest.json"
	tar "${tar_flags[@]}" -cf "$out" -C "$work" manifest.json config.json layer.tar
	rm -rf "$work"
}

node_socket() { echo "$state/node$1/run/containerd/containerd.sock"; }

node_ctr() { # NODE ARGUMENT…
	local node=$1
	shift
	ctr -a "$(node_socket "$node")" -n k8s.io "$@"
}

# images_load FILE…: every node, side by side.
images_load() {
	(($#)) || usage_error "load: expected the path of an archive"
	need_root
	machine_alive control || die "the cluster $name is not up" "cluster up"
	local file node
	for file in "$@"; do
		[[ -r $file ]] || die "$file: cannot be read"
	done
	for file in "$@"; do
		local -a jobs=()
		for node in $(node_numbers); do
			images_import "$node" "$file" &
			jobs+=($!)
		done
		all "${jobs[@]}" || die "$file: not imported" "expected what docker save, podman save or buildah push docker-archive: write"
	done
}

images_import() {
	local output
	if ! output=$(node_ctr "$1" images import "$2" 2>&1); then
		printf 'node %s: %s\n' "$1" "$output" >&2
		return 1
	fi
	printf 'node %s: %s\n' "$1" "$output"
}
