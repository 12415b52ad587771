#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Proves that each detector of a debug kernel sees the module's code, and that the tests
# hear of it: a module with deliberate bugs (bugs.c) commits them one by one, and each has to be
# told by the kernel with the place in the module, and to be found by splats.sh.
#
# usage: run.sh [-k debug|kcsan] [-o DIR]
#        run.sh -b KERNEL
#   -k KERNEL   which one (debug)
#   -o DIR      the VM's logs, and what came of each bug (build/KVER/detectors)
#   -b KERNEL   builds that module and no more, for any of the VMs' kernels

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$here/../..")
# shellcheck source=selftests/lib.sh
. "$here/../lib.sh"

kernel=debug out='' only=''
while getopts k:o:b: opt; do
	case $opt in
	k) kernel=$OPTARG ;;
	o) out=$OPTARG ;;
	b) kernel=$OPTARG only=1 ;;
	*) sed -n '7,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done

# The module as it is shipped, and one file more.
build() {
	local kdir

	kdir=$("$here/../vm/kernels.sh" kdir "$kernel") || return
	kver=$(<"$kdir/include/config/kernel.release")
	MODDIR=$tree/build/$kver/with-bugs
	rm -rf "$MODDIR"
	mkdir -p "$MODDIR"
	cp -rs "$tree/kmod" "$tree/uapi" "$here/bugs.c" "$MODDIR/"
	{ cat "$tree/Kbuild"; echo "xfrmsync-y += bugs.o"; } >"$MODDIR/Kbuild"
	make -s -C "$kdir" M="$MODDIR" modules
}

if [ -n "$only" ]; then
	build
	exit
fi

# The bug; what the kernel says of it; where. A report of a lock, or of KASAN's, turns
# lockdep off: what needs it comes first, and those come last.
case $kernel in
debug) bugs='
no-rcu          suspicious RCU usage                         xfrmsync_table_find
lock-order      possible circular locking dependency         lock_order
atomic-sleep    sleeping function called from invalid        xfrmsync_dirty_stop
preemptible     using smp_processor_id() in preemptible      which_cpu
refcount        refcount_t: underflow                        xfrmsync_sa_put
list            list_del corruption                          list
free-active     ODEBUG: free active                          free_active
shift           UBSAN: shift-out-of-bounds                   shift
array-index     UBSAN: array-index-out-of-bounds             array_index
leak            unreferenced object                          leak
out-of-bounds   KASAN: slab-out-of-bounds                    xfrmsync_window_merge
use-after-free  KASAN: slab-use-after-free                   xfrmsync_dirty_mark' ;;
kcsan) bugs='
data-race       KCSAN: data-race                             race' ;;
*) echo "detectors: $kernel is no debug kernel" >&2; exit 2 ;;
esac
bugs=${bugs#$'\n'}
mapfile -t names < <(awk '{ print $1 }' <<<"$bugs")

last=()
[ "$kernel" = kcsan ] || last=(no-kmemleak)
plan $((2 + 2 + 2 * ${#names[@]} + 1 + ${#last[@]}))
check "the module builds with bugs" build
[ -f "${MODDIR:-}/xfrmsync.ko" ] || bail "no module"
out=${out:-$tree/build/$kver/detectors}
mkdir -p "$out"
(cd "$out" && rm -f none "${names[@]}" "${last[@]}")

"$here/../vm/run.sh" -k "$kernel" -o "$out" -t 1200 -a kasan_multi_shot -- \
	"$here/guest.sh" "$MODDIR/xfrmsync.ko" none "${names[@]}" "${last[@]}" >"$out.log" 2>&1
check_equal "run.sh fails where the kernel complained" 99 $?

# The compiler moves what is never expected out of its function: shift.cold.
told() { # BUG WHAT WHERE
	grep -F "$2" "$out/$1" && grep -E "(^| )$3(\.cold)?\+0x" "$out/$1"
}
complained() { "$here/../vm/splats.sh" "$out/$1"; } # BUG

check "without a bug: committed" test -s "$out/none"
check_fails "without a bug: no complaint" complained none
while read -r name rest; do
	where=${rest##* } what=${rest%%  *}
	check "$name: the kernel says '$what', of $where" told "$name" "$what" "$where"
	check "$name: found by splats.sh" complained "$name"
done <<<"$bugs"
others() { sed 's/ \[xfrmsync\]//g' "$out/data-race" | "$here/../vm/splats.sh"; }
if [ "$kernel" = kcsan ]; then
	check_fails "data-race: of functions that are not ours, no complaint" others
else
	check "no kmemleak: it says so, once asked" grep -F "kmemleak takes no scan" "$out/no-kmemleak"
	check "and the kernel has complained of it" complained no-kmemleak
fi
