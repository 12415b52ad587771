#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's own YNL command line (linux-source) drives the family: it knows nothing but
# the YAML, which it validates against the kernel's schema.
#
#   A 10.1.0.1 --- 192.0.2.1 ===== ESP ===== 192.0.2.2 --- 10.2.0.1 B
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 9

here=$(dirname "$(readlink -f "$0")")
# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
ksource=$("$here/vm/ksource.sh") || skip_all "no linux-source-6.12"
spec=$here/../Documentation/netlink/specs/xfrmsync.yaml
schema=$ksource/Documentation/netlink/$(sed -n 's/^protocol: //p' "$spec").yaml
setup_ns A B
setup_veth "$A" "$B"
tmpdir
tunnel "$A" "$B" window=128
start_sink "$B" "$TMP/sink"
send_and_count "$A" "$B_IN" 5 "$TMP/sink" >/dev/null

ynl() { # NS ARGS...: JSON
	local ns=$1

	shift
	in_ns "$ns" /usr/bin/python3 "$ksource/tools/net/ynl/cli.py" --output-json \
		--spec "$spec" --schema "$schema" "$@"
}

# holds FILE EXPRESSION: of the answer `j`.
holds() {
	/usr/bin/python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
if not eval(sys.argv[2]): sys.exit(str(j))' "$@" || { tail -n 3 "$TMP/err"; return 1; }
}

ynl "$A" --dump get >"$TMP/dump" 2>"$TMP/err"
check "it takes the specification, and dumps" test -s "$TMP/dump"
check "both SAs are there" holds "$TMP/dump" "len(j) == 2 and {s['proto'] for s in j} == {50}"
check "with their numbers" holds "$TMP/dump" \
	"[s['oseq'] for s in j if s['spi'] == $((A_SPI))] == [5]"
check "flags by name" holds "$TMP/dump" "all(sorted(s['flags']) == ['bmp', 'esn'] for s in j)"
# It takes addresses as hexadecimal digits only, though it prints them well.
IFS=. read -r b1 b2 b3 b4 <<<"$B_OUT"
dst=$(printf '%02x%02x%02x%02x' "$b1" "$b2" "$b3" "$b4")
ynl "$B" --do get --json "{\"family\": 2, \"dst\": \"$dst\", \"spi\": $((A_SPI)), \"proto\": 50}" \
	>"$TMP/get" 2>"$TMP/err"
check "one SA, by its name" holds "$TMP/get" "j['seq'] == 5 and j['window'] == 128"
ynl "$A" --do stats-get >"$TMP/stats" 2>"$TMP/err"
check "statistics" holds "$TMP/stats" "j['tracked'] == 2 and j['dumped'] >= 2 and len(j) == 25"
ynl "$A" --do status-get >"$TMP/status" 2>"$TMP/err"
check "status" holds "$TMP/status" \
	"(j['role'], j['sas'], j['version'], j['watchdog-ms']) == ('none', 2, 1, 0)"
check_fails "a refusal is one" sh -c "exit $(ynl "$A" --do role-set --json '{"role": "standby"}' \
	>"$TMP/refusal" 2>&1; echo $?)"
check "and says why" grep -q "a role needs an epoch" "$TMP/refusal"
