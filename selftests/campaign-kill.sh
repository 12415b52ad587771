#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# `make campaign-vm`: the demo's three VMs again and again; the active gateway loses its power at a
# moment that is drawn, under traffic, in some rounds within a rekey or a restart of its daemon.
#
# usage: K=6.12 N=5 SEED= GUARD=strict FROM=0 campaign-kill.sh
#
# Prints TAP and a line of JSON for each round, and one with the totals. results/campaign-vm/ keeps
# `rounds`, `total`, and the captures and logs of each round that failed. Exit code: 0 if all passed.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
out=$here/../results/campaign-vm
K=${K:-6.12} N=${N:-5} GUARD=${GUARD:-strict} FROM=${FROM:-0}
SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
began=$SECONDS
command="make campaign-vm N=$N SEED=$SEED GUARD=$GUARD K=$K"
[ "$FROM" -eq 0 ] || command+=" FROM=$FROM"

plan() { # ROUND
	/usr/bin/python3 - "$SEED" "$1" "$GUARD" <<-'END'
		import random, sys

		seed, number, guard = sys.argv[1:]
		rng = random.Random(f"{seed}/vm/{number}")
		kill, words = rng.uniform(0.5, 4), [f"seed={seed}/{number}", f"guard={guard}"]
		# Half of them right before the end.
		for what, share in (("rekey", 0.5), ("restart", 0.35)):
		    if rng.random() < share:
		        before = rng.uniform(0, 1) if rng.random() < 0.5 else rng.uniform(0, kill)
		        words.append(f"{what}={max(0, kill - before):.3f}")
		first = rng.choice(("address", "role"))
		print(*words, f"kill={kill:.3f} move={kill + rng.uniform(0, 2.5):.3f} first={first}")
	END
}

line() { # ROUND SECONDS: what report.py found, as one line
	/usr/bin/python3 -c 'import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    print(json.dumps(dict(round=int(sys.argv[2]), seconds=int(sys.argv[3]), **json.load(file)["killed"])))' \
		"$out/$1.json" "$1" "$2" 2>/dev/null || echo "{\"round\": $1, \"seconds\": $2}"
}

# Not the next round; run.sh ends its machines.
trap 'exit 143' TERM HUP
trap 'exit 130' INT
rm -rf "$out"
mkdir -p "$out"
read -r _ kver _ < <("$here/vm/kernels.sh" get "$K") || exit 1
echo "TAP version 13"
echo "1..$N"
echo "# $command"
failed=0
for ((i = FROM; i < FROM + N; i++)); do
	plan=$(plan $i) start=$SECONDS
	if DEMO_PLAN=$plan DEMO_RESULT=campaign-vm/$i DEMO_START=$EPOCHSECONDS K=$K SYNC=on \
		"$here/demo/run.sh" >"$out/$i.log" 2>&1; then
		echo "ok $((i - FROM + 1)) - round $i: $plan"
		rm -rf "${out:?}/$i" "$out/$i.log"
	else
		failed=$((failed + 1))
		tail -n 20 "$out/$i.log" | sed 's/^/# /'
		echo "not ok $((i - FROM + 1)) - round $i: $plan"
	fi
	line $i $((SECONDS - start)) | tee -a "$out/rounds" | sed 's/^/# /'
	rm -f "$out/$i.json"
done

/usr/bin/python3 - "$out" "$N" "$failed" $((SECONDS - began)) "$SEED" "$command" "$kver" <<'END'
import collections, json, sys

out, n, failed, seconds, seed, command, kernel = sys.argv[1:]
sums, outages = collections.Counter(), []
with open(f"{out}/rounds", encoding="utf-8") as file:
    for line in map(json.loads, file):
        outages += [line.pop("outage_ms", None)]
        sums.update({k: v for k, v in line.items() if isinstance(v, int) and k not in ("round", "seconds")})
line = json.dumps({"seed": int(seed), "command": command, "kernel": kernel, "rounds": int(n),
                   "failed": int(failed), "seconds": int(seconds), **sums,
                   "worst_outage_ms": max(filter(None, outages), default=None)})
with open(f"{out}/total", "w", encoding="utf-8") as file:
    print(line, file=file)
print("#", line)
END
[ $failed -eq 0 ]
