#!/bin/sh
# First process of a machine (lib/machine.sh): gives it its host name and its own content of some directories of the host, then
# becomes the program that holds the namespaces.
# Arguments: HOSTNAME ROOT INIT KEEP KEEP [DIRECTORY…]; the content of DIRECTORY is in ROOT/DIRECTORY. What is below a KEEP stays
# reachable under its path even if a DIRECTORY covers it.
set -eu
hostname "$1"
root=$2 init=$3 keep1=$4 keep2=$5
shift 5
mount --make-rshared / # for mounts that pods propagate; this is the machine's own mount namespace
for directory; do
	for keep in "$keep1" "$keep2"; do
		case $keep/ in
			"$directory"/*)
				mkdir -p "$root$keep"
				mount --bind "$keep" "$root$keep"
				;;
		esac
	done
	mount --rbind "$root$directory" "$directory"
done
exec "$init"
