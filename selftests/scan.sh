#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Where no hook in the packet path works (capture=scan) nothing stops an SA at its lease's end: all
# are told as not safe, and a takeover does not use them.
#
#   P 192.0.3.2 ===== a tunnel ===== 192.0.3.1 A or B, 192.0.2.1 --- TLS --- 192.0.2.2
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 27

need_tool
check "the module loads" load_module capture=scan scan_interval_ms=20
module_loaded || skip_all "the module is not loaded"
setup_ns A B P
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
tmpdir
pair_confs "$A" "$B"
start_sink "$P" "$TMP/p"
tunnel "$A" "$P" link=1 window=128
carry "$A"
says() { in_ns "${node_ns[$1]}" "$XFRMSYNC" check -c "$TMP/$1.conf" | grep -q "$2"; } # NAME TEXT
carries() { send_and_count "$1" 10.2.0.1 5 "$TMP/p"; }                              # NS

# Neither is ready here, and will not be.
start a
start b
check "a pair" busywait 20000 status b "s['peers'][0]['role'] == 'standby'"
check "one is active" ask a takeover
check "and fills the other one" busywait 20000 status b "s['managed'] == 2 and s['peers'][0]['state'] == 'synced'"
check "traffic" carries "$A"
check "status says so" status a "s['capture'] == 'scan'"
check "people read it" grep -q "followed by scan" <(ask a status)
check "check says why that is not enough" says a "capture.*scan: .*nothing limits"
check "and names the SAs" finds a capture "{'$A_SPI', '$B_SPI'} == {n['sa'].split()[-1] for n in c['sas']} and
	all('no packet hook' in n['why'] for n in c['sas'])"
check "for people, too" says a "^  *esp $B_OUT spi $A_SPI: no packet hook"
check "no SA can be taken over" status a "s['unsafe_total'] == 2 and not s['ready']"
check "for that reason" status a "all('no packet hook' in u['why'] for u in s['unsafe'])"
check "the standby knows" busywait 10000 status b "s['unsafe_total'] == 2 and not s['ready']"
check "what the active has sent is told all the same" busywait 10000 status a "s['peers'][0]['lag_packets'] == 0"
check_fails "a dry run says that it would not go well" ask b takeover --dry-run

was=$(sa_oseq "$A" "$B_OUT" "$A_SPI")
stop a KILL
ip -n "$A" link set xs0 down
check "B takes over" ask b takeover
check "outbound is fenced" is_fenced "$B" "$B_OUT" "$A_SPI"
check "inbound is fenced" is_fenced "$B" "$A_OUT" "$B_SPI"
check "both are told" status b "s['unsafe_total'] == 2"
carry "$B"
from=$(delivered "$TMP/p") at=$(sa_oseq "$B" "$B_OUT" "$A_SPI")
send_packets "$B" 10.2.0.1 5 2>/dev/null
check_equal "no number is drawn" "$at" "$(sa_oseq "$B" "$B_OUT" "$A_SPI")"
check_equal "and nothing leaves" "$from" "$(delivered "$TMP/p")"
check "unless the operator says so" ask b takeover --force-unsafe
check "then it carries" carries "$B"
check "past what A has sent" [ "$(sa_oseq "$B" "$B_OUT" "$A_SPI")" -gt "$was" ]
check "and is still told as not safe" busywait 10000 status b "s['unsafe_total'] == 2 and not s['ready']"
start a
ip -n "$A" link set xs0 up
check "A follows" busywait 20000 status a "s['role'] == 'standby' and s['unsafe_total'] == 2"

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
