#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# How many instructions a takeover costs, from the command's first to its last one: after a
# crash, planned, and where no SA is safe. All that this machine does meanwhile is counted:
# the command, the daemons of both nodes, both kernels' work.
#
# Run it by `make bench`: the guest's clock has to count instructions (kselftest.sh -i).
# BENCH_SAS: how many SAs, one pair of daemons each (100 1000 10000).
# timeout: 3600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/../daemon.sh"

read -ra counts <<<"${BENCH_SAS:-100 1000 10000}"
plan $((2 + 7 * ${#counts[@]}))

need_daemon
# shellcheck disable=SC2034 # daemon.sh reads it
SLOW=60
setup_ns A B
setup_veth "$A" "$B"
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
sed -i 's/^dead_ms = .*/dead_ms = 60000\nanswer_ms = 600000/; s/^heartbeat_ms = .*/heartbeat_ms = 20000/' \
	"$TMP"/[ab].conf

sas() { # N: half of them for each direction
	local i

	for ((i = 0; i < $1; i++)); do
		printf 'xfrm state add src 192.0.3.%d dst 192.0.3.%d proto esp spi 0x%x reqid 1 mode tunnel flag esn replay-window 128 aead rfc4106(gcm(aes)) 0x%040x 128\n' \
			$((1 + i % 2)) $((2 - i % 2)) $((0x10000 + i)) $((i + 1))
	done
}
# takes WHAT NAME VERB...: its instructions; the command says ns as ms. It goes before others,
# so that what the daemon does after its answer is not counted.
takes() {
	local what=$1 name=$2

	shift 2
	in_ns "${node_ns[$name]}" chrt -f 10 "$XFRMSYNC" "$@" --json -c "$TMP/$name.conf" \
		>"$TMP/answer" || { cat "$TMP/answer"; return 1; }
	/usr/bin/python3 -c '
import json, sys
ms = json.load(open(sys.argv[2]))["ms"]
print(f"# {sys.argv[1]}: {ms * 1e6:.0f} instructions")' \
		"$what" "$TMP/answer" >>"$TMP/figures"
}
gone() { status b "s['peers'][0]['state'] == 'disconnected'"; }

for n in "${counts[@]}"; do
	ip -n "$A" xfrm state flush
	sas "$n" | ip -n "$A" -batch -
	check "$n SAs: a pair" both_start a b
	check "$n SAs: planned" takes "planned, $n SAs" b takeover --timeout 3000
	check "$n SAs: and back" wait_step b a
	ask a takeover --timeout 3000 >/dev/null
	check "$n SAs: in step" wait_step a b
	stop a KILL
	busywait 20000 gone
	check "$n SAs: after a crash" takes "crash, $n SAs" b takeover --timeout 3000
	# Now one that knows nothing: as after a restart, with SAs that a script made anew.
	stop b
	"$(dirname "$0")/../nl.py" -n "$B" role-set none >/dev/null
	ip -n "$B" xfrm state flush
	sas "$n" | ip -n "$B" -batch -
	sed -i 's/^role .*/role standby/; s/^boot_id .*/boot_id another/' "$TMP/b.state/state"
	start b
	busywait 20000 status b "s['role'] == 'standby'"
	check "$n SAs: none is safe" takes "none safe (all fenced), $n SAs" b takeover --timeout 3000
	ask b standby >/dev/null
	check "$n SAs: forced" takes "forced, $n SAs" b takeover --force-unsafe --timeout 3000
	stop b
	for ns in "$A" "$B"; do
		"$(dirname "$0")/../nl.py" -n "$ns" role-set none >/dev/null
		ip -n "$ns" xfrm state flush
	done
	rm -rf "$TMP"/[ab].state
done
check "the figures" cat "$TMP/figures"
cat "$TMP/figures"
