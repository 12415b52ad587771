#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Restore: every replay mode and window, every refusal, parking, roles and epochs.
#
#   A 192.0.2.1 ===== ===== 192.0.2.2 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 193

load_module park_max=2 || bail "the module does not load"
modprobe -aq esp4 esp6 xfrm_user
setup_ns A B
setup_veth "$A" "$B"
results /usr/bin/python3 "$(dirname "$0")/restore.py" "$A" "$B"

nl=$(dirname "$0")/nl.py
refcount_is() { [ "$(cat /sys/module/xfrmsync/refcnt)" -eq "$1" ]; }

check "a role is set" "$nl" -n "$A" role-set standby 5 1
check_fails "a role pins the module" rmmod xfrmsync
check "another namespace's role too" "$nl" -n "$B" role-set active 7 2
check "no role any more" "$nl" -n "$A" role-set none
check_fails "one role still pins it" rmmod xfrmsync
ip netns delete "$B"
check "namespace exit drops the role" busywait 20000 refcount_is 0
check "without a role the module goes" unload_module

check "a stored role" load_module role=standby epoch=9 node=3
status=$("$nl" status)
check "is in force from load on" grep -q '"role": "standby", "epoch": 9, "node": 3' <<<"$status"
check_fails "and pins the module" rmmod xfrmsync
ip netns attach "xs-$$-first" $$
lib_netns+=("xs-$$-first")
setup_ns C
setup_veth "xs-$$-first" "$C" 5
tunnel "xs-$$-first" "$C" link=5
send_packets "xs-$$-first" "$B_IN" 3 2>/dev/null
check_equal "an SA that comes then draws no number" 0 "$(sa_oseq "xs-$$-first" "$B_OUT" "$A_SPI")"
ip xfrm state flush
ip xfrm policy flush
ip -batch - <<-END
	address delete 10.1.0.1/32 dev lo
	address delete fd00:1::1/128 dev lo
	link delete xs5
END
check "other namespaces have none" grep -q '"role": "none"' <<<"$("$nl" -n "$A" status)"
check "until it is taken back" "$nl" role-set none
check "then the module goes" unload_module
check_fails "role=nonsense is refused" load_module role=nonsense
check_fails "and leaves nothing" module_loaded
