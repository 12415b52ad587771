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
plan 74

here=$(dirname "$0")
ROOM=65536		# beyond what may be used: kmod/lease.h

need_tool
check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
start_sink "$P" "$TMP/p"

nl() { "$here/nl.py" -n "$@"; } # NS COMMAND...
stat_of() { nl "$1" stats | sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p"; } # NS NAME
bind() { # NS NAME=VALUE...: of A's outbound SA
	nl "$1" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 "${@:2}" 2>&1
}
flag() { # NS FLAG: of the same
	nl "$1" get family=2 dst="$B_OUT" spi="$A_SPI" proto=50 | grep -q "\"$2\""
}
oseq() { sa_oseq "$1" "$B_OUT" "$A_SPI"; } # NS
try_packets() { # NS ADDRESS N: what cannot be sent is not
	# shellcheck disable=SC2016 # the inner shell's arguments
	in_ns "$1" bash -c 'exec 3>"/dev/udp/$1/9" || exit
		for ((i = 0; i < $2; i++)); do printf x >&3; done' _ "$2" "$3" 2>/dev/null
}

# --- the kernel -----------------------------------------------------------------------

tunnel "$A" "$P" link=1 window=128
nl "$A" role-set active 1 1 >/dev/null
ip -n "$A" xfrm monitor expire >"$TMP/expire" &
lib_pids+=($!)
check "a lease of 16 numbers" bind "$A" lease-end=$((ROOM + 16))
try_packets "$A" "$B_IN" 30
check "16 arrive" busywait 10000 delivered_is "$TMP/p" 16
check_equal "the counter is at the end" 16 "$(oseq "$A")"
check "its record says so" flag "$A" stopped
check_equal "it is counted" 1 "$(stat_of "$A" leases-ended)"
check_equal "a rekey was asked for, at three quarters" 1 "$(stat_of "$A" leases-low)"
check "by an event that IKE daemons know" busywait 10000 grep -q "hard 0" "$TMP/expire"
check "a shorter one is refused" grep -q '"lease"' <(bind "$A" lease-end=$((ROOM + 8)))
check "the same one changes nothing" bind "$A" lease-end=$((ROOM + 16))
try_packets "$A" "$B_IN" 3
check_equal "no number was drawn" 16 "$(oseq "$A")"
check "more is granted" bind "$A" lease-end=$((ROOM + 40))
check "it goes on by itself" send_and_count "$A" "$B_IN" 20 "$TMP/p"
check_fails "it is stopped no more" flag "$A" stopped
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
for ns in "$A" "$P"; do
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
done

# --- large segments: no packet is cut in two ---------------------------------------------

modprobe -q esp4_offload
tunnel "$A" "$P" link=1 window=128
check "a lease under TCP" bind "$A" lease-end=$((ROOM + 100))
results /usr/bin/python3 "$here/lease.py" kernel "$A" "$P" "$A_SPI" $((ROOM + 100))
nl "$A" role-set none >/dev/null
check_fails "without a role nothing is stopped" flag "$A" stopped
check "and it goes on" send_and_count "$A" "$B_IN" 5 "$TMP/p"
for ns in "$A" "$P"; do
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
done

# --- two nodes ------------------------------------------------------------------------

make_ca ca
make_cert ca a a
make_cert ca b b
make_conf a "$A" 1 192.0.2.1 b 192.0.2.2
make_conf b "$B" 2 192.0.2.2 a 192.0.2.1
sed -i 's/^\[sync\]/&\nlease_esn_log2 = 8/' "$TMP/a.conf" "$TMP/b.conf"
tunnel "$A" "$P" link=1 window=128 spi=0x2000
check "a pair, leases of 256" both_start a b
is_ahead() { [ "$(oseq "$B")" -ge $(($(oseq "$A") + ROOM)) ]; }
check "the standby is ahead of all that may be used" is_ahead
stops=$(stat_of "$A" leases-ended)

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
check "it is renewed again and again, the standby always ahead" paced 5
check_equal "it never stopped" "$stops" "$(stat_of "$A" leases-ended)"

kill -STOP "${pid[b]}"
try_packets "$A" "$B_IN" 600
check "the standby stands still: the active stops at the end" busywait 10000 flag "$A" stopped
check "with the standby ahead" is_ahead
kill -CONT "${pid[b]}"
check "it acknowledges: the active goes on by itself" paced 2

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

sed -i 's/^\[peer b\]/[peer c]/' "$TMP/a.conf"
check "the active forgets its standby, by the operator's word" reload a
check "and says what that means" logged a "leases that a removed peer was offered"
try_packets "$A" "$B_IN" 600
check "what that one may take over is not renewed" busywait 10000 flag "$A" stopped
check "so it is ahead for ever" is_ahead

# restarted NAME COMMAND...: its daemon dies, that is done, and the next one goes round.
restarted() {
	stop "$1" KILL
	"${@:2}" && start "$1" && busywait 20000 role_is "$1" active
}
without_peers() { sed -i '/^\[peer /,/^address/d' "$TMP/a.conf"; }
with_b() { sed -i 's/^\[filter\]/[peer b]\naddress = 192.0.2.2\n\n&/' "$TMP/a.conf"; }
check "a new daemon, which nobody else has to acknowledge anything" restarted a without_peers
try_packets "$A" "$B_IN" 600
check "knows it: nothing is renewed" flag "$A" stopped
check "the removed one is still ahead" is_ahead

for ns in "$A" "$P"; do ip -n "$ns" xfrm state flush; done
tunnel "$A" "$P" link=1 window=128 spi=0x3000
check "it is a peer again" eval 'with_b && reload a'
check "and in step" wait_step a b
check "an SA that is made after all that is renewed" paced 2
check "the peer is removed while the daemon is down" restarted a without_peers
check "what that means is said" logged a "a removed peer may have been offered"
check "nothing is renewed" runs_out
check "that one is ahead" is_ahead
check "another daemon, and it is a peer again" restarted a with_b
check "in step, too" wait_step a b
try_packets "$A" "$B_IN" 600
check "only a rekey heals it" flag "$A" stopped
check "for it is ahead for ever" is_ahead

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
for ns in "$A" "$B"; do
	nl "$ns" role-set none >/dev/null
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
done
