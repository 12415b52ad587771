#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: loads the module with bugs, commits them, and writes what the kernel says
# meanwhile into /run/vm/BUG.
#
# usage: guest.sh MODULE BUG...
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
module=$1
shift

for dep in $(modinfo -F depends "$module" | tr ',' ' '); do modprobe "$dep"; done
insmod "$module" || exit
for bug in "$@"; do
	mark="bug $bug begins"
	echo "$mark" >/dev/kmsg
	echo "$bug" >/sys/module/xfrmsync/parameters/bug || exit
	{
		dmesg | sed "1,/$mark/d"
		[ "$bug" != leak ] || "$here/../vm/kmemleak.sh"
	} >"/run/vm/$bug.part"
	# Not empty, even if it said nothing: it came that far.
	echo "$bug: committed" >>"/run/vm/$bug.part"
	mv "/run/vm/$bug.part" "/run/vm/$bug"
done
