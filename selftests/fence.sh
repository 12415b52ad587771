#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# While a node is standby, no packet of a managed SA is protected and no number is drawn, and
# none that arrives is delivered: of local sockets, in each mode of ESP and AH, over both
# families. What is not the cluster's passes. Other ways through the kernel: fence-paths.sh;
# packets that are on their way while the fence rises: fence-late.sh.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/fencing.sh
. "$(dirname "$0")/fencing.sh"
plan 103

check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
setup_ns A B
setup_veth "$A" "$B"
no_discovery
tmpdir
start_sink "$A" "$TMP/a"
start_sink "$B" "$TMP/b"

bind() { # FLAG [ATTRIBUTE...]: of both SAs
	local flag=$1

	shift
	nl "$A" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 flags="$flag" "$@" \
		-- family=2 dst="$A_OUT" spi="$B_SPI" proto=50 flags="$flag" "$@" >/dev/null
}

untold_is() { nl "$A" status | grep -q "\"untold\": $1[,}]"; } # N

# --- modes ----------------------------------------------------------------------------

role active
for args in "" family=6 mode=transport "mode=transport family=6" \
	proto=ah "proto=ah family=6" "proto=ah mode=transport" "proto=ah mode=transport family=6" \
	encap=4500 "encap=4501 family=6"; do
	# shellcheck disable=SC2086 # words
	tunnel "$A" "$B" $args
	fence_holds "${args:-tunnel}"
	clear_tunnel
	role active
done

# --- what is not the cluster's ----------------------------------------------------------

tunnel "$A" "$B"
role standby
check "unmanaged" bind unmanaged
check "it passes, from A" send_and_count "$A" "$B_IN" 5 "$TMP/b"
check "it passes, to A" send_and_count "$B" "$A_IN" 5 "$TMP/a"
check "managed again" bind 0 tag=7
out=$(counted fenced-out)
try_packets "$A" "$B_IN" 3
check_equal "it does not" $((out + 3)) "$(counted fenced-out)"
check "what no SA protects passes" send_and_count "$A" 192.0.2.2 5 "$TMP/b"

role none
check "no role, no fence" send_and_count "$A" "$B_IN" 5 "$TMP/b"
clear_tunnel

# --- what came to a standby, and no active told ------------------------------------------

flagged() { # FLAG
	nl "$A" dump | grep "\"spi\": $((A_SPI))," | grep -q "\"$1\""
}
expired() { grep -q "spi $A_SPI.*" <(tr '\n' ' ' <"$TMP/expire"); }
restore() { # OSEQ SEQ: both SAs, as of an active
	local n

	for n in "dst=$B_OUT spi=$A_SPI" "dst=$A_OUT spi=$B_SPI"; do
		# shellcheck disable=SC2086 # words
		nl "$A" restore epoch=$epoch node=2 -- family=2 proto=50 $n \
			flags=esn,bmp oseq="$1" seq="$2" window=128 bitmap=0:0:0:0 \
			restore-flags=bind tag=9 >/dev/null || return
	done
}

xfrm_monitor "$A" "$TMP/expire" expire
role standby
tunnel "$A" "$B" window=128
check "two SAs come to a standby" untold_is 2
check "they are fenced for themselves" flagged fenced
role active
check "a takeover does not use them" test "$(try_packets "$A" "$B_IN" 5; sa_oseq "$A" "$B_OUT" "$A_SPI")" = 0
check "but has them rekeyed" busywait 10000 expired
check "from then on they are fenced ones as others" untold_is 0
check "until somebody says otherwise" bind 0
check "then they are used" send_and_count "$A" "$B_IN" 5 "$TMP/b"
clear_tunnel
role active
tunnel "$A" "$B" window=128
check_fails "what comes to an active is not fenced" flagged fenced
check "and used" send_and_count "$A" "$B_IN" 5 "$TMP/b"
clear_tunnel
role standby
tunnel "$A" "$B" window=128
epoch=$((epoch + 1))
check "an active tells what came to its standby" restore 1000 2000
check "it is not fenced any more" untold_is 0
role active
check "a takeover uses it" send_and_count "$A" "$B_IN" 5 "$TMP/b"
check_equal "where it was told to stand" 1005 "$(sa_oseq "$A" "$B_OUT" "$A_SPI")"
clear_tunnel
role standby
tunnel "$A" "$B" window=128
check "what is not the cluster's" bind unmanaged
role active
check "is used" send_and_count "$A" "$B_IN" 5 "$TMP/b"
clear_tunnel
check "nothing is left to be told" untold_is 0

# --- many at once -------------------------------------------------------------------------

# Each call that tells a soft expiry, each run that makes them, and the timers that lead to the
# next run: no key manager can make so many SAs at once.
many=200
trace=/sys/kernel/tracing/instances/xfrmsync-$$
mkdir $trace
later rmdir $trace
printf '%s\n' km_state_expired tell_due >$trace/set_ftrace_filter
echo function >$trace/current_tracer
echo 1 >$trace/events/timer/timer_start/enable
told() { grep -c ': km_state_expired' $trace/trace; }
all_told() { [ "$(told)" -eq $many ]; }
in_bursts() { # of no more than 64; the next one waits for some jiffies (HZ is 100 at least)
	awk '
		/: tell_due/ { if (n) { runs++; bad += pause < 10 } n = pause = 0 }
		/: km_state_expired/ { n++; bad += n > 64 }
		/timer_start:.*delayed_work_timer_fn/ && n && match($0, /timeout=[0-9]+/) {
			pause = substr($0, RSTART + 8, RLENGTH - 8) + 0
		}
		/: tell_due|: km_state|delayed_work_timer/ { print }
		END { exit bad || runs < 3 }' $trace/trace
}
role none
role standby
one_key=$(key 20 many)
for ((n = 0; n < many; n++)); do
	echo "xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi $((0x5000 + n)) reqid 1 mode tunnel" \
		"aead rfc4106(gcm(aes)) $one_key 128"
done >"$TMP/many"
ip -n "$A" -batch "$TMP/many"
check "many SAs come to a standby" untold_is $many
role active
check "a takeover has all of them rekeyed" busywait 30000 all_told
check "rekeys are asked for a few at a time" in_bursts
echo nop >$trace/current_tracer
echo 0 >$trace/events/enable
clear_tunnel

# --- packets that saw it down -----------------------------------------------------------

# They have a few instructions to go, which nothing here can make longer. So: that it waits.
echo synchronize_net >$trace/set_ftrace_filter
echo >$trace/trace
echo function >$trace/current_tracer
role active
role standby
check "a fence that is up waits for packets that saw it down" \
	grep 'python3-.*: synchronize_net' $trace/trace
echo nop >$trace/current_tracer		# it empties the trace
role none

# --- another module is asked first --------------------------------------------------------

# What cannot be fenced is not promised: the module does not load.
first=$BUILD/offload/xsfirst.ko
later eval 'rmmod xsfirst 2>/dev/null'
if [ -f "$first" ]; then
	unload_module
	check "another module's handler" insmod "$first"
	check_fails "the module does not load beside it" load_module
	check "and says why" grep -q "another module has the handler of priority 200" <(dmesg)
	check "it goes" rmmod xsfirst
else
	for ((n = 0; n < 4; n++)); do tap_skip "another module" "not built for $KVER: make offload-6.12"; done
fi
check "the module loads again" load_module
