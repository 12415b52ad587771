#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Prints the folder of the kernel's own network tests, from Debian's linux-source-6.12,
# unpacked once into the cache; and compiles those in C (build/upstream/).
#
# usage: cd "$(get.sh)"
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
out=$(readlink -f "$here/../..")/build/upstream
cache=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}
version=$(dpkg-query -W -f '${Version}' linux-source-6.12) || {
	echo "upstream: run selftests/install-deps.sh check" >&2
	exit 1
}
dir=$cache/upstream-$version
net=$dir/tools/testing/selftests/net

mkdir -p "$cache" "$out"
exec 9>"$cache/upstream.lock"
flock 9
if [ ! -d "$dir" ]; then
	rm -rf "$dir.part"
	mkdir "$dir.part"
	# The members are named, so tar need not write 1.5 GB.
	tar -C "$dir.part" --strip-components=1 --wildcards -xf /usr/src/linux-source-6.12.tar.xz \
		'*/tools/testing/selftests/kselftest.h' '*/tools/testing/selftests/net/*.sh' \
		'*/tools/testing/selftests/net/ipsec.c' '*/tools/testing/selftests/net/nettest.c'
	mv "$dir.part" "$dir"
fi
# ipsec.c's namespaces have no names: it is by unshare() that they are followed.
if [ "$net/ipsec.c" -nt "$out/ipsec" ] || [ "$here/follow.c" -nt "$out/ipsec" ]; then
	cc -O2 -o "$out/nettest" "$net/nettest.c"
	cc -O2 -Wall -Wextra -DMAIN -o "$out/follow" "$here/follow.c"
	cc -O2 -Wl,--wrap=unshare -o "$out/ipsec" "$net/ipsec.c" "$here/follow.c"
fi
echo "$net"
