#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: loads the module with bugs, commits them, and writes what the kernel says
# meanwhile into /run/vm/BUG.
#
# usage: guest.sh MODULE BUG...
#   BUG: of bugs.c; or no-kmemleak: that detector is switched off
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
module=$1
shift

for dep in $(modinfo -F depends "$module" | tr ',' ' '); do modprobe "$dep"; done
insmod "$module" || exit
for bug in "$@"; do
	mark="bug $bug begins"
	echo "$mark" >/dev/kmsg
	if [ "$bug" = no-kmemleak ]; then
		echo off >/sys/kernel/debug/kmemleak
	else
		echo "$bug" >/sys/module/xfrmsync/parameters/bug
	fi || exit
	{
		dmesg | sed "1,/$mark/d"
		case $bug in leak | no-kmemleak) "$here/../vm/kmemleak.sh" ;; esac
	} >"/run/vm/$bug.part"
	# Not empty, even if it said nothing: it came that far.
	echo "$bug: committed" >>"/run/vm/$bug.part"
	mv "/run/vm/$bug.part" "/run/vm/$bug"
done
