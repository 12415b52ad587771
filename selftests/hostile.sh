#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A peer with a valid certificate that means harm: garbage, floods, stalls, lies about epochs and
# leases, a thousand connections; to a standby and to an active. What it may not do has no
# effect, and nothing grows by it. What strangers say: peers.sh.
#
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B 192.0.3.2 --- 192.0.3.1 C, where d is
#
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 76

need_daemon

setup_ns A B C
setup_veth "$A" "$B"
setup_veth "$C" "$B" 1
tmpdir
make_ca ca
for n in a b d; do make_cert ca $n $n; done
make_conf a "$A" 1 192.0.2.1 b 192.0.2.2
make_conf b "$B" 2 0.0.0.0 a 192.0.2.1 also="d 192.0.3.1"

hostile() { # PHASE
	results /usr/bin/python3 "$(dirname "$0")/hostile.py" "$C" 192.0.3.2 "$TMP/ca.crt" "$TMP/d.crt" "$TMP/d.key" \
		"$B" "$TMP/b.conf" "$TMP/b.log" "${pid[b]}" "$1"
}

check "two nodes" both_start a b
# C has its other end and no use for it.
tunnel "$A" "$C" link=1
ip -n "$C" xfrm state flush
ip -n "$C" xfrm policy flush
check "have SAs" busywait 10000 sas_are "$B" 2
check "and are in step" wait_step a b

hostile standby
check "to the standby: the nodes are in step" wait_step a b

# As after a crash: its counters stand where the leases of a ended.
stop a KILL
check "b takes over" ask b takeover
start a
check "and fills a" busywait 20000 status a "s['role'] == 'standby' and s['ready']"
hostile active
check "to the active: a is in step all the same" busywait 20000 status a "s['role'] == 'standby' and s['ready']"
check "b is told to be standby" ask b standby
hostile backwards

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
