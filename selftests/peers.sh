#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Whom a daemon takes for a peer: certificates, a pre-shared key, the protocol's version. Who
# is refused is told so in a line of the log, and changes nothing.
#
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B 192.0.3.2 --- 192.0.3.1 C, the stranger
#
# timeout: 360

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 77


need_daemon

setup_ns A B C
setup_veth "$A" "$B"
setup_veth "$C" "$B" 1
tmpdir

make_ca ca
make_ca other
for n in a b c d; do make_cert ca $n $n; done
make_cert other forged a
make_psk right
make_psk wrong

# with_peer_d CONF: one more peer, that never runs; its certificate is the stranger's.
with_peer_d() { printf '\n[peer d]\naddress = 192.0.3.1\n' >>"$TMP/$1.conf"; }

# --- refusals -----------------------------------------------------------------------

# What no stranger may change of B: its SAs, its policies, what it says of itself and of A.
fingerprint() {
	ip -n "$B" -s xfrm state
	ip -n "$B" xfrm policy
	py told "$TMP/b.run/sock" "[s[name] for name in ('role', 'epoch', 'epoch_node', 'ready', 'reasons',
		'sas', 'managed', 'policies', 'conflicts')],
		[peer for peer in s['peers'] if peer['name'] == 'a'], [peer['role'] for peer in s['peers']],
		{name: n for name, n in s['losses'].items() if name != 'connections_refused'}" &&
		nl "$B" status | grep -oE '"(reader|parked)": [0-9]+'
}

# said_since LINES TEXT: b's log has TEXT behind so many lines.
said_since() {
	local said

	said=$(tail -n "+$(($1 + 1))" "$TMP/b.log")
	grep -q -- "$2" <<<"$said" || { tail -n 3 <<<"$said"; return 1; }
}

# refuses NAME TEXT CMD...: CMD finds itself refused; B says TEXT, and is as before.
refuses() {
	local name=$1 text=$2 before lines

	shift 2
	before=$(fingerprint) || bail "B does not say how it is"
	lines=$(wc -l <"$TMP/b.log")
	check "$name: refused" "$@"
	check "$name: with a reason" busywait 10000 said_since "$lines" \
		"refused a connection from 192.0.3.1 port [0-9]*: .*$text"
	check_equal "$name: without any effect" "$before" "$(fingerprint)"
}

stranger() { # CERT|- CASE
	local cert=("$TMP/$1.crt" "$TMP/$1.key")

	[ "$1" != - ] || cert=(- -)
	py stranger "$C" 192.0.3.2 "$TMP/ca.crt" "${cert[@]}" "$2"
}

# A daemon of C's: it runs, and has no connection.
knocks() { # NAME
	start "$1"
	busywait 20000 status "$1" "s['peers'][0]['last_failure']" &&
		status "$1" "s['peers'][0]['role'] == 'unknown' and not s['sas']"
}

# --- certificates -------------------------------------------------------------------

make_conf a "$A" 1 192.0.2.1 b 192.0.2.2
make_conf b "$B" 2 0.0.0.0 a 192.0.2.1
with_peer_d b
make_conf c "$C" 3 192.0.3.1 b 192.0.3.2
make_conf forged "$C" 1 192.0.3.1 b 192.0.3.2 name=a

check "two nodes with certificates" both_start a b
# C has its other end and no use for it.
tunnel "$A" "$C" link=1
ip -n "$C" xfrm state flush
ip -n "$C" xfrm policy flush
check "have SAs" busywait 10000 sas_are "$B" 2
check "and policies" busywait 10000 policies_are "$B" 3
check "and are in step" wait_step a b

refuses "a name that is no peer's" "names no configured peer" knocks c
stop c
refuses "a certificate of another CA" "certificate is refused" knocks forged
stop forged
refuses "the same, by hand" "names no configured peer" stranger c stranger
refuses "no certificate" "did not return a certificate" stranger - anonymous
refuses "TLS 1.2" "unsupported protocol" stranger a tls12

# --- an older epoch -------------------------------------------------------------------

# A peer that was active in an epoch that is over, and has not heard: its snapshot is empty.
in_kernel() { ip -n "$B" -s xfrm state; ip -n "$B" xfrm policy; }
have=$(in_kernel)
check "an active of an older epoch: is heard" stranger d older-epoch
check "an active of an older epoch: up to its last word" busywait 10000 logged b "peer d: link lost"
check_equal "an active of an older epoch: without any effect" "$have" "$(in_kernel)"
check "an active of an older epoch: it is counted" status b "s['losses']['stale_frames'] == 2"
check "a peer whose HANDOVER is cut: the connection ends" stranger d cut-handover
check "a peer whose HANDOVER is cut: that is why" busywait 10000 \
	logged b "peer d: link lost: it sent a malformed frame"

# --- whoever has a good certificate, and no good words --------------------------------

refuses "another version of the protocol" "speaks protocol version 2, we speak 1" stranger a version
refuses "garbage" "does not speak our protocol" stranger a garbage
refuses "HTTP" "does not speak our protocol" stranger a http
refuses "a frame that is too long" "oversized frame" stranger a oversized
refuses "a HELLO that is cut" "malformed frame" stranger a cut-hello
refuses "a PING before HELLO" "malformed frame" stranger a no-hello
refuses "records before HELLO" "malformed frame" stranger a state-first
refuses "nothing at all" "silent for too long" stranger a silent
refuses "a node name that is no peer's" "not a configured peer" stranger a unknown-name
refuses "another peer's node name" "not the one of its certificate" stranger d other-name
refuses "B's own node id" "our own node id" stranger d own-id
check "the nodes were in step all along" in_step a b

# --- a pre-shared key ---------------------------------------------------------------

stop a
stop b
make_conf a "$A" 1 192.0.2.1 b 192.0.2.2 psk=right
make_conf b "$B" 2 0.0.0.0 a 192.0.2.1 psk=right
make_conf liar "$C" 1 192.0.3.1 b 192.0.3.2 name=a psk=wrong
make_conf unknown "$C" 1 192.0.3.1 b 192.0.3.2 name=a psk=right
sed -i 's/^psk_file/psk_identity = unknown\n&/' "$TMP/unknown.conf"
: >"$TMP/b.log"
start a
start b
check "two nodes with a pre-shared key are in step" wait_step a b
ip -n "$A" xfrm state add src 192.0.3.9 dst 192.0.3.1 proto esp spi 0x3000 reqid 7 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 late)" 128
check "what is new comes over" busywait 10000 sas_are "$B" 3
check "and all is acknowledged" wait_step a b

refuses "another key" "pre-shared key" knocks liar
told() { logged liar "pre-shared key" || { tail -n 3 "$TMP/liar.log"; return 1; }; }
check "who has it is told as well" told
stop liar
refuses "another identity" "pre-shared key" knocks unknown
stop unknown
refuses "a certificate in place of the key" "TLS handshake failed" stranger a stranger
check "the nodes were in step all along" in_step a b

# --- the end ------------------------------------------------------------------------

stop a
stop b
check_fails "no pre-shared key is in a log" grep -rqFf <(cut -c1-24 "$TMP"/*.psk) \
	--include='*.log' --include=state "$TMP"
cp "$TMP/right.psk" "$TMP/leak.log"
check "one would be found" grep -rqFf <(cut -c1-24 "$TMP"/*.psk) --include='*.log' "$TMP"
check "every daemon ended cleanly" ended_cleanly
