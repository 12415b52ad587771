#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Makes calls of libc fail, one by one, in sessions of the tool that need no module, and asks
# for no crash, no leak, no damaged file, and a line that says why. Prints TAP.
#
# usage: run.sh [SESSION]
#
#   MOST=40    of each session and kind of failure, spread evenly; 0: every one of them
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/../.." || exit
tree=$PWD build=$PWD/build/faults
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# Without _FORTIFY_SOURCE, which has names of its own for read() and others.
sanitize='-fsanitize=address,undefined -fno-sanitize-recover=all'
make --no-print-directory -C tools -j "$(nproc)" "BUILD=$build" "$build/faults" EXTRA_LDFLAGS="$sanitize" \
	EXTRA_CFLAGS="-O1 -U_FORTIFY_SOURCE $sanitize -fno-omit-frame-pointer" >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	exit 1
}
mkdir "$tmp/state" "$tmp/run"
umask 077
head -c 32 /dev/zero | tr '\0' '\5' >"$tmp/tls"
printf '01020300%056d\n' 0 >"$tmp/key"
cat >"$tmp/conf" <<-EOF
	[node]
	id = 1
	name = gw-a
	state_dir = $tmp/state
	socket = $tmp/run/control
	[listen]
	port = 7777
	[tls]
	psk_file = $tmp/tls
	[cluster]
	key_file = $tmp/key
	[peer gw-b]
	address = 192.0.2.2
	[peer gw-c]
	address = 2001:db8::3
EOF
cd "$tmp" && "$build/faults" "$tree/tools/tests/vectors/sa-gcm-esn.hex" \
	"$tree/tools/tests/vectors/policy-out.hex" "${MOST-40}" "$@"
