#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The guard: what the dead node accepted after its last record is not accepted again, as far
# as the setting promises; what it costs; and windows of both sides after a split.
#
#   P 192.0.3.2 ===== ESP ===== 192.0.3.1 A or B, 192.0.2.1 --- TLS --- 192.0.2.2
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 330

here=$(dirname "$0")

check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"


tmpdir
modprobe -aq esp4 esp6 ah6 xfrm_user

# --- the kernel -----------------------------------------------------------------------

setup_ns K L
setup_veth "$K" "$L"
results /usr/bin/python3 "$here/guard.py" kernel "$K" "$L"
nl "$K" role-set none >/dev/null

# --- two gateways, and who hears what P sends -------------------------------------------

need_tool
setup_ns A B P
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
pair_confs "$A" "$B"
declare -A sink
start_sink "$A" "$TMP/at-a"
sink[a]=$BG_PID
start_sink "$B" "$TMP/at-b"
sink[b]=$BG_PID
: >"$TMP/heard"
nsenter --net="/run/netns/$P" /usr/bin/python3 "$here/hear.py" listen br0 "$TMP/heard" >"$TMP/listening" 2>&1 &
lib_pids+=($!)
check "somebody hears P" busywait 20000 grep -q listening "$TMP/listening"

heard() { py lines "$TMP/heard"; }
heard_is() { [ "$(heard)" -eq "$1" ]; }
say() { # N: P sends so many, and all were heard
	local want=$(($(heard) + $1))

	send_packets "$P" 10.1.0.1 "$1" && busywait 10000 heard_is "$want"
}
kernel_seq() { sa_seq "$1" 192.0.3.1 "$B_SPI"; } # NS
seq_is() { [ "$(kernel_seq "$1")" -eq "$2" ]; }  # NS N
at() { delivered "$TMP/at-$1"; }                 # a|b
# What was delivered is in the sink's file: nothing waits at its socket, and it waits for more.
# shellcheck disable=SC2016 # awk's
sunk() { # a|b NS
	in_ns "$2" awk '$2 ~ /:0009$/ { n++; full += $5 !~ /:00000000$/ } END { exit !n || full }' /proc/net/udp6 &&
		grep -q '^State:.S' "/proc/${sink[$1]}/status"
}
# What was accepted by XFRM is delivered, or dropped, before the next packet comes; a last
# one that is known to pass says that all before it are done with.
settled() { # NS a|b: by P's own next number
	busywait 10000 seq_is "$1" "$2"
}
replay() { in_ns "$P" /usr/bin/python3 "$here/hear.py" replay "$TMP/heard" "$1"; } # FROM
# replays NODE NS FROM: how many of those that were heard from FROM on are delivered again
replays() {
	local before all have

	before=$(at "$1")
	all=$(($(handled "$2") + $(heard) - $3))
	replay "$3"
	busywait 10000 handled_is "$2" "$all" >/dev/null || echo "not all were handled"
	busywait 10000 sunk "$1" "$2" >/dev/null || echo "the sink has not taken all"
	have=$(($(at "$1") - before))
	echo $have
}
# Packets that the SA took, or refused as seen.
handled() { py sa "$1" 192.0.3.1 esp "$B_SPI" '' packets+refused; }
handled_is() { [ "$(handled "$1")" -eq "$2" ]; }
# sa NAME PYTHON: an expression over s, what show says of the SA from P
sa() {
	local said

	said=$(ask "$1" show --json --spi "$B_SPI") && py is "(lambda s: $2)(s[0])" "$said"
}
held() { nl "${1:-$A}" stats | sed -n 's/.*"guard-held": \([0-9]*\).*/\1/p'; }

guard_conf() { # KEY=VALUE...
	local n arg

	for n in a b; do
		sed -i '/^guard/d' "$TMP/$n.conf"
		for arg in "$@"; do echo "$arg" >>"$TMP/$n.conf"; done
	done
}

running=''
end_all() {
	local n

	for n in $running; do stop "$n"; done
	running=''
	for n in "$A" "$B" "$P"; do
		ip -n "$n" xfrm state flush
		ip -n "$n" xfrm policy flush
	done
	for n in "$A" "$B"; do nl "$n" role-set none >/dev/null; done
	rm -rf "$TMP/a.state" "$TMP/b.state"
}

# fresh KEY=VALUE...: a pair in step, A active and with the address, new SAs.
spi=0x1000
fresh() {
	end_all
	guard_conf "$@"
	ip -n "$A" link set xs0 up
	carry "$A"
	spi=$((spi + 2))
	tunnel "$A" "$P" link=1 window=128 spi=$spi
	running="a b" first=$(heard)
	both_start a b && say 10 && settled "$A" $(($(sa_oseq "$P" 192.0.3.1 "$B_SPI"))) &&
		wait_step a b
}
idle() { busywait 20000 sa a "s['guard'] == $1" && wait_step a b; } # GUARD
crash() { # the active dies; the other one takes over, and has the address
	stop a KILL
	running=b
	ip -n "$A" link set xs0 down
	ip -n "$A" link set out down
	ask b takeover && carry "$B"
}
dies_unfilled() { # the active, after the other one's daemon
	stop b TERM
	stop a KILL
	running=b
	ip -n "$A" link set xs0 down
	ip -n "$A" link set out down
}
# lost [NODE NS]: how many of P's next packets the new active refuses before it takes one
lost() {
	local node=${1:-b} ns=${2:-$B} before all n

	before=$(at "$node")
	for ((n = 0; n < 200; n++)); do
		all=$(($(handled "$ns") + 1))
		say 1
		busywait 10000 handled_is "$ns" $all >/dev/null
		busywait 100 delivered_is "$TMP/at-$node" $((before + 1)) >/dev/null && break
	done
	echo $n
}
part() {
	ip -n "$A" link set xs0 down
	busywait 20000 status a "s['peers'][0]['state'] != 'synced'" &&
		busywait 20000 status b "s['peers'][0]['state'] != 'synced'"
}
heal() { ip -n "$A" link set xs0 up; wait_step "$@"; } # ACTIVE STANDBY
asked() { [ "$(grep -c "to hand over" "$TMP/b.log")" -gt "$1" ]; }
# gives_unheard LABEL: A gives all away, B takes it and delivers five packets that come late,
# which are those from FROM on; A does not hear of it.
gives_unheard() {
	local waits asking

	ip -n "$P" neigh replace 192.0.3.1 lladdr 02:00:00:00:00:99 nud permanent dev br0
	from=$(heard)
	check "$1: five packets that reach nobody" say 5
	ip -n "$P" neigh del 192.0.3.1 dev br0
	say 10
	check "$1: the next ones do" settled "$A" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
	check "$1: in step" wait_step a b
	waits=$(grep -c "to hand over" "$TMP/b.log")
	kill -STOP "${pid[a]}"
	ask b takeover --timeout 200 >"$TMP/asked" 2>&1 &
	asking=$!
	busywait 20000 asked "$waits"
	kill -STOP "${pid[b]}"
	kill -CONT "${pid[a]}"
	check "$1: the active gives all away" busywait 20000 role_is a standby
	ip -n "$A" link set xs0 down
	kill -CONT "${pid[b]}"
	check "$1: and does not hear that it was taken" wait $asking
	carry "$B"
	check_equal "$1: what comes late, the new active delivers" 5 "$(replays b "$B" "$from")"
}
# What A accepts while its daemon stands still, nobody was told of.
silent() { # N
	kill -STOP "${pid[a]}"
	from=$(heard)
	before=$(at a)
	say "$1" && settled "$A" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
}

# --- replayed after a crash -------------------------------------------------------------

check "off: a pair" fresh guard=off
check "off: 20 packets after the last record" silent 20
check "off: are delivered" busywait 10000 delivered_is "$TMP/at-a" $((before + 20))
check "off: the active dies" crash
check_equal "off: all of them are accepted again" 20 "$(replays b "$B" "$from")"
check_equal "off: no packet is lost" 0 "$(lost)"

check "available: a pair, guards of 40" fresh guard=available guard_min=40
check "available: its standby leads the window" busywait 10000 sa b "s['guard'] == 40 and s['seq'] == 50"
check "available: 20 packets after the last record" silent 20
check "available: are delivered" busywait 10000 delivered_is "$TMP/at-a" $((before + 20))
check "available: the active dies" crash
check_equal "available: none is accepted again" 0 "$(replays b "$B" "$from")"
check_equal "available: a sender loses what is left of the guard" 20 "$(lost)"
check "available: and nothing after that" send_and_count "$P" 10.1.0.1 50 "$TMP/at-b"

check "available: a pair, guards of 16" fresh guard=available guard_min=16
check "available: idle" idle 16
check "available: beyond the guard" silent 50
check "available: packets are delivered" busywait 10000 delivered_is "$TMP/at-a" $((before + 50))
check "available: the active dies" crash
check_equal "available: those can be replayed" 34 "$(replays b "$B" "$from")"
check_equal "available: no packet is lost" 0 "$(lost)"

check "strict: a pair" fresh guard=strict
results /usr/bin/python3 "$here/guard.py" watch "$A" "$B" "$P" "$B_SPI"
check "strict: guards of 32" idle 32
held=$(held)
check "strict: 50 packets after the last record" silent 50
check_equal "strict: those within the guard are delivered" $((before + 32)) "$(at a)"
check_equal "strict: the others are counted" $((held + 18)) "$(held)"
check "strict: the active dies" crash
check_equal "strict: those that were not delivered alone are accepted" 18 "$(replays b "$B" "$from")"
check_equal "strict: no number is accepted twice" 0 "$(replays b "$B" "$from")"

# --- what comes late ----------------------------------------------------------------------

p_draws_after() { # N: P's SA, made anew
	# shellcheck disable=SC2034 # lib_sa reads them
	local proto=esp mode=tunnel esn=1 window=128 encap=''

	ip -n "$P" xfrm state delete dst 192.0.3.1 proto esp spi "$B_SPI" &&
		lib_sa "$P" 192.0.3.2 192.0.3.1 "$B_SPI" &&
		nl "$P" restore -- family=2 dst=192.0.3.1 spi="$B_SPI" proto=50 \
			flags=esn,bmp oseq="$1" >/dev/null
}

check "late: a pair, guards of 40" fresh guard=available guard_min=40
check "late: 20 numbers are left out" p_draws_after 30
behind_them() { say 5 && settled "$A" 35 && wait_step a b; }
check "late: those behind them come" behind_them
kill -STOP "${pid[a]}"
p_draws_after 10
from=$(heard) before=$(at a)
say 20 >/dev/null
check "late: they come after the last record, and are delivered" \
	busywait 10000 delivered_is "$TMP/at-a" $((before + 20))
check "late: the active dies" crash
check_equal "late: none is accepted again" 0 "$(replays b "$B" "$from")"

# --- a standby's daemon that knows nothing ------------------------------------------------

runs() { status "$1" "s['daemon']"; }

check "unfilled: a pair" fresh guard=strict
check "unfilled: guards of 32" idle 32
dies_unfilled
start b
check "unfilled: a new daemon" busywait 20000 runs b
check "unfilled: takes over from a dead active" ask b takeover
carry "$B"
check_equal "unfilled: a sender loses the guard" 32 "$(lost)"
check "unfilled: and nothing after that" send_and_count "$P" 10.1.0.1 50 "$TMP/at-b"

check "alone: a pair" fresh guard=strict
check "alone: guards of 32" idle 32
dies_unfilled
check "alone: a dry run: what is not known it says" grep -q \
	"$B_SPI: use, .* guard not known, predicted loss not known" <(ask b takeover --dry-run)
check "alone: without a daemon it takes over" ask b takeover
start b
check "alone: a new daemon" busywait 20000 runs b
carry "$B"
check_equal "alone: a sender loses the guard" 32 "$(lost)"
check "alone: and nothing after that" send_and_count "$P" 10.1.0.1 50 "$TMP/at-b"
stop b TERM
start b
check "alone: also with the next daemon" busywait 20000 runs b
check "alone: it loses nothing" send_and_count "$P" 10.1.0.1 50 "$TMP/at-b"

check "restarted: a pair" fresh guard=strict
check "restarted: guards of 32" idle 32
packets_from_bash send "$P" 10.1.0.1 200 9 &
sending=$!
check "restarted: the other one takes over, under traffic" ask b takeover
wait $sending
carry "$B"
check "restarted: the first one follows" wait_step b a
stop a TERM
stop b KILL
running=a
ip -n "$B" link set xs0 down
ip -n "$B" link set out down
start a
check "restarted: a new daemon" busywait 20000 runs a
check "restarted: it takes over again" ask a takeover
carry "$A"
check "restarted: a sender loses no more than the guard" [ "$(lost a "$A")" -lt 100 ]
check "restarted: and nothing after that" send_and_count "$P" 10.1.0.1 50 "$TMP/at-a"
ip -n "$B" link set xs0 up

# --- before anybody looks -----------------------------------------------------------------

# Somebody else reads the stream: an active's daemon sees none of its SAs until that ends.
occupy() { # NS
	"$here/nl.py" -n "$1" pull >/dev/null &
	reader=$!
	lib_pids+=("$reader")
	busywait 20000 kernel_reader "$1"
}
vacate() { kill "$reader"; wait "$reader" 2>/dev/null; }
kernel_limit() { # NS
	nl "$1" get family=2 dst=192.0.3.1 spi=$((B_SPI)) proto=50 |
		sed -n 's/.*"guard-end": \([0-9]*\).*/\1/p'
}

check "hold: a pair" fresh guard=strict
check "hold: guards of 32" idle 32
seq=$(kernel_seq "$A")
check "hold: the active steps down" ask a standby
check "hold: nothing tells it of its SAs" occupy "$A"
check "hold: a dry run: it would deliver what the other one covers" plan_says a "not s('$B_SPI')['held'] and
	p['held'] == 0"
check "hold: it takes over again" ask a takeover
check_equal "hold: the limit is in force before it looks" $((seq + 32)) "$(kernel_limit "$A")"
before=$(at a) held=$(held)
say 50
check "hold: packets are accepted" settled "$A" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
check_equal "hold: and delivered up to it" $((before + 32)) "$(at a)"
check_equal "hold: the others are counted" $((held + 18)) "$(held)"
vacate
check "hold: it looks" wait_step a b
check "hold: on it goes" send_and_count "$P" 10.1.0.1 20 "$TMP/at-a"
check "hold: in step" wait_step a b
check "hold: nothing tells the other one of its SAs" occupy "$B"
check "hold: a dry run: it would deliver nothing at first" plan_says b "s('$B_SPI')['held'] and
	s('$B_SPI')['predicted_loss'] is None and
	p['unpredicted'] == p['held'] == sum(sa['held'] for sa in p['sas'])"
check "hold: people read it" grep -q "$B_SPI: use, held until .* predicted loss not known" \
	<(ask b takeover --dry-run)
check "hold: which takes over, planned" ask b takeover
check_equal "hold: both have the same record" "$(kernel_seq "$A")" "$(kernel_limit "$B")"
carry "$B"
before=$(at b)
say 10
check "hold: what comes is accepted" settled "$B" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
check_equal "hold: and not delivered" "$before" "$(at b)"
vacate
check "hold: until the other one follows" wait_step b a
check "hold: then it is" send_and_count "$P" 10.1.0.1 10 "$TMP/at-b"

# --- given away, unheard ------------------------------------------------------------------

check "given: a pair" fresh guard=strict
check "given: guards of 32" idle 32
gives_unheard "given"
check "given: the old one takes over again" ask a takeover
carry "$A"
check_equal "given: and does not" 0 "$(replays a "$A" "$from")"
xfrm_monitor "$A" "$TMP/expire" expire
say 20
rekey_asked() { sed -n "/spi $B_SPI/,/hard/p" "$TMP/expire" | grep -q "hard 0"; }
check "given: what waits for the dead one shall be rekeyed" busywait 20000 rekey_asked

# --- not for the first time, and without a daemon -------------------------------------------

# What others cover, a daemon alone learns.
holds_all() { # a|b NS: 50 packets are accepted, and none of them is delivered
	local before have

	before=$(at "$1") have=$(held "$2")
	say 50
	settled "$2" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")" &&
		echo "delivered $(($(at "$1") - before)), held $(($(held "$2") - have))"
}

check "own: a pair" fresh guard=strict
check "own: guards of 32" idle 32
check "own: the active steps down" ask a standby
stop a
running=b
check "own: a dry run, without a daemon: what it would use" plan_says a "p['unsafe'] == 0 and
	p['safe'] == 2 and s('$B_SPI')['action'] == 'use'"
check "own: and hold" plan_says a "s('$B_SPI')['held'] and s('$B_SPI')['guard'] == 0 and
	s('$B_SPI')['predicted_loss'] is None"
check "own: and takes over again, without a daemon" ask a takeover
check_equal "own: it delivers nothing" "delivered 0, held 50" "$(holds_all a "$A")"
start a
running="a b"
check "own: until a daemon, and the other node, follow" wait_step a b
check "own: then it goes on" send_and_count "$P" 10.1.0.1 20 "$TMP/at-a"

check "third: a pair" fresh guard=strict
check "third: guards of 32" idle 32
dies_unfilled
running=''
printf '\n[peer c]\naddress = 192.0.2.3\n' >>"$TMP/b.conf"
check "third: a dry run, without a daemon: by how much its window is led is not known" plan_says b \
	"s('$B_SPI')['guard'] is None and s('$B_SPI')['predicted_loss'] is None and s('$B_SPI')['held']"
check "third: with another peer, without a daemon, it takes over" ask b takeover
carry "$B"
check "third: a sender is past the guard" say 40
# Of the 32 that its window is led by nothing is accepted, so nothing is held.
check "third: and is heard" busywait 10000 seq_is "$B" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
check_equal "third: it delivers nothing" "delivered 0, held 50" "$(holds_all b "$B")"
sed -i '/^\[peer c\]/,/^address = 192.0.2.3/d' "$TMP/b.conf"

check "given, alone: a pair" fresh guard=strict
check "given, alone: guards of 32" idle 32
gives_unheard "given, alone"
stop a
running=b
check "given, alone: the old one takes over again, without a daemon" ask a takeover
carry "$A"
held=$(held)
check_equal "given, alone: and does not" 0 "$(replays a "$A" "$from")"
check_equal "given, alone: nor accepts it" "$held" "$(held)"
check_equal "given, alone: it delivers nothing" "delivered 0, held 50" "$(holds_all a "$A")"

# --- delivered unheard, and forgotten -------------------------------------------------------

knows() { # that the SAs are not safe, and the other one is filled
	busywait 20000 status a "s['role'] == 'active' and s['peers'][0]['state'] == 'synced' and
		s['unsafe_total'] == 2"
}

check "forgot: a pair" fresh guard=strict
check "forgot: guards of 32" idle 32
check "forgot: the link is cut" part
check "forgot: the other node takes over, unheard" ask b takeover
carry "$B"
from=$(heard) before=$(at b)
check "forgot: packets come" say 100
check "forgot: it delivers those beyond the guard" \
	busywait 10000 delivered_is "$TMP/at-b" $((before + 68))
stop b KILL
nl "$B" role-set none >/dev/null
ip -n "$B" xfrm state flush
sed -i 's/^boot_id .*/boot_id another/' "$TMP/b.state/state"
start b
check "forgot: it is rebooted" busywait 20000 status b "s['role'] == 'standby'"
carry "$A"
check "forgot: the first one is told to stay" ask a takeover
ip -n "$A" link set xs0 up
check "forgot: the link is back" knows
held=$(held)
check_equal "forgot: what the other one delivered, it does not" 0 "$(replays a "$A" $((from + 80)))"
check_equal "forgot: it is counted" $((held + 20)) "$(held)"
check "forgot: the other one is told of it, and covers it" \
	busywait 10000 sa b "s['seq'] >= $(kernel_seq "$A")"
check_equal "forgot: that makes no difference" 0 "$(replays a "$A" $((from + 60)))"
stop a
start a
check "forgot: its next daemon" knows
check_equal "forgot: nor that" 0 "$(replays a "$A" "$from")"
check "forgot: until the operator says otherwise" ask a takeover --force-unsafe
check "forgot: in step" wait_step a b
check "forgot: on it goes" send_and_count "$P" 10.1.0.1 20 "$TMP/at-a"

# --- a slow sender ----------------------------------------------------------------------

check "slow: a pair, guards of 12" fresh guard=available guard_min=12
check "slow: the guard is small" idle 12
check "slow: the active dies" crash
check_equal "slow: a sender of single packets loses the guard" 12 "$(lost)"
check "slow: and no more" send_and_count "$P" 10.1.0.1 20 "$TMP/at-b"

check "predicted: a pair, guards of 40" fresh guard=available guard_min=40
check "predicted: the guard is announced" idle 40
check "predicted: planned, nothing would be lost" busywait 10000 plan_says b \
	"p['would'].startswith('ask') and s('$B_SPI')['guard'] == s('$B_SPI')['predicted_loss'] == 0"
check "predicted: the link is cut" part
check "predicted: by a crash, the guard" busywait 20000 plan_says b \
	"s('$B_SPI')['guard'] == s('$B_SPI')['predicted_loss'] == 40"
# An SA that has neither sent nor received has no direction yet, and may lose a guard.
check "predicted: the sum has it" plan_says b "p['predicted_loss'] >= 40 and p['unpredicted'] == 0 and
	p['predicted_loss'] == sum(sa['predicted_loss'] for sa in p['sas']) and
	p['held'] == p['rekeyed'] == 0"
check "predicted: people read it" grep -q "$B_SPI: use, jump .*, guard 40, predicted loss 40" \
	<(ask b takeover --dry-run)
check "predicted: and the sum" grep -q "in sum: 2 SAs are safe, 0 not; .*predicted loss [48]0 packets" \
	<(ask b takeover --dry-run)
check "predicted: the active dies" crash
check_equal "predicted: a sender of single packets loses that many" 40 "$(lost)"
check "predicted: and no more" send_and_count "$P" 10.1.0.1 20 "$TMP/at-b"

check "planned: a pair, guards of 40" fresh guard=available guard_min=40
check "planned: a takeover" ask b takeover
carry "$B"
check_equal "planned: nothing is lost" 0 "$(lost)"
check_equal "planned: nothing is accepted twice" 0 "$(replays b "$B" "$first")"

# --- idle, then a burst -----------------------------------------------------------------

check "burst: a pair" fresh guard=available
check "burst: idle, there is no guard" idle 0
check "burst: its window is the active's" busywait 10000 seq_is "$B" "$(kernel_seq "$A")"
kill -STOP "${pid[b]}"
before=$(at a)
check "burst: 40 packets" say 40
check "burst: are delivered" busywait 10000 delivered_is "$TMP/at-a" $((before + 40))
check "burst: and exposed, which is told" busywait 10000 status a "s['exposed'] == 1"
# Two seconds after a burst its guard goes, however long the question takes.
told_apart() { say 5 && sa a "s['exposed'] and s['guard'] > 0 and s['guard_limit'] < s['seq']"; }
check "burst: SA by SA" busywait 20000 told_apart
kill -CONT "${pid[b]}"
check "burst: until they are acknowledged" busywait 10000 status a "s['exposed'] == 0"
covered() { say 5 && busywait 1000 sa a "s['guard_limit'] >= s['seq'] + 5"; }
check "burst: the next one has a guard that is large enough" busywait 20000 covered
check "burst: which goes when it is idle again" idle 0
check "burst: another one, of which nobody was told" silent 40
check "burst: the active dies" crash
check_equal "burst: it can be replayed" 40 "$(replays b "$B" "$from")"

# --- packets that come to the standby -----------------------------------------------------

check "strays: a pair" fresh guard=available
check "strays: idle" idle 0
from=$(heard)
carry "$B"
fenced() { nl "$B" stats | grep -q '"fenced-in": 20'; }
check "strays: 20 packets to the standby" say 20
check "strays: are fenced" busywait 10000 fenced
carry "$A"
check "strays: the pair stays in step" wait_step a b
check "strays: the standby is told all of it anew" reload a
wait_step a b >/dev/null
check_equal "strays: the active takes them, late as they are" 20 "$(replays a "$A" "$from")"
check "strays: and is followed" wait_step a b
check "strays: the active dies" crash
check_equal "strays: none is accepted again" 0 "$(replays b "$B" "$from")"

# --- a long partition -------------------------------------------------------------------

check "partition, available: a pair" fresh guard=available
check "partition, available: the link is cut" part
before=$(at a)
check "partition, available: traffic goes on" send_and_count "$P" 10.1.0.1 300 "$TMP/at-a"
check "partition, available: and is counted as exposed" busywait 10000 status a "s['exposed'] == 1"
check "partition, available: it heals" heal a b
check "partition, available: nothing is exposed" busywait 10000 status a "s['exposed'] == 0"

check "partition, strict: a pair" fresh guard=strict
check "partition, strict: guards of 32" idle 32
check "partition, strict: the link is cut" part
before=$(at a) held=$(held)
say 300
check "partition, strict: all are accepted" settled "$A" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
check_equal "partition, strict: and delivered up to the guard" $((before + 32)) "$(at a)"
check_equal "partition, strict: the rest is counted" $((held + 268)) "$(held)"
check "partition, strict: it is shown" busywait 10000 sa a "s['exposed'] and s['guard_end'] < s['seq']"
check "partition, strict: and for whom it waits" sa a "s['held'] and s['waits_for'] == ['b']"
check "partition, strict: status counts it there" status a "s['peers'][0]['holds'] == 1"
check "partition, strict: people read it" grep -q "held: 1 SAs deliver nothing new until b " <(ask a status)
check "partition, strict: it heals" heal a b
check "partition, strict: it waits for nobody" busywait 10000 status a "s['peers'][0]['holds'] == 0"
check "partition, strict: the limit rises" busywait 10000 sa a "s['guard_end'] >= s['seq'] + 20"
check "partition, strict: traffic goes on by itself" send_and_count "$P" 10.1.0.1 20 "$TMP/at-a"
idle 32 >/dev/null
stop b KILL
stop a KILL
start a
busywait 20000 kernel_reader "$A" >/dev/null
before=$(at a)
say 40
settled "$A" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
check_equal "partition, strict: a new daemon alone leaves the limit where it is" $((before + 32)) "$(at a)"
start b
wait_step a b >/dev/null
check "partition, strict: until the standby is back" busywait 10000 sa a "s['guard_end'] >= s['seq'] + 20"
check "partition, strict: on it goes" send_and_count "$P" 10.1.0.1 20 "$TMP/at-a"
idle 32 >/dev/null
sed -i 's/^\[peer b\]/[peer c]/' "$TMP/a.conf"
check "partition, strict: the standby is removed" reload a
before=$(at a)
say 40
settled "$A" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
check_equal "partition, strict: what it may take over has its limit for ever" $((before + 32)) "$(at a)"
sed -i 's/^\[peer c\]/[peer b]/' "$TMP/a.conf"
reload a
sed -i 's/^guard=strict/guard=available/' "$TMP/a.conf"
check "partition, strict: another setting" reload a
check "partition, strict: takes the limit back" busywait 10000 sa a "s['guard_end'] == 0"

# --- ... in which the active dies -----------------------------------------------------------

# say_cut N: so many packets, after the link was cut; FROM is the first of them
say_cut() {
	part && from=$(heard) && say "$1" && settled "$A" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
}
check "partition and crash, available: a pair" fresh guard=available
check "partition and crash, available: idle, there is no guard" idle 0
before=$(at a)
check "partition and crash, available: 300 packets in it" say_cut 300
check_equal "partition and crash, available: are delivered" $((before + 300)) "$(at a)"
check "partition and crash, available: the active dies" crash
check_equal "partition and crash, available: nothing new is lost" 0 "$(lost)"
check_equal "partition and crash, available: then what the window still has room for is taken again" 127 \
	"$(replays b "$B" "$from")"

check "partition and crash, available, once more" fresh guard=available
check "partition and crash, available, once more: idle" idle 0
check "partition and crash, available, once more: 300 packets" say_cut 300
check "partition and crash, available, once more: the active dies" crash
check_equal "partition and crash, available, once more: replayed at once, all are taken" 300 \
	"$(replays b "$B" "$from")"

check "partition and crash, strict: a pair" fresh guard=strict
check "partition and crash, strict: guards of 32" idle 32
before=$(at a)
check "partition and crash, strict: 300 packets in it" say_cut 300
check_equal "partition and crash, strict: 32 are delivered" $((before + 32)) "$(at a)"
check "partition and crash, strict: the active dies" crash
check_equal "partition and crash, strict: the others, repeated, are delivered for the first time" 268 \
	"$(replays b "$B" "$from")"

# --- both active, and one again ---------------------------------------------------------

check "split: a pair" fresh guard=available
check "split: idle" idle 0
from=$(heard)
check "split: the link is cut" part
check "split: the other node takes over" ask b takeover
here_and_there() { # the address goes back and forth, both nodes carry packets
	send_and_count "$P" 10.1.0.1 10 "$TMP/at-a" && carry "$B" &&
		send_and_count "$P" 10.1.0.1 10 "$TMP/at-b" && carry "$A" &&
		send_and_count "$P" 10.1.0.1 10 "$TMP/at-a"
}
check "split: each delivers a part" here_and_there
check "split: it heals" heal b a
carry "$B"
check "split: the new active has what the other one accepted" \
	busywait 10000 seq_is "$B" "$(sa_oseq "$P" 192.0.3.1 "$B_SPI")"
check "split: it was merged" status b "s['losses']['merged'] == 1"
check_equal "split: nothing is accepted again" 0 "$(replays b "$B" "$from")"
check "split: what is new passes" send_and_count "$P" 10.1.0.1 5 "$TMP/at-b"
wait_step b a >/dev/null
stop b KILL
running=a
ip -n "$B" link set out down
# By how fast the merged ones came, and what came after them.
guard=$(py value "s[0]['guard']" "$(ask a show --json --spi "$B_SPI")")
check "split: the new active dies" ask a takeover
carry "$A"
check_equal "split: nor by the old one" 0 "$(replays a "$A" "$from")"
check "split: a sender loses no more than the guard, $guard" [ "$(lost a "$A")" -le "$guard" ]
check "split: and it goes on" send_and_count "$P" 10.1.0.1 5 "$TMP/at-a"

end_all
check "every daemon ended cleanly" ended_cleanly
