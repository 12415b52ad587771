#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Builds the tool's unit tests for a big-endian machine (s390x), runs them by qemu-user,
# and has files of contexts that one byte order saved loaded by the other. Prints TAP.
#
# usage: bigendian.sh [TEST...]    e.g. context_test; default: all but the not_here
#
# Compiler and C library are Debian's cross packages (install-deps.sh check). The other
# libraries come from the archive's s390x packages, unpacked into the cache: no foreign
# architecture is added to this machine. The cache is ${XFRMSYNC_CACHE:-/var/cache/xfrmsync}.
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/.." || exit
cache=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}
root=$cache/s390x
triplet=s390x-linux-gnu
packages=(libcmocka0 libcmocka-dev libinih1 libinih-dev libjansson4 libjansson-dev
	libmnl0 libmnl-dev libsodium23 libsodium-dev libssl3 libssl-dev)
# It starts the tool, which only binfmt_misc could do.
not_here=(cmdline_test)
here=build/tools
there=build/tools-s390x

die() { echo "Bail out! bigendian: $*"; exit 1; }

# As apt does it, signatures and all, but with lists, state and cache of its own.
fetch() { # DIR
	local tmp apt

	tmp=$(mktemp -d) || return
	chmod 755 "$tmp"	# apt gives up root
	mkdir -p "$tmp/state/lists/partial" "$tmp/cache/archives/partial" "$tmp/debs"
	: >"$tmp/status"
	apt=(apt-get -qq -o "Dir::State=$tmp/state" -o "Dir::State::status=$tmp/status"
		-o "Dir::Cache=$tmp/cache" -o APT::Architecture=s390x -o APT::Architectures=s390x)
	echo "# fetching ${packages[*]} for s390x"
	# A third-party source that does not answer must not stop us: download will tell.
	"${apt[@]}" update >&2 || echo "# apt-get update failed in part; going on"
	(cd "$tmp/debs" && "${apt[@]}" download "${packages[@]}" 2>&1 |
		sed '/unsandboxed as root/d' >&2) || { rm -rf "$tmp"; return 1; }
	rm -rf "$1.part"
	find "$tmp/debs" -name '*.deb' -exec dpkg -x {} "$1.part" \;
	rm -rf "$tmp"
	mv "$1.part" "$1"
}

build() { # TARGET...
	PKG_CONFIG_LIBDIR=$root/usr/lib/$triplet/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root \
		make --no-print-directory -s -j2 -C tools BUILD="../$there" CC=$triplet-gcc \
		EXTRA_CFLAGS="-I$root/usr/include/$triplet" \
		EXTRA_LDFLAGS="-L$root/usr/lib/$triplet -Wl,-rpath-link,$root/usr/lib/$triplet" \
		"$@"
}

emulate() { qemu-s390x -L "/usr/$triplet" -E "LD_LIBRARY_PATH=$root/usr/lib/$triplet" "$@"; }

# Each reads what the other has sealed: the first one of them, when it is run again.
exchange() {
	local dir rc

	make --no-print-directory -s -C tools "../$here/vectors_wire_test" || return
	dir=$(mktemp -d) || return
	(cd tools && XFRMSYNC_EXCHANGE=$dir && export XFRMSYNC_EXCHANGE &&
		"../$here/vectors_wire_test" >/dev/null && emulate "../$there/vectors_wire_test" &&
		"../$here/vectors_wire_test")
	rc=$?
	rm -rf "$dir"
	return $rc
}

tests=("$@")
if [ $# -eq 0 ]; then
	for t in tools/tests/*_test.c; do
		t=$(basename "$t" .c)
		[[ " ${not_here[*]} " == *" $t "* ]] || tests+=("$t")
	done
fi

mkdir -p "$cache" || exit
(
	flock 9
	[ -d "$root" ] || fetch "$root"
) 9>"$cache/s390x.lock" || die "no s390x libraries can be had"

build "${tests[@]/#/../$there/}" || die "the tests cannot be built for s390x"
failed=0
export CMOCKA_MESSAGE_OUTPUT=TAP
for t in "${tests[@]}"; do
	echo "# $t, big-endian"
	(cd tools && emulate "../$there/$t") || failed=1
done
if [ $# -eq 0 ]; then
	echo "# files, from one byte order to the other and back"
	exchange || failed=1
fi
exit $failed
