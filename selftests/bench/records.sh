#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What a record costs on its way, in instructions, beside the kernel's own means for it, in one
# boot: from the dirty set to its reader, a snapshot, through both daemons, into a standby; the
# bytes it takes between them; what an SA takes of the module's memory; a full sync of an empty
# standby.
#
# Figures go to /run/vm/records.figures, "NAME MIN MEDIAN MAX" with tabs; report.py has what
# they may be.
#
# Run it by `make bench`: the guest's clock has to count instructions (kselftest.sh -i).
# BENCH_N: how many SAs (1000), BENCH_MANY: of which the memory is (10000), BENCH_REPEATS: of
# each figure (6). BENCH_SHORT: without the kernel's own means.
# timeout: 60000

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/../daemon.sh"
# shellcheck source=selftests/bench/bench.sh
. "$(dirname "$0")/bench.sh"

N=${BENCH_N:-1000} MANY=${BENCH_MANY:-10000} REPEATS=${BENCH_REPEATS:-6} SHORT=${BENCH_SHORT:-}
plan $((SHORT ? 14 : 21))

setup_ns A B P Q
bench_begin records

# --- what it does -----------------------------------------------------------------

many() {
	seq -f '%.0f' $((0x10000 + 1)) $((0x10000 + MANY)) | awk '{
		printf "xfrm state add src 192.0.3.1 dst 192.0.3.2 proto esp spi 0x%x reqid 1 mode tunnel flag esn replay-window 128 aead rfc4106(gcm(aes)) 0x%040x 128\n", $1, $1
	}' | ip -n "$Q" -batch -
}
slab() { awk -v name="$1" '$1 == name { print $(NF - 1) * $6 * 4096; found = 1 } END { if (!found) print 0 }' /proc/slabinfo; }
# The module's own slab; by their rules, as others have some as well: the xarray's nodes, of 64 each,
# and the two hash tables, four times as large as soon as there are more than buckets, and twice
# where three quarters are full.
memory() {
	local own nodes=0 n=$MANY buckets=256 names=64

	own=$(slab xfrmsync_sa)
	many && busywait 60000 follows "$Q" "$MANY" || return
	while ((n > 1)); do n=$(((n + 63) / 64)) nodes=$((nodes + n)); done
	while ((buckets < MANY)); do buckets=$((buckets * 4)); done
	while ((names * 3 / 4 < MANY)); do names=$((names * 2)); done
	awk -v n="$MANY" -v own=$(($(slab xfrmsync_sa) - own)) -v nodes=$nodes \
		-v tables=$((8 * (buckets + names))) '
		$1 == "radix_tree_node" { nodes *= $6 * 4096 / $5 }
		END {
			printf "of a slab %.1f, nodes %.1f, tables %.1f\n", own / n, nodes / n, tables / n
			v = (own + nodes + tables) / n
			printf "memory: %.1f %.1f %.1f\n", v, v, v
			exit own <= 0
		}' /proc/slabinfo | tee "$TMP/memory" | figure "module memory, an SA"
	cat "$TMP/memory"
	sed 's/^/# /' "$TMP/memory" >&"$tap_fd"
}
one_tunnel() { tunnel "$A" "$B" window=128; }
threshold() { # N
	local ns

	for ns in "$A" "$B"; do
		in_ns "$ns" sysctl -qw net.core.xfrm_aevent_rseqth="$1" net.core.xfrm_aevent_etime=100000
	done
}
aevents() {
	one_tunnel && takes "packet" packets -r 5 "$A" "$B" 10.2.0.1 &&
		threshold 1 && flush "$A" "$B" && one_tunnel &&
		takes "packet, aevents" packets -a -r 5 "$A" "$B" 10.2.0.1 || return
	threshold 2
	flush "$A" "$B"
	awk -F '\t' '$1 == "packet" { split($0, of) }
		$1 == "packet, aevents" { for (i = 2; i < 5; i++) $i = ($i - of[i]) / 2
			printf "an: %.1f %.1f %.1f\n", $2, $3, $4 }' "$figures" | figure "aevent"
}

# The kernel's own means: not in the short form.
beside() { [ -n "$SHORT" ] || check "$@"; }

# --- the kernel alone -----------------------------------------------------------------

ip -n "$B" route add local 10.2.0.0/16 dev lo
beside "aevents, of each packet" aevents
meet_outside
ip -n "$B" route del local 10.2.0.0/16 dev lo
check "$N SAs" tunnels "$N"
beside "GETSA" takes "GETSA" own getsa "$A"
beside "NEWAE" takes "NEWAE on itself" own newae "$A"
beside "all of them, copied" takes "copy" own copy "$A" "$B"
flush "$B"

# --- the module -----------------------------------------------------------------------

check "it loads" load_module
check "the memory of $MANY SAs" memory
flush "$Q"
check "pull" takes "pull" records -n "$N" -r "$REPEATS" pull "$A" "$P"
check "dump" takes "dump" records -n "$N" -r "$REPEATS" dump "$A"
beside "all of them copied, once more" takes "copy, module" own copy "$A" "$B"
# Made as A's were: who makes all at once leaves XFRM no time to let its hash table grow.
flush "$B"
check "the same at a standby" ip -n "$B" -batch "$TMP/a.batch"
beside "NEWAE there" takes "NEWAE" own newae "$B"
beside "NEWAE, 64 at once" takes "NEWAE 64" own newae64 "$B"
nl "$B" role-set standby 1 1
check "restore" takes "restore" records -n "$N" -r "$REPEATS" restore "$B"
nl "$B" role-set none
flush "$B"

# --- daemons --------------------------------------------------------------------------

bench_confs 20000
start a
check "an active" active
ip -n "$A" link set xs0 down
start b
check "a standby that has nothing" standby
check "a full sync" of_daemons -n "$N" sync "$A" "$B" -- gives takes sync
check "it is in step" wait_step a b
check "it has them all" sas_are "$B" "$N"
check "records" of_daemons -n "$N" -r "$REPEATS" through "$A" "$B" "$P" -- active standby applied bytes
stop b
stop a
check "every daemon ended cleanly" ended_cleanly

sed 's/^/# /' "$figures"
