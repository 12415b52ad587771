#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# While a node is standby, no packet of a managed SA is protected and no number is drawn, and
# none that arrives is delivered: of local sockets, forwarded, through xfrm interfaces and vti,
# in transport mode, encapsulated in UDP, in large segments. What is not the cluster's passes.
#
#   C 10.3.0.1 --- A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 97

here=$(dirname "$0")

check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
setup_ns A B C
setup_veth "$A" "$B"
tmpdir
start_sink "$A" "$TMP/a"
start_sink "$B" "$TMP/b"

epoch=0
role() { "$here/nl.py" -n "$A" role-set "$1" $((++epoch)) 1 >/dev/null; } # ROLE
fenced() { # out|late|in
	"$here/nl.py" -n "$A" stats | sed -n "s/.*\"fenced-$1\": \([0-9]*\).*/\1/p"
}
fenced_is() { [ "$(fenced "$1")" -eq "$2" ]; }

# try_packets NS ADDRESS N: as send_packets, but a drop on the way out is told (EPERM).
try_packets() {
	# shellcheck disable=SC2016 # the inner shell's arguments
	in_ns "$1" bash -c 'exec 3>"/dev/udp/$1/9" || exit
		for ((i = 0; i < $2; i++)); do printf x >&3; done' _ "$2" "$3" 2>/dev/null
}

clear_tunnel() {
	local ns

	role none
	for ns in "$A" "$B"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
}

# fence_holds NAME [FROM]: of the tunnel that was just set up. FROM sends in A's place. What
# got past the fence would arrive in the end, and then there were more than were sent.
fence_holds() {
	local name=$1 from=${2:-$A} before out in

	check "$name: from A" send_and_count "$from" "$B_IN" 5 "$TMP/b"
	check "$name: to A" send_and_count "$B" "$A_IN" 5 "$TMP/a"
	role standby
	before=$(sa_oseq "$A" "$B_OUT" "$A_SPI") out=$(fenced out) in=$(fenced in)
	try_packets "$from" "$B_IN" 7
	try_packets "$B" "$A_IN" 7
	check "$name: fenced, on the way out" busywait 10000 fenced_is out $((out + 7))
	check_equal "$name: and no number is drawn" "$before" "$(sa_oseq "$A" "$B_OUT" "$A_SPI")"
	check "$name: fenced, on the way in" busywait 10000 fenced_is in $((in + 7))
	role active
	check "$name: active again, from A" send_and_count "$from" "$B_IN" 5 "$TMP/b"
	check "$name: active again, to A" send_and_count "$B" "$A_IN" 5 "$TMP/a"
}

held() { "$here/nl.py" -n "$A" stats | sed -n 's/.*"guard-held": \([0-9]*\).*/\1/p'; }
held_is() { [ "$(held)" -eq "$1" ]; }

# guard_holds NAME: and so does the guard, of what comes to A.
guard_holds() {
	local n held

	n=$(delivered "$TMP/a") held=$(held)
	check "$1: a limit to what is delivered" "$here/nl.py" -n "$A" bind -- family=2 dst="$A_OUT" \
		spi="$B_SPI" proto=50 guard-end=$(($(sa_seq "$A" "$A_OUT" "$B_SPI") + 3))
	try_packets "$B" "$A_IN" 7
	check "$1: held behind it" busywait 10000 held_is $((held + 4))
	check_equal "$1: delivered before" $((n + 3)) "$(delivered "$TMP/a")"
}

# --- modes ----------------------------------------------------------------------------

role active
for args in "" "family=6" "mode=transport" "mode=transport family=6" \
	"proto=ah mode=transport" "encap=4500"; do
	# shellcheck disable=SC2086 # words
	tunnel "$A" "$B" $args
	fence_holds "${args:-tunnel}"
	clear_tunnel
	role active
done

# --- forwarded ------------------------------------------------------------------------

ip -n "$A" link add toc type veth peer name toa netns "$C"
ip -n "$A" -batch - <<-END
	address add 10.3.0.254/24 dev toc
	link set toc up
END
ip -n "$C" -batch - <<-END
	address add 10.3.0.1/24 dev toa
	link set toa up
	route add default via 10.3.0.254
END
in_ns "$A" sysctl -qw net.ipv4.ip_forward=1
tunnel "$A" "$B"
for ns in "$A" "$B"; do
	[ "$ns" = "$A" ] && dir=out || dir=in
	ip -n "$ns" xfrm policy add src 10.3.0.0/24 dst 10.2.0.1 dir "$dir" \
		tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 1 mode tunnel
done
fence_holds forwarded "$C"
clear_tunnel
role active

# --- interfaces -----------------------------------------------------------------------

# device_tunnel SA-WORDS -- POLICY-WORDS: both ways, as tunnel does.
device_tunnel() {
	local sa=() ns me other

	while [ "$1" != -- ]; do sa+=("$1"); shift; done
	shift
	for ns in "$A" "$B"; do
		ip -n "$ns" xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi "$A_SPI" reqid 1 \
			mode tunnel flag esn replay-window 64 aead 'rfc4106(gcm(aes))' \
			"$(key 20 dev)" 128 "${sa[@]}"
		ip -n "$ns" xfrm state add src 192.0.2.2 dst 192.0.2.1 proto esp spi "$B_SPI" reqid 1 \
			mode tunnel flag esn replay-window 64 aead 'rfc4106(gcm(aes))' \
			"$(key 20 ved)" 128 "${sa[@]}"
		[ "$ns" = "$A" ] && me=1 other=2 || me=2 other=1
		ip -n "$ns" -batch - <<-END
			xfrm policy add dir out $* tmpl src 192.0.2.$me dst 192.0.2.$other proto esp reqid 1 mode tunnel
			xfrm policy add dir in $* tmpl src 192.0.2.$other dst 192.0.2.$me proto esp reqid 1 mode tunnel
			xfrm policy add dir fwd $* tmpl src 192.0.2.$other dst 192.0.2.$me proto esp reqid 1 mode tunnel
			link set dev0 up
			route replace 10.$other.0.0/16 dev dev0 src 10.$me.0.1
		END
		in_ns "$ns" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.dev0.rp_filter=0 \
			net.ipv4.conf.dev0.disable_policy=1
	done
}

if modprobe -q xfrm_interface; then
	ip -n "$A" link add dev0 type xfrm dev xs0 if_id 5
	ip -n "$B" link add dev0 type xfrm dev xs0 if_id 5
	device_tunnel if_id 5 -- if_id 5
	fence_holds "xfrm interface"
	guard_holds "xfrm interface"
	clear_tunnel
	for ns in "$A" "$B"; do ip -n "$ns" link delete dev0; done
	role active
else
	for ((i = 0; i < 10; i++)); do tap_skip "xfrm interface" "not in this kernel"; done
fi

if modprobe -q ip_vti; then
	ip -n "$A" link add dev0 type vti local 192.0.2.1 remote 192.0.2.2 key 7
	ip -n "$B" link add dev0 type vti local 192.0.2.2 remote 192.0.2.1 key 7
	device_tunnel -- mark 7
	fence_holds vti
	guard_holds vti
	clear_tunnel
	for ns in "$A" "$B"; do ip -n "$ns" link delete dev0; done
	role active
else
	for ((i = 0; i < 10; i++)); do tap_skip vti "not in this kernel"; done
fi
for ns in "$A" "$B"; do
	[ "$ns" = "$A" ] && me=1 other=2 || me=2 other=1
	ip -n "$ns" route replace "10.$other.0.0/16" via "192.0.2.$other" src "10.$me.0.1"
done

# --- large segments -------------------------------------------------------------------

# One packet of the stack's, many numbers of the SA's.
modprobe -q esp4_offload
tunnel "$A" "$B"
results /usr/bin/python3 "$here/fence.py" "$A" "$B" "$A_SPI" $((epoch + 1))
epoch=$((epoch + 10))
role standby

# --- what is not the cluster's ----------------------------------------------------------

bind() { # FLAG [ATTRIBUTE...]: of both SAs
	local flag=$1

	shift
	"$here/nl.py" -n "$A" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 flags="$flag" "$@" \
		-- family=2 dst="$A_OUT" spi="$B_SPI" proto=50 flags="$flag" "$@" >/dev/null
}
check "unmanaged" bind unmanaged
check "it passes, from A" send_and_count "$A" "$B_IN" 5 "$TMP/b"
check "it passes, to A" send_and_count "$B" "$A_IN" 5 "$TMP/a"
check "managed again" bind 0 tag=7
out=$(fenced out)
try_packets "$A" "$B_IN" 3
check_equal "it does not" $((out + 3)) "$(fenced out)"
check "what no SA protects passes" send_and_count "$A" 192.0.2.2 5 "$TMP/b"

role none
check "no role, no fence" send_and_count "$A" "$B_IN" 5 "$TMP/b"
clear_tunnel

# --- what came to a standby, and no active told ------------------------------------------

untold_is() { "$here/nl.py" -n "$A" status | grep -q "\"untold\": $1[,}]"; } # N
flagged() { # FLAG
	"$here/nl.py" -n "$A" dump | grep "\"spi\": $((A_SPI))," | grep -q "\"$1\""
}
watch_expiries() {
	ip -n "$A" xfrm monitor expire >"$TMP/expire" 2>/dev/null &
	lib_pids+=($!)
}
expired() { grep -q "spi $A_SPI.*" <(tr '\n' ' ' <"$TMP/expire"); }
restore() { # OSEQ SEQ: both SAs, as of an active
	local n

	for n in "dst=$B_OUT spi=$A_SPI" "dst=$A_OUT spi=$B_SPI"; do
		# shellcheck disable=SC2086 # words
		"$here/nl.py" -n "$A" restore epoch=$epoch node=2 -- family=2 proto=50 $n \
			flags=esn,bmp oseq="$1" seq="$2" window=128 bitmap=0:0:0:0 \
			restore-flags=bind tag=9 >/dev/null || return
	done
}

watch_expiries
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
