#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Planned takeovers while the cipher is asynchronous (pcrypt): what is in crypto has drawn its
# number, or will have it accepted, on either side of the last record. No number twice, nothing
# delivered twice, and what does not get through is what was on its way.
#
#   P 192.0.3.2 ===== tunnels ===== 192.0.3.1 A or B, 192.0.2.1 --- TLS --- 192.0.2.2
#
# Crypto is held: pcrypt hands packets on from the second CPU, where a task of a higher class
# than its worker spins. All else runs on the first.
# timeout: 400

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 59

here=$(dirname "$0")
PCRYPT=/sys/kernel/pcrypt

# Before anything is started, so that all of it runs there.
taskset -p 1 $$ >/dev/null
need_daemon
[ "$(getconf _NPROCESSORS_ONLN)" -gt 1 ] || skip_all "one CPU: nothing can be held"
modprobe -aq pcrypt algif_aead seqiv gcm || skip_all "no pcrypt in this kernel"
setup_ns A B P
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
tmpdir
modprobe -aq esp4 xfrm_user
modprobe -rq esp4_offload	# of another test: segments are not the matter here
pair_confs "$A" "$B"
sed -i 's/^dead_ms = .*/&\nanswer_ms = 60000/' "$TMP/a.conf" "$TMP/b.conf"

# Both have the address, and P's neighbour entry says whose turn it is: no ARP drops a packet.
declare -A mac
for n in a b; do
	ns=${node_ns[$n]}
	ip -n "$ns" -batch - <<-END
		address replace 192.0.3.1/24 dev out
		neighbour replace 192.0.3.2 lladdr $(mac_of "$P" br0) dev out nud permanent
		route replace 10.2.0.0/16 via 192.0.3.2 src 10.1.0.1
	END
	mac[$n]=$(mac_of "$ns" out)
done
turn() { ip -n "$P" neighbour replace 192.0.3.1 lladdr "${mac[$1]}" dev br0 nud permanent; } # NODE

stat_of() { nl "$1" stats | sed -n "s/.*\"$2\": \([0-9]*\).*/\1/p"; } # NS NAME
stat_is() { [ "$(stat_of "$1" "$2")" -eq "$3" ]; }                                # NS NAME N
out_is() { oseq_is "$1" "$B_OUT" "$A_SPI" "$2"; }                                 # NS N
oseq() { sa_oseq "$1" "$B_OUT" "$A_SPI"; }                                        # NS
in_seq() { sa_seq "$1" "$A_OUT" "$B_SPI"; }                                       # NS
in_is() { [ "$(in_seq "$1")" = "$2" ]; }                                          # NS N
replays_seen() { # NS: by its inbound SA
	ip -n "$1" -s xfrm state get dst "$A_OUT" proto esp spi "$B_SPI" |
		sed -n 's/.*replay-window \([0-9]*\) replay \([0-9]*\) .*/\1 + \2/p' | xargs expr
}
replays_are() { [ "$(replays_seen "$1")" -eq "$2" ]; } # NS N
refused() { # NS: by any window
	# shellcheck disable=SC2016 # awk's own
	in_ns "$1" awk '$1 == "XfrmInStateSeqError" { print $2 }' /proc/net/xfrm_stat
}
# What comes to a standby is dropped behind the fence, or refused: its window is led by a guard.
lost_in() { echo $(($(stat_of "$1" fenced-in) + $(refused "$1"))); } # NS
lost_in_is() { [ "$(lost_in "$1")" -eq "$2" ]; }                     # NS N

# --- the cipher -------------------------------------------------------------------------

# shellcheck disable=SC2317 # later calls it
unload_pcrypt() { # an SA's cipher goes some time after it
	local ns

	for ns in "$A" "$B" "$P"; do ip -n "$ns" xfrm state flush; done
	busywait 10000 rmmod pcrypt >/dev/null
}
later unload_pcrypt
driver=$(/usr/bin/python3 "$here/async.py" parallel)
check "pcrypt takes it over" [ -n "$driver" ]
[ -n "$driver" ] || exit
tunnel "$A" "$P" link=1 window=128
# shellcheck disable=SC2016 # awk's own
check "the SAs use it" awk -v d="$driver" '$1 == "driver" { on = substr($0, index($0, ":") + 2) == d }
	on && $1 == "refcnt" { n = $3 } END { print d, n; exit !(n > 4) }' /proc/crypto

# hold NAME [COMMAND...]: packets stay in pencrypt (or pdecrypt), until go_on, or until COMMAND
# has ended, which spins.
hold() {
	echo 2 >"$PCRYPT/$1/serial_cpumask"
	[ -z "$hog" ] || return 0
	[ $# -gt 1 ] || set -- "$1" bash -c "$says_so; while :; do :; done" _
	rm -f "$TMP/spins"
	background chrt -f 90 taskset 2 "${@:2}" "$TMP/spins"
	hog=$BG_PID
	busywait 10000 spins "$hog" >/dev/null || bail "nothing spins"
}
# While it starts it waits for its files, and others have the processor.
# shellcheck disable=SC2016 # the inner shell's arguments
says_so='for said; do :; done; : >"$said"'
spins() { # PID: and where it shall
	[ -e "$TMP/spins" ] && [ "$(awk '{ print $39, $41 }' "/proc/$1/stat")" = "1 1" ]
}
go_on() {
	{ kill -KILL "$hog"; wait "$hog"; } 2>/dev/null
	hog=''
	echo 1 >"$PCRYPT/pencrypt/serial_cpumask"
	echo 1 >"$PCRYPT/pdecrypt/serial_cpumask"
}
hog=''
later go_on	# who ends in the middle: before pcrypt shall go
fair=/sys/kernel/debug/sched/fair_server/cpu1/runtime	# since 6.12: others get some time
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
[ ! -f $fair ] || { later eval "echo $(cat $fair) >$fair"; echo 0 >$fair; }
later sysctl -qw kernel.sched_rt_runtime_us="$(sysctl -n kernel.sched_rt_runtime_us)"
sysctl -qw kernel.sched_rt_runtime_us=-1
for mask in pencrypt pdecrypt; do
	echo 1 >$PCRYPT/$mask/parallel_cpumask
	echo 1 >$PCRYPT/$mask/serial_cpumask
done

# Each frame has the room of the longest one: -s 0 would leave room for 32. Not where others spin.
background ip netns exec "$P" taskset 1 tcpdump -i br0 -Q in -s 2048 -B 8192 -U --immediate-mode -Z root \
	-w "$TMP/wire.pcap" 'ip proto 50' 2>"$TMP/tcpdump"
capture=$BG_PID
check "the wire is captured" busywait 20000 grep -q "listening on" "$TMP/tcpdump"
background nsenter --net="/run/netns/$P" /usr/bin/python3 "$here/hear.py" listen br0 "$TMP/heard" >"$TMP/listening" 2>&1
check "somebody hears P" busywait 20000 grep -q listening "$TMP/listening"
start_sink "$P" "$TMP/p"
start_sink "$A" "$TMP/a"
start_sink "$B" "$TMP/b"
check "a pair" both_start a b

turns=0
# hands_over FROM TO
hands_over() {
	local before

	turns=$((turns + 1))
	before=$(grep -c "handed over" "$TMP/$2.log")
	busywait 20000 status "$2" "s['role'] == 'standby' and s['ready']" && ask "$2" takeover &&
		turn "$2" && [ "$(grep -c "handed over" "$TMP/$2.log")" -gt "$before" ]
}

turn a

start_traffic() { # SECONDS: between two packets
	: >"$TMP/traffic"
	background /usr/bin/python3 "$here/async.py" traffic "$A" "$B" "$P" "$TMP/counts" "$1" \
		>"$TMP/traffic" 2>&1
	traffic=$BG_PID
	busywait 20000 grep -q ready "$TMP/traffic"
}
end_traffic() { # what was on its way is where it goes
	kill "$traffic" && wait "$traffic"
}
count() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$TMP/counts" "$1"; }
late() { echo $(($(stat_of "$A" fenced-late) + $(stat_of "$B" fenced-late))); }

# --- under traffic ----------------------------------------------------------------------

check "traffic both ways" start_traffic 0.003
from=a to=b
for n in 1 2 3 4 5 6; do
	check "under traffic, $n: planned" hands_over $from $to
	swap=$from from=$to to=$swap
done
check "in step" wait_step a b
end_traffic
check_equal "the peer took no packet for a replay" 0 "$(refused "$P")"
check_equal "out: what was drawn was delivered, or dropped behind the fence" "$(oseq "$A")" \
	$(($(count p) + $(late)))
check_equal "in: what was sent was delivered, or came to a standby" \
	"$(sa_oseq "$P" "$A_OUT" "$B_SPI")" \
	$(($(count a) + $(count b) + $(lost_in "$A") + $(lost_in "$B")))

# --- drained ----------------------------------------------------------------------------

# The daemon that hands over waits for what is in crypto: that is held until it waits. It does so
# for drain_ms at least, and what was held has to come out meanwhile.
sed -i 's/^answer_ms = .*/&\ndrain_ms = 100/' "$TMP/a.conf" "$TMP/b.conf"
reload_both() { reload a && reload b; }
check "drained: the daemons wait for longer" reload_both
# Where a processor spins, nothing may be forked.
# shellcheck disable=SC2016 # the inner shell's arguments
until_it_waits=$says_so'; until mapfile stack <"/proc/$1/stack"; [[ ${stack[*]} == *xfrmsync_fence_drain* ]]
	do :; done'

out_is_past() { [ "$(oseq "$1")" -gt "$2" ]; }           # NS N
stat_is_past() { [ "$(stat_of "$1" "$2")" -gt "$3" ]; } # NS NAME N

# drains FROM TO: planned, with packets in crypto; all of them leave. Where the machine stood still
# for as long as the daemon waits, it shows nothing.
drains() {
	local ns=${node_ns[$1]} drained dropped last

	drained=$(stat_of "$ns" drained) dropped=$(late) last=$(oseq "$ns")
	# The daemon's helper, its only child, is what the kernel has wait.
	hold pencrypt bash -c "$until_it_waits" _ "$(pgrep -P "${pid[$1]}")"
	busywait 20000 out_is_past "$ns" $((last + 10)) && hands_over "$1" "$2"
	go_on
	stat_is_past "$ns" drained $((drained + 10)) && [ "$(late)" -eq "$dropped" ]
}

first=$(oseq "$A") drops=$(late) lost=$(($(lost_in "$A") + $(lost_in "$B")))
sent=$(sa_oseq "$P" "$A_OUT" "$B_SPI")
# Of a pace at which they are not too many for the cipher.
check "drained: traffic both ways" start_traffic 0.02
from=a to=b
declare -A all_left=()
for ((n = 0; n < 20 && ${#all_left[@]} < 2; n++)); do
	if drains $from $to; then all_left[$from]=1; fi
	swap=$from from=$to to=$swap
done
check "drained: what was in crypto of A's has left, and nothing was dropped" [ -n "${all_left[a]-}" ]
check "drained: nor of B's" [ -n "${all_left[b]-}" ]
[ $((n % 2)) -eq 0 ] || hands_over b a
check "drained: in step" wait_step a b
end_traffic
check_equal "drained: out: what was drawn was delivered, or dropped behind the fence" \
	$(($(oseq "$A") - first)) $(($(count p) + $(late) - drops))
check_equal "drained: in: what was sent was delivered, or came to a standby" \
	$(($(sa_oseq "$P" "$A_OUT" "$B_SPI") - sent)) \
	$(($(count a) + $(count b) + $(lost_in "$A") + $(lost_in "$B") - lost))

# --- held on the way out ----------------------------------------------------------------

last=$(oseq "$A") drops=$(stat_of "$A" fenced-late) have=$(delivered "$TMP/p")
hold pencrypt
send_packets "$A" 10.2.0.1 10
check "ten packets have their numbers, and are in crypto" out_is "$A" $((last + 10))
check_equal "none is out" "$have" "$(delivered "$TMP/p")"
check "B takes over meanwhile" hands_over a b
check "at the number after theirs" out_is "$B" $((last + 10))
check_equal "they are still there" "$drops" "$(stat_of "$A" fenced-late)"
go_on
check "now they are dropped behind the fence" busywait 20000 stat_is "$A" fenced-late $((drops + 10))
check "B's go through" send_and_count "$B" 10.2.0.1 10 "$TMP/p"
check_equal "and theirs do not" $((have + 10)) "$(delivered "$TMP/p")"

# --- held on the way in -----------------------------------------------------------------

heard() { wc -l <"$TMP/heard"; }
heard_are() { [ "$(heard)" -eq "$1" ]; }
# Once, however often they were heard since: what is repeated is heard as well.
replay() { # FROM: ten
	sed -n "$(($1 + 1)),$(($1 + 10))p" "$TMP/heard" >"$TMP/ten"
	in_ns "$P" /usr/bin/python3 "$here/hear.py" replay "$TMP/ten"
}
lines=$(heard)
last=$(in_seq "$B") drops=$(lost_in "$B")
hold pdecrypt
send_packets "$P" 10.1.0.1 10
check "ten packets reach B" busywait 20000 heard_are $((lines + 10))
check "and are in crypto" in_is "$B" "$last"
check "A takes over meanwhile" hands_over b a
check "A's window ends before them" in_is "$A" "$last"
go_on
check "now B drops them" busywait 20000 lost_in_is "$B" $((drops + 10))
have=$(($(delivered "$TMP/a") + $(delivered "$TMP/b")))
replay "$lines"
check "repeated to A they are delivered, for the first time" busywait 20000 in_is "$A" $((last + 10))
check "all ten" busywait 20000 delivered_is "$TMP/a" $((have + 10 - $(delivered "$TMP/b")))
seen=$(replays_seen "$A")
replay "$lines"
check "repeated once more they are replays" busywait 20000 replays_are "$A" $((seen + 10))
check "B takes over" hands_over a b
seen=$(replays_seen "$B")
replay "$lines"
check "for B, too" busywait 20000 replays_are "$B" $((seen + 10))
check_equal "each was delivered once" $((have + 10)) $(($(delivered "$TMP/a") + $(delivered "$TMP/b")))

# --- held there and back ------------------------------------------------------------------

lines=$(heard)
first=$(in_seq "$B") last=$(oseq "$B") have=$(delivered "$TMP/p") in=$(delivered "$TMP/b")
hold pdecrypt
send_packets "$P" 10.1.0.1 10
check "ten packets come to B" busywait 20000 heard_are $((lines + 10))
hold pencrypt
send_packets "$B" 10.2.0.1 10
check "ten leave it" out_is "$B" $((last + 10))
check "A takes over" hands_over b a
check "B takes over again" hands_over a b
check "nothing has moved" in_is "$B" "$first"
check "but those ten numbers" out_is "$B" $((last + 10))
go_on
check "what came is delivered now" busywait 20000 delivered_is "$TMP/b" $((in + 10))
check "what leaves gets there" busywait 20000 delivered_is "$TMP/p" $((have + 10))
check "B goes on behind it" send_and_count "$B" 10.2.0.1 10 "$TMP/p"
seen=$(replays_seen "$B")
replay "$lines"
check "a repetition is one" busywait 20000 replays_are "$B" $((seen + 10))
check_equal "and delivered once" $((in + 10)) "$(delivered "$TMP/b")"

# --- the wire -----------------------------------------------------------------------------

kill -INT "$capture"
wait "$capture"
ip -n "$A" xfrm state >"$TMP/keys"
check "each packet of the wire is verified with the key, and none repeats" /usr/bin/python3 \
	"$here/judge/judge.py" --keys "$TMP/keys" --name "${mac[a]}=a" --name "${mac[b]}=b" \
	--packets "$TMP/packets" "$TMP/wire.pcap"
results /usr/bin/python3 "$here/async.py" judge "$TMP/packets" "$(late)" $turns

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
