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
# BENCH_N: how many SAs (1000), BENCH_MANY: of which the memory is (10000).
# timeout: 60000

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/../daemon.sh"

N=${BENCH_N:-1000} MANY=${BENCH_MANY:-10000}
plan 21

bench=$BUILD/../bench
for program in packets own records; do
	[ -x "$bench/$program" ] || skip_all "not built: $bench/$program"
done
need_tool
# shellcheck disable=SC2034 # lib.sh reads it
SLOW=60
setup_ns A B P Q
setup_veth "$A" "$B"
tmpdir
modprobe -aq aesni_intel esp4 xfrm_user
# 6.1 leaves packets to it once it was woken, and who counts has the processor.
chrt -f -p 20 "$(pgrep '^ksoftirqd/0$')"
figures=/run/vm/records.figures
: >"$figures"

# --- what it does -----------------------------------------------------------------

# figure NAME: of the line "WORD: MIN MEDIAN MAX" that comes
figure() { sed -n "s/^\([a-z0-9]*: \)\{0,1\}\([0-9.]*\) \([0-9.]*\) \([0-9.]*\)$/$1\t\2\t\3\t\4/p" | tee -a "$figures"; }
# takes NAME PROGRAM ARG...
takes() {
	local said

	said=$("$bench/$2" "${@:3}" 2>&1) || { echo "$said"; return 1; }
	[ -n "$(figure "$1" <<<"$said")" ] || { echo "$said"; return 1; }
}
flush() { # NS...
	local ns

	for ns in "$@"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
}
host() { echo "10.$1.$(($2 / 256)).$(($2 % 256))"; } # NET I
sa() { # SRC DST SPI REQID
	printf 'xfrm state add src %s dst %s proto esp spi 0x%x reqid %d mode tunnel flag esn replay-window 128 aead rfc4106(gcm(aes)) 0x%040x 128\n' \
		"$1" "$2" "$3" "$4" "$3"
}
policy() { # DIR SRC DST TMPL_SRC TMPL_DST REQID
	echo "xfrm policy add src $2 dst $3 dir $1 tmpl src $4 dst $5 proto esp reqid $6 mode tunnel"
}
# Half of N out of A, half of them into it, a policy for each; P has the other ends.
tunnels() {
	local i

	for ((i = 1; i <= N / 2; i++)); do
		sa 192.0.3.1 192.0.3.2 $((0x10000 + i)) "$i"
		sa 192.0.3.2 192.0.3.1 $((0x20000 + i)) "$i"
		policy out 10.1.0.1 "$(host 2 "$i")" 192.0.3.1 192.0.3.2 "$i"
		policy in 10.2.0.1 "$(host 1 "$i")" 192.0.3.2 192.0.3.1 "$i"
	done >"$TMP/a.batch"
	for ((i = 1; i <= N / 2; i++)); do
		sa 192.0.3.2 192.0.3.1 $((0x20000 + i)) "$i"
		policy out 10.2.0.1 "$(host 1 "$i")" 192.0.3.2 192.0.3.1 "$i"
	done >"$TMP/p.batch"
	ip -n "$A" -batch "$TMP/a.batch" && ip -n "$P" -batch "$TMP/p.batch"
}
many() {
	local i

	for ((i = 1; i <= MANY; i++)); do
		sa 192.0.3.1 192.0.3.2 $((0x10000 + i)) 1
	done | ip -n "$Q" -batch -
}
slab() { awk -v name="$1" '$1 == name { print $(NF - 1) * $6 * 4096; found = 1 } END { if (!found) print 0 }' /proc/slabinfo; }
follows() { nl "$1" status | grep -q "\"sas\": $2[,}]"; } # NS N
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

# --- the kernel alone -----------------------------------------------------------------

ip -n "$B" route add local 10.2.0.0/16 dev lo
check "aevents, of each packet" aevents
setup_outside "$A" "$B" "$P"
carry "$A"
ip -n "$A" route add local 10.1.0.0/16 dev lo
ip -n "$P" route add local 10.2.0.0/16 dev lo
ip -n "$B" route del local 10.2.0.0/16 dev lo
check "$N SAs" tunnels
check "GETSA" takes "GETSA" own getsa "$A"
check "NEWAE" takes "NEWAE on itself" own newae "$A"
check "all of them, copied" takes "copy" own copy "$A" "$B"
flush "$B"

# --- the module -----------------------------------------------------------------------

check "it loads" load_module
check "the memory of $MANY SAs" memory
flush "$Q"
check "pull" takes "pull" records -n "$N" pull "$A" "$P"
check "dump" takes "dump" records -n "$N" dump "$A"
check "all of them copied, once more" takes "copy, module" own copy "$A" "$B"
# Made as A's were: who makes all at once leaves XFRM no time to let its hash table grow.
flush "$B"
check "the same at a standby" ip -n "$B" -batch "$TMP/a.batch"
check "NEWAE there" takes "NEWAE" own newae "$B"
check "NEWAE, 64 at once" takes "NEWAE 64" own newae64 "$B"
nl "$B" role-set standby 1 1
check "restore" takes "restore" records -n "$N" restore "$B"
nl "$B" role-set none
flush "$B"

# --- daemons --------------------------------------------------------------------------

pair_confs "$A" "$B"
sed -i '/^reqid = /d; s/^dead_ms = .*/dead_ms = 60000/; s/^heartbeat_ms = .*/heartbeat_ms = 20000/' \
	"$TMP"/[ab].conf
active() { ask a takeover && busywait 20000 status a "s['role'] == 'active'"; }
standby() { busywait 20000 status b "s['role'] == 'standby'"; }
# Where it goes, roughly: by the clock's ticks.
in_user_and_kernel() { # WHAT
	local n

	for n in a b; do
		awk -v what="$1, $n" '{ print "# " what ": ticks in user mode " $14 ", in the kernel " $15 }' \
			"/proc/${pid[$n]}/stat" >&"$tap_fd"
	done
}
# of_daemons VERB NS... -- NAME...: those of its lines
of_daemons() {
	local args=() what

	while [ "$1" != -- ]; do args+=("$1"); shift; done
	shift
	in_user_and_kernel "before ${args[0]}"
	"$bench/records" -n "$N" "${args[@]}" "${pid[a]}" "${pid[b]}" >"$TMP/said" 2>&1 ||
		{ cat "$TMP/said"; return 1; }
	in_user_and_kernel "after ${args[0]}"
	cat "$TMP/said"
	for what; do grep "^$what:" "$TMP/said" | figure "$what"; done
}
start a
check "an active" active
ip -n "$A" link set xs0 down
start b
check "a standby that has nothing" standby
check "a full sync" of_daemons sync "$A" "$B" -- gives takes sync
check "it is in step" wait_step a b
check "it has them all" sas_are "$B" "$N"
check "records" of_daemons through "$A" "$B" "$P" -- active standby applied bytes
stop b
stop a
check "every daemon ended cleanly" ended_cleanly

sed 's/^/# /' "$figures"
