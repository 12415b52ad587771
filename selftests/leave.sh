#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A standby that is away for too long leaves the sync set, by a setting: what it was offered is
# soft-expired, a few at a time, each once, and renewed by nobody; what is made after that waits
# for nobody; and when it is back, all is as before.
#
#   A 10.1.0.1 --- 192.0.3.1 ===== ESP ===== 192.0.3.2 --- 10.2.0.1 P
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 55

ROOM=65536		# kmod/lease.h
MANY=80		# more than are asked for at once

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
start_sink "$P" "$TMP/p"
start_sink "$A" "$TMP/a"
pair_confs "$A" "$B"
sed -i 's/^\[sync\]/&\nlease_esn_log2 = 8\nguard = strict\nguard_min = 32/' "$TMP/a.conf" "$TMP/b.conf"
# Who dies closes its links; on a slow machine nobody else is to leave.
sed -i 's/^dead_ms.*/dead_ms = 20000/' "$TMP/a.conf" "$TMP/b.conf"

OLD=0x00001000		# of A to P
get() { nl "$1" get family=2 dst=192.0.3.2 spi=$OLD proto=50; } # NS
flag() { get "$1" | grep -q "\"$2\""; }				# NS FLAG
lease_end() { get "$A" | sed -n 's/.*"lease-end": \([0-9]*\).*/\1/p'; }
oseq() { sa_oseq "$1" 192.0.3.2 $OLD; }				# NS
is_ahead() { [ "$(oseq "$B")" -ge $(($(oseq "$A") + ROOM)) ]; }
granted() { [ "$(lease_end)" -ge $(($(oseq "$A") + ROOM + $1)) ]; } # N
paced() { # ROUNDS: bursts of 100, each after the lease had its time to be renewed
	local i

	for ((i = 0; i < $1; i++)); do
		busywait 20000 granted 120 >/dev/null && send_and_count "$A" 10.2.0.1 100 "$TMP/p" &&
			is_ahead || return
	done
}
peer_is() { status "$1" "s['peers'][0]['state'] == '$2'"; }	# NAME STATE
has_left() { busywait 20000 peer_is "$1" left; }		# NAME
times() { grep -c -- "$2" "$TMP/$1.log"; }			# NAME TEXT

# Expiries of A's SAs, as an IKE daemon hears them.
xfrm_monitor "$A" "$TMP/expire" expire
told() { grep -c "spi $1 " "$TMP/expire"; }			# SPI
told_are() { [ "$(told "$1") $(told "$2")" = "$3" ]; }		# SPI SPI "TIMES TIMES"
many_told() { grep -c 'reqid 7 ' "$TMP/expire"; }
all_told() { [ "$(many_told)" -ge $((MANY * $1)) ]; }		# TIMES
each_told() { # TIMES: all of the many, each so often
	awk -v n="$1" -v many=$MANY '/proto esp spi/ && /reqid 7 / { seen[$4]++ }
		END { for (spi in seen) { all++; if (seen[spi] != n) exit 1 } exit all != many }' "$TMP/expire"
}
counts() { # SOFT_EXPIRED HELD
	status a "(s['peers'][0]['soft_expired'], s['peers'][0]['leases_held']) == ($1, $2)"
}

tunnel "$A" "$P" link=1 window=128
for ((i = 0; i < MANY; i++)); do
	echo "xfrm state add src 192.0.3.1 dst 192.0.3.2 proto esp spi $((0x5000 + i)) reqid 7 mode tunnel" \
		"flag esn replay-window 128 aead rfc4106(gcm(aes)) $(key 20 "many$i") 128"
done | ip -n "$A" -batch -

# --- without the setting --------------------------------------------------------------

check "a pair, leases of 256" both_start a b
stop b KILL
gone() { status a "s['peers'][0]['state'] in ('disconnected', 'connecting')"; }
check "the standby is away" busywait 20000 gone
check "its SAs are held, and nobody is asked to rekey them" counts 0 $((MANY + 2))
start b
check "it is back" wait_step a b
sed -i 's/^dead_ms.*/&\nleave_after_ms = 3000/' "$TMP/a.conf" "$TMP/b.conf"
check "the setting comes" reload a
check "in step" wait_step a b
check_fails "nobody has left" logged a "has left the sync set"

# --- it leaves ------------------------------------------------------------------------

stop b KILL
check "the standby is away for too long: it has left" has_left a
check "all that it was offered is soft-expired" busywait 20000 all_told 1
check "each once" each_told 1
check "both ways of an idle tunnel, too" told_are $OLD 0x00001001 "1 1"
check "by an event that IKE daemons know" grep -q "hard 0" "$TMP/expire"
check_fails "that deletes nothing" grep -q "hard 1" "$TMP/expire"
check "status counts them" busywait 10000 counts $((MANY + 2)) $((MANY + 2))
check "people read it" grep -q "left: b .* $((MANY + 2)) SAs .*($((MANY + 2)) soft-expired)" <(ask a status)
check "the log says how many" busywait 10000 logged a "left the sync set; $((MANY + 2)) SAs"
try_packets "$A" 10.2.0.1 600
check "a static one stops at the end of its lease" busywait 10000 flag "$A" stopped
check_equal "exactly" 256 "$(oseq "$A")"
check "for the standby may still take over" is_ahead
holds() { status a "s['peers'][0]['holds'] == $1"; } # N
try_packets "$P" 10.1.0.1 300
check "the same inbound, with a strict guard" busywait 10000 holds 1

# --- a rekey --------------------------------------------------------------------------

ip -n "$P" xfrm state delete dst 192.0.3.1 proto esp spi 0x1001
tunnel "$A" "$P" link=1 window=128 spi=0x2000
check "new SAs come" busywait 10000 status a "s['managed'] == $MANY + 4"
check "they wait for nobody" send_and_count "$A" 10.2.0.1 600 "$TMP/p"
check "for long" send_and_count "$A" 10.2.0.1 600 "$TMP/p"
check "nor inbound" send_and_count "$P" 10.1.0.1 300 "$TMP/a"
# The old inbound one has shown meanwhile that it does not send.
check "they are not held" counts $((MANY + 2)) $((MANY + 1))
check "nor to be rekeyed" told_are 0x00002000 0x00002001 "0 0"
check_equal "the old one stands" 256 "$(oseq "$A")"
check_equal "it was said once" 1 "$(times a "has left the sync set")"
check "and each was told once" each_told 1

# --- another daemon -------------------------------------------------------------------

stop a KILL
start a
check "the active's daemon starts anew: the time begins anew, and it has left" has_left a
check "what may have been offered is soft-expired" busywait 20000 all_told 2
check "each once more" each_told 2
check "those that it never knew are not" told_are 0x00002000 0x00002001 "0 0"
check "and still wait for nobody" send_and_count "$A" 10.2.0.1 600 "$TMP/p"
check "nor inbound, either" send_and_count "$P" 10.1.0.1 300 "$TMP/a"
check_equal "the old one stands there" 256 "$(oseq "$A")"

# --- it comes back --------------------------------------------------------------------

start b
check "the standby is back, and in step" wait_step a b
check "that is said" busywait 10000 logged a "it is back in the sync set"
check "and seen" peer_is a synced
check "no SA is stopped" busywait 10000 status a "s['unsafe_total'] == 0 and s['peers'][0]['leases_waiting'] == 0"
check_fails "nor the old one" flag "$A" stopped
for ns in "$A" "$P"; do ip -n "$ns" xfrm state delete dst 192.0.3.2 proto esp spi 0x2000; done
check "it is renewed again, the standby ahead of it" paced 5
check "nobody was asked for more" each_told 2

stop b KILL
check "it leaves once more" has_left a
check "and all are soft-expired once more" busywait 20000 all_told 3
check "each once in each absence" each_told 3
start b
check "back again" wait_step a b
check "in step, it is renewed" paced 2

# --- a takeover -----------------------------------------------------------------------

last=$(oseq "$A")
stop a KILL
check "the active dies" ask b takeover
check "the new one starts past all that was sent" [ "$(oseq "$B")" -ge $((last + ROOM)) ]
check "who was active before leaves, too" has_left b
check "nothing waits for it" status b "(s['peers'][0]['soft_expired'], s['peers'][0]['leases_held']) == (0, 0)"
check "a standby does not say who left" eval 'ask b standby && ! peer_is b left'

stop b
check "every daemon ended cleanly" ended_cleanly
