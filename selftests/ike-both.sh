#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Both machines active: two groups of peers, with an address and a pair of gateways each, of which
# one is active on each machine (strongSwan's testing/tests/ha/both-active, one owner a group).
#
#   carol 192.0.3.20 === 192.0.3.1: group 1, A1 or B1;  A1, A2: the machine A
#   dave 192.0.3.21 ==== 192.0.3.4: group 2, A2 or B2;  B1, B2: the machine B
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/ike_lab.sh
. "$(dirname "$0")/ike_lab.sh"
plan 53

need_charon
need_daemon
setup_ns A1 B1 A2 B2 X C D
tmpdir
setup_veth "$A1" "$B1"
setup_veth "$A2" "$B2" 2
ip -n "$X" link add br0 type bridge
ip -n "$X" link set br0 up
make_ca ca
for n in a1 b1 a2 b2 gw carol dave; do make_cert ca $n $n; done
make_conf a1 "$A1" 1 192.0.2.1 b1 192.0.2.2
make_conf b1 "$B1" 2 192.0.2.2 a1 192.0.2.1
make_conf a2 "$A2" 1 192.0.4.1 b2 192.0.4.2
make_conf b2 "$B2" 2 192.0.4.2 a2 192.0.4.1
address=([1]=192.0.3.1 [2]=192.0.3.4)
inside=([1]=10.8.1.1 [2]=10.8.2.1)
gateways=(a1 b1 a2 b2)
for n in "${gateways[@]}"; do
	group=${n#?}
	ike_conf "$n"
	charon_conf "$n" "${node_ns[$n]}" ha
	has_cert "$n" gw
	remote_access "$n" rw "" "auth = pubkey" "esp_proposals = aes128gcm16-x25519" \
		"${address[group]}" "10.8.$group.0/24"
	# What the machine has beside it has no part in that group.
	joins "$X" "${node_ns[$n]}" out
	ip -n "${node_ns[$n]}" address add "${inside[group]}/32" dev lo
done
peer() { # NAME NS HOST GROUP
	joins "$X" "$2" wan "192.0.3.$3/24"
	ip -n "$2" route add "10.8.$4.0/24" via "${address[$4]}" src "192.0.3.$3"
	charon_conf "$1" "$2"
	has_cert "$1" "$1"
	road_warrior "$1" yes "auth = pubkey
		certs = $1.crt
		id = CN=$1" "" aes128gcm16-x25519 "${address[$4]}" "10.8.$4.0/24"
}
peer carol "$C" 20 1
peer dave "$D" 21 2
hold() { # NODE: it has its group's address
	local other=a${1#?}

	[ "$other" != "$1" ] || other=b${1#?}
	ip -n "${node_ns[$other]}" address delete "${address[${1#?}]}/24" dev out 2>/dev/null
	ip -n "${node_ns[$1]}" link set out up
	ip -n "${node_ns[$1]}" address replace "${address[${1#?}]}/24" dev out
	ip -n "$C" neigh flush dev wan
	ip -n "$D" neigh flush dev wan
}
state_is() { # NODE PEER STATE: its one IKE SA is that peer's, with the same Child SA
	local said

	said=$(ike_sas "$1") && [[ $said == "rw $3 "* && $said != *$'\n'* ]] &&
		[ "${said#* * }" = "$(ike_sas "$2" | cut -d' ' -f3-)" ] &&
		[ "$(child_spis "$1" | awk '{ print $2, $3 }')" = "$(child_spis "$2" | awk '{ print $3, $2 }')" ]
}
flows() { py flows "$@"; }
as_it_is() { # A1'S B1'S A2'S B2'S: states
	check "carol on A: $1" busywait 20000 state_is a1 carol "$1"
	check "carol on B: $2" busywait 20000 state_is b1 carol "$2"
	check "dave on A: $3" busywait 20000 state_is a2 dave "$3"
	check "dave on B: $4" busywait 20000 state_is b2 dave "$4"
}

for n in "${gateways[@]}" carol dave; do
	charon_start "$n"
	check "connections of $n" charon_load "$n"
done
hold a1
hold b2
check "group 1: A is active" both_start a1 b1
check "group 2: B is" both_start b2 a2
for n in "${gateways[@]}"; do
	check "the charon of $n is there" busywait 20000 has_ike "$n" charon "'ready'"
done
ike_capture "$X" br0 "$TMP/wire.pcap"
check "carol's tunnel comes up" vici carol initiate carol
check "and dave's" vici dave initiate dave
as_it_is ESTABLISHED PASSIVE PASSIVE ESTABLISHED
check "in step: group 1" wait_step a1 b1
check "group 2" wait_step b2 a2
check "traffic" flows start 80 "$A1,$B1,$A2,$B2" "$C,192.0.3.20,${inside[1]}" "$D,192.0.3.21,${inside[2]}"
flows from 0 3
check "passes with both" busywait 20000 flows passing
flows mark
before=$(ike_spis carol; ike_spis dave; child_spis carol; child_spis dave)
shakes=$(wire_count "$TMP/wire.pcap" init)

# --- the machine A dies ---------------------------------------------------------------------

# While packets come, one or two are always under way.
flows pause
check "no window is led" busywait 20000 no_guard b1
check "nothing was lost" flows judge whole
flows go
flows mark
for n in a1 a2; do
	charon_kill $n
	stop $n KILL
	ip -n "${node_ns[$n]}" link set xs0 down 2>/dev/null || ip -n "${node_ns[$n]}" link set xs2 down
	ip -n "${node_ns[$n]}" link set out down
done
check "B takes over group 1" ask b1 takeover
hold b1
flows from 1 3
check "carol on B: ESTABLISHED" busywait 20000 state_is b1 carol ESTABLISHED
check "dave on B: ESTABLISHED" busywait 20000 state_is b2 dave ESTABLISHED
check "all passes again" busywait 60000 flows passing
check "carol: what was lost lies in one outage, each way" flows judge gap 192.0.3.20
check "dave: nothing was lost" flows judge whole 192.0.3.21
flows mark

# --- it is back ------------------------------------------------------------------------------

for n in a1 a2; do
	nl "${node_ns[$n]}" role-set none >/dev/null
	ip -n "${node_ns[$n]}" xfrm state flush
	ip -n "${node_ns[$n]}" xfrm policy flush
	sed -i 's/^boot_id .*/boot_id another/' "$TMP/$n.state/state"
	ip -n "${node_ns[$n]}" link set xs0 up 2>/dev/null || ip -n "${node_ns[$n]}" link set xs2 up
	start $n
	charon_start "$n"
	check "connections of $n" charon_load "$n"
done
as_it_is PASSIVE ESTABLISHED PASSIVE ESTABLISHED
check "in step: group 1" wait_step b1 a1
check "group 2" wait_step b2 a2
check "nothing was lost" flows judge whole
flows mark
check "A takes its group back" ask a1 takeover
hold a1
flows from 0 3
as_it_is ESTABLISHED PASSIVE PASSIVE ESTABLISHED
check "all passes again" busywait 60000 flows passing
check "carol: what was lost lies in one outage, each way" flows judge gap 192.0.3.20
check "dave: nothing was lost" flows judge whole 192.0.3.21
check_equal "they have what they had" "$before" "$(ike_spis carol; ike_spis dave; child_spis carol; child_spis dave)"
check_equal "no other IKE_SA_INIT" "$shakes" "$(wire_count "$TMP/wire.pcap" init)"
check_equal "no number twice" 0 "$(wire_count "$TMP/wire.pcap" twice)"
check_equal "and nothing in clear" 0 "$(wire_count "$TMP/wire.pcap" clear)"
for n in "${gateways[@]}"; do stop "$n"; done
for n in "${gateways[@]}" carol dave; do charon_kill "$n" TERM; done
check "every daemon ended cleanly" ended_cleanly
