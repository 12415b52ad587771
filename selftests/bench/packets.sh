#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# How many instructions a packet costs that is sent by one gateway and received by another, in
# one kernel: without the module, with the kernel's own way to follow SAs (aevents), and with
# ours. The module captures both ends, so a packet is looked at twice.
#
# Run it by `make bench`: the guest's clock has to count instructions (kselftest.sh -i).
# PACKETS: the program of selftests/bench/packets.c, built.
# timeout: 3600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"

SAS=1000
plan 20

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
reads() { nl "$1" status | grep -q '"reader": [1-9]'; } # NS
both_read() { reads "$A" && reads "$B"; }
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
# at_most WHAT BASE LIMIT: by so much one may be above the other, the least of each
at_most() {
	awk -F ': ' -v what="$1" -v base="$2" -v limit="$3" '
		$2 == what { split($3, f, " "); n++ }
		$2 == base { split($3, b, " "); n++ }
		END {
			printf "%s: +%.1f\n", what, f[1] - b[1] >"/dev/stderr"
			exit n != 2 || f[1] - b[1] > limit
		}' "$TMP/figures" 2>>"$TMP/added"
}

# --- without the module ---------------------------------------------------------------

tunnel "$A" "$B" window=128
check "without the module" takes "without the module"
for n in 1 32 256; do
	threshold $n
	again
	check "aevents, each $n packets" takes "aevents $n" -a
done
check "$SAS SAs" many
check "$SAS SAs, without the module" takes "$SAS SAs, without the module" -n $SAS -s $SAS

# --- with it --------------------------------------------------------------------------

check "the module loads" load_module
# They never get the processor while packets are counted.
for ns in "${spaces[@]}"; do background "$(dirname "$0")/../nl.py" -n "$ns" pull >/dev/null; done
check "somebody reads the streams" busywait 20000 both_read
again
check "capture" takes "capture"
check "active" roles active 1 1
check "the SA has a lease" leased
check "active, with a lease" takes "active, with a lease"
roles none
check "$SAS SAs are captured" many
check "$SAS SAs, marked" takes "$SAS SAs, marked" -n $SAS -s $SAS
check "$SAS SAs, read before each packet" takes "$SAS SAs, not marked" -n $SAS -s $SAS -p 20000

# --- what it may be -------------------------------------------------------------------

check "capture adds at most 130 instructions to a packet sent and received" \
	at_most "capture" "without the module" 130
check "a lease and the fence's hooks at most 60" at_most "active, with a lease" "capture" 60
check "of many SAs it is the same" at_most "$SAS SAs, marked" "$SAS SAs, without the module" 130
check "an SA that is not marked yet at most 260" \
	at_most "$SAS SAs, not marked" "$SAS SAs, without the module" 260
check "the figures" cat "$TMP/figures" "$TMP/added"
sed 's/^/# /' "$TMP/figures" "$TMP/added"
