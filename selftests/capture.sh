#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Each way to notice changes: forced by parameter, told by status, and it notices.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 40

nl=$(dirname "$0")/nl.py
ftrace=/proc/sys/kernel/ftrace_enabled
ftrace_before=$(cat $ftrace)
later eval "echo $ftrace_before >$ftrace"
setup_ns A B
setup_veth "$A" "$B"
tunnel "$A" "$B" window=128
tmpdir
start_sink "$B" "$TMP/sink"

streamed() { # FILE SPI FIELD VALUE: the last record of that SPI says so
	grep "\"spi\": $(($2)),.*\"$3\":" "$1" | tail -n 1 | grep -q "\"$3\": $4[,}]"
}

captures() { # METHOD [PARAM=VALUE...]
	local method=$1 sent before

	shift
	check "$*: loads" load_module "$@"
	check "$*: status says $method" grep -q "\"capture\": \"$method\"" <<<"$("$nl" -n "$A" status)"
	for ns in "$A" "$B"; do
		: >"$TMP/$ns"
		# shellcheck disable=SC2094
		"$nl" -n "$ns" pull >"$TMP/$ns" 2>/dev/null &
		lib_pids+=("$!")
		busywait 20000 test -s "$TMP/$ns" >/dev/null
	done
	before=$(sa_oseq "$A" "$B_OUT" "$A_SPI")
	check "$*: packets arrive" send_and_count "$A" "$B_IN" 30 "$TMP/sink"
	sent=$((before + 30))
	check "$*: the sender's stream has the last number" \
		busywait 10000 streamed "$TMP/$A" "$A_SPI" oseq $sent
	check "$*: and the receiver's" busywait 10000 streamed "$TMP/$B" "$A_SPI" seq $sent
	check_equal "$*: as the kernel says" "$sent $sent" \
		"$(sa_oseq "$A" "$B_OUT" "$A_SPI") $(sa_seq "$B" "$B_OUT" "$A_SPI")"
}

captures ftrace capture=ftrace
check_fails "ftrace cannot be switched off under it" sh -c "echo 0 >$ftrace"
check_equal "it is on" 1 "$(cat $ftrace)"
captures kprobe capture=kprobe
check_fails "kprobes sit on ftrace: nor under those" sh -c "echo 0 >$ftrace"
check_equal "it is still on" 1 "$(cat $ftrace)"
captures scan capture=scan scan_interval_ms=20
captures ftrace capture=auto
check "unloads" unload_module

check_fails "capture=nonsense is refused" load_module capture=nonsense
check_fails "and leaves nothing" module_loaded

echo 0 >$ftrace
check_fails "ftrace switched off: capture=ftrace is refused" load_module capture=ftrace
check_fails "and capture=kprobe, which would see nothing" load_module capture=kprobe
captures scan capture=auto
check "unloads" unload_module
