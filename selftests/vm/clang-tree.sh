#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Prints a folder that a module is built against with CC=clang-14: Debian's headers are
# configured by and for gcc, so this is linux-source-6.12 with Debian's configuration,
# configured by clang, as far as modules need it (`make modules_prepare`). No kernel is built;
# the module is not for loading: it has no symbol versions, no BTF.
#
# Made once into the cache (see kernels.sh) for each configuration, source and compiler.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
# Goes up where what is made changes otherwise than by what the key is made of.
RECIPE=1

# Those of a make that calls this are not for the kernel.
unset MAKEFLAGS MFLAGS MAKELEVEL

headers=$("$here/kernels.sh" kdir 6.12)
key=$({
	echo $RECIPE
	cat "$headers/.config"
	dpkg-query -W -f '${Version}' linux-source-6.12
	clang-14 --version
} | sha256sum | cut -c1-12)
cache=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/kernels
dir=$cache/clang-$key
work=$dir.part

build() {
	rm -rf "$work"
	mkdir -p "$work"/{source,o}
	# modules_prepare and Kconfig want Makefiles, headers, scripts and tools; no drivers.
	tar -C "$work/source" --strip-components=1 --exclude='*/tools/testing/*' \
		--exclude='*/Documentation/*/*' --exclude='*/drivers/*.[chS]' --exclude='*.dts*' \
		--exclude='*/sound/*.[chS]' --exclude='*/fs/*.c' \
		-xf /usr/src/linux-source-6.12.tar.xz
	cp "$headers/.config" "$headers/Module.symvers" "$work/o/"
	make=(make -s -C "$work/source" "O=$work/o" CC=clang-14 -j "$(nproc)")
	"${make[@]}" olddefconfig modules_prepare
	grep -qx CONFIG_CC_IS_CLANG=y "$work/o/.config"
	# shellcheck disable=SC2016 # make's variable
	"${make[@]}" run-command \
		KBUILD_RUN_COMMAND='$(srctree)/scripts/package/install-extmod-build '"$work/build"
	mv "$work/build" "$dir"
	rm -rf "$work"
}

mkdir -p "$cache"
exec 9>"$cache/clang.lock"
flock 9
if [ ! -d "$dir" ]; then
	echo "clang-tree: configuring ${dir##*/}, see $dir.log" >&2
	# Not "if ! build": within a condition, set -e does nothing.
	set +e
	(set -e; build) >"$dir.log" 2>&1 9>&-
	rc=$?
	set -e
	if [ $rc -ne 0 ]; then
		tail -n 20 "$dir.log" >&2
		rm -rf "$work"
		echo "clang-tree: ${dir##*/} cannot be made" >&2
		exit 1
	fi
fi
echo "$dir"
