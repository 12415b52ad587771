#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Many SAs, a fifth of a half of them in use: a pair of daemons comes in step, stays so under
# traffic, and heals: the active's daemon is stopped for ten seconds, the sync link has 1 Mbit/s,
# the standby's disk is full. Memory has its bounds all along, no packet is missing on the way
# out, and after a crash the other one goes on above each number that was drawn.
#
# XFRMSYNC_TUNNELS: of two SAs each, every other one of IPv6 (500). 50000 need a VM of 4 GB.
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"

TUNNELS=${XFRMSYNC_TUNNELS:-500}
ACTIVE=$((TUNNELS / 5))
plan 35

need_daemon
SLOW=$((SLOW * (1 + TUNNELS / 2000)))
setup_ns A B
setup_veth "$A" "$B"
tmpdir
modprobe -aq esp4 esp6 xfrm_user dummy sch_tbf
pair_confs "$A" "$B"

# --- many tunnels -----------------------------------------------------------------------

# What leaves is counted, and dropped: nobody has to be there for fifty thousand peers.
outside() { # NS
	ip -n "$1" -batch - <<-END
		link add out type dummy
		link set out up
		address replace 10.1.0.1/32 dev lo
		address replace fd00:1::1/128 dev lo nodad
		address add 192.0.3.1/24 dev out
		address add 2001:db8:3::1/64 dev out nodad
		route replace 10.2.0.0/15 dev out src 10.1.0.1
		route replace fd00:2::/32 dev out src fd00:1::1
		route replace fd00:3::/32 dev out
	END
}
check "a way out for A" outside "$A"
check "and one for B" outside "$B"

tunnels() { # state|policy: the words of ip -batch
	awk -v n="$TUNNELS" -v what="$1" -v seed="$SEED" '
	function state(src, dst, spi) {
		printf "xfrm state add src %s dst %s proto esp spi 0x%x reqid 1 mode tunnel flag esn replay-window 128 aead rfc4106(gcm(aes)) 0x%08x%032x 128\n", src, dst, spi, seed, spi
	}
	BEGIN {
		for (i = 0; i < n; i++) {
			hi = int(i / 256)
			lo = i % 256
			six = i % 2
			here = six ? "2001:db8:3::1" : "192.0.3.1"
			peer = six ? sprintf("fd00:3::%x:%x", hi, lo) : "10.3." hi "." lo
			if (what == "state") {
				state(here, peer, 65536 + i)
				state(peer, here, 268435456 + i)
				continue
			}
			printf "xfrm policy add src %s dst %s dir out tmpl src %s dst %s proto esp reqid 1 mode tunnel\n",
				six ? "fd00:1::1/128" : "10.1.0.1/32",
				six ? sprintf("fd00:2::%x:%x/128", hi, lo) : "10.2." hi "." lo "/32", here, peer
		}
	}'
}
print_seed
check "SAs" ip -n "$A" -batch <(tunnels state)
check "their policies" ip -n "$A" -batch <(tunnels policy)

sent=0
# What IPv6 says of itself to its link, by multicast, is none of them.
packets_out() { # NS
	local all others

	all=$(ip -n "$1" -j -s link show out | sed 's/.*"tx":{"bytes":[0-9]*,"packets":\([0-9]*\).*/\1/')
	# shellcheck disable=SC2016 # awk's
	others=$(in_ns "$1" awk '/^Ip6OutMcastPkts/ { print $2 }' /proc/net/dev_snmp6/out)
	echo "$((all - others)) of $all have left" >&2
	echo $((all - others))
}
all_left() { [ "$(packets_out "$1")" -eq "$2" ] || ! echo "of $2"; } # NS SENT
send() { # NS ROUNDS: so many packets by each SA that is in use
	/usr/bin/python3 "$(dirname "$0")/many.py" "$1" "$ACTIVE" "$2" || return
	sent=$((sent + ACTIVE * $2))
}
# numbers NS FILE: what each SA has drawn, by its name.
numbers() {
	ip -n "$1" xfrm state | awk '
	function wide(hex) { hex = substr(hex, 3); while (length(hex) < 8) hex = "0" hex; return hex }
	/^src / { name = $4 }
	/proto esp spi/ { name = name "/" $4 }
	/oseq-hi/ { gsub(",", ""); print name, "n" wide($6) wide($8) }' | sort >"$2"
	[ "$(wc -l <"$2")" -eq $((2 * TUNNELS)) ]
}
# not_below: no number of B is below A's, of any SA.
not_below() {
	numbers "$A" "$TMP/a.numbers" && numbers "$B" "$TMP/b.numbers" || return
	join "$TMP/a.numbers" "$TMP/b.numbers" | awk -v want=$((2 * TUNNELS)) '
	$2 > "n0000000000000000" { used++ }
	$3 < $2 { print; below++ }
	END { print NR, "of", want, used " used,", below + 0, "below"; exit !(NR == want && used && !below) }'
}

declare -A rss
memory() { # NAME: KiB of that node's daemon
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/${pid[$1]}/status"
}
memory_now() {
	rss=([a]=$(memory a) [b]=$(memory b))
	tap_say "# KiB: ${rss[a]} a, ${rss[b]} b; $(awk '/^(MemAvailable|Slab)/ { printf "%s %s ", $1, $2 }' /proc/meminfo)"
}
# What waits for a slow peer are SAs, not messages: a share of what they take, and no more.
bounded() { # SINCE memory_now
	local n now

	for n in a b; do
		now=$(memory $n)
		echo "$n: ${rss[$n]} then, $now now"
		[ "$now" -le $((rss[$n] + rss[$n] / 4 + 8192)) ] || return
	done
}

check "a pair" both_start a b
check "all SAs are there" sas_are "$B" $((2 * TUNNELS))
check "and the policies" policies_are "$B" "$TUNNELS"
memory_now

# --- in use -----------------------------------------------------------------------------

check "in use" send "$A" 3
check "the standby follows" wait_step a b
check "with no number below" not_below

# --- the active's daemon stands still ------------------------------------------------------

# The leases are large enough for what comes meanwhile: the packets go on.
still() {
	local end

	kill -STOP "${pid[a]}" || return
	end=$(($(now_ms) + 10000))
	send "$A" 2
	until [ "$(now_ms)" -ge "$end" ]; do send "$A" 1 || return; done
	kill -CONT "${pid[a]}"
}
check "ten seconds without it" still
check "it is in step again" wait_step a b
check "no number is below" not_below
check "it has taken no memory for that" bounded

# --- a slow link ------------------------------------------------------------------------

slow() { ip netns exec "$1" tc qdisc add dev xs0 root tbf rate 1mbit burst 16kb limit 64kb; } # NS
fast() { ip netns exec "$1" tc qdisc delete dev xs0 root; }
check "1 Mbit/s from A" slow "$A"
check "and from B" slow "$B"
check "packets go on" send "$A" 10
# While more comes than the link takes.
stays_bounded() {
	local i

	for ((i = 0; i < 8; i++)); do
		send "$A" 5 && bounded || return
	done
}
check "nothing heaps up" stays_bounded
check "the link is as it was" fast "$A"
check "on both sides" fast "$B"
check "in step again" wait_step a b
check "no number is below then" not_below

# --- a full disk ------------------------------------------------------------------------

refuses() { ! ask b takeover >"$TMP/said" 2>&1 && grep -qi "no space left" "$TMP/said"; }
stop b
cp -a "$TMP/b.state" "$TMP/b.kept"
mkdir -p "$TMP/b.state"
mount -t tmpfs -o size=64k none "$TMP/b.state"
later umount "$TMP/b.state"
cp -a "$TMP/b.kept/." "$TMP/b.state/"
start b
check "the standby is back" wait_step a b
! dd if=/dev/zero of="$TMP/b.state/full" bs=4k 2>/dev/null
check "with a full disk packets go on" send "$A" 2
check "and it follows" wait_step a b
check "it refuses to take over, and says why" refuses
check "A is active" role_is a active
rm "$TMP/b.state/full"
check "they are in step" wait_step a b

# --- the active dies ----------------------------------------------------------------------

check "all have left, none is missing" all_left "$A" "$sent"
stop a KILL
check "the takeover" ask b takeover
check "what A has drawn is below" not_below
check "packets go on from B" send "$B" 3
check "no number is A's" not_below
memory_now

stop b
check "every daemon ended cleanly" ended_cleanly
