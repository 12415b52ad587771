#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Three nodes with leases of the default size: a takeover of an idle SA, and daemons that start
# anew before and after it, leave room for the ranges of the others within what a receiver can
# bridge.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A, B or C; 192.0.2.1, .2, .3 on a bridge --- TLS
# timeout: 200

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 12

need_daemon
setup_ns A B C P
tmpdir
modprobe -aq esp4 xfrm_user
three_nodes "$A" "$B" "$C" "$P"

# Each end of each pair is in step, so all SAs are safe where they are not used.
follow() { # ACTIVE STANDBY...
	local n

	status "$1" "s['role'] == 'active' and s['sas'] == 2" || return
	for n in "${@:2}"; do status "$n" "s['ready'] and s['sas'] == 2" || return; done
}
wait_follow() { busywait 30000 follow "$@"; }

for spi in 0x1000 0x1001; do
	ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.2 proto esp spi $spi reqid 1 mode tunnel \
		flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 $spi)" 128
done
for n in a b c; do start $n; done
connected() { status "$1" "all(p['state'] != 'disconnected' and p['role'] == 'standby' for p in s['peers'])"; }
for n in a b c; do check "$n has heard the others" busywait 20000 connected $n; done
check "A becomes active" ask a takeover
check "both follow it" wait_follow a b c
stop a
start a
check "and still do, with another daemon" wait_follow a b c
stop a KILL
check "A dies: B takes over" ask b takeover
check "C follows it" wait_follow b c
start a
check "and A" wait_follow b a c
stop b
start b
check "and still do, with another daemon of B" wait_follow b a c
for n in a b c; do stop $n; done
check "every daemon ended cleanly" ended_cleanly
