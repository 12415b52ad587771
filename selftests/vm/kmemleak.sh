#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: prints what leaked since it was last asked. Exits 0 if something did, 1 if
# nothing, or if the kernel has no kmemleak. One that has switched itself off, for lack of
# memory, knows of no leak: that is none of "nothing".
set -uo pipefail

leaks=/sys/kernel/debug/kmemleak
[ -w $leaks ] || exit 1

scan() {
	echo scan >$leaks && return
	echo "kmemleak takes no scan: it has switched itself off, and nobody looks for leaks"
	exit 0
}

# An object is told if a scan finds it as the scan before it did, and older than 5 s.
scan
sleep 6
scan
if ! found=$(<$leaks); then
	echo "kmemleak does not say what it has found"
	exit 0
fi
echo clear >$leaks
[ -n "$found" ] && echo "$found"
