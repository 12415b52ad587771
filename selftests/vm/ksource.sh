#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Prints a folder with the parts of Debian's linux-source that the checks use: checkpatch
# and kernel-doc (scripts/), and the YNL command line with its schemas (tools/net/ynl,
# Documentation/netlink). Unpacked once into the cache; guests see it at the same path.
#
# usage: cli=$(ksource.sh)/tools/net/ynl/cli.py
set -euo pipefail

cache=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}
version=$(dpkg-query -W -f '${Version}' linux-source-6.12) || {
	echo "ksource: run selftests/install-deps.sh check" >&2
	exit 1
}
dir=$cache/source-$version

mkdir -p "$cache"
exec 9>"$cache/source.lock"
flock 9
if [ ! -d "$dir" ]; then
	rm -rf "$dir.part"
	mkdir "$dir.part"
	# The members are named, so tar need not write 1.5 GB.
	tar -C "$dir.part" --strip-components=1 --wildcards -xf /usr/src/linux-source-6.12.tar.xz \
		'*/MAINTAINERS' '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
		'*/scripts/const_structs.checkpatch' '*/scripts/kernel-doc' \
		'*/.clang-format' '*/tools/net/ynl/*' '*/Documentation/netlink/*'
	mv "$dir.part" "$dir"
fi
echo "$dir"
