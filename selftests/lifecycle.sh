#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The lives of SAs, and that loading the module changes nothing for IKE daemons.
#
#   A 192.0.2.1 ===== ===== 192.0.2.2 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 36

here=$(dirname "$0")
modprobe -aq esp4 esp6 xfrm_user
setup_ns A B W1 W2

print_seed
export XFRMSYNC_SEED=$SEED
without=$(/usr/bin/python3 "$here/lifecycle.py" observe "$W1")
/usr/bin/python3 "$here/lifecycle.py" before "$A"
check "the module loads beside SAs" load_module
module_loaded || skip_all "the module is not loaded"
with=$(/usr/bin/python3 "$here/lifecycle.py" observe "$W2")
check "what an acquire does could be observed" grep -q '"acquires": [1-9]' <<<"$without"
check_equal "acquires, larval SAs, policies' expiry: as without the module" "$without" "$with"

setup_veth "$A" "$B"
results /usr/bin/python3 "$here/lifecycle.py" lives "$A" "$B"

# A namespace goes: each of its SAs is let go.
trace=/sys/kernel/tracing
echo 0 >$trace/tracing_on
echo >$trace/trace
echo 1 >$trace/events/xfrmsync/xfrmsync_untrack/enable
echo 1 >$trace/tracing_on
n=$(nl "$A" dump | wc -l)
check "SAs in the namespace that goes" [ "$n" -ge 20 ]
ip netns delete "$A"
untracked_is() { [ "$(grep -c xfrmsync_untrack: $trace/trace)" -eq "$1" ]; }
check "namespace exit lets all of them go" busywait 20000 untracked_is "$n"
echo 0 >$trace/events/xfrmsync/xfrmsync_untrack/enable
check "the module unloads" unload_module
