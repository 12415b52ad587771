#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Many IKE SAs, to a charon that has none of them: what one IKE SA's charon said is recorded, and
# said of many others, as an active's charon would. The standby's is Debian's, and started last.
#
#   P 192.0.3.2 ======= one IKE SA, recorded ===== 192.0.3.1, A; A 192.0.2.1 --- TLS --- 192.0.2.2 B
#
# XFRMSYNC_IKE_SAS: how many (100). 2000 need a VM of 4 GB.
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/ike_lab.sh
. "$(dirname "$0")/ike_lab.sh"

SAS=${XFRMSYNC_IKE_SAS:-100}
plan 43

need_charon
need_daemon
SLOW=$((SLOW * (1 + SAS / 250)))
setup_ns A B P
tmpdir
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
carry "$A"
pair_confs "$A" "$B"
for n in a b; do
	ike_conf $n
	charon_conf $n "${node_ns[$n]}" ha
	charon_conn $n many 192.0.3.1 192.0.3.2 gw p 10.1.0.0/16 10.2.0.0/16 -esn
done
charon_conf p "$P"
charon_conn p many 192.0.3.2 192.0.3.1 p gw 10.2.0.0/16 10.1.0.0/16 -esn
many() { in_ns "$1" /usr/bin/python3 "$(dirname "$0")/ike_many.py" "${@:2}"; } # NS VERB...
has_port() { in_ns "$1" ss -Haun src "$2:4510" | grep -q .; }                   # NS ADDRESS

# --- recorded ---------------------------------------------------------------------------

for n in a p; do
	charon_start $n
	check "connections of $n" charon_load $n
done
background nsenter --net="/run/netns/$A" /usr/bin/python3 "$(dirname "$0")/ike_many.py" record "$TMP/recorded"
recorder=$BG_PID
check "who hears A's charon" busywait 20000 has_port "$A" 127.0.0.2
check "P's tunnel comes up" vici p initiate many
check "all of it is heard" wait $recorder
check_equal "the exchange, its answer, what it is, its Child SA" "01 04 02 06" \
	"$(cut -c3-4 "$TMP/recorded" | xargs)"
charon_kill a
charon_kill p
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
print_seed
made() { many "$A" make "$TMP/recorded" "$SAS" "$SEED" "$TMP/said" >"$TMP/made"; }
check "the same of $SAS others" made
awk '{ print "many", $1, $2 }' "$TMP/made" | sort >"$TMP/ike.want"
awk '{ print "many", $3, $4 }' "$TMP/made" | sort >"$TMP/child.want"

# --- an active that has them ---------------------------------------------------------------

# Child SAs with the right keys a charon makes; it dies, and leaves them in the kernel.
has_all() { # NAME: each IKE SA, and each Child SA, and no other
	ike_spis "$1" >"$TMP/$1.ike" && child_spis "$1" >"$TMP/$1.child" &&
		cmp "$TMP/ike.want" "$TMP/$1.ike" && cmp "$TMP/child.want" "$TMP/$1.child"
}
charon_start a
check "A's charon has the connection" charon_load a
check "it is told of them" many "$A" play charon "$TMP/said"
check "A's kernel has the Child SAs" busywait 60000 sas_are "$A" $((2 * SAS))
check "its charon all of it" busywait 60000 has_all a
charon_kill a
# Who is A's charon from here on has its port, and no vici.
start a
check "A's daemon is there" busywait 20000 role_is a standby
check "A is active" ask a takeover
check "its charon tells it of them" many "$A" play remote "$TMP/said"
check "A's daemon knows the IKE SAs" busywait 20000 has_ike a ike_sas "$SAS"
check "and the Child SAs" has_ike a child_sas "$SAS"
check "it has heard each message" has_ike a heard $((4 * SAS))
check "refused none" has_ike a refused 0
check "and missed none" has_ike a missed 0

# --- a cold standby -------------------------------------------------------------------------

start b
check "B's kernel has the SAs" busywait 20000 sas_are "$B" $((2 * SAS))
check "it knows the IKE SAs" busywait 20000 has_ike b ike_sas "$SAS"
check "and the Child SAs" has_ike b child_sas "$SAS"
charon_start b
check "B's charon is there, and has no connection" busywait 20000 has_ike b charon "'ready'"
# By then it has asked for what it has to know, and is not told twice.
check "it has asked" busywait 20000 has_ike b heard 1
check "and is told of none" has_ike b waiting "$SAS"
began=$(now_ms)
check "it gets its connection" charon_load b
all_told() { status b "s['ike']['waiting'] == 0 and s['ike']['queued'] == 0"; }
# shellcheck disable=SC2016 # awk's
has_read() { in_ns "$B" awk '$2 == "0100007F:119E" { split($5, q, ":"); n = q[2] } END { exit n != "00000000" }' /proc/net/udp; }
check "it is told of all" busywait 120000 all_told
check "and has read that" busywait 20000 has_read
took=$(($(now_ms) - began))
check "it has all of them" busywait 60000 has_all b
check_equal "each of them passive" "$SAS" "$(ike_sas b | grep -c ' PASSIVE ')"
check "no message was lost" has_ike b lost 0
# shellcheck disable=SC2016 # awk's
dropped() { in_ns "$B" awk '$2 == "0100007F:119E" { print $NF }' /proc/net/udp; }
check_equal "the kernel says so, too" 0 "$(dropped)"
check "B is in step" wait_step a b
check_equal "it has no more SAs than A" $((2 * SAS)) "$(count_sas "$B")"
keys() { ip -n "$1" xfrm state | awk '/^src/ { n = $0 } /proto esp/ { n = n " " $4 } /aead/ { print n, $0 }' | sort; } # NS
same_keys() {
	keys "$A" >"$TMP/a.keys" && keys "$B" >"$TMP/b.keys" &&
		[ "$(wc -l <"$TMP/a.keys")" -eq $((2 * SAS)) ] && cmp -s "$TMP/a.keys" "$TMP/b.keys"
}
check "they have A's keys" same_keys
ahead() { # what an SA sends next is above what A may have sent by it
	local said

	said=$(ask b show --json) && py is "len(s) == 2 * $SAS and all(x['oseq'] >> 30 and 'restored' in x['flags'] for x in s)" "$said"
}
check "and stand above its numbers" ahead
memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/${pid[$1]}/status"; } # NAME: KiB
kept=$(py value "s['ike']['bytes']" "$(ask a status --json)")
tap_say "# $SAS IKE SAs in $took ms: $((1000 * SAS / (took + 1))) a second; $((kept / SAS)) bytes kept of each; daemons: $(memory a) KiB a, $(memory b) KiB b"

# --- the active dies --------------------------------------------------------------------------

stop a KILL
ip -n "$A" link set xs0 down
check "the takeover" ask b takeover
established() { [ "$(ike_sas b | grep -c ' ESTABLISHED ')" -eq "$SAS" ]; }
check "B's IKE SAs are established" busywait 60000 established
check "they are those that A had" has_all b
free() {
	local said

	said=$(ask b show --json) && py is "len(s) == 2 * $SAS and not any('fenced' in x['flags'] for x in s)" "$said"
}
check "none of their SAs is fenced" free
check "nor begins at number 1" ahead
stop b
charon_kill b TERM
check "every daemon ended cleanly" ended_cleanly
