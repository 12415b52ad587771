#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# XFRM_MSG_MIGRATE clones an SA and deletes the old one: the clone has its limit and its fence,
# and draws none of its numbers a second time.
#
#   A 10.1.0.1 --- 192.0.2.1, then .3 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 26

here=$(dirname "$0")
HEADROOM=65536

check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
setup_ns A B
setup_veth "$A" "$B"
tmpdir
start_sink "$B" "$TMP/b"
modprobe -aq esp4 xfrm_user
ip -n "$A" address add 192.0.2.3/24 dev xs0

epoch=0 at=1
role() { "$here/nl.py" -n "$A" role-set "$1" $((++epoch)) 1 >/dev/null; } # ROLE
bind() { "$here/nl.py" -n "$A" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 "$@" >/dev/null; }
migrate() { # between .1 and .3
	"$here/migrate.py" "$A" "$A_IN" "$B_IN" "$B_OUT" 192.0.2.$at 192.0.2.$((4 - at)) || return
	at=$((4 - at))
}
flagged() { # FLAG
	"$here/nl.py" -n "$A" dump | grep "\"spi\": $((A_SPI))," | grep -q "\"$1\""
}
followed() { "$here/nl.py" -n "$A" dump | grep "\"spi\": $((A_SPI))," | grep -q "\"src\": \"192.0.2.$at\""; }
try_packets() { # N: to B; a drop on the way out is told (EPERM)
	# shellcheck disable=SC2016 # the inner shell's arguments
	in_ns "$A" bash -c 'exec 3>"/dev/udp/$1/9" || exit
		for ((i = 0; i < $2; i++)); do printf x >&3; done' _ "$B_IN" "$1" 2>/dev/null
	true
}
oseq() { sa_oseq "$A" "$B_OUT" "$A_SPI"; }
stopped_at() { try_packets 1; flagged stopped && [ "$(oseq)" = "$1" ]; } # N
replays() { # of B's SA
	ip -n "$B" -s xfrm state get dst "$B_OUT" proto esp spi "$A_SPI" |
		sed -n 's/.*replay \([0-9]*\) failed.*/\1/p'
}
start_over() {
	role none
	for ns in "$A" "$B"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
	at=1
	role active
	tunnel "$A" "$B" window=128
}

# --- its limit ------------------------------------------------------------------------

start_over
check "a tunnel" send_and_count "$A" "$B_IN" 5 "$TMP/b"
check "with a lease of 25 numbers" bind lease-end=$((25 + HEADROOM))
check "is migrated" migrate
try_packets 40
check "it is followed" busywait 10000 followed
check "and goes on" busywait 10000 stopped_at 25
try_packets 10
check_equal "but not past its lease" 25 "$(oseq)"
check "a stopped one is migrated" migrate
try_packets 10
check "and is still followed" busywait 10000 followed
check "it is stopped as before" flagged stopped
try_packets 10
check_equal "and draws nothing" 25 "$(oseq)"
check "with more it goes on" bind lease-end=$((60 + HEADROOM))
check "with more it carries traffic" send_and_count "$A" "$B_IN" 5 "$TMP/b"

# --- its fence ------------------------------------------------------------------------

check "it is fenced for itself" bind flags=fenced
check "and migrated" migrate
try_packets 10
check "it is followed, fenced" busywait 10000 followed
check "fenced as before" flagged fenced
try_packets 10
check_equal "nothing was sent with it" 30 "$(oseq)"

# --- while it sends -------------------------------------------------------------------

start_over
keeps_on() { while [ -e "$TMP/going" ]; do try_packets 50; done; }
: >"$TMP/going"
keeps_on &
lib_pids+=($!)
moved=0
for ((i = 0; i < 20; i++)); do
	migrate && busywait 10000 followed && moved=$((moved + 1))
done
rm "$TMP/going"
wait $!
arrived() { [ "$(sa_seq "$B" "$B_OUT" "$A_SPI")" = "$(oseq)" ]; }
check "the last one arrives" busywait 10000 arrived
check_equal "migrated under traffic" 20 "$moved"
check "it still carries traffic" send_and_count "$A" "$B_IN" 5 "$TMP/b"
check_equal "no number came twice" 0 "$(replays)"

# --- on a standby ---------------------------------------------------------------------

start_over
role standby
check "on a standby one is migrated" migrate
try_packets 10
check "and followed" busywait 10000 flagged untold
role active
try_packets 10
check_equal "a takeover does not use what no active told" 0 "$(oseq)"
check "it is fenced" flagged fenced
