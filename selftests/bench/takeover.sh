#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# How many instructions a takeover costs, from the command's first to its last one: after a
# crash, planned, and where no SA is safe. All that this machine does meanwhile is counted:
# the command, the daemons of both nodes, both kernels' work.
#
# Run it by `make bench`: the guest's clock has to count instructions (kselftest.sh -i).
# BENCH_SAS: how many SAs, one pair of daemons each (100 1000 10000). BENCH_GUARDS: with which
# guard of both (available strict); forced ones are the same with any, and measured with the first.
# timeout: 3600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/../daemon.sh"

read -ra counts <<<"${BENCH_SAS:-100 1000 10000}"
read -ra guards <<<"${BENCH_GUARDS:-available strict}"
plan $((2 + 7 * ${#counts[@]} + 5 * ${#counts[@]} * (${#guards[@]} - 1) + ${#guards[@]}))

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

# the_same WHAT: in its figures there is no work for each SA: to touch one takes thousands. What
# a command costs that was not run for a while is not the same each time.
the_same() {
	/usr/bin/python3 -c '
import re, sys
figures = sorted((int(n), int(cost)) for n, cost in re.findall(
    r"^# " + sys.argv[1] + r", (\d+) SAs: (\d+) ", open(sys.argv[2]).read(), re.M))
print(figures)
(few, least), (many, most) = figures[0], figures[-1]
if many > few:		# for report.py
    each = (most - least) / (many - few)
    with open("/run/vm/takeover.figures", "a") as f:
        print(f"{sys.argv[3]}\t{each:.1f}\t{each:.1f}\t{each:.1f}", file=f)
sys.exit(most - least > 100 * (many - few) + 250000)' "$1" "$TMP/figures" "takeover, an SA"
}

both_stop() {
	local ns

	stop b
	for ns in "$A" "$B"; do
		"$(dirname "$0")/../nl.py" -n "$ns" role-set none >/dev/null
		ip -n "$ns" xfrm state flush
	done
	rm -rf "$TMP"/[ab].state
}

for guard in "${guards[@]}"; do
	sed -i "/^guard = /d; s/^heartbeat_ms = .*/&\nguard = $guard/" "$TMP"/[ab].conf
	for n in "${counts[@]}"; do
		name="$guard, $n SAs"
		ip -n "$A" xfrm state flush
		sas "$n" | ip -n "$A" -batch -
		check "$name: a pair" both_start a b
		check "$name: planned" takes "planned, $name" b takeover --timeout 3000
		check "$name: and back" wait_step b a
		ask a takeover --timeout 3000 >/dev/null
		check "$name: in step" wait_step a b
		stop a KILL
		busywait 20000 gone
		check "$name: after a crash" takes "crash, $name" b takeover --timeout 3000
		if [ "$guard" != "${guards[0]}" ]; then
			both_stop
			continue
		fi
		# Now one that knows nothing: as after a restart, with SAs that a script made anew.
		stop b
		"$(dirname "$0")/../nl.py" -n "$B" role-set none >/dev/null
		ip -n "$B" xfrm state flush
		sas "$n" | ip -n "$B" -batch -
		sed -i 's/^role .*/role standby/; s/^boot_id .*/boot_id another/' "$TMP/b.state/state"
		start b
		busywait 20000 status b "s['role'] == 'standby'"
		check "$name: none is safe" takes "none safe (all fenced), $name" b takeover --timeout 3000
		ask b standby >/dev/null
		check "$name: forced" takes "forced, $name" b takeover --force-unsafe --timeout 3000
		both_stop
	done
	check "$guard: after a crash nothing is done for each SA" the_same "crash, $guard"
done
check "the figures" cat "$TMP/figures"
cat "$TMP/figures"
