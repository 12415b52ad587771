#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# An active whose daemon hangs, or is dead, is fenced by its kernel when the watchdog's time is
# up; another takes over, and the daemon that comes back follows. An end in order, and no
# setting, leave the traffic alone.
#
#   A 10.1.0.1 --- 192.0.3.1 ===== ESP ===== 192.0.3.2 --- 10.2.0.1 P
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 400

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 66

here=$(dirname "$0")
WAIT=$((3000 * SLOW))

need_daemon
setup_ns A B C P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
start_sink "$P" "$TMP/p"

number() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"; } # NAME
fired() { nl "$1" stats | number watchdog-fired; } # NS
in_kernel() { nl "$1" status | grep -q "\"role\": \"$2\""; } # NS ROLE
waits() { nl "$1" status | number watchdog-ms; } # NS
oseq() { sa_oseq "$1" "$B_OUT" "$A_SPI"; } # NS
fenced_is() { [ "$(nl "$A" stats | number fenced-out)" -eq "$1" ]; } # N

# --- the kernel -----------------------------------------------------------------------

setup_ns GONE
results /usr/bin/python3 "$here/watchdog.py" "$A" "$B" "$GONE" $((500 * SLOW))
check "a namespace goes before its time is up" ip netns delete "$GONE"

# outlasted: a watchdog that began before has had its time to fire.
epoch=0
outlasted() {
	nl "$C" role-set active $((++epoch)) 1 && nl "$C" watchdog-set $((WAIT + 500)) &&
		busywait $((20 * WAIT)) in_kernel "$C" standby
}

# --- two nodes ------------------------------------------------------------------------

pair_confs "$A" "$B"
watchdog() { # NODE MS
	sed -i "/^watchdog_ms/d; s/^\[sync\]/&\nwatchdog_ms = $2/" "$TMP/$1.conf"
}
stays_active() { in_kernel "$A" active && [ "$(fired "$A")" -eq "$1" ]; } # FIRED
daemon_lives() { kill -0 "${pid[$1]}"; } # NODE
active_again() { ask a takeover && wait_step a b && send_and_count "$A" "$B_IN" 5 "$TMP/p"; }

fired_is() { [ "$(fired "$A")" -eq "$1" ]; } # N
# fences NAME: A's daemon gives no sign any more.
fences() {
	local count oseq out

	count=$(fired "$A") out=$(nl "$A" stats | number fenced-out)
	check "$1: the fence rises" busywait $((20 * WAIT)) in_kernel "$A" standby
	# The role is there first.
	check "$1: it is counted" busywait 10000 fired_is $((count + 1))
	oseq=$(oseq "$A")
	try_packets "$A" "$B_IN" 7
	check "$1: no packet passes" busywait 10000 fenced_is $((out + 7))
	check_equal "$1: no number is drawn" "$oseq" "$(oseq "$A")"
}

watchdog a 600
check_fails "a time that two heartbeats take is refused" ask a check
check "and said why" grep -q "watchdog_ms (600) must be 0 (off), or more than twice" \
	<(ask a check)
watchdog a "$WAIT"
watchdog b "$WAIT"
tunnel "$A" "$P" link=1 window=128
check "a pair with watchdogs" both_start a b
check_equal "the active's kernel waits" "$WAIT" "$(waits "$A")"
check "status says so" status a "s['watchdog_ms'] == $WAIT"
check "check says so" grep -q "watchdog.*$WAIT ms" <(ask a check)
base=$(fired "$A")
check "time passes" outlasted
check "a daemon that works is heard" stays_active "$base"
check "traffic flows" send_and_count "$A" "$B_IN" 5 "$TMP/p"

kill -STOP "${pid[a]}"
fences "the daemon hangs"
last=$(oseq "$A")
check "the standby takes over" ask b takeover
check "past all that was sent" [ "$(oseq "$B")" -gt "$last" ]
kill -CONT "${pid[a]}"
check "the daemon comes back: it follows" wait_step b a
check "it is the same daemon" daemon_lives a
check "and says what happened" busywait 20000 logged a "no sign of life of this daemon for $WAIT ms"
check "the kernel waits for it again" active_again

kill -STOP "${pid[a]}"
fences "once more"
kill -CONT "${pid[a]}"
check "nobody took over: standby all the same" busywait 20000 status a "s['role'] == 'standby'"
check "its peer knows" busywait 20000 status b "s['peers'][0]['role'] == 'standby'"
check "the operator's word makes it active again" active_again

kill -STOP "${pid[a]}"
busywait $((20 * WAIT)) in_kernel "$A" standby >/dev/null
ask a takeover --timeout 100 >"$TMP/takeover" 2>&1 &
asker=$!
lib_pids+=("$asker")
kill -CONT "${pid[a]}"
check "a takeover that is asked for while it hangs is one" wait $asker
check "and no mere yes" grep -q "active, epoch" "$TMP/takeover"
check "traffic flows once more" active_again

stop a KILL
fences "the daemon is dead"
start a
check "a new one is standby" busywait 20000 status a "s['role'] == 'standby'"
check "and says why" busywait 20000 logged a "the module is standby"
check "the operator's word makes it active" active_again

# --- an end in order, and no setting ------------------------------------------------------

base=$(fired "$A")
stop a
check_equal "an end in order switches it off" 0 "$(waits "$A")"
check "time passes without a daemon" outlasted
check "the node stays active" stays_active "$base"
check "traffic flows without a daemon" send_and_count "$A" "$B_IN" 5 "$TMP/p"
start a
check "the next one is in step" wait_step a b
check_equal "and has it on again" "$WAIT" "$(waits "$A")"

watchdog a 0
check "SIGHUP switches it off" reload a
check_equal "in the kernel" 0 "$(waits "$A")"
wait_step a b >/dev/null
kill -STOP "${pid[a]}"
check "time passes without a sign" outlasted
check "without the setting nothing happens" stays_active "$base"
check "traffic flows then" send_and_count "$A" "$B_IN" 5 "$TMP/p"
kill -CONT "${pid[a]}"
check "the daemon is as it was" wait_step a b

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
for ns in "$A" "$B" "$C"; do
	nl "$ns" role-set none >/dev/null
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
done
check "the module unloads" unload_module
