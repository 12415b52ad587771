#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The helper of a standby, which makes its requests to the kernel, is killed in the middle of a
# takeover: when the kernel has done the first of them, the second, and one after it. The node is
# closed then, or active by what it has on its disk; the next try succeeds.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"

# A takeover of two SAs is two requests: at the third the node is active.
moments=(1 2 3)
plan $((5 + 9 * ${#moments[@]}))

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
tunnel "$A" "$P" link=1 window=128
check "a pair" both_start a b
check "with the SAs" busywait 10000 sas_are "$B" 2

links_down() {
	status a "s['peers'][0]['state'] != 'synced'" && status b "s['peers'][0]['state'] != 'synced'"
}
seized() { grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$1/status"; } # PID
# Nothing else asks it for anything then: the link is cut, and nobody asks the daemon.
kill_at() { # N: of b's helper, before it answers the Nth request from here on
	local helper

	helper=$(pgrep -P "${pid[b]}")
	strace -qq -o "$TMP/trace" -p "$helper" -e trace=sendmsg -e "inject=sendmsg:signal=KILL:when=$1" &
	lib_pids+=($!)
	busywait 20000 seized "$helper"
}
epoch_of() { sed -n 's/^epoch //p' "$TMP/$1.state/state"; } # NAME
# What stands in the kernel is not ahead of the disk.
closed_or_active() {
	local said epoch

	said=$(nl "$B" status)
	epoch=$(epoch_of b)
	echo "disk: $epoch; kernel: $said"
	py is "s['role'] == 'standby' and s['epoch'] <= $epoch or s['role'] == 'active' and s['epoch'] == $epoch" "$said"
}
past() { [ "$(sa_oseq "$B" "$B_OUT" "$A_SPI")" -gt "$(sa_oseq "$A" "$B_OUT" "$A_SPI")" ]; }

for n in "${moments[@]}"; do
	send_packets "$A" "$B_IN" 5
	check "$n: in step" wait_step a b
	ip -n "$A" link set xs0 down
	check "$n: the link is cut" busywait 20000 links_down
	check "$n: its helper is watched" kill_at "$n"
	ask b takeover >"$TMP/asked" 2>&1	# who was active before the last of them was told so
	check "$n: it was killed, the daemon ends" exits b
	check "$n: closed, or active by its disk" closed_or_active
	start b
	check "$n: it takes over" busywait 20000 ask b takeover
	check "$n: past all that the other one sent" past
	ip -n "$A" link set xs0 up
	check "$n: the link is back, in step" wait_step b a
	check "$n: planned, back" ask a takeover
done
check "in step" wait_step a b
stop a
stop b
check "every daemon ended cleanly" ended_cleanly
