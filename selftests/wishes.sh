#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A standby that was active last: what another node's wish has to be for it to be active once more,
# and what it asks for itself. The other end of the link is a script.
#
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 17

here=$(dirname "$0")
need_daemon
setup_ns A B
setup_veth "$A" "$B"
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
# Nobody fills it meanwhile, and that is not the matter here.
sed -i 's/^dead_ms = .*/dead_ms = 60000/' "$TMP/b.conf"

# other WHAT: the script, as a; its words go to $TMP/said.
other() {
	rm -f "$TMP/input"
	mkfifo "$TMP/input"
	: >"$TMP/said"
	/usr/bin/python3 "$here/refusal.py" "$A" 192.0.2.2 "$TMP/ca.crt" "$TMP/a.crt" "$TMP/a.key" \
		"$1" <"$TMP/input" >"$TMP/said" 2>&1 &
	other_pid=$!
	lib_pids+=("$other_pid")
	exec 9>"$TMP/input"
}
other_ends() { exec 9>&-; kill "$other_pid" 2>/dev/null; ends "$other_pid"; }
said() { grep -qx -- "$1" "$TMP/said" || { cat "$TMP/said"; return 1; }; } # TEXT
alone() { status b "s['peers'][0]['state'] == 'disconnected'"; }

# --- it is asked ------------------------------------------------------------------------

start b
check "a node alone" busywait 20000 role_is b standby
check "is active" ask b takeover
check "and is told to be standby" ask b standby
other wishes
check "another one asks" busywait 20000 said "fill .*"
check "that one's HELLO makes it nothing else" said "hello standby"
check "nor does its wish for what is sent to it (RESYNC)" said "resync as before"
check "nor one of before somebody decided otherwise" said "of before as before"
check "the wish to be filled does" said "fill active"
check "and it says why" logged b "asks to be filled, and nobody is active"
other_ends
check "the other one is gone" busywait 20000 alone

# --- it asks ----------------------------------------------------------------------------

other successor
check "another one was active meanwhile: it is asked, by a frame of its own" busywait 20000 said "type 29"
check_fails "there is no other one" grep -vx -e "type 29" "$TMP/said"
check "it is standby" role_is b standby
check "it is told to be active" ask b takeover
check "that stays, whatever the other one has done about it" busywait 20000 said "active 2 later"
other_ends
stop b
check "every daemon ended cleanly" ended_cleanly
