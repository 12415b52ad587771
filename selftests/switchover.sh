#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A planned takeover: not one number is left out and none is used twice, whatever dies in the
# middle; in the end one of the two is active and carries traffic.
#
#   P 192.0.3.2 ===== tunnels ===== 192.0.3.1 A or B, 192.0.2.1 --- TLS --- 192.0.2.2
# timeout: 1200

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 193

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
sed -i 's/^dead_ms = .*/&\nanswer_ms = 60000/' "$TMP/a.conf" "$TMP/b.conf"
# A disk of its own, which can be full.
mkdir "$TMP/b.state"
mount -t tmpfs -o size=32k none "$TMP/b.state"
later umount "$TMP/b.state"
start_sink "$P" "$TMP/p"
start_sink "$A" "$TMP/a"
start_sink "$B" "$TMP/b"

# A node that hangs shall not have a whole snapshot in its socket.
for ns in "$A" "$B"; do
	in_ns "$ns" sysctl -qw net.ipv4.tcp_wmem="4096 16384 16384" net.ipv4.tcp_rmem="4096 16384 16384"
done
tunnel "$A" "$P" link=1 window=128
carry "$A"
check "a pair" both_start a b

sent=0
carries() { # NS FILE: both ways, and the peer sees no number left out
	sent=$((sent + 20))
	send_and_count "$1" 10.2.0.1 20 "$TMP/p" && send_and_count "$P" 10.1.0.1 20 "$2"
}
no_jump() { [ "$(sa_seq "$P" "$B_OUT" "$A_SPI")" -eq "$sent" ]; }
out_is() { oseq_is "$1" "$B_OUT" "$A_SPI" "$2"; } # NS N
above() { [ "$(sa_oseq "$1" "$B_OUT" "$A_SPI")" -gt "$2" ]; } # NS N
asked_more() { [ "$(grep -c "to hand over" "$TMP/$1.log")" -gt "$2" ]; } # NAME N
in_seq() { sa_seq "$1" "$A_OUT" "$B_SPI"; }
# A number that comes again is a replay; one that has left the window counts as that; and one
# so old that another high half is inferred for it (ESN) does not authenticate.
none_refused() { # NS DST SPI: it is there, and refused no packet
	local said

	said=$(ip -n "$1" -s xfrm state get dst "$2" proto esp spi "$3") || return
	grep "replay-window.*failed" <<<"$said"
	grep -Eq "replay-window 0 +replay 0 +failed 0$" <<<"$said"
}
no_replay() { none_refused "$P" "$B_OUT" "$A_SPI"; }

# --- there and back -------------------------------------------------------------------

check "traffic through A" carries "$A" "$TMP/a"
from=a to=b
for n in 1 2 3 4; do
	check "in step, $n" wait_step $from $to
	check "planned, $n" ask $to takeover
	check "$n: exactly where the other one ended" out_is "${node_ns[$to]}" $sent
	check_equal "$n: the window, too" "$(in_seq "${node_ns[$from]}")" "$(in_seq "${node_ns[$to]}")"
	carry "${node_ns[$to]}"
	check "$n: traffic" carries "${node_ns[$to]}" "$TMP/$to"
	check "$n: no number is left out" no_jump
	swap=$from from=$to to=$swap
done
check "in step" wait_step a b
check "the numbers are not used up by it" out_is "$B" $(((1 << 30) + 65536))
check "both sides have written how it ended" busywait 20000 logged a "the hand-over is complete"
check "who took, too" busywait 20000 logged b "handed over"

# --- what an idle SA has used, and whose the policies are ---------------------------------

idle=(src 192.0.3.1 dst 192.0.3.8 proto esp spi 0x7000 reqid 7 mode tunnel flag esn
	replay-window 128 replay-oseq 0xf0000000 aead 'rfc4106(gcm(aes))' "$(key 20 idle)" 128)
ip -n "$A" xfrm state add "${idle[@]}"
rule=(src 10.5.0.0/16 dst 10.6.0.0/16 dir out)
ip -n "$A" xfrm policy add "${rule[@]}" tmpl src 192.0.3.1 dst 192.0.3.8 proto esp reqid 7 mode tunnel
check "an idle SA with a high number" wait_step a b
stop b
start b
check "the standby's daemon restarts" wait_step a b
check "it takes over" ask b takeover
check "the SA is safe" wait_step b a
check "on the new active, too" status b "s['unsafe_total'] == 0"
ip -n "$B" xfrm policy update "${rule[@]}" tmpl src 192.0.3.1 dst 192.0.3.8 proto esp spi 0x7000 \
	reqid 7 mode tunnel
follows() { ip -n "$A" xfrm policy get "${rule[@]}" | grep -q 0x00007000; }
check "what the new active does with a policy, the old one follows" busywait 20000 follows
check "without a conflict" wait_step b a
ip -n "$B" xfrm policy delete "${rule[@]}"
ip -n "$B" xfrm state delete dst 192.0.3.8 proto esp spi 0x7000
check "also its end" busywait 20000 policies_are "$A" 3
check "back again" ask a takeover
check "to the first one" wait_step a b

# --- under traffic --------------------------------------------------------------------

background ip netns exec "$P" bash -c 'exec 3<>/dev/udp/10.1.0.1/9; while printf x >&3; do :; done'
flood=$BG_PID
check "planned under traffic" ask b takeover
carry "$B"
check "filled under traffic" busywait 20000 status a "s['role'] == 'standby' and s['ready']"
kill "$flood"
wait "$flood" 2>/dev/null
check "nobody saw a replay" none_refused "$B" "$A_OUT" "$B_SPI"
sent=$(sa_oseq "$B" "$B_OUT" "$A_SPI")
check "traffic goes on" carries "$B" "$TMP/b"
check "back" busywait 20000 ask a takeover
carry "$A"
check "traffic through A again" carries "$A" "$TMP/a"
check "without a leap" no_jump

# --- hung daemons ----------------------------------------------------------------------

# The processes hang one after the other here: that shall not end a connection.
set_dead() { # MS
	sed -i "s/^dead_ms = .*/dead_ms = $1/" "$TMP/a.conf" "$TMP/b.conf"
	reload a
	reload b
}

set_dead 60000

# What is asked of the daemon meanwhile, waits for it.
check "in step, with that" wait_step a b
kill -STOP "${pid[a]}"
waits=$(grep -c "to hand over" "$TMP/b.log") took=$(grep -c "handed over" "$TMP/b.log")
read_again=$(reloads b)
ask b takeover --timeout 200 >"$TMP/asked" 2>&1 &
asked=$!
check "a takeover waits for the active" busywait 20000 asked_more b "$waits"
kill -HUP "${pid[b]}"
kill -CONT "${pid[a]}"
check "its configuration is read again then: it takes over all the same" wait $asked
check_equal "by a hand-over" $((took + 1)) "$(grep -c "handed over" "$TMP/b.log")"
check "and the configuration is read again" busywait 20000 reloads_are_more b "$read_again"
check "in step after that" wait_step b a
check "back again after that" ask a takeover
check "in step as before" wait_step a b
carry "$A"

b_has_asked() { # A has B's wish, and hangs; and so does B
	waits=$(grep -c "to hand over" "$TMP/b.log")
	kill -STOP "${pid[a]}"
	ask b takeover --timeout 200 >"$TMP/asked" 2>&1 &
	asked=$!
	busywait 20000 asked_more b "$waits"
	kill -STOP "${pid[b]}"
}
# Bytes that the one has written and the other one, which hangs, has not read.
on_the_way() { # FROM TO
	{
		in_ns "${node_ns[$1]}" ss -Htn state established | awk '{ print $2 }'
		in_ns "${node_ns[$2]}" ss -Htn state established | awk '{ print $1 }'
	} | awk '{ n += $1 } END { print n + 0 }'
}
more_on_the_way() { # FROM TO BYTES
	local bytes

	bytes=$(on_the_way "$1" "$2")
	[ "$bytes" -gt "$3" ] || [ "$bytes" -gt 4096 ] || { echo "$bytes"; return 1; }
}
# If only that it lives: what it said before is on its way. Nothing is added to a snapshot that
# does not fit, and that begins with who is active.
says_more() { # FROM TO
	busywait 20000 more_on_the_way "$1" "$2" "$(on_the_way "$1" "$2")"
}
a_gives() { # its last word is on its way to B, which does not hear it yet
	kill -CONT "${pid[a]}"
	busywait 20000 role_is a standby && says_more a b
}
traffic() { # NAME: through that one, both ways
	carry "${node_ns[$1]}"
	send_and_count "${node_ns[$1]}" 10.2.0.1 20 "$TMP/p" &&
		send_and_count "$P" 10.1.0.1 20 "$TMP/$1" && numbers=$(sa_oseq "${node_ns[$1]}" "$B_OUT" "$A_SPI")
}
reinstall() { # NAME
	find "$TMP/$1.state" -type f -delete
	nl "${node_ns[$1]}" role-set none >/dev/null
	ip -n "${node_ns[$1]}" xfrm state flush
	ip -n "${node_ns[$1]}" xfrm policy flush
}
epoch_of() { # NAME
	py value "s['epoch']" "$(ask "$1" status --json)"
}
same_epoch() { [ "$(epoch_of a)" = "$(epoch_of b)" ] && status a "s['peers'][0]['state'] != 'disconnected'"; }

no_sa_is_used() {
	ask a takeover && status a "s['unsafe_total'] == s['managed'] and s['managed'] > 0"
}

# --- refused --------------------------------------------------------------------------

check "a and b are in step" wait_step a b
ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.9 proto esp spi 0x7100 reqid 7 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 held)" 128
check "an SA of A" busywait 20000 sas_are "$B" 3
nl "$A" bind -- family=2 dst=192.0.3.9 spi=$((0x7100)) proto=50 flags=fenced >/dev/null
check "is not safe to use there" busywait 20000 status a "s['unsafe_total'] == 1"
kill -STOP "${pid[a]}"
waits=$(grep -c "to hand over" "$TMP/b.log")
ask b takeover >"$TMP/asked" 2>&1 &
asked=$!
check "B waits for A" busywait 20000 asked_more b "$waits"
waits=$(grep -c "to hand over" "$TMP/b.log")
check "and is told to stay" busywait 300 ask b standby
wait $asked
kill -CONT "${pid[a]}"
check "A hears the refusal, and goes on" busywait 20000 logged a "refuses to take over"
check "what was fenced is fenced still" is_fenced "$A" 192.0.3.9 0x7100
ip -n "$A" xfrm state delete dst 192.0.3.9 proto esp spi 0x7100
check "in step again" wait_step a b
check "A carries traffic" carries "$A" "$TMP/a"
check "nothing is left out" no_jump

# --- the disk of the one that takes is full ------------------------------------------------

dd if=/dev/zero of="$TMP/b.state/fill" bs=4096 count=64 2>/dev/null
check_fails "B's disk is full: it does not take over" ask b takeover
check "and says so: A is active again" busywait 20000 role_is a active
rm "$TMP/b.state/fill"
check "in step, once more" wait_step a b
check "traffic through A" carries "$A" "$TMP/a"
check "without a leap, too" no_jump

# --- the one that asked dies ----------------------------------------------------------

kill -STOP "${pid[a]}"
waits=$(grep -c "to hand over" "$TMP/b.log")
ask b takeover >"$TMP/asked" 2>&1 &
asked=$!
check "B asks once more" busywait 20000 asked_more b "$waits"
stop b KILL
wait $asked
kill -CONT "${pid[a]}"
check "A gives, and hears nothing" busywait 20000 status a "s['role'] == 'standby' or
	s['peers'][0]['state'] == 'disconnected'"
start b
check "B comes back in the old epoch: A is active again" busywait 20000 status a "s['role'] == 'active'"
check "and fills it" wait_step a b
check "A carries traffic, still" carries "$A" "$TMP/a"
check "and nothing is left out" no_jump

# --- a daemon dies in the middle, and another one starts ----------------------------------

check "in step" wait_step a b
check "traffic through A" traffic a

b_has_asked
check "1: A gives" a_gives
stop b KILL
wait $asked
stop a KILL
start a
check "1: dead as well, and started anew: silence proves nothing" busywait 20000 role_is a standby
start b
check "1: B never took it: A goes on" busywait 60000 role_is a active
check "1: in step" wait_step a b
check "1: past all that B could use" above "$A" "$numbers"
check "1: traffic" traffic a

b_has_asked
check "2: A gives" a_gives
stop a KILL
start a
check "2: a new daemon is standby" busywait 20000 role_is a standby
kill -CONT "${pid[b]}"
wait $asked
check "2: B took it, unheard: A follows" wait_step b a
check "2: B goes on at the exact number" out_is "$B" "$numbers"
check "2: traffic" traffic b
check "2: back" ask a takeover
check "2: in step" wait_step a b
check "2: traffic through A" traffic a

b_has_asked
check "2, again: A gives" a_gives
stop b KILL
wait $asked
reinstall b
start b
check "2, again: B has lost its disk, and follows" busywait 20000 same_epoch
check "2, again: what it used, nobody knows: A does not go on by itself" role_is a standby
check "2, again: it does when it is told to" ask a takeover
check "2, again: in step" wait_step a b
check "2, again: past all that B could use" above "$A" "$numbers"
check "2, again: traffic" traffic a

b_has_asked
check "3: A gives" a_gives
stop a KILL
start a
check "3: a new daemon is standby" busywait 20000 role_is a standby
check "3: told to go on without B" ask a takeover
down=$(grep -c "stepping down" "$TMP/a.log")
kill -CONT "${pid[b]}"
wait $asked
check "3: B, late, has the lower epoch: A stays" wait_step a b
check_equal "3: and did not step down" "$down" "$(grep -c "stepping down" "$TMP/a.log")"
check "3: A leaves out what was given" above "$A" $((numbers + 65536))
check "3: traffic" traffic a

b_has_asked
check "4: A gives" a_gives
kill -STOP "${pid[a]}"
kill -CONT "${pid[b]}"
check "4: B takes it" wait $asked
stop b KILL
start b
check "4: dies, and a new daemon is active" busywait 20000 role_is b active
kill -CONT "${pid[a]}"
check "4: A follows" wait_step b a
check "4: B is at the exact number" out_is "$B" "$numbers"
check "4: traffic" traffic b
check "4: back" ask a takeover
check "4: in step" wait_step a b
check "4: traffic through A" traffic a

# Between the disk and the kernel: B's epoch is stored, and not in force.
b_has_asked
check "5: A gives" a_gives
stop b KILL
wait $asked
sed -i "s/^epoch .*/epoch $(($(sed -n 's/^epoch //p' "$TMP/b.state/state") + 1))/; s/^node .*/node 2/
	s/^role .*/role active/; s/^boot_id .*/boot_id $(cat /proc/sys/kernel/random/boot_id)/" "$TMP/b.state/state"
start b
check "5: B had stored it: its new daemon goes on" busywait 60000 role_is b active
check "5: A follows" wait_step b a
check "5: safely" status b "s['unsafe_total'] == 0"
check "5: past all that A used" above "$B" "$numbers"
# As after a crash: its window is led by a guard.
carry "$B"
check "5: traffic" send_and_count "$B" 10.2.0.1 20 "$TMP/p"
check "5: back" ask a takeover
check "5: in step" wait_step a b
carry "$A"
check "5: traffic through A" send_and_count "$A" 10.2.0.1 20 "$TMP/p"
check "no number was seen twice" no_replay

# --- it dies before it has filled the one that gave --------------------------------------

# More than its socket holds is still to come.
filled() { grep -c "in step with it" "$TMP/a.log"; }
many=$(key 18 many)
for ((n = 1000; n < 1300; n++)); do
	echo "xfrm state add src 192.0.3.1 dst 192.0.4.1 proto esp spi $((0x8000 + n)) reqid 7 mode tunnel" \
		"aead rfc4106(gcm(aes)) $many$n 128"
done | ip -n "$A" -batch -
check "6: many SAs" busywait 20000 sas_are "$B" 302
check "6: in step" wait_step a b
b_dies_unheard() { # NUMBER
	before=$(filled)
	b_has_asked
	check "$1: A gives" a_gives
	kill -STOP "${pid[a]}"
	kill -CONT "${pid[b]}"
	check "$1: B takes it" wait $asked
	# The answer comes before the peers are told.
	check "$1: it is active" role_is b active
	check "$1: and has said so" says_more b a
	stop b KILL
	epoch=$(sed -n 's/^epoch //p' "$TMP/b.state/state")
	kill -CONT "${pid[a]}"
	check "$1: A hears of it" busywait 20000 status a "s['epoch'] == $epoch and
		s['peers'][0]['state'] != 'synced'"
	check_equal "$1: and was not filled" "$before" "$(filled)"
	check "$1: A takes over again" ask a takeover
}
b_dies_unheard 6
check "6: its SAs stand past what it gave: none is fenced" status a "s['unsafe_total'] == 0"
check "6: traffic" send_and_count "$A" 10.2.0.1 20 "$TMP/p"
check "6: no number was seen twice" no_replay
start b
check "6: in step" wait_step a b
sed -i 's/^heartbeat_ms/guard = strict\n&/' "$TMP/a.conf" "$TMP/b.conf"
reload a
reload b
check "7: strict, in step" wait_step a b
b_dies_unheard 7
check "7: what B delivered could be replayed: all are fenced" status a "s['unsafe_total'] == s['managed']"
check "7: until the operator says otherwise" ask a takeover --force-unsafe
start b
check "7: in step" wait_step a b
b_has_asked
check "7, over: A gives" a_gives
stop a KILL
kill -CONT "${pid[b]}"
check "7, over: B takes it, unheard" wait $asked
check "7, over: and is told to be standby" ask b standby
start a
check "7, over: A hears that B was active" busywait 20000 same_epoch
check "7, over: what B delivered could be replayed: all are fenced" no_sa_is_used
check "7, over: until the operator says otherwise" ask a takeover --force-unsafe
check "7, over: in step" wait_step a b
sed -i '/^guard = strict/d' "$TMP/a.conf" "$TMP/b.conf"
set_dead 3000
check "as before" wait_step a b

# It steps down, and wants to be active again before it was filled, or has said what it sent.
apart() { status a "s['peers'][0]['state'] != 'synced'" && status b "s['peers'][0]['state'] != 'synced'"; }
ip -n "$A" link set xs0 down
check "8: the link is cut" busywait 60000 apart
check "8: B takes over" ask b takeover
carry "$B"
check "8: and sends" send_and_count "$B" 10.2.0.1 20 "$TMP/p"
was=$(sa_oseq "$B" "$B_OUT" "$A_SPI")
for n in 1 2; do
	ask a standby >/dev/null
	check "8: A is told to be active, $n" ask a takeover
done
ip -n "$A" link set xs0 up
check "8: B hears of it" busywait 60000 status b "s['peers'][0]['role'] == 'active' and s['role'] == 'standby'"
check "8: and is told to take over at once" ask b takeover
check "8: nothing that it sent comes again" above "$B" $((was - 1))
check "8: traffic through B" send_and_count "$B" 10.2.0.1 20 "$TMP/p"
check "8: no number was seen twice" no_replay
check "8: in step" wait_step b a
check "8: back" ask a takeover
carry "$A"
ip -n "$A" xfrm state deleteall src 192.0.3.1 dst 192.0.4.1
check "8: as before" wait_step a b

# --- the link goes in the middle ------------------------------------------------------

kill -STOP "${pid[a]}"
ip -n "$A" link set xs0 down
check "the link is cut: B takes over without A" ask b takeover --timeout 200
kill -CONT "${pid[a]}"
carry "$B"
check "B carries traffic" send_and_count "$B" 10.2.0.1 20 "$TMP/p"
ip -n "$A" link set xs0 up
check "the link is back: A is its standby" wait_step b a

# --- who takes over dies right after it -------------------------------------------------

was=$(sa_oseq "$B" "$B_OUT" "$A_SPI")
check "A takes over" ask a takeover
stop a KILL
ip -n "$A" link set out down
check "A is dead: B is active at once" ask b takeover
check "past all that A could send" above "$B" $((was + (1 << 25)))
check "safely" status b "s['unsafe_total'] == 0"
carry "$B"
check "B carries the traffic" send_and_count "$B" 10.2.0.1 20 "$TMP/p"
start a
check "A comes back and follows" wait_step b a

# --- who gave is dead before it is told -------------------------------------------------

check "A takes over once more" ask a takeover
stop b KILL
carry "$A"
check "A alone carries traffic" send_and_count "$A" 10.2.0.1 20 "$TMP/p"
start b
check "B comes back and follows" wait_step a b

# --- both are told to be active -----------------------------------------------------------

ip -n "$A" link set xs0 down
check "the link is cut" busywait 60000 apart
check "B takes over" ask b takeover
carry "$B"
check "and sends" send_and_count "$B" 10.2.0.1 20 "$TMP/p"
was=$(sa_oseq "$B" "$B_OUT" "$A_SPI")
for n in 1 2; do
	ask a standby >/dev/null
	check "A is told to be active, $n" ask a takeover
done
carry "$A"
ip -n "$A" link set xs0 up
check "A has the higher epoch: B is its standby" wait_step a b
check "A leaves out what B has sent" above "$A" $((was - 1))
check "A carries the traffic of both" send_and_count "$A" 10.2.0.1 20 "$TMP/p"
check "all is safe" status a "s['unsafe_total'] == 0"

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
