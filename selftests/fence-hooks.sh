#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Netfilter has the fence's hooks while there is something to drop, and not longer; they are
# there before the fence counts as up. Where there is no room for them, SAs are stopped one by
# one, until there is. The same for either family.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/fencing.sh
. "$(dirname "$0")/fencing.sh"
plan 123

check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
setup_ns A B C
setup_veth "$A" "$B"
no_discovery
tmpdir
start_sink "$A" "$TMP/a"
start_sink "$B" "$TMP/b"

# Who is called for a packet, by the kernel's own word.
trace=/sys/kernel/tracing/instances/xfrmsync-$$
mkdir $trace
later rmdir $trace
later eval "echo nop >$trace/current_tracer"
printf '%s:mod:xfrmsync\n' out4 out6 in look_after_hooks >$trace/set_ftrace_filter
echo nf_register_net_hooks >>$trace/set_ftrace_filter
echo function >$trace/current_tracer
calls() { # FUNCTION N: for so many packets each way, whatever becomes of them, and one of no SA's
	: >$trace/trace
	try_packets "$A" "$B_IN" "$2"
	try_packets "$B" "$A_IN" "$2"
	through || return
	grep -c ": $1 <-" $trace/trace
}
traced() { [ "$(grep -c ": $1 <-" $trace/trace)" -ge "$2" ]; } # FUNCTION N
called() { [ "$(calls "$1" 5)" -ge 5 ]; }     # FUNCTION
not_called() { [ "$(calls "$1" 5)" = 0 ]; }   # FUNCTION

fence_is() { nl "$1" status | grep -q "\"fence\": \"$2\""; } # NS down|hooks|sas
oseq() { sa_oseq "$A" "$B_OUT" "$A_SPI"; }
bind() { # ATTRIBUTE...: of both SAs
	nl "$A" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 "$@" \
		-- family=2 dst="$A_OUT" spi="$B_SPI" proto=50 "$@"
}
restore() { # OSEQ SEQ: both SAs, as of an active
	local n

	for n in "dst=$B_OUT spi=$A_SPI" "dst=$A_OUT spi=$B_SPI"; do
		# shellcheck disable=SC2086 # words
		nl "$A" restore epoch=$epoch node=2 -- family=2 proto=50 $n \
			flags=esn,bmp oseq="$1" seq="$2" window=128 bitmap=0:0:0:0 \
			restore-flags=bind tag=9 >/dev/null || return
	done
}
# What was dropped would come behind what passes: so this one, which no SA protects, says that
# all before it are done with.
through() { send_and_count "$A" 192.0.2.2 1 "$TMP/b" && send_and_count "$B" 192.0.2.1 1 "$TMP/a"; }

# dropped NAME: on both ways, and no number is drawn
dropped() {
	local was a b

	was=$(oseq) a=$(delivered "$TMP/a") b=$(delivered "$TMP/b")
	try_packets "$A" "$B_IN" 5
	try_packets "$B" "$A_IN" 5
	check "$1: what no SA protects passes" through
	check_equal "$1: no number is drawn" "$was" "$(oseq)"
	check_equal "$1: nothing leaves" $((b + 1)) "$(delivered "$TMP/b")"
	check_equal "$1: nothing is delivered" $((a + 1)) "$(delivered "$TMP/a")"
}
passes() { # NAME
	check "$1: from A" send_and_count "$A" "$B_IN" 5 "$TMP/b"
	check "$1: to A" send_and_count "$B" "$A_IN" 5 "$TMP/a"
}

tunnel "$A" "$B" window=128

# --- on demand ------------------------------------------------------------------------

check "no role: nobody is called on the way out" not_called out4
check "nor on the way in" not_called in
role active
check "nor on an active" not_called out4
role standby
check "a standby's packets" called out4
check "both ways" called in
check "the fence says so" fence_is "$A" hooks
dropped standby
role active
passes "active again"
check "the fence is down" fence_is "$A" down
check "and nobody is called any more" busywait 20000 not_called out4
check "on the way in, neither" busywait 20000 not_called in
check "a limit to what an SA delivers" bind guard-end=$((1 << 40))
check "somebody looks at what comes" called in
passes "below the limit"
role none
check "no limit any more: nobody does" busywait 20000 not_called in

flips() {
	local n

	for ((n = 0; n < 20; n++)); do
		role active && role standby || return
	done
}
: >$trace/trace
check "back and forth" flips
check "the worker looks whether they are needed" busywait 20000 traced look_after_hooks 1
dropped "a standby in the end"
# Each time netfilter has them twice for a moment, or once.
rises_as_they_go() {
	local n was

	for ((n = 0; n < 5; n++)); do
		: >$trace/trace
		role active && busywait 20000 traced look_after_hooks 1 && role standby || return
		was=$(oseq)
		try_packets "$A" "$B_IN" 5
		through && [ "$(oseq)" = "$was" ] || return
	done
}
check "it rises as they go: no number is drawn" rises_as_they_go
role active
passes "an active in the end"
check "nobody is called then" busywait 20000 not_called out4

# --- a CPU that a task keeps ----------------------------------------------------------

# The worker could hold netfilter's mutex there, and a fence would wait for it.
role_on_1() { # ROLE: of the second CPU, before all else that runs there
	chrt -f 91 taskset 2 "$(dirname "$0")/nl.py" -n "$A" role-set "$1" $((++epoch)) 1 >/dev/null
}
keep_1() {
	local fair=/sys/kernel/debug/sched/fair_server/cpu1/runtime	# since 6.12

	mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug || return
	[ ! -f $fair ] || { later eval "echo $(cat $fair) >$fair" && echo 0 >$fair; } || return
	later sysctl -qw kernel.sched_rt_runtime_us="$(sysctl -n kernel.sched_rt_runtime_us)"
	sysctl -qw kernel.sched_rt_runtime_us=-1 || return
	background chrt -f 90 taskset 2 sh -c 'while :; do :; done'
}
# On 6.1 that stops its timers, too: ksoftirqd waits for the CPU, and they for it.
timers_on_1() { awk '$1 == "TIMER:" { print $3 }' /proc/softirqs; }
has_run() {
	traced look_after_hooks 1 && return
	ps -eo psr,cls,stat,comm | awk '$3 ~ /^R/'
	return 1
}
runs_elsewhere() {
	local before

	before=$(timers_on_1)
	busywait 20000 traced look_after_hooks 1 && return
	[ "$before" != "$(timers_on_1)" ] || stopped=1
	return 1
}

if [ "$(nproc)" -gt 1 ]; then
	role standby
	: >$trace/trace
	taskset -p 1 $$ >/dev/null
	check "a task keeps the second CPU" keep_1
	check "an active, there" role_on_1 active
	stopped=''
	runs_elsewhere
	if [ -n "$stopped" ]; then
		tap_skip "the worker runs elsewhere" "the timer does not come up"
	else
		check "the worker runs elsewhere" has_run
	fi
	kill -KILL "$BG_PID"
	wait "$BG_PID" 2>/dev/null
	taskset -p ffffffff $$ >/dev/null
	check "nobody is called then, either" busywait 20000 not_called out4
else
	for ((n = 0; n < 4; n++)); do tap_skip "a task keeps the second CPU" "one CPU"; done
fi

# --- no room --------------------------------------------------------------------------

# A thousand hooks and some are the most that netfilter takes in one place, others' included: so
# many chains that it does not take another one.
table=ip
chains() { # FROM N
	# shellcheck disable=SC2046 # a number each
	printf "table $table full {\n%s\n}\n" \
		"$(printf 'chain c%d { type filter hook postrouting priority 0; policy accept; }\n' \
			$(seq "$1" $(($1 + $2 - 1))))"
}
full() { # COMMAND...: nft there
	local n have=1000

	chains 0 $have | "$@" -f - || return
	for n in 16 4 1; do
		while chains $have $n | "$@" -f - 2>/dev/null; do
			have=$((have + n))
			[ $have -lt 2000 ] || return
		done
	done
}
room() { in_ns "$1" nft delete table "$table" full; } # NS

if ! command -v nft >/dev/null; then
	for ((n = 0; n < 88; n++)); do tap_skip "no room" "no nft"; done
	exit
fi
modprobe -q nf_tables
check "netfilter is full" full in_ns "$A" nft
dmesg -C
role standby
check "a standby without hooks" fence_is "$A" sas
check "the log says so" grep -q "no room for the fence's hooks" <(dmesg)
dropped "no room"
: >$trace/trace
check "it is tried again" busywait 20000 traced nf_register_net_hooks 2
dropped "still no room"
clear_tunnel
role standby
tunnel "$A" "$B" window=128
epoch=$((epoch + 1))
check "an active tells what came to its standby" restore 1000 2000
dropped "what came then"
clear_tunnel
tunnel "$A" "$B" window=128
role standby
check "SAs that are not the cluster's" bind flags=unmanaged
passes "they pass"
check "the cluster's again" bind flags=0 tag=7
dropped "they do not"
role active
check "a takeover without room" fence_is "$A" down
passes "it uses them at once"
dmesg -C
guard_holds "no room for a guard's hooks"
check "the log says so, too" grep -q "no room for the guard's hooks" <(dmesg)
check "a watchdog that hears nothing" nl "$A" watchdog-set 300
check "puts a fence up without room" busywait 20000 fence_is "$A" sas
dropped "the watchdog's fence"
check "no watchdog any more" nl "$A" watchdog-set 0
role active
role standby
dropped "and stops them again"
check "there is room" room "$A"
check "the hooks come" busywait 30000 fence_is "$A" hooks
check "and are called" called out4
dropped "with hooks again"
role active
passes "active again, with room"

# --- the other family -----------------------------------------------------------------

clear_tunnel
tunnel "$A" "$B" family=6 window=128
check "IPv6, no role: nobody is called" busywait 20000 not_called out6
role standby
check "IPv6: a standby's packets" called out6
check "IPv6: both ways" called in
dropped IPv6
role active
passes "IPv6, active again"
check "IPv6: nobody is called any more" busywait 20000 not_called out6
table=ip6
check "IPv6: netfilter is full" full in_ns "$A" nft
role standby
check "IPv6: a standby without hooks" fence_is "$A" sas
dropped "IPv6, no room"
check "IPv6: no half of them is left" busywait 20000 not_called out4
check "IPv6: there is room" room "$A"
check "IPv6: the hooks come" busywait 30000 fence_is "$A" hooks
check "IPv6: and are called" called out6
dropped "IPv6, with hooks again"
role active
passes "IPv6, active again, with room"
table=ip

# --- where it ends --------------------------------------------------------------------

modprobe -q nf_tables
check "a namespace is full" full in_ns "$C" nft
check "a standby there" nl "$C" role-set standby 1 1
check "its fence" fence_is "$C" sas
check "it goes all the same" ip netns delete "$C"
role none
echo nop >$trace/current_tracer
check "the module unloads" unload_module

# --- where it begins ------------------------------------------------------------------

# A stored role is that of the first namespace.
first_fence_is() { "$(dirname "$0")/nl.py" status | grep -q "\"fence\": \"$1\""; } # sas|hooks
check "the first namespace is full" full nft
later eval 'nft delete table ip full 2>/dev/null'
check "the module loads, a standby, where there is no room" load_module role=standby epoch=1 node=1
check "it is fenced" first_fence_is sas
nft delete table ip full
check "there is room: the hooks come" busywait 30000 first_fence_is hooks
check "no role any more" "$(dirname "$0")/nl.py" role-set none
check "the module unloads once more" unload_module
