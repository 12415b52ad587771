#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# 5,000 SAs come and go in each of two namespaces, under traffic, with the stream on; and
# rmmod and namespace exit in the middle of it.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 25

here=$(dirname "$0")
slab=/sys/kernel/slab/xfrmsync_sa

# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
merged=0
[ ! -L $slab ] || merged=1
setup_ns A B
setup_veth "$A" "$B"
tunnel "$A" "$B" window=128
tmpdir
start_sink "$B" "$TMP/sink"
results /usr/bin/python3 "$here/churn.py" stream "$A" "$B"

# Below, all of it goes on while the module, or a namespace, goes.
background /usr/bin/python3 "$here/churn.py" forever "$A" "$B"
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

for try in 1 2 3; do
	check "rmmod with readers, dumps, churn and traffic, $try" \
		/usr/bin/python3 "$here/churn.py" unload "$A"
	lib_loaded=
	memory_gone "its memory is gone, $try"
	check "the tunnel goes on, $try" send_packets "$A" "$B_IN" 10
	check "it loads again under load, $try" load_module
done

ip netns delete "$A"
ip netns delete "$B"
check "two namespaces go under all of it; what churned ends" busywait 60000 ended "$churn"
check "the module unloads" unload_module
memory_gone "and its memory is gone"
