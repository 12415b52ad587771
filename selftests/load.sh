#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A file of contexts, loaded where daemons run: the active tells its peers of what it has by it, as of
# any other SA; a standby takes none.
#
#   P 192.0.3.2, 2001:db8:1::2 ===== 192.0.3.1, 2001:db8:1::1 C, then A, then B
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 38

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 esp6 xfrm_user
pair_confs "$A" "$B"
(umask 077 && openssl rand -hex 32 >"$TMP/key")
start_sink "$A" "$TMP/a"
start_sink "$P" "$TMP/p"

load() { # NAME [WORDS...]: where that daemon is
	in_ns "${node_ns[$1]}" "$XFRMSYNC" load -c "$TMP/$1.conf" --key "$TMP/key" "${@:2}" "$TMP/file" \
		>"$TMP/out" 2>"$TMP/err"
}
refused() { ! load "$@" && grep -q "this node is standby: load the file on the active" "$TMP/err"; }
present() { load "$1" --json && py is "s['loaded'] == 0 and s['present'] == 4 and not s['failed']" "$(cat "$TMP/out")"; }
seq_is() { [ "$(sa_seq "$1" "$2" "$3")" = "$4" ]; } # NS DST SPI N

# --- a file ------------------------------------------------------------------------------

declare -A out_of in_of to
for family in 4 6; do
	tunnel "$A" "$P" link=1 window=128 family=$family spi=0x${family}000
	out_of[$family]="$B_OUT $A_SPI" in_of[$family]="$A_OUT $B_SPI" to[$family]="$A_IN $B_IN"
	check "IPv$family: traffic out" send_and_count "$A" "$B_IN" 20 "$TMP/p"
	check "IPv$family: traffic in" send_and_count "$P" "$A_IN" 30 "$TMP/a"
done
check "held, and in a file" in_ns "$A" "$XFRMSYNC" save --stop --key "$TMP/key" "$TMP/file"
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush

# --- the active ----------------------------------------------------------------------------

check "a pair that has none of it" both_start a b
check "the standby's is refused" refused b
check "nothing of it is there" sas_are "$B" 0
check "what is of IPv4 is loaded on the active" load a --family inet
check "the standby has it" busywait 10000 sas_are "$B" 2
check "with its policies" busywait 10000 policies_are "$B" 3
stop a KILL
check "while the active's daemon is away, what is of IPv6" load a --family inet6
start a
check "when it is back, the standby has that, too" busywait 20000 sas_are "$B" 4
check "with its policies" busywait 10000 policies_are "$B" 6
check "in step" wait_step a b
for family in 4 6; do
	read -r -a out <<<"${out_of[$family]}"
	read -r -a in <<<"${in_of[$family]}"
	read -r inside outside <<<"${to[$family]}"
	check_equal "IPv$family: the active goes on at the file's number" 20 "$(sa_oseq "$A" "${out[@]}")"
	check "the standby is a lease ahead" busywait 10000 oseq_is "$B" "${out[@]}" $((20 + (1 << 30) + 65536))
	check "its window is the file's" busywait 10000 seq_is "$B" "${in[@]}" 30
	check "traffic goes on, out" send_and_count "$A" "$outside" 10 "$TMP/p"
	check_equal "by the next numbers" 30 "$(sa_oseq "$A" "${out[@]}")"
	check "and in" send_and_count "$P" "$inside" 10 "$TMP/a"
	check "which the standby follows" busywait 10000 seq_is "$B" "${in[@]}" 40
done
check "once more: it is there already" present a

# --- roles -----------------------------------------------------------------------------------

check "the standby's is refused still" refused b
check "it takes over" ask b takeover
check "the other one follows" wait_step b a
check "and takes no file now" refused a
check "where it would, all of it is there" present b
check_equal "further than the file has it" 30 "$(sa_oseq "$B" "${out[@]}")"
stop a
stop b
check "every daemon ended cleanly" ended_cleanly
