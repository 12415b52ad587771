#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A gateway's outer address changes: its SAs and policies move, under load and with a daemon that
# tells a standby; each goes on at its number, and no number is sent twice.
#
#   P 192.0.3.2 --- 192.0.3.1, .11 A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 360

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 97

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 esp6 xfrm_user
old=192.0.3.1 new=192.0.3.11
ip -n "$A" address add $new/24 dev xs1
ip -n "$A" address add 2001:db8:1::11/64 dev xs1 nodad

tool() { # NS VERB...
	local ns=$1

	shift
	in_ns "$ns" "$XFRMSYNC" "$@" --socket "$TMP/none" 2>"$TMP/err"
}
says() { grep -q -- "$1" "$TMP/err" || { cat "$TMP/err"; return 1; }; } # TEXT
replays() { ip -n "$1" -s xfrm state | awk '/replay-window/ && !/anti/ { n += $4 + 0 } END { print n + 0 }'; }
# Nothing names that address any more.
no_trace() { ! { ip -n "$1" xfrm state; ip -n "$1" xfrm policy; } | grep -wF -- "$2 "; } # NS ADDRESS
of() { nl "$1" dump | grep "\"spi\": $(($2)),"; } # NS SPI
value() { of "$1" "$2" | grep -o "\"$3\": [^,}]*"; } # NS SPI NAME

start_sink "$P" "$TMP/p"
start_sink "$A" "$TMP/a"

# --- no daemon -----------------------------------------------------------------------

tunnel "$A" "$P" link=1 window=128
tunnel "$A" "$P" link=1 window=128 spi=0x2000 policy=0
check "traffic" send_and_count "$A" "$B_IN" 20 "$TMP/p"
check "both ways" send_and_count "$P" "$A_IN" 20 "$TMP/a"
sent=$(($(sa_oseq "$A" "$B_OUT" 0x1000) + $(sa_oseq "$A" "$B_OUT" 0x2000)))
check "A moves" tool "$A" migrate $old=$new
check "four SAs, two of a rekey" sas_are "$A" 4
check "their policies, and no other" policies_are "$A" 3
check "nothing has the old name" no_trace "$A" $old
check_equal "each goes on at its number" "$sent" \
	"$(($(sa_oseq "$A" "$B_OUT" 0x1000) + $(sa_oseq "$A" "$B_OUT" 0x2000)))"
check "the window stays" [ "$(($(sa_seq "$A" $new 0x1001) + $(sa_seq "$A" $new 0x2001)))" -eq 20 ]
check "nothing is stopped" test -z "$(nl "$A" dump | grep fenced)"
check "P moves, too" tool "$P" migrate $old=$new
check "traffic" send_and_count "$A" "$B_IN" 20 "$TMP/p"
check "both ways" send_and_count "$P" "$A_IN" 20 "$TMP/a"
check_equal "nothing refused as a replay" 0 "$(($(replays "$A") + $(replays "$P")))"

# --- stopped before it is cloned -----------------------------------------------------

# A number that is drawn between the clone and the deletion is sent twice, a matter of luck below:
# what state an SA is in as XFRM clones it (2: valid, 3: error), is not. Since 6.6 a probe
# knows the kernel's types.
tracing=/sys/kernel/tracing
if grep -qF '<argname>[->field' $tracing/README; then
	trace=$tracing/instances/xfrmsync-$$
	mkdir $trace
	later rmdir $trace
	later eval "echo '-:xfrmsync_$$/clone' >>$tracing/kprobe_events"
	echo "p:xfrmsync_$$/clone xfrm_state_migrate state=x->km.state" >>$tracing/kprobe_events
	echo 1 >$trace/events/xfrmsync_$$/enable
	cloned() { grep -cE "clone: .* state=$1\$" $trace/trace; } # STATE
	check "A moves once more" tool "$A" migrate $new=$old
	check "and back" tool "$A" migrate $old=$new
	echo 0 >$trace/events/xfrmsync_$$/enable
	grep clone: $trace/trace
	check_equal "each SA was stopped as it was cloned" "8 of 8" "$(cloned 3) of $(cloned '[0-9]*')"
else
	for ((n = 0; n < 3; n++)); do tap_skip "stopped as it is cloned" "no types for probes before 6.6"; done
fi

# --- while it sends --------------------------------------------------------------------

ip netns exec "$A" /usr/bin/python3 - "$B_IN" <<-'END' &
	import socket, sys
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	for i in range(20000):
	    try:
	        s.sendto(b"x", (sys.argv[1], 9))
	    except OSError:
	        pass
END
sender=$! moves=0 failures=0
while kill -0 $sender 2>/dev/null; do
	if tool "$A" migrate $new=$old && tool "$A" migrate $old=$new; then
		moves=$((moves + 2))
	else
		failures=$((failures + 1))
		cat "$TMP/err"
		break
	fi
done
wait $sender
tap_say "# $moves moves meanwhile, $(delivered "$TMP/p") packets delivered"
check_equal "it moves there and back while it sends" 0 $failures
check "more than once" [ $moves -ge 4 ]
check_equal "no number twice" 0 "$(replays "$P")"
same_number() { # the numbers drawn are those that arrived, but for what is lost
	[ "$(sa_oseq "$A" "$B_OUT" "$1")" -ge "$(sa_seq "$P" "$B_OUT" "$1")" ]
}
check "nothing came that was not counted" same_number 0x1000
check "nor with the other SA" same_number 0x2000
check "traffic after it" send_and_count "$P" "$A_IN" 20 "$TMP/a"

# --- what is refused ---------------------------------------------------------------------

check_fails "one address is none" tool "$A" migrate $new
check "which is said" says "OLD=NEW is wanted"
check_fails "both families are refused" tool "$A" migrate $new=fd00::1
check_fails "both ends in one place" tool "$A" migrate $new=$B_OUT
check "which is said" says "both its ends would have one address"
ip -n "$A" xfrm state add src "$B_OUT" dst $old proto esp spi 0x2001 reqid 9 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 other)" 128
check_fails "a name that is taken" tool "$A" migrate $new=$old
check "which is said" says "esp $new spi 0x00002001: another SA has the name that it would get"
check "and that nothing was moved" says "nothing was moved"
check "nor stopped" test -z "$(nl "$A" dump | grep fenced)"
check "it goes on" send_and_count "$P" "$A_IN" 5 "$TMP/a"
for n in "$A" "$P"; do
	ip -n "$n" xfrm state flush
	ip -n "$n" xfrm policy flush
done

# --- transport mode, and selectors that name the gateway -----------------------------------

tunnel "$A" "$P" family=6 mode=transport link=1 spi=0x3000 window=128
ip -n "$A" xfrm state add src "$A_OUT" dst "$B_OUT" proto esp spi 0x5000 reqid 5 mode transport \
	flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 sel)" 128 sel src "$A_OUT" dst "$B_OUT"
check "transport" send_and_count "$P" "$A_IN" 20 "$TMP/a"
taken() { says "policy $1/128 -> $2/128: another policy has the name that it would get"; } # DIR SRC DST
ip -n "$A" xfrm policy add src 2001:db8:1::11 dst "$B_OUT" dir out action block
check_fails "a policy has the name that one would get" tool "$A" migrate "$A_OUT=2001:db8:1::11"
check "which is said" taken "out $A_OUT" "$B_OUT"
check "and that nothing was moved" says "nothing was moved"
ip -n "$A" xfrm policy delete src 2001:db8:1::11 dst "$B_OUT" dir out
for i in 1 2; do
	sel=(src "$A_OUT" dst "$A_OUT")
	sel[2*i-1]=2001:db8:1::11
	ip -n "$A" xfrm policy add "${sel[@]}" dir in tmpl src "$B_OUT" dst "$A_OUT" proto esp reqid 5 mode transport
done
check_fails "two would get one name" tool "$A" migrate "$A_OUT=2001:db8:1::11"
check "the one is said" taken "in 2001:db8:1::11" "$A_OUT"
check "and the other" taken "in $A_OUT" 2001:db8:1::11
for i in 1 2; do
	sel=(src "$A_OUT" dst "$A_OUT")
	sel[2*i-1]=2001:db8:1::11
	ip -n "$A" xfrm policy delete "${sel[@]}" dir in
done
check "no SA has moved" sa_oseq "$A" "$B_OUT" "$A_SPI"
check "and none is stopped" test -z "$(nl "$A" dump | grep fenced)"
check "it goes on" send_and_count "$P" "$A_IN" 5 "$TMP/a"
check "A moves" tool "$A" migrate "$A_OUT=2001:db8:1::11"
check "nothing has the old name" no_trace "$A" "$A_OUT"
check "a selector of the SA neither" no_trace "$A" "$A_OUT/128"
check "P moves" tool "$P" migrate "$A_OUT=2001:db8:1::11"
check "transport" send_and_count "$P" 2001:db8:1::11 20 "$TMP/a"
check_equal "nothing refused as a replay" 0 "$(($(replays "$A") + $(replays "$P")))"
for n in "$A" "$P"; do
	ip -n "$n" xfrm state flush
	ip -n "$n" xfrm policy flush
done

# --- one that is fenced for itself is not made anew: it could be used until it is fenced again -----

at() { ip -n "$A" xfrm state get dst "$2" proto esp spi "$3" | grep -qw "src $1"; } # SRC DST SPI
fenced() { nl "$A" get family="$1" dst="$2" spi=0x5000 proto=50 | grep -q '"fenced"'; } # FAMILY DST
for ends in "2 192.0.3.1 192.0.3.2 $new" "10 2001:db8:1::1 2001:db8:1::2 2001:db8:1::11"; do
	read -r family a b next <<<"$ends"
	for n in 0x5000 0x5002; do
		ip -n "$A" xfrm state add src "$a" dst "$b" proto esp spi $n reqid 5 mode transport flag esn \
			replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 $n)" 128 sel src "$a" dst "$b"
	done
	check "$a: an SA is fenced" nl "$A" bind -- family="$family" dst="$b" spi=0x5000 proto=50 flags=fenced
	check_fails "it is not moved" tool "$A" migrate "$a=$next"
	check "which is said" says "esp $b spi 0x00005000: it is fenced, and would be used for a moment: rekey it"
	check "it stands where it stood" at "$a" "$b" 0x5000
	check "fenced" fenced "$family" "$b"
	check "the other one has moved" at "$next" "$b" 0x5002
	nl "$A" bind -- family="$family" dst="$b" spi=0x5000 proto=50 flags=0 >/dev/null
	check "let go, it moves, too" tool "$A" migrate "$a=$next"
	check "nothing has the old name" no_trace "$A" "$a"
	ip -n "$A" xfrm state flush
done

# --- IPComp: what is too small to be compressed comes in an SA that the kernel makes for it ---

modprobe -aq ipcomp ipcomp6 tunnel4 tunnel6 xfrm4_tunnel xfrm6_tunnel deflate
compressed() { # NS SRC DST CPI
	ip -n "$1" xfrm state add src "$2" dst "$3" proto comp spi "$4" reqid 6 mode tunnel comp deflate
}
compress() { # NS ME OTHER ME_OUTER OTHER_OUTER
	local dir

	ip -n "$1" xfrm policy add src "$2" dst "$3" dir out \
		tmpl src "$4" dst "$5" proto comp reqid 6 mode tunnel || return
	for dir in in fwd; do
		ip -n "$1" xfrm policy add src "$3" dst "$2" dir "$dir" \
			tmpl src "$5" dst "$4" proto comp reqid 6 mode tunnel level use || return
	done
}
compress_both() { # A_OUTER B_OUTER A_INNER B_INNER
	local n

	for n in "$A" "$P"; do
		compressed "$n" "$1" "$2" 0x61 && compressed "$n" "$2" "$1" 0x62 || return
	done
	compress "$A" "$3" "$4" "$1" "$2" && compress "$P" "$4" "$3" "$2" "$1"
}
for ends in "192.0.3.1 192.0.3.2 10.1.0.1 10.2.0.1 $new" \
	"2001:db8:1::1 2001:db8:1::2 fd00:1::1 fd00:2::1 2001:db8:1::11"; do
	read -r a b a_in b_in next <<<"$ends"
	check "IPComp, $a" compress_both "$a" "$b" "$a_in" "$b_in"
	check "small ones" send_and_count "$A" "$b_in" 5 "$TMP/p"
	check "both ways" send_and_count "$P" "$a_in" 5 "$TMP/a"
	check "A moves" tool "$A" migrate "$a=$next"
	check "P moves" tool "$P" migrate "$a=$next"
	check "nothing has the old name" no_trace "$A" "$a"
	check "small ones" send_and_count "$A" "$b_in" 5 "$TMP/p"
	check "both ways" send_and_count "$P" "$a_in" 5 "$TMP/a"
	for n in "$A" "$P"; do
		ip -n "$n" xfrm state flush
		ip -n "$n" xfrm policy flush
	done
done

# --- an active, with a standby ---------------------------------------------------------------

pair_confs "$A" "$B"
tunnel "$A" "$P" link=1 window=128
raised() { [ "$(sa_oseq "$B" "$B_OUT" "$A_SPI")" -gt $((1 << 30)) ]; }
check "a pair" both_start a b
check "the standby stands past the lease" busywait 20000 raised
tag=$(value "$A" "$A_SPI" tag) lease=$(value "$A" "$A_SPI" lease-end)
given=$(value "$A" "$A_SPI" given-end)
check "it has a lease" [ -n "$lease" ]
check "and has given numbers out" [ -n "$given" ]
check "the active moves" ask a migrate $old=$new
check_equal "with the tag" "$tag" "$(value "$A" "$A_SPI" tag)"
check_equal "and the lease" "$lease" "$(value "$A" "$A_SPI" lease-end)"
check_equal "and what was given out" "$given" "$(value "$A" "$A_SPI" given-end)"
followed() { sas_are "$B" 2 && no_trace "$B" $old && raised && in_step a b; }
check "the standby follows" busywait 20000 followed
check_fails "by itself it does not move" ask b migrate $new=$old

# An SA that was taken over, and has not sent since, is ahead by what nobody sent.
stop a KILL
check "the active dies: the standby takes over" ask b takeover
sent=$(value "$B" "$A_SPI" sent) lease=$(value "$B" "$A_SPI" lease-end)
check "it knows what was sent, and has a range" [ -n "$sent" -a -n "$lease" ]
check "it moves" ask b migrate $new=$old
check_equal "what is known to be sent stays" "$sent" "$(value "$B" "$A_SPI" sent)"
check_equal "and the range" "$lease" "$(value "$B" "$A_SPI" lease-end)"
stop b
check "every daemon ended cleanly" ended_cleanly
