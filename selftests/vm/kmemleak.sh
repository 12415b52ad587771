#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: prints what leaked since it was last asked. Exits 0 if something did, 1 if
# nothing, or if the kernel has no kmemleak.
set -uo pipefail

leaks=/sys/kernel/debug/kmemleak
[ -w $leaks ] || exit 1

# An object is told if a scan finds it as the scan before it did, and older than 5 s.
echo scan >$leaks
sleep 6
echo scan >$leaks
found=$(<$leaks)
echo clear >$leaks
[ -n "$found" ] && echo "$found"
