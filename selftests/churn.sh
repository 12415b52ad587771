#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# 5,000 SAs come and go in each of two namespaces, under traffic, with the stream on; then
# rmmod in the middle of it: SAs are made and deleted, those of the traffic are rekeyed and flushed,
# leased and fenced, a third namespace comes and goes with its reader, SAs, policies and roles; and
# at last the namespaces go under it. Memory is then as it was before, in the same state.
# XFRMSYNC_ROUNDS (3) says how often the module goes; `make abuse` has 40, ten minutes and more.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 3000

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
rounds=${XFRMSYNC_ROUNDS:-3}
plan $((20 + 5 * rounds))

here=$(dirname "$0")
slab=/sys/kernel/slab/xfrmsync_sa

# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
merged=0
[ ! -L $slab ] || merged=1
# What is in use of a cache, once what each CPU keeps of it is given back.
objects() { # CACHE
	echo 1 >"/sys/kernel/slab/$1/shrink"
	awk '{ print $1 }' "/sys/kernel/slab/$1/objects"
}
sas() { objects xfrm_state; }
followed() { objects xfrmsync_sa; }
# The kernel frees a namespace when the next ones go: so that it is always one that waits.
namespaces() {
	ip netns add "xs-$$-next" && ip netns delete "xs-$$-next"
	objects net_namespace
}
at_most() { [ "$($1)" -le "$2" ]; } # sas|followed|namespaces N

# KiB of what the kernel holds for itself; what KASAN keeps of the freed goes by shrinking.
held() {
	local cache

	echo 3 >/proc/sys/vm/drop_caches
	for cache in /sys/kernel/slab/*/shrink; do echo 1 >"$cache"; done
	awk '/^(SUnreclaim|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}
held_at_most() { [ "$(held)" -le "$1" ]; } # KIB
settled() { # what it holds when no more is freed
	local last now

	now=$(held)
	until last=$now now=$(held) && [ $((last - now)) -le 16 ]; do :; done
	echo "$now"
}

tmpdir
begin() { # NAME: A, B and what goes by them
	setup_ns A B
	setup_veth "$A" "$B"
	tunnel "$A" "$B" window=128
	start_sink "$B" "$TMP/$1"
	sink=$BG_PID
}
end() { # nothing of ours holds the namespaces, or they would stay
	kill "$sink"
	wait "$sink" 2>/dev/null
	ip netns delete "$A"
	ip netns delete "$B"
}

namespaces >/dev/null
sas_before=$(sas) namespaces_before=$(namespaces) followed_before=$(followed)
begin first
results /usr/bin/python3 "$here/churn.py" stream "$A" "$B"
# What the kernel takes once and keeps is there now; the module was reloaded, as it will be.
end
# shellcheck disable=SC2119 # no parameters
{ unload_module && load_module; } || bail "the module does not come back"
as_before() { at_most sas "$sas_before" && at_most namespaces "$namespaces_before"; }
check "two namespaces go with 5,000 SAs each" busywait 60000 as_before
held_before=$(settled)

# From here on all of it goes on while the module, or a namespace, goes. C comes when it is its turn.
begin second
background /usr/bin/python3 "$here/churn.py" forever "$A" "$B" "xs-$$-c" >"$TMP/churned" 2>&1
churn=$BG_PID

ended() { ! kill -0 "$1"; }

# A cache of our own (kernel command line: slab_nomerge) goes with the module, and then
# kmem_cache_destroy() complains loudly where objects are left.
memory_gone() {
	if [ $merged = 1 ]; then
		tap_skip "$1" "the kernel merged the cache; boot with slab_nomerge"
	else
		check_fails "$1" test -e $slab
	fi
}

# Between a flush and the new SAs some are lost.
more_arrive() { try_packets "$A" "$B_IN" 10; [ "$(delivered "$TMP/second")" -gt "$1" ]; } # THAN

for ((try = 1; try <= rounds; try++)); do
	check "rmmod with readers, dumps, churn and traffic, $try" \
		/usr/bin/python3 "$here/churn.py" unload "$A"
	lib_loaded=
	memory_gone "its memory is gone, $try"
	check "the tunnel goes on, $try" busywait 20000 more_arrive "$(delivered "$TMP/second")"
	check "it loads again under load, $try" load_module
	check "and each thing is done once more, $try" busywait 60000 grep -qx "turn $try" "$TMP/churned"
done

end
check "two namespaces go under all of it; what churned ends" busywait 60000 ended "$churn"
check "each thing was done, and none that did it gave up" wait "$churn"
while read -r line; do tap_say "# $line"; done < <(grep -v '^turn ' "$TMP/churned")
as_many() { # NAME CACHE sas|followed|namespaces N
	if [ -L "/sys/kernel/slab/$2" ]; then
		tap_skip "$1" "the kernel merged the cache; boot with slab_nomerge"
	else
		check "$1, $4" busywait 60000 at_most "$3" "$4"
		echo "# $("$3") now"
	fi
}
as_many "the kernel's SAs are as many as before" xfrm_state sas "$sas_before"
as_many "the module's, too" xfrmsync_sa followed "$followed_before"
as_many "and its namespaces" net_namespace namespaces "$namespaces_before"
# Three quarters of what it would be, had each SA left one of the module's behind: with one round it
# differs by half of that, whatever was done.
made=$(sed -n 's/^\([0-9]*\) SAs made.*/\1/p' "$TMP/churned")
size=$(<$slab/object_size)
most=$((${made:-0} * size * 3 / 4 / 1024))
check "it holds no more memory than before, but for $most KiB" busywait 60000 held_at_most $((held_before + most))
tap_say "# $rounds rounds; KiB held: $held_before before them, $(settled) after; ${made:-no} SAs of $size bytes in the module"
check "the module unloads" unload_module
memory_gone "and its memory is gone"
