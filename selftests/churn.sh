#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# 5,000 SAs come and go in each of two namespaces, under traffic, with the stream on; then
# rmmod and namespace exit in the middle of it, while a third namespace comes and goes with
# its reader, SAs and policies. XFRMSYNC_ROUNDS (3) says how often the module goes: 60 are more
# than ten minutes.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 3000

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
rounds=${XFRMSYNC_ROUNDS:-3}
plan $((16 + 4 * rounds))

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
# The kernel frees a namespace when the next ones go: so that it is always one that waits.
namespaces() {
	ip netns add "xs-$$-next" && ip netns delete "xs-$$-next"
	objects net_namespace
}
at_most() { [ "$($1)" -le "$2" ]; } # sas|namespaces N

# KiB of what the kernel holds for itself; what KASAN keeps of the freed goes by shrinking.
held() {
	local cache

	echo 3 >/proc/sys/vm/drop_caches
	for cache in /sys/kernel/slab/*/shrink; do echo 1 >"$cache"; done
	awk '/^(SUnreclaim|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}
held_at_most() { [ "$(held)" -le "$1" ]; } # KIB

namespaces >/dev/null
sas_before=$(sas) namespaces_before=$(namespaces)
setup_ns A B C
setup_veth "$A" "$B"
tunnel "$A" "$B" window=128
tmpdir
start_sink "$B" "$TMP/sink"
sink=$BG_PID
results /usr/bin/python3 "$here/churn.py" stream "$A" "$B"

# Below, all of it goes on while the module, or a namespace, goes. C comes when it is its turn.
ip netns delete "$C"
background /usr/bin/python3 "$here/churn.py" forever "$A" "$B" "$C"
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

held_before=$(held)
for ((try = 1; try <= rounds; try++)); do
	check "rmmod with readers, dumps, churn and traffic, $try" \
		/usr/bin/python3 "$here/churn.py" unload "$A"
	lib_loaded=
	memory_gone "its memory is gone, $try"
	check "the tunnel goes on, $try" send_packets "$A" "$B_IN" 10
	check "it loads again under load, $try" load_module
done

# Nothing of ours holds them, or they would stay.
kill "$sink"
wait "$sink" 2>/dev/null
ip netns delete "$A"
ip netns delete "$B"
check "two namespaces go under all of it; what churned ends" busywait 60000 ended "$churn"
# Before that, 5,000 SAs were there, and two namespaces more.
as_many() { # NAME CACHE sas|namespaces N
	if [ -L "/sys/kernel/slab/$2" ]; then
		tap_skip "$1" "the kernel merged the cache; boot with slab_nomerge"
	else
		check "$1, $4" busywait 60000 at_most "$3" "$4"
		echo "# $("$3") now"
	fi
}
as_many "the kernel's SAs are as many as before" xfrm_state sas "$sas_before"
as_many "its namespaces, too" net_namespace namespaces "$namespaces_before"
check "it holds no more memory than before the rounds" busywait 60000 held_at_most "$held_before"
echo "# $rounds rounds; KiB held: $held_before before them, $(held) after"
check "the module unloads" unload_module
memory_gone "and its memory is gone"
