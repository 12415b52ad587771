#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Three nodes with leases smaller than their headroom: what was given out to whom stays known, over
# daemons of the active that start anew, and over a takeover by a node that had not heard of it.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A, B or C; 192.0.2.1, .2, .3 on a bridge --- TLS
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 31

need_daemon
setup_ns A B C P
tmpdir
modprobe -aq esp4 xfrm_user
three_nodes "$A" "$B" "$C" "$P"
for n in a b c; do sed -i 's/^\[sync\]$/&\nlease_esn_log2 = 4/' "$TMP/$n.conf"; done

connected() { status "$1" "all(p['state'] != 'disconnected' and p['role'] == 'standby' for p in s['peers'])"; }
alone() { status "$1" "all(p['state'] == 'disconnected' for p in s['peers'])"; }
follow() { # ACTIVE STANDBY...
	local n

	status "$1" "s['role'] == 'active' and s['sas'] == 2" || return
	for n in "${@:2}"; do
		status "$n" "s['ready'] and s['sas'] == 2" || return
		status "$1" "any(p['name'] == '$n' and p['state'] == 'synced' and not p['leases_waiting']
			for p in s['peers'])" || return
	done
}
wait_follow() { busywait 30000 follow "$@"; }
link() { ip -n "$P" link set "sync-$1" "$2"; } # NODE up|down

# value NODE NAME: of the one SA, in its kernel; 0 where it is not told.
value() {
	py value "s.get('$2', 0)" "$(nl "${space[$1]}" get family=2 dst=192.0.3.2 spi=0x1000 proto=50)"
}
start_of() { value "$1" oseq; } # where its range begins, and how far it may go
end_of() { value "$1" lease-end; }
has_range() { [ "$(end_of "$1")" -gt "$(start_of "$1")" ]; }
given() { value "$1" given-end; }
above() { [ "$1" -ge "$2" ] || { echo "# $1 < $2"; false; }; }
apart() { # NODE NODE: no number is in the ranges of both
	[ "$(end_of "$1")" -le "$(start_of "$2")" ] || [ "$(end_of "$2")" -le "$(start_of "$1")" ] ||
		{ echo "# $1: $(start_of "$1") $(end_of "$1"), $2: $(start_of "$2") $(end_of "$2")"; false; }
}

for spi in 0x1000 0x1001; do
	ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.2 proto esp spi $spi reqid 1 mode tunnel \
		flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 $spi)" 128
done
for n in a b c; do start $n; done
for n in a b c; do check "$n has heard the others" busywait 20000 connected $n; done
check "A becomes active" ask a takeover
check "both follow it" wait_follow a b c

first=$(given a)
check "its module knows what was given out to B" above "$first" "$(end_of b)"
check "and to C" above "$first" "$(end_of c)"
check "they have ranges of their own" apart b c
check "B's module has it, too: it may take over" above "$(given b)" "$first"
check "so has C's" above "$(given c)" "$first"
check "the configuration is read again" reload a
check "both follow it" wait_follow a b c
check_equal "nobody was given anything" "$first" "$(given a)"

link b down
check "B hears of nobody any more" busywait 20000 alone b
for how in TERM KILL; do
	before=$(given a)
	stop a $how
	start a
	check "another daemon, after SIG$how: C follows it" wait_follow a c
	check "what it gives begins above all that was given" above "$(start_of c)" "$before"
	check "and its module knows" above "$(given a)" "$(end_of c)"
	check "C and B are apart" apart b c
done

link c down
check "C is cut off, too" busywait 20000 alone c
given_by_a=$(given a)
check "B takes over, and A follows it" eval 'ask b takeover && link b up && wait_follow b a'
check "A has a range" busywait 10000 has_range a
check "which is not what it had given out to C" apart a c
check "B's module knows of it" above "$(given b)" "$given_by_a"
link c up
check "C follows B" wait_follow b a c
check "and A's range is its own" apart a c
for n in a b c; do stop $n; done
check "every daemon ended cleanly" ended_cleanly
