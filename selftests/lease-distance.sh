#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Takeovers in a row of an SA that does not send: each is a leap, and a receiver, who infers the
# high half of an ESN, must still take what comes in the end (RFC 4303, appendix A2).
#
#   P 192.0.3.2 ===== tunnels ===== 192.0.3.1 A or B, 192.0.2.1 --- TLS --- 192.0.2.2
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 41

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
start_sink "$P" "$TMP/p"

# Leases are as large as they can be: 2^30, and five of them are more than 2^32.
tunnel "$A" "$P" link=1 window=128
carry "$A"
check "a pair" both_start a b
check "the last packet for long" send_and_count "$A" 10.2.0.1 5 "$TMP/p"
last=$(sa_seq "$P" "$B_OUT" "$A_SPI")
check_equal "it has a low number" 5 "$last"

oseq() { sa_oseq "${node_ns[$1]}" "$B_OUT" "$A_SPI"; } # NODE
leaps() { [ "$(oseq "$1")" -gt "$2" ]; } # NODE N
in_reach() { [ "$(oseq "$1")" -lt $((last + (1 << 31))) ]; } # NODE

from=a to=b
for n in 1 2 3 4 5; do
	check "$n: in step" wait_step $from $to
	was=$(oseq $from)
	stop $from KILL
	ip -n "${node_ns[$from]}" link set out down
	check "$n: $from is dead: $to takes over" ask $to takeover
	check "$n: it leaps" leaps $to "$was"
	check "$n: not too far for a receiver" in_reach $to
	check "$n: and may be used" status $to "s['unsafe_total'] == 0"
	start $from
	swap=$from from=$to to=$swap
done
check "in step after five" wait_step $from $to
check "the leaps are more than one lease" [ "$(oseq $from)" -gt $((1 << 30)) ]
carry "${node_ns[$from]}"
check "the peer takes what comes now" send_and_count "${node_ns[$from]}" 10.2.0.1 10 "$TMP/p"
check_equal "by its number" "$(oseq $from)" "$(sa_seq "$P" "$B_OUT" "$A_SPI")"

# What was sent counts from here: there is room again.
last=$(oseq $from)
for n in 6 7; do
	check "$n: in step" wait_step $from $to
	stop $from KILL
	ip -n "${node_ns[$from]}" link set out down
	check "$n: $from is dead: $to takes over" ask $to takeover
	check "$n: not too far for a receiver" in_reach $to
	start $from
	swap=$from from=$to to=$swap
done
carry "${node_ns[$from]}"
check "the peer takes what comes then" send_and_count "${node_ns[$from]}" 10.2.0.1 10 "$TMP/p"

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
