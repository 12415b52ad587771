#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The fence, and the guard, on other ways through the kernel than from socket to socket: forwarded,
# through xfrm interfaces (in another namespace, too) and vti, through SNAT, in large segments,
# with GRO. And what passes beside it: IKE, and the sync link where that runs in IPsec.
#
#   C 10.3.0.1 --- A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/fencing.sh
. "$(dirname "$0")/fencing.sh"
plan 130

here=$(dirname "$0")

check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
modprobe -aq esp4 esp6 xfrm_user
modprobe -aqr esp4_offload esp6_offload	# of another test
setup_ns A B C
setup_veth "$A" "$B"
no_discovery
tmpdir
start_sink "$A" "$TMP/a"
start_sink "$B" "$TMP/b"
start_sink "$C" "$TMP/c"

# C's addresses 10.3.0.1 and fd00:3::1, behind A.
ip -n "$A" link add toc type veth peer name toa netns "$C"
ip -n "$A" -batch - <<-END
	address add 10.3.0.254/24 dev toc
	address add fd00:3::fe/64 dev toc nodad
	link set toc up
END
ip -n "$C" -batch - <<-END
	address add 10.3.0.1/24 dev toa
	address add fd00:3::1/64 dev toa nodad
	link set toa up
	route add default via 10.3.0.254
	route add default via fd00:3::fe
END
no_device() {
	local ns

	clear_tunnel
	for ns in "$@"; do ip -n "$ns" link delete dev0; done
	role active
}

in_ns "$A" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
role active

# --- forwarded ------------------------------------------------------------------------

for family in 4 6; do
	tunnel "$A" "$B" family=$family
	[ $family = 4 ] && net=10.3.0.0/24 || net=fd00:3::/64
	for ns in "$A" "$B"; do
		[ "$ns" = "$A" ] && dir=out || dir=in
		ip -n "$ns" xfrm policy add src "$net" dst "$B_IN" dir "$dir" \
			tmpl src "$A_OUT" dst "$B_OUT" proto esp reqid 1 mode tunnel
	done
	fence_holds "forwarded, IPv$family" "$C"
	clear_tunnel
	role active
done

# --- SNAT -----------------------------------------------------------------------------

# What C sends has its SA from the address that SNAT gives it, in POST_ROUTING.
snat() {
	modprobe -aq nf_tables nft_chain_nat &&
		in_ns "$A" nft -f - <<-END
			table inet t {
				chain c {
					type nat hook postrouting priority 100;
					ip saddr 10.3.0.0/24 snat ip to 10.1.0.1;
					ip6 saddr fd00:3::/64 snat ip6 to fd00:1::1;
				}
			}
		END
}

if command -v nft >/dev/null; then
	check "SNAT" snat
	for family in 4 6; do
		tunnel "$A" "$B" family=$family
		fence_holds "SNAT, IPv$family" "$C"
		clear_tunnel
		role active
	done
	in_ns "$A" nft delete table inet t
else
	for ((i = 0; i < 15; i++)); do tap_skip SNAT "no nft"; done
fi

# --- interfaces -----------------------------------------------------------------------

if modprobe -q xfrm_interface; then
	for family in 4 6; do
		for ns in "$A" "$B"; do ip -n "$ns" link add dev0 type xfrm dev xs0 if_id 5; done
		device_tunnel $family if_id 5 -- if_id 5
		devices_carry $family
		fence_holds "xfrm interface, IPv$family"
		guard_holds "xfrm interface, IPv$family"
		no_device "$A" "$B"
	done
else
	for ((i = 0; i < 18; i++)); do tap_skip "xfrm interface" "not in this kernel"; done
fi

for family in 4 6; do
	if [ $family = 4 ]; then module=ip_vti type=vti; else module=ip6_vti type=vti6; fi
	if modprobe -q $module; then
		vti_devices $family
		device_tunnel $family -- mark 7
		devices_carry $family
		fence_holds $type
		guard_holds $type
		no_device "$A" "$B"
	else
		for ((i = 0; i < 9; i++)); do tap_skip $type "not in this kernel"; done
	fi
done

# --- interfaces of another namespace ----------------------------------------------------

# The SAs are A's, the device is C's: what comes out of it has no secpath any more.
if modprobe -q xfrm_interface; then
	for family in 4 6; do
		ip -n "$A" link add dev0 type xfrm dev xs0 if_id 5
		ip -n "$A" link set dev0 netns "$C"
		ip -n "$B" link add dev0 type xfrm dev xs0 if_id 5
		device_tunnel $family if_id 5 -- if_id 5
		if [ $family = 4 ]; then
			by_device "$C" 10.2.0.0/16 10.3.0.1
			by_device "$B" 10.3.0.0/16 10.2.0.1
			to=10.3.0.1
		else
			by_device "$C" fd00:2::/32 fd00:3::1
			by_device "$B" fd00:3::/32 fd00:2::1
			to=fd00:3::1
		fi
		fence_holds "xfrm interface of C, IPv$family" "$C" $to "$TMP/c"
		guard_holds "xfrm interface of C, IPv$family" $to "$TMP/c"
		no_device "$C" "$B"
	done
else
	for ((i = 0; i < 18; i++)); do tap_skip "xfrm interface of C" "not in this kernel"; done
fi

# --- routes of before -------------------------------------------------------------------

for ns in "$A" "$B"; do
	[ "$ns" = "$A" ] && me=1 other=2 || me=2 other=1
	ip -n "$ns" -batch - <<-END
		route replace 10.$other.0.0/16 via 192.0.2.$other src 10.$me.0.1
		route replace fd00:$other::/32 via 2001:db8:0::$other src fd00:$me::1
	END
done

# --- IKE --------------------------------------------------------------------------------

# All between the two is protected, but for sockets with a policy of their own, as charon's.
for family in 4 6; do
	: >"$TMP/ike"
	background /usr/bin/python3 "$here/fence.py" ike "$A" "$B" $family "$TMP/ike" >"$TMP/ike.out" 2>&1
	ike=$BG_PID
	busywait 20000 grep -q ready "$TMP/ike.out" >/dev/null || bail "$(cat "$TMP/ike.out")"
	tunnel "$A" "$B" family=$family mode=transport encap=4500
	check "IKE, IPv$family: the SA has a packet" send_and_count "$A" "$B_IN" 1 "$TMP/b"
	role standby
	out=$(counted fenced-out) in=$(counted fenced-in) last=$(sa_oseq "$A" "$B_OUT" "$A_SPI")
	try_packets "$A" "$B_IN" 3
	try_packets "$B" "$A_IN" 3
	kill -USR1 "$ike"
	check "IKE, IPv$family: fenced, on the way out" busywait 10000 counted_is fenced-out $((out + 3))
	check "IKE, IPv$family: and in" busywait 10000 counted_is fenced-in $((in + 3))
	check "IKE, IPv$family: passes both ways, by both ports" busywait 10000 delivered_is "$TMP/ike" 4
	check_equal "IKE, IPv$family: in no SA" "$last" "$(sa_oseq "$A" "$B_OUT" "$A_SPI")"
	kill "$ike"
	wait "$ike" 2>/dev/null
	clear_tunnel
	role active
done

# --- large segments -------------------------------------------------------------------

# One packet of the stack's, many numbers of the SA's.
modprobe -aq esp4_offload esp6_offload
for family in 4 6; do
	tunnel "$A" "$B" family=$family
	results /usr/bin/python3 "$here/fence.py" segments "$A" "$B" $family "$A_SPI" $((epoch + 1))
	epoch=$((epoch + 10))
	clear_tunnel
	role active
done

# --- GRO ----------------------------------------------------------------------------------

# It takes the protection off before any handler is asked.
trace=/sys/kernel/tracing/instances/xfrmsync-$$
# A veth whose other side can send large segments leaves GRO out.
gro_on() { in_ns "$B" ethtool -K xs0 tso off && in_ns "$A" ethtool -K xs0 gro on; }
gro_saw() { [ "$(grep -c "$1" $trace/trace)" -ge "$2" ]; } # FUNCTION N
if command -v ethtool >/dev/null; then
	check "GRO" gro_on
	mkdir $trace
	later rmdir $trace
	echo 'esp*_gro_receive' >$trace/set_ftrace_filter
	echo function >$trace/current_tracer
	for family in 4 6; do
		echo >$trace/trace
		tunnel "$A" "$B" family=$family
		fence_holds "GRO, IPv$family"
		guard_holds "GRO, IPv$family"
		check "GRO, IPv$family: it was there" gro_saw esp${family}_gro_receive 7
		clear_tunnel
		role active
	done
	echo nop >$trace/current_tracer
else
	for ((i = 0; i < 21; i++)); do tap_skip GRO "no ethtool"; done
fi
role none

# --- the sync link in IPsec ---------------------------------------------------------------

# Its SA is outside the filters; the managed one is to P.
if [ -x "${XFRMSYNC:-}" ]; then
	setup_ns D E P
	setup_veth "$D" "$E"
	for ns in "$D" "$E"; do
		[ "$ns" = "$D" ] && me=1 other=2 || me=2 other=1
		for n in "192.0.2.1 dst 192.0.2.2 proto esp spi 0x9001" "192.0.2.2 dst 192.0.2.1 proto esp spi 0x9002"; do
			# shellcheck disable=SC2086 # words
			ip -n "$ns" xfrm state add src $n reqid 99 mode transport replay-window 64 \
				aead 'rfc4106(gcm(aes))' "$(key 20 link)" 128
		done
		ip -n "$ns" -batch - <<-END
			xfrm policy add src 192.0.2.$me dst 192.0.2.$other dir out tmpl proto esp reqid 99 mode transport
			xfrm policy add src 192.0.2.$other dst 192.0.2.$me dir in tmpl proto esp reqid 99 mode transport
		END
	done
	setup_outside "$D" "$E" "$P"
	carry "$D"
	tunnel "$D" "$P" link=1 window=128
	pair_confs "$D" "$E"
	check "sync in IPsec: a pair" both_start a b
	check "sync in IPsec: the SAs are on both" sas_are "$E" 4
	check "sync in IPsec: it was protected" [ "$(sa_oseq "$E" 192.0.2.1 0x9002)" -gt 10 ]
	carry "$E"
	try_packets "$E" 10.2.0.1 3
	check "sync in IPsec: the standby is fenced" grep -q '"fenced-out": 3[,}]' <(nl "$E" stats)
	carry "$D"
	check "sync in IPsec: a planned takeover" ask b takeover
	check "sync in IPsec: back in step" wait_step b a
	stop a
	stop b
	check "every daemon ended cleanly" ended_cleanly
else
	for ((i = 0; i < 7; i++)); do tap_skip "sync in IPsec" "the tool is not built"; done
fi
