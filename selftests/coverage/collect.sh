#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM, after the tests: what the module's counters say, all its lives together (the kernel
# keeps those of a module that is gone), to the host.
set -uo pipefail

echo "1..1"
cd "/sys/kernel/debug/gcov${MODULE%/*}/kmod" && for f in *.gcda; do
	# Not cp: such a file is of no length before it is read.
	cat "$f" >"/run/vm/$f" || break
done && echo "ok 1 - counters" && exit
echo "not ok 1 - no counters of $MODULE: built with GCOV_PROFILE=y?"
exit 1
