#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What had drawn its number before the fence rose, and comes out of crypto after it: it does not
# leave. In each mode of ESP and AH, over both families, and through vti, where the packet has not
# the mark that its SA has.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP, AH ===== 192.0.2.2 --- 10.2.0.1 B
#
# Crypto is held: cryptd goes on where a packet was sent, on the second CPU, and there the sender,
# a task of a higher class, spins. All else runs on the first.
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/fencing.sh
. "$(dirname "$0")/fencing.sh"
plan 70

here=$(dirname "$0")

[ "$(nproc)" -gt 1 ] || skip_all "one CPU: nothing can be held"
# Before anything is started, so that all of it runs there.
taskset -p 1 $$ >/dev/null
check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
modprobe -aq cryptd algif_hash crypto_user authenc echainiv cbc || skip_all "no cryptd in this kernel"
modprobe -aqr esp4_offload esp6_offload	# they have crypto behind all of netfilter
setup_ns A B
setup_veth "$A" "$B"
no_discovery
tmpdir
start_sink "$A" "$TMP/a"
start_sink "$B" "$TMP/b"

# shellcheck disable=SC2317 # later calls it
drop_cryptd() {
	ip -n "$A" xfrm state flush
	ip -n "$B" xfrm state flush
	/usr/bin/python3 "$here/async.py" drop "$driver"
}
driver=$(/usr/bin/python3 "$here/async.py" queued)
check "cryptd takes it over" [ -n "$driver" ]
[ -n "$driver" ] || exit
later drop_cryptd
fair=/sys/kernel/debug/sched/fair_server/cpu1/runtime	# since 6.12: others get some time
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
[ ! -f $fair ] || { later eval "echo $(cat $fair) >$fair"; echo 0 >$fair; }
# A grace period must not wait for ksoftirqd, which does not run there (6.1).
later eval "echo $(cat /sys/kernel/rcu_expedited) >/sys/kernel/rcu_expedited"
echo 1 >/sys/kernel/rcu_expedited
later sysctl -qw kernel.sched_rt_runtime_us="$(sysctl -n kernel.sched_rt_runtime_us)"
sysctl -qw kernel.sched_rt_runtime_us=-1

drew() { [ "$(sa_oseq "$A" "$B_OUT" "$A_SPI")" -eq "$1" ]; } # N

release() {
	kill -KILL "$BG_PID"
	wait "$BG_PID" 2>/dev/null
}

# Five that have their numbers are in crypto, and the fence is up. Where they came through before
# it (a kernel may have its crypto done elsewhere), there is nothing to be seen: once more.
held() {
	local last try

	for ((try = 0; try < 5; try++)); do
		last=$(sa_oseq "$A" "$B_OUT" "$A_SPI") late=$(counted fenced-late) have=$(delivered "$TMP/b")
		background chrt -f 90 taskset 2 /usr/bin/python3 "$here/async.py" spin "$A" "$B_IN" 5
		busywait 20000 drew $((last + 5)) || return
		role standby
		echo "$late $have, $(counted fenced-late) $(delivered "$TMP/b")"
		[ "$late $have" != "$(counted fenced-late) $(delivered "$TMP/b")" ] || return 0
		release
		role active
		busywait 10000 delivered_is "$TMP/b" $((have + 5 - $(counted fenced-late) + late)) || return
	done
	return 1
}

# late_is_dropped NAME: of the tunnel that was just set up.
late_is_dropped() {
	local late have

	check "$1: one gets through" send_and_count "$A" "$B_IN" 1 "$TMP/b"
	check "$1: five have their numbers, and are in crypto" held
	release
	check "$1: behind the fence" busywait 10000 counted_is fenced-late $((late + 5))
	role active
	# What left all the same would be one of these.
	check "$1: active again" send_and_count "$A" "$B_IN" 1 "$TMP/b"
}

# The fence rises, and waits for what is in crypto: it has drawn its number.
# Grace periods are over: it sleeps in there itself.
is_draining() {
	head -n 1 "/proc/$drain/stack" | grep -q 'xfrmsync_fence_drain\|is_dry' && return
	cat "/proc/$drain/stack"
	return 1
}
in_crypto() {
	local try last

	for ((try = 0; try < 5; try++)); do
		last=$(sa_oseq "$A" "$B_OUT" "$A_SPI") have=$(delivered "$TMP/b")
		background chrt -f 90 taskset 2 /usr/bin/python3 "$here/async.py" spin "$A" "$B_IN" 5
		busywait 20000 drew $((last + 5)) || return
		[ "$(delivered "$TMP/b")" -gt "$have" ] || return 0
		release
		busywait 10000 delivered_is "$TMP/b" $((have + 5)) || return
	done
	return 1
}

# late_may_leave NAME: of the tunnel that was just set up. The longest wait, which is ended by hand.
late_may_leave() {
	local have in late drained out drain last spin

	check "$1, drained: five are in crypto" in_crypto
	spin=$BG_PID
	late=$(counted fenced-late) drained=$(counted drained) out=$(counted fenced-out)
	last=$(sa_oseq "$A" "$B_OUT" "$A_SPI") in=$(delivered "$TMP/a")
	epoch=$((epoch + 1))
	# What waits is not nl's.
	background "$here/nl.py" -n "$A" role-set standby $epoch 1 60000 >/dev/null 2>&1
	drain=$BG_PID
	check "$1, drained: it waits" busywait 20000 is_draining
	try_packets "$A" "$B_IN" 2
	check "$1, drained: no more go out" busywait 10000 counted_to fenced-out $((out + 2))
	check_equal "$1, drained: and no number is drawn" "$last" "$(sa_oseq "$A" "$B_OUT" "$A_SPI")"
	check "$1, drained: what comes is delivered" send_and_count "$B" "$A_IN" 3 "$TMP/a"
	BG_PID=$spin
	release
	check "$1, drained: the five leave" busywait 10000 delivered_is "$TMP/b" $((have + 5))
	check_equal "$1, drained: they are counted" "$((drained + 5)) $late" \
		"$(counted drained) $(counted fenced-late)"
	kill -KILL "$drain"
	wait "$drain" 2>/dev/null
	out=$(counted fenced-in) in=$(delivered "$TMP/a")
	try_packets "$B" "$A_IN" 3
	check "$1, drained: then it is fenced whole" busywait 10000 counted_to fenced-in $((out + 3))
	role active
	check "$1, drained: active again" send_and_count "$B" "$A_IN" 1 "$TMP/a"
	check_equal "$1, drained: nothing else came in" $((in + 1)) "$(delivered "$TMP/a")"
}

# --- modes ----------------------------------------------------------------------------

role active
for args in "proto=ah mode=transport family=6" "proto=ah family=6" proto=ah "" family=6 \
	"mode=transport family=6" encap=4500 "encap=4501 family=6"; do
	# shellcheck disable=SC2086 # words
	tunnel "$A" "$B" cipher=cbc $args
	late_is_dropped "${args:-tunnel}"
	case $args in "" | family=6 | encap=4500) late_may_leave "${args:-tunnel}" ;; esac
	clear_tunnel
	role active
done

# --- marks ------------------------------------------------------------------------------

# B takes the packets without a device: from a vti's that come out of async crypto 6.1.0-56
# loses a reference each to the card (without the module, too), which then cannot go.
plain_end() {
	# shellcheck disable=SC2034 # lib_sa reads them
	local proto=esp mode=tunnel esn=1 window=64 encap='' cipher=cbc

	ip -n "$B" xfrm state flush
	ip -n "$B" xfrm policy flush
	ip -n "$B" link delete dev0
	lib_sa "$B" "$A_OUT" "$B_OUT" "$A_SPI"
	lib_policies "$B" "$B_IN" "$A_IN" "$B_OUT" "$A_OUT"
}

if modprobe -q ip_vti; then
	vti_devices 4
	CIPHER=cbc device_tunnel 4 mark 7 -- mark 7
	devices_carry 4
	plain_end
	SA_MARK=7
	late_is_dropped "vti, SA with a mark"
	# The same of an SA that is none of the cluster's.
	check "unmanaged" nl "$A" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 mark=7 \
		mark-mask=0xffffffff flags=unmanaged
	role standby
	check "vti, unmanaged: passes" send_and_count "$A" "$B_IN" 3 "$TMP/b"
	SA_MARK=''
	clear_tunnel
else
	for ((i = 0; i < 6; i++)); do tap_skip vti "not in this kernel"; done
fi
