#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Builds a kernel that is full of checks from Debian's linux-source-6.12, and prints its
# folder: boot/vmlinuz-KVER and lib/modules/KVER as kernels.sh has them, and build, which
# a module for it is built against.
#
# usage: debug-kernel.sh [-q] [debug|kcsan]
#   debug   KASAN, lockdep, kmemleak and more: debug.config (default)
#   kcsan   the data race detector: kcsan.config
#   -q      only if it was built before; exit code 1 if not
#
# Built once into the cache (see kernels.sh) for each configuration, source and compiler.
# Concurrent callers are safe: one builds, the others wait for it.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
source=/usr/src/linux-source-6.12.tar.xz
# Goes up where what is built changes otherwise than by what the key is made of.
RECIPE=1

# Those of a make that calls this are not for the kernel.
unset MAKEFLAGS MFLAGS MAKELEVEL

die() { echo "debug-kernel: $*" >&2; exit 1; }

query=''
if [ "${1-}" = -q ]; then
	query=1
	shift
fi
variant=${1:-debug}
case $variant in
debug | kcsan) fragments=("$here/base.config" "$here/$variant.config") ;;
*) sed -n '7,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

[ -n "$query" ] || "$here/../install-deps.sh" kernel >&2
key=$({
	echo $RECIPE
	grep -h '^CONFIG_' "${fragments[@]}"
	dpkg-query -W -f '${Version}' linux-source-6.12
	gcc --version
} | sha256sum | cut -c1-12)
cache=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/kernels
dir=$cache/$variant-$key
work=$dir.part
if [ -n "$query" ]; then
	[ -d "$dir" ] || exit 1
	echo "$dir"
	exit
fi

# What depends on something that is off is dropped without a word.
configure() {
	cat "${fragments[@]}" >"$work/all.config"
	"${make[@]}" KCONFIG_ALLCONFIG="$work/all.config" allnoconfig
	! grep '^CONFIG_' "$work/all.config" | grep -vxFf "$work/o/.config" ||
		die "these the kernel's configuration does not take"
}

build() {
	local kver

	rm -rf "$work"
	mkdir -p "$work"/{source,o,boot}
	# The largest headers of all belong to a driver that nobody builds here.
	tar -C "$work/source" --strip-components=1 --exclude='*/drivers/gpu/drm/amd/include' \
		-xf "$source"
	make=(make -s -C "$work/source" "O=$work/o" -j "$(nproc)")
	configure
	"${make[@]}" bzImage modules
	kver=$(<"$work/o/include/config/kernel.release")
	cp "$work/o/arch/x86/boot/bzImage" "$work/boot/vmlinuz-$kver"
	cp "$work/o/.config" "$work/boot/config-$kver"
	cp "$work/o/System.map" "$work/boot/System.map-$kver"
	"${make[@]}" INSTALL_MOD_PATH="$work" modules_install
	rm -f "$work/lib/modules/$kver"/{build,source}
	# shellcheck disable=SC2016 # make's variable
	"${make[@]}" run-command \
		KBUILD_RUN_COMMAND='$(srctree)/scripts/package/install-extmod-build '"$work/build"
	rm -rf "$work"/{source,o,all.config}
	mv "$work" "$dir"
}

mkdir -p "$cache"
exec 9>"$cache/$variant.lock"
flock 9
if [ ! -d "$dir" ]; then
	echo "debug-kernel: building ${dir##*/}, see $dir.log" >&2
	start=$SECONDS
	# Not "if ! build": within a condition, set -e does nothing.
	set +e
	(set -e; build) >"$dir.log" 2>&1 9>&-
	rc=$?
	set -e
	if [ $rc -ne 0 ]; then
		tail -n 20 "$dir.log" >&2
		rm -rf "$work"
		die "${dir##*/} cannot be built"
	fi
	echo "debug-kernel: built in $((SECONDS - start)) s" | tee -a "$dir.log" >&2
	# What it cost, whatever else the machine did: user and system; its children's below.
	times >>"$dir.log"
fi
echo "$dir"
