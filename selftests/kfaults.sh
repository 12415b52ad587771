#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Allocations of the kernel fail, one by one, in all that the module does, under traffic: it is
# done or refused, and nothing is left behind.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
#
# XFRMSYNC_FAULTS=all: every one of them, netlink's own, too; else so many (12) of what has more,
# by the seed.
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
for f in /proc/thread-self/fail-nth /sys/kernel/debug/failslab/require-start \
	/sys/kernel/debug/fail_page_alloc/require-start; do
	[ -w $f ] || skip_all "this kernel injects no faults (no $f): -k debug"
done
kfaults=(/usr/bin/python3 "$(dirname "$0")/kfaults.py")
if [ "${XFRMSYNC_FAULTS:-}" = all ]; then
	plan 64
else
	plan 44
fi

# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
modprobe -aq esp4 esp6 xfrm_user
setup_ns A B
setup_veth "$A" "$B"
tunnel "$A" "$B" window=128
results "${kfaults[@]}" steps "$A" "$B"
results "${kfaults[@]}" works "$A" "$B"
results "${kfaults[@]}" storm "$A" "$B"
check "the module unloads" unload_module
results "${kfaults[@]}" load "$MODULE"
