#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Prints what the kernel complained about in the given logs (or in standard input), and
# exits 0 if it did, 1 if all is well. A test that passed beside a splat has failed.
set -uo pipefail

SPLAT='BUG:|kernel BUG at|WARNING:|Oops|Kernel panic|Call Trace|general protection'
SPLAT+='|KASAN|KCSAN|KFENCE|UBSAN|refcount_t|ODEBUG|list_(add|del) corruption'
SPLAT+='|possible (circular|recursive|irq lock inversion|unsafe)|inconsistent lock state'
SPLAT+='|suspicious RCU|Invalid wait context|bad unlock balance|held lock freed'
SPLAT+='|sleeping function called|scheduling while atomic|Voluntary context switch'
SPLAT+='|blocked for more than|soft lockup|detected (expedited )?stalls?'
SPLAT+='|unregister_netdevice: waiting|kmemleak: [0-9]+ new|Kernel memory leak detector disabled|unreferenced object 0x|Object remaining in|still has objects'
SPLAT+='|disagrees about version|Unknown symbol'
# A system call that our own filter refused the daemon or its helper (tools/privileges.c), by audit.
SPLAT+='|type=1326 .*comm="xfrmsync(-helper)?"'

# What a healthy boot with mitigations=off, or with a debug feature on, says of itself.
HARMLESS='Spectre V[0-9] ?: WARNING|(KASAN|KFENCE|kfence|KCSAN|kcsan): .*(initialized|enabled|mode configured)'
HARMLESS+='|kernel command line|Command line:|kernel parameter'

# The kernel has data races of its own, which it lives with: its timer's tick, for one. A report that has
# no function of ours in either stack loses its headline; one that was cut off is ours.
ours() {
	awk '
		/BUG: KCSAN: data-race/ { whole() }
		/BUG: KCSAN: data-race/, /==========/ {
			held = held $0 "\n"
			if (/\[xfrmsync\]/) mine = 1
			if (/==========/) { if (!mine) sub(/^[^\n]*\n/, "", held); whole() }
			next
		}
		{ print }
		END { whole() }
		function whole() { printf "%s", held; held = ""; mine = 0 }
	'
}

# A cache that cannot be made dumps a stack: kfaults.sh has them fail.
sed '/__kmem_cache_create_args(xfrmsync_sa) failed with error -\(12\|22\)\>/,/<\/TASK>/d' "$@" | ours |
	grep -ahE -e "$SPLAT" | grep -avE -e "$HARMLESS"
