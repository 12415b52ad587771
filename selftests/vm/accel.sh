#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Prints which accelerator VMs can use here: kvm or tcg. That /dev/kvm opens and makes a
# VM says little (nested virtualisation is often half there, and the guest then stops at
# an instruction that was not emulated), so a kernel is booted with it, once per boot of
# this machine.
#
# usage: accel.sh VMLINUZ INITRD
# XFRMSYNC_ACCEL=kvm|tcg in the environment wins.
set -uo pipefail

case ${XFRMSYNC_ACCEL:-} in
kvm | tcg) echo "$XFRMSYNC_ACCEL"; exit ;;
'') ;;
*) echo "accel: XFRMSYNC_ACCEL is kvm or tcg, not '$XFRMSYNC_ACCEL'" >&2; exit 2 ;;
esac

verdict=${XFRMSYNC_CACHE:-/var/cache/xfrmsync}/accel-$(cat /proc/sys/kernel/random/boot_id)

boots_with_kvm() { # init.sh leaves with 1, which makes qemu's exit code 3
	timeout -k 1 8 qemu-system-x86_64 -M q35 -accel kvm -cpu host -smp 2 -m 512M \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$1" -initrd "$2" -append "console=ttyS0 panic=-1 vm.probe" \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -serial null </dev/null >/dev/null 2>&1
	[ $? -eq 3 ]
}

if [ ! -w /dev/kvm ]; then
	echo tcg
elif [ -s "$verdict" ]; then
	cat "$verdict"
else
	if boots_with_kvm "$1" "$2"; then answer=kvm; else answer=tcg; fi
	# Written, then renamed: a concurrent reader never sees half a word.
	echo "$answer" >"$verdict.$$" && mv "$verdict.$$" "$verdict"
	echo "$answer"
fi
