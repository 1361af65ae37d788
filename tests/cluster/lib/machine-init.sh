#!/bin/sh
# First process of a machine (lib/machine.sh): gives it its host name and its own copies of the directories that container
# runtimes and kubelets insist on, then becomes the program that holds the namespaces.
# Arguments: HOSTNAME ROOT INIT [DIRECTORY…]; DIRECTORY is absolute, its content is in ROOT/DIRECTORY.
set -eu
hostname "$1"
root=$2 init=$3
shift 3
mount --make-rshared / # for mounts that pods propagate; this is the machine's own mount namespace
for directory; do
	mount --bind "$root$directory" "$directory"
done
exec "$init"
