#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# PID 1 of the test VM: run.sh put it, and `job` (what to run, where), on the result
# share, which init.sh mounted at /run/vm. It makes the guest a usable system, runs the
# command, and leaves its exit code in /run/vm/rc. No daemon and no init system runs.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8

leave() { # the rc file is what counts; the exit by the debug port is only quick
	sync
	printf '\1' | dd of=/dev/port bs=1 seek=244 2>/dev/null
	echo o >/proc/sysrq-trigger
	while :; do wait; done
}
trap leave EXIT

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
# Asked after each test: scans between cost a debug kernel seconds, and tell nothing more.
[ ! -w /sys/kernel/debug/kmemleak ] || echo scan=off >/sys/kernel/debug/kmemleak
mkdir -p /run/lock /run/lower /run/netns

# shellcheck disable=SC1091
. /run/vm/job

# What the host keeps there is none of the guest's business, except the folders that the
# command needs: a clone may well lie under /tmp.
mount --bind / /run/lower
for d in /tmp /var/tmp /var/lib/xfrmsync /etc/xfrmsync; do
	mkdir -p "$d"
	mount -t tmpfs -o mode=1777 tmpfs "$d"
done
chmod 700 /var/lib/xfrmsync /etc/xfrmsync
for d in "${JOB_KEEP[@]}"; do
	case $d in
	/tmp/* | /var/tmp/*)
		mkdir -p "$d"
		mount --bind "/run/lower$d" "$d" ;;
	esac
done
umount -l /run/lower

for i in "${!JOB_SHARES[@]}"; do
	mkdir -p "${JOB_SHARES[i]}"
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none \
		"share$i" "${JOB_SHARES[i]}" || exit
done

echo "$JOB_HOSTNAME" >/proc/sys/kernel/hostname
ip link set lo up
[ "$JOB_NETS" -eq 0 ] || modprobe virtio_net

cd "$JOB_CWD" || cd /
: >/run/vm/up
# Through a pipe: who writes to /dev/stderr by name would truncate a file.
mkfifo /run/stdout
cat </run/stdout >>/run/vm/stdout &
reader=$!
"${JOB_CMD[@]}" </dev/null >/run/stdout 2>&1
rc=$?
# What the command left in the background may hold the pipe: no need to wait for that.
timeout 2 tail --pid=$reader -s 0.1 -f /dev/null

dmesg >/run/vm/dmesg
"${JOB_KEEP[0]}/selftests/vm/kmemleak.sh" >/run/vm/kmemleak
echo $rc >/run/vm/rc.part
mv /run/vm/rc.part /run/vm/rc
