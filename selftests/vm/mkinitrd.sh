#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Builds the initramfs that mounts the host's root over 9p: busybox, init.sh, and the
# modules that needs, in the order in which they load. Prints its path.
#
# usage: mkinitrd.sh KERNELDIR KVER     (callers hold the cache's lock)
set -euo pipefail

# ansi_cprng: in a small initramfs 6.1's DRBG self-test fails without it.
MODULES=(virtio_pci 9pnet_virtio 9p overlay virtio_rng ansi_cprng)

dir=$1 kver=$2
here=$(dirname "$(readlink -f "$0")")
# The name carries what went in, so that a changed init never boots from a stale image.
key=$(cat "$0" "$here/init.sh" | sha256sum | cut -c1-12)
out=$dir/initrd-$key.cpio
if [ -s "$out" ]; then
	echo "$out"
	exit
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{bin,dev,proc,sys,root,lower,rw,modules}
cp "$(command -v busybox)" "$tmp/bin/busybox"
cp "$here/init.sh" "$tmp/init"
chmod 755 "$tmp/init"

# A module that is built in, or that this kernel lacks (our debug kernel), is left out.
n=10
for m in "${MODULES[@]}"; do
	while read -r _ ko _; do
		name=$(basename "$ko" | sed 's/\.ko.*//')
		compgen -G "$tmp/modules/*-$name.ko" >/dev/null && continue
		case $ko in
		*.xz)  xz -dc "$ko" ;;
		*.zst) zstd -dqc "$ko" ;;
		*)     cat "$ko" ;;
		esac >"$tmp/modules/$((n++))-$name.ko"
	done < <(modprobe -d "$dir" -S "$kver" --show-depends "$m" 2>/dev/null | grep '^insmod ')
done

(cd "$tmp" && find . | cpio --quiet -o -H newc) >"$out.part"
mv "$out.part" "$out"
echo "$out"
