#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# How old what a standby has of an SA is when it gets it: from the packet that marks the SA on the
# active to the record's being in the standby's kernel, by the trace of both, in the guest's time,
# of which an instruction is a nanosecond.
#
# Figures go to /run/vm/lag.figures, "lag, interval I ms, N active", P50 P99 MOST, in us.
#
# Run it by `make bench`: the guest's clock has to count instructions (kselftest.sh -i).
# BENCH_ACTIVE: how many SAs, of 2,000, send a packet at once, each 50 ms (1 100 1000).
# BENCH_INTERVAL: interval_ms of both nodes (1 10).
# timeout: 60000

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/../daemon.sh"
# shellcheck source=selftests/bench/bench.sh
. "$(dirname "$0")/bench.sh"

read -ra counts <<<"${BENCH_ACTIVE:-1 100 1000}"
read -ra intervals <<<"${BENCH_INTERVAL:-1 10}"
plan $((5 + ${#intervals[@]} * (1 + ${#counts[@]})))

N=2000 TIMES=60 PAUSE=50
setup_ns A B P
bench_begin lag
meet_outside
tracing=/sys/kernel/tracing
a_netns=$(stat -Lc %i "/run/netns/$A")
b_netns=$(stat -Lc %i "/run/netns/$B")

# Each record of B's answers the mark of A's before it. A record more is of no packet; and a packet
# that comes while its SA is marked already, for what B has answered, has no mark of its own.
ages() { # NAME ACTIVE
	awk -v a="netns=$a_netns" -v b="netns=$b_netns" '
		function field(name,  i) {
			for (i = 1; i <= NF; i++)
				if (index($i, name "=") == 1) return substr($i, length(name) + 2)
		}
		/xfrmsync_(mark|restore): / {
			for (i = 1; i <= NF; i++) if ($i ~ /^xfrmsync_/) break
			t = substr($(i - 1), 1, length($(i - 1)) - 1)
			spi = field("spi")
			if ($i == "xfrmsync_mark:" && $(i + 1) == a && !(spi in since)) since[spi] = t
			if ($i == "xfrmsync_restore:" && $(i + 1) == b && field("reason") == 0 && spi in since) {
				printf "%.0f\n", (t - since[spi]) * 1e6
				delete since[spi]
			}
		}' $tracing/trace | sort -n >"$TMP/ages"
	[ "$(wc -l <"$TMP/ages")" -ge $((TIMES * $2 * 9 / 10)) ] || { wc -l "$TMP/ages"; return 1; }
	awk '{ v[NR] = $1 } END {
		printf "lag: %d %d %d\n", v[int((NR + 1) / 2)], v[int(NR * 0.99 + 0.999)], v[NR]
	}' "$TMP/ages" | figure "$1"
}
send() { # NAME ACTIVE
	local event

	echo mono >$tracing/trace_clock
	echo 32768 >$tracing/buffer_size_kb
	: >$tracing/trace
	for event in mark restore; do echo 1 >$tracing/events/xfrmsync/xfrmsync_$event/enable; done
	"$bench/packets" -o -n "$2" -s "$2" -p $PAUSE -r $TIMES "$P" "$A" 10.1.0.1 || return
	wait_step a b || return
	for event in mark restore; do echo 0 >$tracing/events/xfrmsync/xfrmsync_$event/enable; done
	ages "$1" "$2"
}
interval() { # MS
	sed -i "/^interval_ms = /d; s/^heartbeat_ms = .*/&\ninterval_ms = $1/" "$TMP"/[ab].conf
	reload a && reload b
}

check "$N SAs" tunnels $N
check "the module" load_module
bench_confs 1000
check "a pair" both_start a b
check "in step" wait_step a b
for ms in "${intervals[@]}"; do
	check "an interval of $ms ms" interval "$ms"
	for n in "${counts[@]}"; do
		check "$ms ms, $n active" send "lag, interval $ms ms, $n active" "$n"
	done
done
stop b
stop a
check "every daemon ended cleanly" ended_cleanly

sed 's/^/# /' "$figures"
