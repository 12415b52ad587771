#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# SAs that a standby's kernel does not support: found when they come, told to the active, shown
# by both. The other end of the link is a script, since two kernels of one VM support the same.
#
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 360

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 86

here=$(dirname "$0")
need_daemon
setup_ns A B
setup_veth "$A" "$B"
tmpdir
modprobe -aq esp4 esp6 xfrm_user
pair_confs "$A" "$B"
sed -i '/^\[sync\]/a unsupported = renegotiate' "$TMP/b.conf"

# other NAME NS ADDRESS WHAT...: the script, as that node; its words go to $TMP/said.
other() {
	local name=$1

	rm -f "$TMP/input"
	mkfifo "$TMP/input"
	/usr/bin/python3 "$here/refusal.py" "$2" "$3" "$TMP/ca.crt" "$TMP/$name.crt" "$TMP/$name.key" \
		"${@:4}" <"$TMP/input" >"$TMP/said" 2>&1 &
	other_pid=$!
	lib_pids+=("$other_pid")
	exec 9>"$TMP/input"
}
other_ends() { exec 9>&-; ends "$other_pid"; }
said() { grep -q -- "$1" "$TMP/said" || { cat "$TMP/said"; return 1; }; } # TEXT
unsafe() { status "$1" "any('$2' in u['sa'] and '$3' in u['why'] for u in s['unsafe'])"; } # NAME SPI TEXT
expired() { grep -q "$1" "$TMP/expire"; }

# --- a standby, of an active that can more --------------------------------------------

start b
check "a standby" busywait 20000 role_is b standby
ip -n "$B" xfrm state add src 192.0.3.7 dst 192.0.3.1 proto esp spi 0x5005 reqid 9 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 other)" 128
xfrm_monitor "$B" "$TMP/expire"
other a "$A" 192.0.2.2 active good algorithm again key field taken mode attribute
check "it takes what comes" busywait 20000 said "^sent"
check "two SAs are there, beside its own" sas_are "$B" 3
check "an unknown algorithm is refused" said "^0x5001 1 .*(esp, tunnel, rfc4106(gcm(none)) with 160 bits)"
check "of another SA, too" said "^0x5002 1 .*rfc4106(gcm(none))"
check_equal "the kernel was asked once" 1 "$(grep -c "does not support a kind of SA: .*gcm(none)" "$TMP/b.log")"
check "a length of key that there is not is refused" said "^0x5003 1 .*with 168 bits"
check "a mode that there is not is refused" said "^0x5007 1 .*(esp, ro"
check_fails "an attribute that the kernel does not know does not stand in the way" said "^0x5008"
check "but it is named" logged b "does not know what SAs of a kind have: attribute 200 (esp, tunnel, rfc4106(gcm(aes)) with 160 bits)"
check "in the status as well" status b "s['lacking'] == ['attribute 200 (esp, tunnel, rfc4106(gcm(aes)) with 160 bits)']"
lacks() { ask b status | grep -q "attribute 200 (esp, tunnel.*: used without"; }
check "for people, too" lacks
lacking="attribute 200 (esp, tunnel, rfc4106(gcm(aes)) with 160 bits)"
check "and the active is told" said "^lacking $lacking"
check_equal "once" 1 "$(grep -c "^lacking" "$TMP/said")"
check "what is not understood is refused as that" said "^0x5004 3 field 0x0100 is mandatory"
check "a conflict is told as that" said "^0x5005 2 its SPI is in use by esp 192.0.3.1 spi 0x00005005 from 192.0.3.7, reqid 9"
check_fails "what is there is not told" said "^0x5000"
check "the standby is not ready" status b "not s['ready'] and '4 SAs are of kinds that this node\\'s kernel does not support' in s['reasons']"
check "and names them" unsafe b 0x00005001 "does not support its kind"
check "all of them" status b "s['unsafe_total'] == 5"
# The namespace in which it was tried is another one.
check_fails "none of them was ever in its kernel" expired "spi 0x0000500[12347]"

# --- it takes over all the same -------------------------------------------------------------

check "the active is gone" other_ends
other a "$A" 192.0.2.2 active good algorithm again key field taken mode attribute
check "it is back, and is told once more" busywait 20000 said "^lacking $lacking"
check "the active is gone" other_ends
: >"$TMP/expire"
check "it takes over" ask b takeover
check "and asks to rekey by the other direction" busywait 10000 expired "^Expired src 192.0.3.1 dst 192.0.3.2"
check "which is in the log" busywait 20000 logged b "esp 192.0.3.1 spi 0x00005001: it is not in place: the other direction is soft-expired"
stop b

# --- what is not understood keeps its place, by the name that it has behind the map -----------

afresh() {
	ip -n "$B" xfrm state flush
	nl "$B" role-set none >/dev/null
	rm -rf "$TMP/b.state"
	: >"$TMP/b.log"
}
afresh
sed -i '/^\[peer a\]/a map = 192.0.3.1=192.0.3.11' "$TMP/b.conf"
for spi in 0x5004 0x5006; do
	ip -n "$B" xfrm state add src 192.0.3.2 dst 192.0.3.11 proto esp spi $spi reqid 1 mode tunnel \
		aead 'rfc4106(gcm(aes))' "$(key 20 $spi)" 128
	# An active told of it once.
	nl "$B" bind -- family=2 dst=192.0.3.11 spi=$spi proto=50 tag=0x77 flags=shared >/dev/null
done
start b
check "a standby, with SAs of before" busywait 20000 role_is b standby
other a "$A" 192.0.2.2 active good field
check "it takes what comes" busywait 20000 said "^sent"
stands() { ip -n "$B" xfrm state get dst 192.0.3.11 proto esp spi "$1" >/dev/null; } # SPI
gone() { ! stands "$1" && ip -n "$B" xfrm state | grep -q "spi 0x00005000"; }       # SPI
check "what nobody told is deleted" busywait 20000 gone 0x5006
check "what is refused stays" stands 0x5004
check "and is named as it is called here" unsafe b "192.0.3.11 spi 0x00005004" ""
check "the active is gone" other_ends
stop b
sed -i '/^map = /d' "$TMP/b.conf"

# --- without the right to make a network namespace: systemd's unit ---------------------------

cat >"$TMP/limited" <<-END
	#!/bin/sh
	exec setpriv --bounding-set=-sys_admin "$XFRMSYNC" "\$@"
END
chmod +x "$TMP/limited"
afresh
XFRMSYNC=$TMP/limited start b
check "a standby without CAP_SYS_ADMIN" busywait 20000 role_is b standby
has_no_right() { ! grep -q "^CapEff:.*[2367abef].....$" "/proc/${pid[b]}/status"; }
check "which it has not" has_no_right
other a "$A" 192.0.2.2 active good key
check "it takes what comes" busywait 20000 said "^sent"
check "and finds what is not supported" said "^0x5003 1 .*with 168 bits"
check "by asking for the kind" busywait 20000 logged b "does not support a kind of SA: "
check "the active is gone" other_ends
stop b

# --- a policy that is not understood: no SA is used without it ------------------------------------

fresh() { # a standby that knows nothing
	ip -n "$B" xfrm state flush
	ip -n "$B" xfrm policy flush
	nl "$B" role-set none >/dev/null
	rm -rf "$TMP/b.state"
	: >"$TMP/b.log"
	start b
}
for six in "" 6; do
	ends=(192.0.3.1 192.0.3.2 192.0.3.8) spis=(5000 5006) name="10.1.0.1/32 -> 10.2.0.1/32"
	[ -z "$six" ] || {
		ends=(2001:db8:3::1 2001:db8:3::2 2001:db8:3::8) spis=(5010 5016) name="fd00:1::1/128 -> fd00:2::1/128"
	}
	fresh
	check "a standby, ${ends[0]}" busywait 20000 role_is b standby
	other a "$A" 192.0.2.2 active good$six apart$six policy$six
	check "it takes what comes" busywait 20000 said "^sent"
	check "and is ready" busywait 10000 status b "s['ready'] and s['policies'] == 1"
	check "the active is gone" other_ends
	other a "$A" 192.0.2.2 active good$six apart$six policy$six-field
	check "another one has more to say of the policy" busywait 20000 said "^sent"
	check "the SA that it uses is not safe" busywait 10000 unsafe b "0x0000${spis[0]}" "is not understood here"
	check "the other one is" status b "s['unsafe_total'] == 1"
	check "and that is why it is not ready" status b "not s['ready'] and '1 policies have contexts that this version does not understand' in s['reasons']"
	check "the log names the policy and the field" logged b "policy out $name: its context is refused: field 0x0100 is mandatory"
	check "what stands here of before stays" policies_are "$B" 1
	check "the active is gone" other_ends
	check "it takes over" ask b takeover
	check "that SA is fenced" is_fenced "$B" "${ends[1]}" "0x${spis[0]}"
	check "the other one is used" not_fenced "$B" "${ends[2]}" "0x${spis[1]}"
	stop b
	fresh
	other a "$A" 192.0.2.2 active good$six apart$six policy$six-cut
	check "for whom a policy is cannot be read" busywait 20000 said "^sent"
	check "then none is safe" busywait 10000 status b "s['unsafe_total'] == 2"
	other_ends
	stop b
done

# --- an active, of a standby that can less -----------------------------------------------------

nl "$A" role-set none >/dev/null
ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.2 proto esp spi 0x6000 reqid 1 mode tunnel \
	flag esn replay-window 64 aead 'rfc4106(gcm(aes))' "$(key 20 one)" 128
start a
check "an active" busywait 20000 role_is a standby
check "takes over" ask a takeover
other b "$B" 192.0.2.1 standby 0x6000
check "a standby refuses" busywait 20000 said "^sent"
check "the active says which, who, and why" busywait 10000 unsafe a 0x00006000 "peer b cannot install it: no ?[31mcolours here"
check "and is not ready" status a "not s['ready'] and s['unsafe_total'] == 1"
check "that is in the log, without what a terminal would obey" busywait 20000 logged a "peer b: it cannot take over esp 192.0.3.2 spi 0x00006000: no ?\\[31mcolours here"
check "it says what its kernel lacks: the active's status has that" busywait 10000 status a \
	"s['peers'][0]['lacking'] == ['KEEPALIVE ?[31m(esp, tunnel)', 'attribute 200 (esp)']"
check "for people, too" grep -q "not known to the kernel of b: attribute 200 (esp): used without there" <(ask a status)
check "the log as well, once" [ "$(grep -c "peer b: its kernel does not know .*: attribute 200 (esp): it uses" "$TMP/a.log")" -eq 1 ]
echo now >&9
check "when it has it, all is well" busywait 10000 status a "s['unsafe_total'] == 0 and s['ready']"
check "but for that" status a "len(s['peers'][0]['lacking']) == 2"
check "the standby is gone" other_ends
check "what it lacked is forgotten" busywait 10000 status a "s['peers'][0]['lacking'] == []"
stop a
check "every daemon ended cleanly" ended_cleanly
