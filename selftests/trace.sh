#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The tracepoints are there, and each fires where its event happens.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 12

nl=$(dirname "$0")/nl.py
trace=/sys/kernel/tracing
# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
setup_ns A B
setup_veth "$A" "$B"

for event in track mark pull restore untrack; do
	check "xfrmsync_$event is there" test -w $trace/events/xfrmsync/xfrmsync_$event/enable
done

# The instance is this test's own: what others trace is not touched.
trace=$trace/instances/xfrmsync-$$
mkdir $trace
later rmdir $trace
echo 1 >$trace/events/xfrmsync/enable

fired() { # EVENT PATTERN
	grep -E "xfrmsync_$1: .*$2" $trace/trace
}

tunnel "$A" "$B"
inum=$(in_ns "$A" stat -Lc %i /proc/self/ns/net)
background "$nl" -n "$A" pull >/dev/null
busywait 20000 fired pull "netns=$inum records=2" >/dev/null
check "track: an SA appears" fired track "netns=$inum family=2 proto=50 spi=$A_SPI"
check "pull: the snapshot" fired pull "netns=$inum records=2"
send_packets "$A" "$B_IN" 1 2>/dev/null
check "mark: a packet makes it dirty" busywait 10000 fired mark "netns=$inum .* spi=$A_SPI"
"$nl" -n "$A" restore -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 flags=esn,bmp oseq=4711 >/dev/null
check "restore: applied" fired restore "netns=$inum proto=50 spi=$A_SPI oseq=4711 seq=0 reason=0"
"$nl" -n "$A" restore -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 flags=esn,bmp oseq=1 >/dev/null
check "restore: refused, and why" fired restore "spi=$A_SPI oseq=1 seq=0 reason=7"
ip -n "$A" xfrm state delete dst "$B_OUT" proto esp spi "$A_SPI"
check "untrack: it goes" fired untrack "netns=$inum family=2 proto=50 spi=$A_SPI"
echo 0 >$trace/events/xfrmsync/enable
kill "$BG_PID" 2>/dev/null
check "the module unloads" unload_module
