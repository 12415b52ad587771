#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The end of a lease under packets of many segments, each of which draws a number: it holds in
# the kernel while the active's daemon is dead, stopped, or always late; IPv4 and IPv6.
#
#   A 10.1.0.1, fd00:1::1 --- 192.0.3.1 ===== ESP ===== 192.0.3.2 --- 10.2.0.1, fd00:2::1 P
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 400

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 28

here=$(dirname "$0")

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
# Before the SAs: they are made for segments, or not.
modprobe -aq esp4 esp6 esp4_offload esp6_offload xfrm_user
pair_confs "$A" "$B"
sed -i 's/^\[sync\]/&\nlease_esn_log2 = 10/' "$TMP/a.conf" "$TMP/b.conf"

declare -A spi out
for family in 4 6; do
	tunnel "$A" "$P" link=1 window=128 family=$family spi=0x${family}000
	spi[$family]=$A_SPI out[$family]=$B_OUT
done
check "a pair, leases of 1024" both_start a b

for family in 4 6; do
	for how in stopped slow dead; do
		check "in step, before $how" wait_step a b
		[ $how != dead ] || stop a KILL
		results /usr/bin/python3 "$here/lease.py" daemon "$A" "$B" "$P" $family \
			"${out[$family]}" "${spi[$family]}" $how "${pid[a]}"
		[ $how != dead ] || start a
	done
done

check "in step, in the end" wait_step a b
stop a
stop b
check "every daemon ended cleanly" ended_cleanly
