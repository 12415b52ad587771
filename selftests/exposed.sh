#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# An SA of which the active had accepted more than its standby covered, as it told last: a
# takeover after a crash has it rekeyed, and no other; or all, or none, by the setting; one that
# is planned has none.
#
#   P ===== ESP, IPv4 and IPv6 ===== A --- TLS --- B, which takes over
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 60

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 esp6 xfrm_user
start_sink "$A" "$TMP/a"
pair_confs "$A" "$B"
# On a slow machine nobody is given up who is only not heard. The guard does not change, so that no
# record is sent for that.
sed -i 's/^dead_ms.*/dead_ms = 20000\nguard_min = 16\nguard_max = 16/' "$TMP/a.conf" "$TMP/b.conf"

# What B's key manager would hear: a line for each expiry, "SPI 0" where it is a soft one.
xfrm_monitor "$B" "$TMP/expire" expire
expiries() { awk '/proto esp spi/ { spi = $4 } $1 == "hard" { print spi, $2 }' "$TMP/expire"; }
times() { expiries | grep -c "^$1 0"; }			# SPI
times_are() { [ "$(times "$1")" -eq "$2" ]; }		# SPI N
# What is asked for comes with the takeover. Behind that, one that expires by itself: when it
# is heard, so is all before it.
mark=0x7000
heard_all() {
	mark=$((mark + 1))
	ask b status >/dev/null && ip -n "$B" xfrm state add src 192.0.3.8 dst 192.0.3.9 proto esp \
		spi $mark reqid 99 mode tunnel aead 'rfc4106(gcm(aes))' "$(key 20 mark)" 128 limit time-soft 1 &&
		busywait 20000 times_are "$(printf 0x%08x $mark)" 1
}

# fresh [LINE]: a pair in step, with that setting of B's, A active, and of both families an SA
# from P that has accepted something; and one that has not.
spi=0x1000
fresh() {
	local ns

	for ns in "$A" "$B" "$P"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
	for ns in "$A" "$B"; do nl "$ns" role-set none >/dev/null; done
	rm -rf "$TMP/a.state" "$TMP/b.state"
	sed -i '/^guard_rekey/d' "$TMP/b.conf"
	[ $# -eq 0 ] || sed -i "s/^guard_min.*/&\n$1/" "$TMP/b.conf"
	ip -n "$A" link set xs0 up
	tunnel "$A" "$P" link=1 window=128 spi=$((spi + 2)) policy=0
	silent=$B_SPI
	tunnel "$A" "$P" link=1 window=128 spi=$((spi + 4)) family=6
	six=$B_SPI
	tunnel "$A" "$P" link=1 window=128 spi=$spi
	four=$B_SPI
	spi=$((spi + 6))
	both_start a b && send_and_count "$P" 10.1.0.1 5 "$TMP/a" && send_and_count "$P" fd00:1::1 5 "$TMP/a" &&
		wait_step a b
}
# sa NAME SPI PYTHON: an expression over s, what show says of that SA
sa() {
	local said

	said=$(ask "$1" show --json --spi "$2") && py is "(lambda s: $3)(s[0])" "$said"
}
# B hears A, and A does not hear B: what comes is acknowledged late, if ever.
deaf() { ip -n "$B" route add blackhole 192.0.2.1/32; }
hears() { ip -n "$B" route del blackhole 192.0.2.1/32; }
burst() { # ADDRESS SPI: beyond the guard; told, and not acknowledged
	send_and_count "$P" "$1" 50 "$TMP/a" && busywait 20000 sa b "$2" "s['exposed']"
}
gone() { status b "s['peers'][0]['state'] in ('disconnected', 'connecting')"; }
crash() { # what the active's kernel has left to say comes, and its daemon says no more
	stop a KILL
	hears 2>/dev/null
	busywait 20000 gone || return
	ip -n "$A" link set xs0 down
}
b_ends() { stop b TERM; }
taken_over() { ask b takeover && heard_all; }

# --- exposed ----------------------------------------------------------------------------

check "a pair" fresh
check "nothing is exposed" sa b "$four" "not s['exposed']"
deaf
check "a burst that the standby does not cover" burst 10.1.0.1 "$four"
check "the active says so" sa a "$four" "s['exposed']"
check "of no other" sa b "$six" "not s['exposed']"
check "nor of one that is silent" sa b "$silent" "not s['exposed']"
check "status of the standby counts it" status b "s['exposed'] == 1 and s['role'] == 'standby'"
check "people read it" grep -q "exposed: 1 SAs, by the active's last word" <(ask b status)
check "the active dies" crash
check "a dry run names it" plan_says b "s('$four')['rekey'] and 'said last' in s('$four')['rekey_why']"
check "and no other" plan_says b "not s('$six')['rekey'] and not s('$silent')['rekey']"
check "and counts it" plan_says b "(p['rekeyed'], p['exposed'], p['unsafe']) == (1, 1, 0)"
check "people read that" grep -q "$four: use, and ask for a rekey because the active said last" \
	<(ask b takeover --dry-run)
check_equal "nobody is asked yet" 0 "$(times "$four")"
check "the standby takes over" taken_over
check_equal "it is soft-expired, once" 1 "$(times "$four")"
check_equal "the other one is not" 0 "$(times "$six")"
check_equal "nor the silent one" 0 "$(times "$silent")"
check_equal "and none is deleted" 0 "$(expiries | grep -c " 1$")"
check "the log says how many" logged b "1 SAs can have accepted packets"
check "it is as any other from then on" sa b "$four" "not s['exposed']"
b_ends

# --- the other family -------------------------------------------------------------------

check "IPv6: a pair" fresh
deaf
check "IPv6: a burst" burst fd00:1::1 "$six"
check "IPv6: the active dies" crash
check "IPv6: the standby takes over" taken_over
check_equal "IPv6: it is soft-expired" 1 "$(times "$six")"
check_equal "IPv6: the other one is not" 0 "$(times "$four")"
b_ends

# --- not any more -----------------------------------------------------------------------

check "over: a pair" fresh
deaf
check "over: a burst" burst 10.1.0.1 "$four"
hears
check "over: it is acknowledged, and the standby is told" busywait 20000 sa b "$four" "not s['exposed']"
check "over: the active knows" sa a "$four" "not s['exposed']"
check "over: the active dies" crash
check "over: a dry run has nothing to rekey" plan_says b "p['rekeyed'] == 0 and p['safe'] == 6"
check "over: the standby takes over" taken_over
check_equal "over: none is soft-expired" "0 0" "$(times "$four") $(times "$six")"
b_ends

# --- none -------------------------------------------------------------------------------

check "no: a pair" fresh "guard_rekey = no"
deaf
check "no: a burst" burst 10.1.0.1 "$four"
check "no: the active dies" crash
check "no: a dry run has nothing to rekey" plan_says b "p['rekeyed'] == 0 and p['safe'] == 6"
check "no: the standby takes over" taken_over
check_equal "no: none is soft-expired" "0 0" "$(times "$four") $(times "$six")"
b_ends

# --- all --------------------------------------------------------------------------------

check "all: a pair" fresh "guard_rekey = all"
check "all: nothing is exposed" status b "s['exposed'] == 0"
check "all: the active dies" crash
check "all: a dry run counts those that have accepted something" plan_says b \
	"(p['rekeyed'], p['exposed']) == (2, 2) and 'guard_rekey' in s('$six')['rekey_why']"
check "all: the standby takes over" taken_over
check_equal "all: they are soft-expired" "1 1" "$(times "$four") $(times "$six")"
check_equal "all: what has accepted nothing is not" 0 "$(times "$silent")"
b_ends

check "all, unfilled: a pair" fresh "guard_rekey = all"
check "all, unfilled: the active dies" crash
stop b KILL
start b
# It alone knows of peers.
check "all, unfilled: a new daemon" busywait 20000 gone
check "all, unfilled: takes over" taken_over
check_equal "all, unfilled: they are soft-expired by what its kernel has" "1 1" "$(times "$four") $(times "$six")"
check_equal "all, unfilled: what has accepted nothing is not" 0 "$(times "$silent")"
b_ends

# --- planned ----------------------------------------------------------------------------

check "planned: a pair" fresh "guard_rekey = all"
check "planned: a dry run has nothing to rekey" plan_says b "p['rekeyed'] == 0 and p['safe'] == 6"
check "planned: the active hands over" taken_over
check_equal "planned: none is soft-expired" "0 0" "$(times "$four") $(times "$six")"
stop a TERM
b_ends

check "every daemon ended cleanly" ended_cleanly
