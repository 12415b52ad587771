#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# How many instructions a packet costs that is sent by one gateway and received by another, in
# one kernel: without the module, with the kernel's own way to follow SAs (aevents), and with
# ours: with a scan that never looks, which leaves what the fence costs a node that it does not
# fence, and with the packet hooks. The module captures both ends, so a packet is looked at twice.
#
# Where the allocators put an SA does more to a packet, some 90 or 200 instructions, than what is
# looked for, and does so for all its life: so each figure is the least of five lives of its SAs.
#
# Run it by `make bench`: the guest's clock has to count instructions (kselftest.sh -i).
# PACKETS: the program of selftests/bench/packets.c, built.
# timeout: 60000

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"

SAS=1000 LIVES=5
plan 24

[ -x "${PACKETS:=$BUILD/../bench/packets}" ] || skip_all "not built: $PACKETS"
# shellcheck disable=SC2034 # lib.sh reads it
SLOW=10
setup_ns A B
setup_veth "$A" "$B"
ip -n "$B" route add local 10.2.0.0/16 dev lo
modprobe -q aesni_intel		# an instruction for a round of AES, as on hardware
# 6.1 leaves packets to it once it was woken, and who counts has the processor.
chrt -f -p 20 "$(pgrep '^ksoftirqd/0$')"
tmpdir
spaces=("$A" "$B")

takes() { # WHAT FLAG...
	local out

	out=$("$PACKETS" "${@:2}" "$A" "$B" "$B_IN" 2>&1) || { echo "$out"; return 1; }
	echo "packet: $1: $out" >>"$TMP/figures"
}
flush() {
	local ns

	for ns in "${spaces[@]}"; do
		ip -n "$ns" xfrm state flush
		ip -n "$ns" xfrm policy flush
	done
}
# Two SAs of each direction's own; the threshold of aevents is the one of when they are made.
again() { flush; tunnel "$A" "$B" window=128; }
# lives WHAT SETUP FLAG...: SETUP is what the SAs of each life get, : for nothing
lives() {
	local n

	for ((n = 0; n < LIVES; n++)); do
		again && "$2" && takes "$1" -r 1 "${@:3}" || return
	done
}
# Two lives, which take a while to be made.
many_lives() { # WHAT FLAG...
	many && takes "$1" -n $SAS -s $SAS "${@:2}" && many && takes "$1" -n $SAS -s $SAS "${@:2}"
}
threshold() { # N
	local ns

	for ns in "${spaces[@]}"; do
		in_ns "$ns" sysctl -qw net.core.xfrm_aevent_rseqth="$1" net.core.xfrm_aevent_etime=100000
	done
}
roles() { # ROLE [EPOCH NODE]
	local ns

	for ns in "${spaces[@]}"; do nl "$ns" role-set "$@" >/dev/null || return; done
}
leased() { nl "$A" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 lease-end=$((1 << 40)); }
# Within 2^31 of what comes: beyond, each look takes the lock.
guarded() { nl "$B" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 guard-end=$((1 << 30)); }
reads() { nl "$1" status | grep -q '"reader": [1-9]'; } # NS
both_read() { reads "$A" && reads "$B"; }
readers=()
loads() { # PARAM...
	local ns

	[ ${#readers[@]} -eq 0 ] || { kill "${readers[@]}"; wait "${readers[@]}" 2>/dev/null; }
	readers=()
	load_module "$@" || return
	# They never get the processor while packets are counted.
	for ns in "${spaces[@]}"; do
		background "$(dirname "$0")/../nl.py" -n "$ns" pull >/dev/null
		readers+=("$BG_PID")
	done
	busywait 60000 both_read
}
# One for each address of B's.
many() {
	local ns i

	flush
	for ns in "${spaces[@]}"; do
		for ((i = 0; i < SAS; i++)); do
			printf 'xfrm state add src %s dst %s proto esp spi 0x%x reqid %d mode tunnel flag esn replay-window 128 aead rfc4106(gcm(aes)) 0x%040x 128\n' \
				"$A_OUT" "$B_OUT" $((0x10000 + i)) $((i + 1)) $((i + 1))
		done | ip -n "$ns" -batch - || return
	done
	for ((i = 0; i < SAS; i++)); do
		printf 'xfrm policy add src %s dst 10.2.%d.%d dir out tmpl src %s dst %s proto esp reqid %d mode tunnel\n' \
			"$A_IN" $(((i + 1) / 256)) $(((i + 1) % 256)) "$A_OUT" "$B_OUT" $((i + 1))
	done | ip -n "$A" -batch - &&
		ip -n "$B" xfrm policy add src "$A_IN" dst 10.2.0.0/16 dir in \
			tmpl src "$A_OUT" dst "$B_OUT" proto esp mode tunnel
}
# at_most LIMIT (WHAT BASE)...: by so much one may be above the other, the least of each; of
# more than one pair, the sum
at_most() {
	awk -F ': ' -v limit="$1" -v pairs="$(printf '%s;' "${@:2}")" '
		{ split($3, f, " "); if (!($2 in least) || f[1] < least[$2]) least[$2] = f[1] }
		END {
			n = split(pairs, of, ";") - 1
			for (i = 1; i < n; i += 2) {
				bad += !(of[i] in least) || !(of[i + 1] in least)
				sum += least[of[i]] - least[of[i + 1]]
				said = said (i > 1 ? ", and " : "") of[i] " over " of[i + 1]
			}
			printf "%s: +%.1f\n", said, sum >"/dev/stderr"
			exit bad || !n || sum > limit
		}' "$TMP/figures" 2>>"$TMP/added"
}

# --- without the module ---------------------------------------------------------------

tunnel "$A" "$B" window=128
check "without the module" lives "without the module" :
for n in 1 32 256; do
	threshold $n
	check "aevents, each $n packets" lives "aevents $n" : -a
done
check "without the module, once more" lives "without the module" :
check "$SAS SAs, without the module" many_lives "$SAS SAs, without the module"

# --- with it --------------------------------------------------------------------------

check "the module loads, its streams are read, and it captures nothing" \
	loads capture=scan scan_interval_ms=4000000000
check "nothing captured" lives "nothing captured" :
check "it loads again, and captures" loads
check "capture" lives "capture" :
check "active" roles active 1 1
check "active, the SA has a lease" lives "active, with a lease" leased
check "its window has a guard" lives "active, guarded" guarded
check "standby" roles standby 1 1
check "and active again" roles active 2 1
check "with a lease" lives "active, after standby" leased
roles none
check "$SAS SAs, marked" many_lives "$SAS SAs, marked"
check "$SAS SAs, read before each packet" many_lives "$SAS SAs, not marked" -p 20000

# --- what it may be -------------------------------------------------------------------

check "capture adds at most 130 instructions to a packet sent and received" \
	at_most 130 "capture" "nothing captured"
check "a lease, and what the fence is on an active, at most 60" \
	at_most 60 "nothing captured" "without the module" "active, with a lease" "capture"
check "both, on an active that was a standby, at most 190" \
	at_most 190 "active, after standby" "without the module"
check "of many SAs it is the same" at_most 190 "$SAS SAs, marked" "$SAS SAs, without the module"
check "an SA that is not marked yet at most 320" \
	at_most 320 "$SAS SAs, not marked" "$SAS SAs, without the module"
at_most 9999 "active, guarded" "active, with a lease"
check "the figures" cat "$TMP/figures" "$TMP/added"
# For report.py.
sed -n 's/^packet: \(.*\): \([0-9.-]*\) \([0-9.-]*\) \([0-9.-]*\)$/\1\t\2\t\3\t\4/p' "$TMP/figures" \
	>/run/vm/packets.figures
sed 's/^/# /' "$TMP/figures" "$TMP/added"
