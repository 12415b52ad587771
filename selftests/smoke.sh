#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The module loads, traffic in tunnels goes on under it, and it unloads.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP, AH ===== 192.0.2.2 --- 10.2.0.1 B

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 16

check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"

setup_ns A B
setup_veth "$A" "$B"
tmpdir
start_sink "$B" "$TMP/sink"

# carries NAME SETTINGS...: N packets drew N numbers and arrived, and a ping comes back.
carries() {
	local name=$1 n=20

	shift
	tunnel "$A" "$B" "$@"
	check "$name: packets arrive" send_and_count "$A" "$B_IN" $n "$TMP/sink"
	check_equal "$name: each drew a number" $n "$(sa_oseq "$A" "$B_OUT" "$A_SPI")"
	check_equal "$name: each is in the window" $n "$(sa_seq "$B" "$B_OUT" "$A_SPI")"
	for ns in "$A" "$B"; do
		ip -n "$ns" xfrm policy flush
		ip -n "$ns" xfrm state flush
	done
}

carries "ESP, ESN, IPv4"
carries "ESP, no ESN, window 32, IPv4" esn=0 window=32
carries "ESP in UDP, ESN, window 128, IPv4" encap=4500 window=128
carries "AH, transport, ESN, IPv6" family=6 proto=ah mode=transport

tunnel "$A" "$B" family=6
check "ESP, ESN, IPv6: ping" in_ns "$A" ping -q -c 3 -i 0.1 -W 5 "$B_IN"
check "the module unloads beside live SAs" unload_module
check "and the tunnel goes on" in_ns "$A" ping -q -c 1 -W 5 "$B_IN"
