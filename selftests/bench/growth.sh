#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# How what following SAs costs grows with their number, and with their windows, in instructions:
# a packet's capture, of one more;
# a record on its way, where one SA in a hundred has something to tell, and where all have; a
# snapshot; a full sync; and a second in which nothing is sent, and nothing may depend on them.
#
# Figures go to /run/vm/growth.figures, "NAME, N SAs" and "NAME, window N", with MIN MEDIAN MAX.
#
# Run it by `make bench`: the guest's clock has to count instructions (kselftest.sh -i).
# BENCH_SAS: how many SAs, half of them for each direction (100 1000 10000). BENCH_WINDOWS: of
# 1,000 SAs (32 128 1024 4096).
# timeout: 60000

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/../daemon.sh"
# shellcheck source=selftests/bench/bench.sh
. "$(dirname "$0")/bench.sh"

read -ra counts <<<"${BENCH_SAS:-100 1000 10000}"
read -ra windows <<<"${BENCH_WINDOWS:-32 128 1024 4096}"
plan $((17 * ${#counts[@]} + 11 * ${#windows[@]} + 5))

setup_ns A B P
bench_begin growth
meet_outside
tracing=/sys/kernel/tracing

# --- what it does -----------------------------------------------------------------

# Who sees all of a namespace, and never gets the processor while packets are counted.
readers=()
reads() { nl "$1" status | grep -q '"reader": [1-9]'; } # NS
both_read() { reads "$A" && reads "$P"; }
read_both() {
	local ns

	for ns in "$A" "$P"; do
		background "$(dirname "$0")/../nl.py" -n "$ns" pull >/dev/null
		readers+=("$BG_PID")
	done
	busywait 60000 both_read
}
read_no_more() {
	kill "${readers[@]}"
	wait "${readers[@]}" 2>/dev/null
	readers=()
}
# A packet of one SA more, to where the others do not go. Where the allocators put an SA does more to
# a packet than capture, for its whole life, by steps of 90, 200, or 2,000: so it has eight, and the
# medians are compared, which tells capture's cost to some 100.
one_more() { # WORDS...: of the SA, at both ends
	ip -n "$A" xfrm state "$1" src 192.0.3.2 dst 192.0.3.1 proto esp spi 0x300 "${@:2}" &&
		ip -n "$P" xfrm state "$1" src 192.0.3.2 dst 192.0.3.1 proto esp spi 0x300 "${@:2}"
}
policies() { # WORDS...
	ip -n "$A" xfrm policy "$1" src 10.2.0.1 dst 10.1.255.1 dir in "${@:2}" &&
		ip -n "$P" xfrm policy "$1" src 10.2.0.1 dst 10.1.255.1 dir out "${@:2}"
}
lives() { # FILE
	local n

	policies add tmpl src 192.0.3.2 dst 192.0.3.1 proto esp reqid 65000 mode tunnel || return
	for ((n = 0; n < 8; n++)); do
		one_more add reqid 65000 mode tunnel flag esn replay-window 128 \
			aead 'rfc4106(gcm(aes))' 0x0000000000000000000000000000000000000003 128 || return
		"$bench/packets" -n 1024 -r 3 "$P" "$A" 10.1.255.1 || return
		one_more delete || return
	done >"$TMP/lives"
	policies delete && sort -n "$TMP/lives" >"$TMP/$1"
}
roles() { # ROLE [EPOCH NODE]
	local ns

	for ns in "$A" "$P"; do nl "$ns" role-set "$@" >/dev/null || return; done
}
# Who is not active has hooks of netfilter besides.
capture() {
	roles active 1 1 && lives with && roles none || return
	paste "$TMP/without" "$TMP/with" >"$TMP/both"
	sed "s/^/# $name: /" "$TMP/both" >&"$tap_fd"
	awk '
		NR == 4 || NR == 5 { d += ($4 - $1) / 2 }
		END { printf "capture: %.1f %.1f %.1f\n", d, d, d }' "$TMP/both" |
		figure "capture$suffix"
	least "capture$suffix" >/dev/null
}

# Nobody sends anything. What the module's own timers and workers do meanwhile is in the trace,
# each by its function; the program says how long that was.
events=(workqueue/workqueue_execute_start timer/timer_expire_entry timer/hrtimer_expire_entry)
trace() { # 0|1
	local event

	for event in "${events[@]}"; do echo "$1" >$tracing/events/"$event"/enable || return; done
}
wakes_of_module() {
	local n

	# All of them are there, and somebody else's: it saw something.
	awk '/entries-in-buffer/ { split($3, n, "/"); exit !(n[1] == n[2] && n[1] > 0) }' $tracing/trace &&
		grep -q 'function=' $tracing/trace || return
	n=$(grep -c '\[xfrmsync\]' $tracing/trace)
	sed -n 's/^seconds: \([0-9]*\)$/\1/p' "$TMP/said" |
		awk -v n="$n" '{ v = n / $1; printf "module: %.2f %.2f %.2f\n", v, v, v }' |
		figure "wakes of the module$suffix"
}
idle() {
	local rc

	sed -i "s/^heartbeat_ms = .*/heartbeat_ms = 1000/" "$TMP"/[ab].conf
	reload a && reload b || return
	: >$tracing/trace
	trace 1 || return
	of_daemons "-$suffix" -n "$N" idle "$A" "$B" -- idles waits wakes
	rc=$?
	trace 0
	[ $rc -eq 0 ] && wakes_of_module
}
# least NAME: the least of its figures so far
least() { awk -F '\t' -v name="$1" '$1 == name && (!n++ || $2 < v) { v = $2 } END { print v; exit !n }' "$figures"; }
# the_same WHAT MOST: with most SAs it is at most so many times what it is with fewest
the_same() {
	local few many

	few=$(least "$1, ${counts[0]} SAs") && many=$(least "$1, ${counts[-1]} SAs") || return
	echo "$1: $few with ${counts[0]}, $many with ${counts[-1]}"
	awk -v few="$few" -v many="$many" -v most="$2" 'BEGIN { exit !(many <= most * few + 0.05) }'
}
pair_ends() {
	stop b
	stop a
	for ns in "$A" "$B"; do nl "$ns" role-set none >/dev/null; done
	flush "$A" "$B" "$P"
	rm -rf "$TMP"/[ab].state
	unload_module
}
# A second node that has to be told all; then some have a packet each.
pair_syncs() { # PERCENT...
	local percent

	start a
	check "$name: an active" active
	ip -n "$A" link set xs0 down
	start b
	check "$name: a standby that has nothing" standby
	check "$name: a full sync" of_daemons "-$suffix" -n "$N" sync "$A" "$B" -- gives takes sync ||
		bail "without that nothing else is worth its time"
	check "$name: in step" wait_step a b
	for percent; do
		check "$name: $percent % have a packet, through both daemons" \
			of_daemons "-, $percent %$suffix" -n "$N" -u $((N * percent / 100 < 2 ? 2 : N * percent / 100)) \
			-r 3 through "$A" "$B" "$P" -- active standby applied bytes
	done
}
# It is there before the daemons are.
at_standby() {
	ip -n "$B" -batch "$TMP/a.batch" && nl "$B" role-set standby 1 1 >/dev/null &&
		takes "restore$suffix" records -n "$N" -r 3 restore "$B" && nl "$B" role-set none >/dev/null &&
		flush "$B"
}

# --- by the number of SAs ---------------------------------------------------------------

for N in "${counts[@]}"; do
	name="$N SAs" suffix=", $N SAs"
	check "$name" tunnels "$N"
	check "$name: a packet, without the module" lives without
	check "$name: the module" load_module
	check "$name: it is read" read_both
	check "$name: a packet, captured" capture
	read_no_more
	check "$name: a snapshot" takes "dump$suffix" records -n "$N" -r 3 dump "$A"
	check "$name: one in a hundred is pulled" \
		takes "pull, 1 %$suffix" records -n "$N" -u $((N < 200 ? 2 : N / 100)) -r 3 pull "$A" "$P"
	check "$name: all are pulled" takes "pull, 100 %$suffix" records -n "$N" -r 3 pull "$A" "$P"
	check "$name: restored" at_standby
	bench_confs 20000
	pair_syncs 1 100
	check "$name: nothing is sent" idle
	check "$name: it ends" pair_ends
done
# Timers of a second each come at once, or one after the other, as it happens.
check "how often anything runs in an idle second has nothing to do with their number" the_same "wakes" 1.3
check "nor what is done in it, by an active" the_same "idles" 1.1
check "nor by a standby" the_same "waits" 1.1
check "nor how often the module runs" the_same "wakes of the module" 1

# --- by the window ----------------------------------------------------------------------

N=1000
for window in "${windows[@]}"; do
	name="window $window" suffix=", window $window"
	check "$name" tunnels "$N" "$window"
	check "$name: the module" load_module
	check "$name: a snapshot" takes "dump$suffix" records -n "$N" -r 3 dump "$A"
	check "$name: all are pulled" takes "pull, 100 %$suffix" records -n "$N" -r 3 pull "$A" "$P"
	check "$name: restored" at_standby
	bench_confs 20000
	pair_syncs 100
	check "$name: it ends" pair_ends
done
check "every daemon ended cleanly" ended_cleanly

sed 's/^/# /' "$figures"
