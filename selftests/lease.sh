#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# No number past the end of a lease: the kernel stops the SA there, whatever the daemon does,
# and lets it go on when more is granted; more is granted when the standby has raised its own.
#
#   A 10.1.0.1 --- 192.0.3.1 ===== ESP ===== 192.0.3.2 --- 10.2.0.1 P
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 126

here=$(dirname "$0")
ROOM=65536		# beyond what may be used: kmod/lease.h

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
start_sink "$P" "$TMP/p"
pair_confs "$A" "$B"
sed -i 's/^\[sync\]/&\nlease_esn_log2 = 8/' "$TMP/a.conf" "$TMP/b.conf"

stat_of() { nl "$1" stats | sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p"; } # NS NAME
bind() { # NS NAME=VALUE...: of A's outbound SA
	nl "$1" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 "${@:2}" 2>&1
}
oseq() { sa_oseq "$1" "$B_OUT" "$A_SPI"; } # NS
flush() {
	local ns

	for ns in "$A" "$P"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
}

# --- the kernel -----------------------------------------------------------------------

tunnel "$A" "$P" link=1 window=128
nl "$A" role-set active 1 1 >/dev/null
xfrm_monitor "$A" "$TMP/expire" expire
# A reader's last record of the SA; it asks for none, but when the module wakes it.
"$here/nl.py" -n "$A" pull >"$TMP/pulled" &
reader=$!
lib_pids+=("$reader")
check "somebody reads the stream" busywait 20000 kernel_reader "$A"
last_pulled() { grep "\"spi\": $((A_SPI))," "$TMP/pulled" | tail -n 1; }
told_stopped() { last_pulled | grep -q '"stopped"'; }
told_going() { last_pulled | is_without '"stopped"'; }
low_is() { [ "$(stat_of "$A" leases-low)" -eq "$1" ]; } # N
# Rekeys are counted when they are told, which is later, and in the order in which they were
# asked for: after one of another SA, which is no lease's, all that were asked before are counted.
marks=0
soft_expired() { sed -n "/spi $1/,/hard/p" "$TMP/expire" | grep -q "hard 0"; } # SPI
told_all() {
	local spi

	marks=$((marks + 1))
	spi=$(printf 0x%08x $((0x7700 + marks)))
	ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.7 proto esp spi "$spi" reqid 7 mode tunnel \
		aead 'rfc4106(gcm(aes))' "$(key 20 "$spi")" 128 &&
		nl "$A" bind -- family=2 dst=192.0.3.7 spi="$spi" proto=50 flags=fenced >/dev/null &&
		busywait 10000 soft_expired "$spi"
}
check "a lease of 16 numbers" bind "$A" lease-end=$((ROOM + 16))
try_packets "$A" "$B_IN" 11
check "a rekey of another SA is told" told_all
check_equal "before three quarters no rekey is asked for" 0 "$(stat_of "$A" leases-low)"
try_packets "$A" "$B_IN" 1
check "at three quarters a rekey is asked for" busywait 10000 low_is 1
try_packets "$A" "$B_IN" 18
check "16 arrive" busywait 10000 delivered_is "$TMP/p" 16
check_equal "the counter is at the end" 16 "$(oseq "$A")"
check "its record says so" flag "$A" stopped
check_equal "it is counted" 1 "$(stat_of "$A" leases-ended)"
check "the reader is told" busywait 10000 told_stopped
check "another one is told" told_all
check_equal "a rekey was asked for once" 1 "$(stat_of "$A" leases-low)"
check "by an event that IKE daemons know" busywait 10000 soft_expired "$A_SPI"
check "one below its number is refused" grep -q '"lease"' <(bind "$A" lease-end=$((ROOM + 8)))
check "the same one changes nothing" bind "$A" lease-end=$((ROOM + 16))
try_packets "$A" "$B_IN" 3
check_equal "no number was drawn" 16 "$(oseq "$A")"
check "more is granted" bind "$A" lease-end=$((ROOM + 40))
check "of what was granted nothing is taken back" grep -q '"lease"' <(bind "$A" lease-end=$((ROOM + 39)))
check "without a packet the reader is told of it" busywait 10000 told_going
kill "$reader"
wait "$reader" 2>/dev/null
check "it goes on by itself" send_and_count "$A" "$B_IN" 20 "$TMP/p"
check "it is stopped no more" no_flag "$A" stopped
try_packets "$A" "$B_IN" 10
check "up to the next end" busywait 10000 delivered_is "$TMP/p" 40
check_equal "exactly" 40 "$(oseq "$A")"
check "one that is behind the counter is refused" \
	grep -q '"lease"' <(bind "$A" lease-end=$((ROOM + 40 - 1)))
check "go-on" bind "$A" lease-end=$((ROOM + 60)) restore-flags=go-on
check "past the end it goes on" send_and_count "$A" "$B_IN" 30 "$TMP/p"
check "and is marked" flag "$A" overrun
check "the SA can be deleted while it is stopped" ip -n "$A" xfrm state delete dst "$B_OUT" \
	proto esp spi "$A_SPI"
flush

# --- other kinds ------------------------------------------------------------------------

limited() { # NAME FAMILY PROTO WORDS...: of tunnel
	local name=$1 id before

	tunnel "$A" "$P" link=1 "${@:4}"
	id=(family="$2" dst="$B_OUT" spi="$A_SPI" proto="$3")
	before=$(delivered "$TMP/p")
	check "$name: a lease of 16 numbers" nl "$A" bind -- "${id[@]}" lease-end=$((ROOM + 16))
	try_packets "$A" "$B_IN" 30
	check "$name: 16 arrive" busywait 10000 delivered_is "$TMP/p" $((before + 16))
	check_equal "$name: the counter is at the end" 16 "$(oseq "$A")"
	check "$name: more is granted" nl "$A" bind -- "${id[@]}" lease-end=$((ROOM + 40))
	check "$name: on it goes" send_and_count "$A" "$B_IN" 20 "$TMP/p"
	flush
}
limited "IPv6" 10 50 family=6 window=128
limited "no ESN" 2 50 esn=0 window=32
limited "AH" 2 51 proto=ah mode=transport window=128
limited "AH, no ESN, IPv6" 10 51 proto=ah mode=transport family=6 esn=0 window=32

# --- large segments: no packet is cut in two ---------------------------------------------

modprobe -q esp4_offload
tunnel "$A" "$P" link=1 window=128
check "a lease under TCP" bind "$A" lease-end=$((ROOM + 100))
results /usr/bin/python3 "$here/lease.py" kernel "$A" "$P" "$A_SPI" $((ROOM + 100))
nl "$A" role-set none >/dev/null
check "without a role nothing is stopped" no_flag "$A" stopped
check "and it goes on" send_and_count "$A" "$B_IN" 5 "$TMP/p"
flush

# --- a node alone -----------------------------------------------------------------------

tunnel "$A" "$P" link=1 window=128 spi=0x1800
start a
check "a node alone" busywait 20000 ask a takeover
check "follows its SAs" busywait 20000 status a "s['managed'] == 2"
stop a KILL
check "an SA that nobody was offered has no limit" send_and_count "$A" "$B_IN" 600 "$TMP/p"
flush
nl "$A" role-set none >/dev/null
rm -rf "$TMP/a.state"

# --- two nodes ------------------------------------------------------------------------

tunnel "$A" "$P" link=1 window=128 spi=0x2000
check "a pair, leases of 256" both_start a b
is_ahead() { [ "$(oseq "$B")" -ge $(($(oseq "$A") + ROOM)) ]; }
check "the standby is ahead of all that may be used" is_ahead

# paced ROUNDS: bursts of 100, each after the lease had its time to be renewed.
granted() { # N: so many may still be used
	[ "$(nl "$A" get family=2 dst="$B_OUT" spi="$A_SPI" proto=50 |
		sed -n 's/.*"lease-end": \([0-9]*\).*/\1/p')" -ge $(($(oseq "$A") + ROOM + $1)) ]
}
paced() {
	local i

	for ((i = 0; i < $1; i++)); do
		busywait 20000 granted 120 >/dev/null && send_and_count "$A" "$B_IN" 100 "$TMP/p" &&
			is_ahead || return
	done
}

kill -STOP "${pid[b]}"
try_packets "$A" "$B_IN" 600
check "with what it was told in its snapshot, the active stops at the end" busywait 10000 flag "$A" stopped
check "with what it was told in its snapshot, the standby is ahead" is_ahead
kill -CONT "${pid[b]}"
check "then it is renewed" paced 1

# --- who stands still, and who dies -------------------------------------------------------

stops=$(stat_of "$A" leases-ended)
check "it is renewed again and again, the standby always ahead" paced 5
check_equal "it never stopped" "$stops" "$(stat_of "$A" leases-ended)"

in_ns "$A" "$XFRMSYNC" monitor --json -c "$TMP/a.conf" >"$TMP/monitored" 2>&1 &
monitor=$!
lib_pids+=("$monitor")
monitored() { grep -q "\"spi\": *\"$A_SPI\".*$1" "$TMP/monitored"; } # TEXT
hears() { send_and_count "$A" "$B_IN" 1 "$TMP/p" && monitored ''; }
check "somebody monitors" busywait 20000 hears
in_log() { grep -c "$A_SPI: $1" "$TMP/a.log"; }       # TEXT
in_log_is() { [ "$(in_log "$1")" -eq "$2" ]; }        # TEXT N
named=$(in_log "stopped at the end") going=$(in_log "goes on")
check "up to now status counts none" status a "s['stopped'] == 0"
kill -STOP "${pid[b]}"
try_packets "$A" "$B_IN" 600
check "the standby stands still: the active stops at the end" busywait 10000 flag "$A" stopped
check "with the standby ahead" is_ahead
check "status counts it" busywait 10000 status a "s['stopped'] == 1"
check "people read it" grep -q "stopped: 1 SAs are at the end of their lease" <(ask a status)
check "who monitors sees it" busywait 10000 monitored '"stopped"'
try_packets "$A" "$B_IN" 20
kill -CONT "${pid[b]}"
check "it acknowledges: the active goes on by itself" paced 2
check "which is counted, too" busywait 10000 status a "s['stopped'] == 0"
check "and in the log" busywait 10000 in_log_is "goes on" $((going + 1))
check_equal "where the stop stands, once" $((named + 1)) "$(in_log "stopped at the end")"
kill "$monitor"
wait "$monitor" 2>/dev/null

kill -STOP "${pid[a]}"
try_packets "$A" "$B_IN" 600
check "the active's daemon stands still: the same" busywait 10000 flag "$A" stopped
check "the standby is ahead" is_ahead
kill -CONT "${pid[a]}"
check "it comes back: on it goes" paced 2

stop a KILL
try_packets "$A" "$B_IN" 600
check "the active's daemon is dead: the same" busywait 10000 flag "$A" stopped
check "the standby is still ahead" is_ahead
start a
check "a new one knows what was offered" paced 2

stop b KILL
runs_out() { try_packets "$A" "$B_IN" 600; busywait 10000 flag "$A" stopped; }
check "the standby's daemon is dead: the active stops in the end" \
	runs_out
check "with the standby's kernel ahead" is_ahead
stop a KILL
start a
busywait 20000 kernel_reader "$A"
check "a new daemon of the active's does not renew it alone" flag "$A" stopped
sed -i 's/^lease_esn_log2.*/lease_esn_log2 = 12/' "$TMP/a.conf"
check "nor does it for larger leases" reload a
try_packets "$A" "$B_IN" 5
check "it stands" flag "$A" stopped
check "behind the standby" is_ahead
sed -i 's/^lease_esn_log2.*/lease_esn_log2 = 8/' "$TMP/a.conf"
reload a
start b
check "it comes back: on it goes" paced 2

# --- one that cannot be raised ------------------------------------------------------------

# The standby's has another window, so nothing is restored onto it.
stuck=(src 192.0.3.1 dst 192.0.3.2 proto esp spi 0x6000 reqid 7 mode tunnel flag esn
	aead 'rfc4106(gcm(aes))' "$(key 20 stuck)" 128)
stuck_oseq() { sa_oseq "$A" 192.0.3.2 0x6000; }
stuck_has_lease() { nl "$A" get family=2 dst=192.0.3.2 spi=0x6000 proto=50 | grep -q '"lease-end"'; }
ip -n "$B" xfrm state add "${stuck[@]}" replay-window 64
ip -n "$A" xfrm state add "${stuck[@]}" replay-window 128
ip -n "$A" xfrm policy add src 10.1.0.1 dst 10.9.0.1 dir out \
	tmpl src 192.0.3.1 dst 192.0.3.2 proto esp reqid 7 mode tunnel
ip -n "$A" route add 10.9.0.0/16 via 192.0.3.2 src 10.1.0.1
check "an SA that the standby cannot raise" busywait 20000 status b "s['unsafe_total'] == 1"
check "has its first lease" busywait 20000 stuck_has_lease
try_packets "$A" 10.9.0.1 200
check "the active and the standby have heard of it: others are renewed" paced 3
try_packets "$A" 10.9.0.1 400
check_equal "an SA that the standby cannot raise is not renewed" 256 "$(stuck_oseq)"
ip -n "$A" xfrm policy delete src 10.1.0.1 dst 10.9.0.1 dir out
for ns in "$A" "$B"; do ip -n "$ns" xfrm state delete dst 192.0.3.2 proto esp spi 0x6000; done
check "it is gone, and all is well" wait_step a b

# --- a takeover, and another ---------------------------------------------------------------

last=$(oseq "$A")
stop a KILL
check "the active dies" ask b takeover
check "the new one starts past all that was sent" [ "$(oseq "$B")" -ge $((last + ROOM)) ]
check "and has its own range" [ "$(nl "$B" get family=2 dst="$B_OUT" spi="$A_SPI" proto=50 |
	sed -n 's/.*"lease-end": \([0-9]*\).*/\1/p')" -gt "$(oseq "$B")" ]
start a
check "the old one is filled" wait_step b a
check "and is ahead now" [ "$(oseq "$A")" -gt "$(oseq "$B")" ]

back_and_forth() {
	local one=b other=a i

	for ((i = 0; i < 5; i++)); do
		wait_step "$one" "$other" && ask "$other" takeover || return
		[ "$one" = a ] && one=b other=a || one=a other=b
	done
	wait_step "$one" "$other" && [ "$one" = a ]
}
check "five takeovers of an idle SA" back_and_forth
check "the peer takes what follows" send_and_count "$A" "$B_IN" 10 "$TMP/p"

# --- a standby is removed -----------------------------------------------------------------

# Nobody else has to acknowledge anything: that is not what holds it.
without_peers() { sed -i '/^\[peer /,/^address/d' "$TMP/a.conf"; }
without_peers
check "the active forgets its standby, by the operator's word" reload a
check "and says what that means" busywait 20000 logged a "leases that a removed peer was offered"
try_packets "$A" "$B_IN" 600
check "what that one may take over is not renewed" busywait 10000 flag "$A" stopped
check "so it is ahead for ever" is_ahead

# restarted NAME COMMAND...: its daemon dies, that is done, and the next one goes round.
restarted() {
	stop "$1" KILL
	"${@:2}" && start "$1" && busywait 20000 role_is "$1" active
}
with_b() { sed -i 's/^\[filter\]/[peer b]\naddress = 192.0.2.2\n\n&/' "$TMP/a.conf"; }
check "a new daemon" restarted a true
try_packets "$A" "$B_IN" 600
check "knows it: nothing is renewed" flag "$A" stopped
check "the removed one is still ahead" is_ahead

for ns in "$A" "$P"; do ip -n "$ns" xfrm state flush; done
tunnel "$A" "$P" link=1 window=128 spi=0x3000
check "it is a peer again" eval 'with_b && reload a'
check "and in step" wait_step a b
check "an SA that is made after all that is renewed" paced 2
said() { grep -c "a removed peer may have been offered" "$TMP/a.log"; }
said_more() { [ "$(said)" -gt "$1" ]; } # N
before=$(said)
check "the peer is removed while the daemon is down" restarted a without_peers
check "what that means is said" busywait 20000 said_more "$before"
check "nothing is renewed" runs_out
check "that one is ahead" is_ahead
check "another daemon, and it is a peer again" restarted a with_b
check "in step, too" wait_step a b
try_packets "$A" "$B_IN" 600
check "only a rekey heals it" flag "$A" stopped
check "for it is ahead for ever" is_ahead
stop b KILL
sed -i 's/^reqid = .*/reqid = 4711/' "$TMP/a.conf"
check "the filter leaves it out" reload a
check "it is not the cluster's" busywait 10000 flag "$A" unmanaged
check "what that means is said" busywait 20000 logged a "SAs that peers were told of are not the cluster's any more"
try_packets "$A" "$B_IN" 600
check "it is not let go by that" flag "$A" stopped
check "for the other one may still go on" is_ahead

stop a
check "every daemon ended cleanly" ended_cleanly
