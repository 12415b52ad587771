#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0
# /init of the test VM's initramfs: makes the host's root, read-only over 9p with a
# tmpfs on top, the guest's root, and goes on with /run/vm/guest.sh (guest.sh beside
# this file, put on the result share by run.sh).
#
# Kernel command line: vm.moddir=DIR (the host's folder of this kernel's modules),
# vm.probe (leave at once: only whether the accelerator works was asked).

/bin/busybox mkdir -p /bin /proc /sys /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

leave() { # by the debug port: qemu's exit code is 3
	printf '\1' | dd of=/dev/port bs=1 seek=244 2>/dev/null
	poweroff -f
}

grep -qw vm.probe /proc/cmdline && leave

for m in /modules/*.ko; do
	insmod "$m" || echo "init: $m did not load"
done

p9=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o "ro,$p9,cache=loose" hostroot /lower || poweroff -f
mount -t tmpfs -o size=75% tmpfs /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work overlay /root || poweroff -f
mount -t tmpfs -o mode=755 run /root/run
mkdir /root/run/vm
# Not cached: the host reads along while the guest writes.
mount -t 9p -o "$p9,cache=none" result /root/run/vm || poweroff -f

kver=$(uname -r)
moddir=$(sed -n 's/.*vm\.moddir=\([^ ]*\).*/\1/p' /proc/cmdline)
mkdir -p "/root/lib/modules/$kver"
mount -o bind "/root$moddir" "/root/lib/modules/$kver" || poweroff -f

umount /sys
umount /proc
mount -o move /dev /root/dev
exec switch_root /root /bin/bash /run/vm/guest.sh
