#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What the configuration says of leases: how large they are, for which SAs; an SA that nobody renews stops at the end, or goes on
# and is not used by a takeover ever after.
#
#   A 10.1.0.1 --- 192.0.3.1 ===== ESP ===== 192.0.3.2 --- 10.2.0.1 P
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 400

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 55

ROOM=65536		# beyond what may be used: kmod/lease.h

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 esp6 xfrm_user
start_sink "$P" "$TMP/p"
pair_confs "$A" "$B"

lease_end() { record "$1" | sed -n 's/.*"lease-end": \([0-9]*\).*/\1/p'; } # NS
oseq() { sa_oseq "$1" "$B_OUT" "$A_SPI"; } # NS
setting() { # KEY VALUE: in [sync] of both
	sed -i "/^$1 *=/d; s/^\[sync\]/&\n$1 = $2/" "$TMP/a.conf" "$TMP/b.conf"
}
flush() { # and nobody was ever active
	local ns

	for ns in "$A" "$B" "$P"; do
		nl "$ns" role-set none >/dev/null
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
	rm -rf "$TMP"/*.state
}

# --- at the end: stop, or continue ------------------------------------------------------

setting lease_esn_log2 8
setting lease_exhausted maybe
check "neither stop nor continue" grep -q "lease_exhausted = maybe: stop or continue" <(ask a check)
setting lease_exhausted continue
tunnel "$A" "$P" link=1 window=128
check "a pair that goes on, leases of 256" both_start a b
check "the active's kernel knows" flag "$A" goes-on
check "the standby's, for its own range" flag "$B" goes-on
# The daemon, which would say it anew, stands still.
kill -STOP "${pid[a]}"
(umask 077 && openssl rand -hex 32 >"$TMP/key")
check "they are held" in_ns "$A" "$XFRMSYNC" save --stop --key "$TMP/key" "$TMP/file"
check "fenced one by one" flag "$A" fenced
check "it is known as before" flag "$A" goes-on
kill -CONT "${pid[a]}"
check "let go" ask a takeover --force-unsafe
check "they are not fenced" busywait 10000 no_flag "$A" fenced
check "it is known then, too" flag "$A" goes-on
check "as before" wait_step a b

# is_told NODE: one SA is not to be used.
is_told() { status "$1" "not s['ready'] and any('not safe' in r or 'cannot be taken over' in r
	for r in s['reasons'])"; }

stop b KILL
check "the standby is dead: the traffic goes on past the end" \
	send_and_count "$A" "$B_IN" 600 "$TMP/p"
check "with numbers beyond" [ "$(oseq "$A")" -ge $(($(lease_end "$A") - ROOM)) ]
check "its record says so" flag "$A" overrun
check "so does the daemon" busywait 10000 logged a "went on past the end of its lease"
check "and show" grep -q '"overrun"' <(ask a show --json)
check "and status" busywait 10000 is_told a
start b
check "the standby comes back: it is told" busywait 20000 is_told b
end=$(lease_end "$A")
check "traffic flows" send_and_count "$A" "$B_IN" 300 "$TMP/p"
check "the standby hears of it" busywait 20000 status a "s['peers'][0]['state'] == 'synced' and
	s['peers'][0]['lag_packets'] == 0"
check_equal "no lease is granted any more" "$end" "$(lease_end "$A")"
check "nor is it safe again" is_told b
stop a KILL
start a
check "a new daemon of the active's tells the same" busywait 20000 status b \
	"s['peers'][0]['state'] == 'synced'"
check "the standby knows" busywait 20000 is_told b
setting lease_exhausted stop
check "the operator wants it to stop: SIGHUP" reload a
check "the kernel knows" busywait 10000 no_flag "$A" goes-on
try_packets "$A" "$B_IN" 5
check "it does" flag "$A" stopped
stop a KILL
check "a takeover" ask b takeover
check "does not use it" flag "$B" fenced
stop b

# A rekey alone heals it; and one that stopped goes on when the setting changes.
flush
tunnel "$A" "$P" link=1 window=128 spi=0x2000
check "another SA" both_start a b
stop b KILL
try_packets "$A" "$B_IN" 600
check "at its end it stops" busywait 10000 flag "$A" stopped
check "and is not marked" no_flag "$A" overrun
setting lease_exhausted continue
check "the operator wants it to go on: SIGHUP" reload a
check "it does, by itself" busywait 10000 no_flag "$A" stopped
check "past the end" send_and_count "$A" "$B_IN" 30 "$TMP/p"
check "and is marked then" flag "$A" overrun
start b
check "the standby is told" busywait 20000 is_told b
ip -n "$A" xfrm state delete dst "$B_OUT" proto esp spi "$A_SPI"
ip -n "$P" xfrm state delete dst "$B_OUT" proto esp spi "$A_SPI"
tunnel "$A" "$P" link=1 window=128 spi=0x3000
check "a rekey heals" wait_step a b
check "the new one has a lease" [ "$(lease_end "$A")" -ge "$ROOM" ]

stop a
stop b

# --- sizes --------------------------------------------------------------------------------

# size_is FAMILY DST NUMBERS FLAG: so many may be used of a lease that nobody has begun on.
size_is() {
	nl "$A" get family="$1" dst="$2" spi="$A_SPI" proto=50 | /usr/bin/python3 -c '
import json, sys
r = json.load(sys.stdin)
sys.exit(0 if r["oseq"] == 0 and r["lease-end"] - int(sys.argv[1]) == int(sys.argv[2]) and
         ("goes-on" in r["flags"]) == (sys.argv[3] == "goes-on") else str(r))' \
		$ROOM "$3" "$4"
}

flush
setting lease_exhausted stop
cat >>"$TMP/a.conf" <<-END
	[lease other]
	reqid = 2
	esn_log2 = 5
	[lease six]
	address = 2001:db8:1::/48
	esn_log2 = 6
	exhausted = continue
	[lease all]
	address = ::/0
	esn_log2 = 7
END
tunnel "$A" "$P" link=1 family=6 spi=0x4000
six=$B_OUT
tunnel "$A" "$P" link=1 spi=0x4000
check "two SAs" both_start a b
check "one has the size of [sync]" size_is 2 "$B_OUT" 256 stops
check "one that of the first section that it matches" size_is 10 "$six" 64 goes-on
sed -i 's/^esn_log2 = 6$/esn_log2 = 9/' "$TMP/a.conf"
check "SIGHUP: another size" reload a
check "in step again" wait_step a b
ip -n "$A" xfrm state delete dst "$six" proto esp spi "$A_SPI"
tunnel "$A" "$P" link=1 family=6 spi=0x5000
check "a new SA has it" busywait 10000 size_is 10 "$six" 512 goes-on
stop a
stop b

# --- the last numbers ---------------------------------------------------------------------

# Without ESN: 2^32 - 1, less twice the headroom.
flush
tunnel "$A" "$P" link=1 esn=0 window=32 spi=0x7000
ip -n "$A" xfrm state delete dst "$B_OUT" proto esp spi "$A_SPI"
ip -n "$A" xfrm state add src "$A_OUT" dst "$B_OUT" proto esp spi "$A_SPI" reqid 1 mode tunnel \
	replay-window 32 replay-oseq 0xfffdff80 aead 'rfc4106(gcm(aes))' "$(key 20 "$A_SPI")" 128
start a
start b
lease_is() { [ "$(lease_end "$1")" -eq "$2" ]; } # NS N
check "an SA near the end of all numbers" busywait 20000 ask a takeover
check "has a last lease" busywait 20000 lease_is "$A" $((0xfffeffff))
try_packets "$A" "$B_IN" 200
check "stops" busywait 10000 flag "$A" stopped
check_equal "before its counter could wrap" $((0xfffdffff)) "$(oseq "$A")"
check "and there is no range for a standby" busywait 20000 status b "s['unsafe_total'] == 1"
stop a
stop b

# --- no hook ------------------------------------------------------------------------------

flush
check "the module has no packet hook" load_module capture=scan scan_interval_ms=20
tunnel "$A" "$P" link=1 window=128 spi=0x6000
start a
start b
check "two nodes" busywait 20000 ask a takeover
check "without a packet hook no SA is safe" busywait 20000 status b "s['unsafe_total'] > 0 and not s['ready']"
stop a
stop b
check "every daemon ended cleanly" ended_cleanly
flush
