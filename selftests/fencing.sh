# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the tests of the fence share: its counters, and what has to hold of a tunnel.
#
# A test has it after the library of all tests, and two namespaces, A (whose fence it is) and
# B, with a sink each ($TMP/a, $TMP/b) when it asks for something:
#	. "$(dirname "$0")/fencing.sh"

epoch=0
role() { nl "$A" role-set "$1" $((++epoch)) 1 >/dev/null; } # ROLE

counted() { nl "$A" stats | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p"; } # NAME
counted_is() { [ "$(counted "$1")" -eq "$2" ]; }                     # NAME N
# Devices of IPv6 say something of their own, now and then.
counted_to() { [ "$(counted "$1")" -ge "$2" ]; } # NAME N


clear_tunnel() {
	local ns

	role none
	for ns in "$A" "$B"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
}

# What an SA is asked by. Of the tunnel that was set up last.
# shellcheck disable=SC2154 # of lib.sh's tunnel
sa_words() { # DST SPI
	local family=2 proto=50

	[[ $1 != *:* ]] || family=10
	[ "$TUNNEL_PROTO" = esp ] || proto=51
	echo "family=$family dst=$1 spi=$2 proto=$proto"
}

# fence_holds NAME [NS [ADDRESS SINK]]: of the tunnel that was just set up. NS sends in A's place,
# and what is sent to A goes to ADDRESS. What got past the fence would arrive in the end, and
# then there were more than were sent.
fence_holds() {
	local name=$1 from=${2:-$A} to=${3:-$A_IN} sink=${4:-$TMP/a} before out in

	check "$name: from A" send_and_count "$from" "$B_IN" 5 "$TMP/b"
	check "$name: to A" send_and_count "$B" "$to" 5 "$sink"
	role standby
	before=$(sa_oseq "$A" "$B_OUT" "$A_SPI") out=$(counted fenced-out) in=$(counted fenced-in)
	try_packets "$from" "$B_IN" 7
	try_packets "$B" "$to" 7
	check "$name: fenced, on the way out" busywait 10000 counted_to fenced-out $((out + 7))
	check_equal "$name: and no number is drawn" "$before" "$(sa_oseq "$A" "$B_OUT" "$A_SPI")"
	check "$name: fenced, on the way in" busywait 10000 counted_to fenced-in $((in + 7))
	role active
	check "$name: active again, from A" send_and_count "$from" "$B_IN" 5 "$TMP/b"
	check "$name: active again, to A" send_and_count "$B" "$to" 5 "$sink"
}

held_or_delivered() { # HELD DELIVERED SINK: seven more, and no more than three of them in
	local have

	have=$(delivered "$3")
	[ "$have" -le $(($2 + 3)) ] && [ $(($(counted guard-held) - $1 + have - $2)) -ge 7 ]
}

# guard_holds NAME [ADDRESS SINK]: and so does the guard, of what comes to A. Who looks after GRO may
# find the limit passed by what came behind.
guard_holds() {
	local to=${2:-$A_IN} sink=${3:-$TMP/a} n held

	n=$(delivered "$sink") held=$(counted guard-held)
	# shellcheck disable=SC2046 # words
	check "$1: a limit to what is delivered" nl "$A" bind -- $(sa_words "$A_OUT" "$B_SPI") \
		guard-end=$(($(sa_seq "$A" "$A_OUT" "$B_SPI") + 3))
	try_packets "$B" "$to" 7
	check "$1: held behind it" busywait 10000 held_or_delivered "$held" "$n" "$sink"
}

# A and B know each other: in transport mode discovery would be protected, and be counted.
no_discovery() {
	local a b n

	a=$(mac_of "$A" xs0)
	b=$(mac_of "$B" xs0)
	for n in 192.0.2. 2001:db8::; do
		ip -n "$A" neighbour replace "${n}2" lladdr "$b" dev xs0 nud permanent
		ip -n "$B" neighbour replace "${n}1" lladdr "$a" dev xs0 nud permanent
	done
}

# device_tunnel FAMILY [SA-WORDS] -- POLICY-WORDS: both ways, as tunnel's, for a device dev0.
device_tunnel() {
	# shellcheck disable=SC2034 # lib_sa reads them
	local proto=esp mode=tunnel esn=1 window=64 encap='' cipher=${CIPHER:-gcm}
	local family=$1 sa=() any=0.0.0.0/0 ns me other

	tunnel_addresses "$family"
	shift
	while [ "$1" != -- ]; do sa+=("$1"); shift; done
	shift
	[ "$family" = 4 ] || any=::/0
	for ns in "$A" "$B"; do
		lib_sa "$ns" "$A_OUT" "$B_OUT" "$A_SPI" "${sa[@]}"
		lib_sa "$ns" "$B_OUT" "$A_OUT" "$B_SPI" "${sa[@]}"
		[ "$ns" = "$A" ] && me=$A_OUT other=$B_OUT || me=$B_OUT other=$A_OUT
		ip -n "$ns" -batch - <<-END || bail "no policies in $ns"
			xfrm policy add src $any dst $any dir out $* tmpl src $me dst $other proto esp reqid 1 mode tunnel
			xfrm policy add src $any dst $any dir in $* tmpl src $other dst $me proto esp reqid 1 mode tunnel
			xfrm policy add src $any dst $any dir fwd $* tmpl src $other dst $me proto esp reqid 1 mode tunnel
		END
	done
}

# What tunnel sets, without an SA.
tunnel_addresses() { # FAMILY
	tunnel "$A" "$B" family="$1" policy=0
	ip -n "$A" xfrm state flush
	ip -n "$B" xfrm state flush
}

# vti_devices FAMILY: dev0 in both, with key 7.
vti_devices() {
	local type=vti

	[ "$1" = 4 ] || type=vti6
	tunnel_addresses "$1"
	ip -n "$A" link add dev0 type $type local "$A_OUT" remote "$B_OUT" key 7
	ip -n "$B" link add dev0 type $type local "$B_OUT" remote "$A_OUT" key 7
}

# The way to NET from ADDRESS goes by dev0.
by_device() { # NS NET ADDRESS
	ip -n "$1" link set dev0 up
	ip -n "$1" route replace "$2" dev dev0 src "$3" || bail "no route in $1"
	in_ns "$1" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.dev0.rp_filter=0 \
		net.ipv4.conf.dev0.disable_policy=1 net.ipv6.conf.dev0.disable_policy=1
}

# devices_carry FAMILY: what tunnel's way is, both ways.
devices_carry() {
	if [ "$1" = 4 ]; then
		by_device "$A" 10.2.0.0/16 10.1.0.1
		by_device "$B" 10.1.0.0/16 10.2.0.1
	else
		by_device "$A" fd00:2::/32 fd00:1::1
		by_device "$B" fd00:1::/32 fd00:2::1
	fi
}
