#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Gets Debian's kernels for the VMs, without installing them, into a cache that
# outlives the clone: nothing of the machine's /boot or initramfs changes.
#
# usage: kernels.sh list          "SERIES KVER VMLINUZ MODDIR INITRD", a line each
#        kernels.sh get SERIES    the same, for one series (6.1 or 6.12)
#        kernels.sh get debug     the same, for one that debug-kernel.sh builds (or kcsan)
#        kernels.sh get DIR       the same, for a kernel laid out as in the cache
#                                 (boot/vmlinuz-KVER, lib/modules/KVER)
#        kernels.sh kver SERIES   the version only, needs no download
#        kernels.sh kdir SERIES   what a module for it is built against
#        kernels.sh needs KVER    "MB FACTOR THREAD": memory, how many times slower it is
#                                 than Debian's, qemu's way with processors (single, multi)
#
# The image is the one of the installed headers, so a module built against them loads.
# The cache is ${XFRMSYNC_CACHE:-/var/cache/xfrmsync}; concurrent callers are safe.
set -euo pipefail

SERIES=(6.1 6.12)
here=$(dirname "$(readlink -f "$0")")
cache=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/kernels

die() { echo "kernels: $*" >&2; exit 1; }

# "6.12" must not find 6.1's headers: the series ends at a dot. Newest last.
kver_of() {
	dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-headers-*-amd64' 2>/dev/null |
		sed -n "s/^installed linux-headers-\($1\.[0-9].*-amd64\)$/\1/p" |
		grep -Ev -e '-(rt|cloud)-amd64$' | sort -V | tail -n 1
}

fetch_image() { # KVER DEBVERSION DIR
	local tmp=$3.part

	rm -rf "$tmp"
	mkdir -p "$tmp/deb"
	echo "kernels: fetching linux-image-$1 $2" >&2
	(cd "$tmp/deb" && apt-get -qq download "linux-image-$1=$2" 2>&1 |
		sed '/unsandboxed as root/d' >&2) || return 1
	dpkg -x "$tmp"/deb/*.deb "$tmp"
	rm -rf "$tmp/deb" "${tmp:?}/usr"
	depmod -b "$tmp" "$1"
	mv "$tmp" "$3"
}

# The archive keeps few versions: where the lists are old, or the headers are, renew them.
prepare_debian() { # SERIES -> prints the kernel's folder
	local kver deb dir try

	for try in as-is update headers; do
		case $try in
		update)  apt-get -qq update >&2 || true ;;
		headers) "$here/../install-deps.sh" headers >&2 ;;
		esac
		kver=$(kver_of "$1")
		[ -n "$kver" ] || continue
		deb=$(dpkg-query -W -f '${Version}' "linux-headers-$kver")
		dir=$cache/${kver}_$deb
		if [ -d "$dir" ] || fetch_image "$kver" "$deb" "$dir"; then
			echo "$dir"
			return
		fi
	done
	die "no image of a $1 kernel that matches installed headers can be had"
}

# Races want processors that truly run at once; all else a guest that boots every time.
needs() { # KVER
	case $1 in
	*-xfrmsync-debug) echo "3072 8 single" ;;
	*-xfrmsync-kcsan) echo "2048 6 multi" ;;
	*)                echo "1024 1 single" ;;
	esac
}

kdir() { # SERIES
	local found

	case $1 in
	debug | kcsan)
		found=$("$here/debug-kernel.sh" "$1")
		echo "$found/build" ;;
	*)
		found=$(kver_of "$1") ||
			die "no $1 headers: run selftests/install-deps.sh build"
		echo "/usr/src/linux-headers-$found" ;;
	esac
}

line() { # NAME DIR
	local vmlinuz kver mods initrd

	vmlinuz=$(find "$2/boot" -name 'vmlinuz-*' | head -n 1)
	[ -n "$vmlinuz" ] || die "$2: no boot/vmlinuz-*"
	kver=${vmlinuz##*/vmlinuz-}
	mods=$2/lib/modules/$kver
	initrd=$("$here/mkinitrd.sh" "$2" "$kver") || die "$kver: no initramfs"
	echo "$1 $kver $vmlinuz $mods $initrd"
}

get() { # SERIES|DIR
	local dir

	case $1 in
	debug | kcsan) line "$1" "$built" ;;
	*/*) [ -d "$1/boot" ] || die "$1: no such kernel folder"
	     line dir "$(readlink -f "$1")" ;;
	*)   dir=$(prepare_debian "$1"); line "$1" "$dir" ;;
	esac
}

case ${1:-list} in
kver) kver_of "${2:?series}" || die "no $2 headers: run selftests/install-deps.sh build" ;;
kdir) kdir "${2:?series}" ;;
needs) needs "${2:?version}" ;;
list | get)
	# Minutes, maybe, for which nobody else shall wait: it has a lock of its own.
	case ${2:-} in
	debug | kcsan) built=$("$here/debug-kernel.sh" "$2") ;;
	esac
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
	if [ "${1:-list}" = list ]; then
		for s in "${SERIES[@]}"; do get "$s"; done
	else
		get "${2:?series or folder}"
	fi ;;
*) sed -n '6,14s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
