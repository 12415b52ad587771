#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The module goes and comes back under a daemon that is down: its SAs had no limits meanwhile,
# so what this node believes of them does not count any more.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 47

here=$(dirname "$0")

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
sed -i 's/^\[sync\]/&\nlease_esn_log2 = 8/' "$TMP/a.conf" "$TMP/b.conf"
start_sink "$P" "$TMP/p"

life() { nl "$1" status | sed -n 's/.*"life": \([0-9]*\).*/\1/p'; } # NS
# What the tool writes for modprobe counts in the first namespace only: by hand, here.
reload_module() { # [ROLE]: that of A from then on
	local ns epoch

	epoch=$(sed -n 's/^epoch //p' "$TMP/a.state/state")
	for ns in "$A" "$B"; do nl "$ns" role-set none || return; done
	# shellcheck disable=SC2119 # it has no parameters
	unload_module && load_module || return
	[ $# -eq 0 ] || nl "$A" role-set "$1" "$epoch" 1
}
none_is_safe() { busywait 20000 status a "s['role'] == 'standby' and s['unsafe_total'] == 2"; }
all_are_safe() { busywait 20000 status a "s['role'] == 'standby' and s['unsafe_total'] == 0"; }

tunnel "$A" "$P" link=1 window=128
check "a pair, leases of 256" both_start a b
check "the SAs are there" busywait 10000 sas_are "$B" 2
end=$(sa_oseq "$B" "$B_OUT" "$A_SPI")

# --- a daemon that is down, and nothing else ------------------------------------------

stop b
check "the active steps down" ask a standby
now=$(life "$A")
stop a
start a
check "its daemon restarts: its own counters are the newest" all_are_safe
check_equal "the module lives on" "$now" "$(life "$A")"
check "it is active again" ask a takeover
check "and uses them" not_fenced "$A" "$B_OUT" "$A_SPI"

# --- the module, too ------------------------------------------------------------------

stop a KILL
check "the module goes, and comes back" reload_module
check "another life of it" [ "$(life "$A")" -gt "$now" ]
check "meanwhile nothing stopped the SA at its lease's end" send_and_count "$A" "$B_IN" 600 "$TMP/p"
start a
check "its daemon comes back: a standby, and no SA is safe" none_is_safe
check "the log says why" busywait 20000 logged a "loaded anew, or had no role"
stop a
start a
check "the daemon after it knows it, too" none_is_safe
check "its takeover" ask a takeover
check "uses none" is_fenced "$A" "$B_OUT" "$A_SPI"
check "standby again" ask a standby
stop a
check "the module goes once more, under a standby" reload_module
check "and its fences with it" not_fenced "$A" "$B_OUT" "$A_SPI"
check "without the daemon: a takeover" ask a takeover
check "uses none either" is_fenced "$A" "$B_OUT" "$A_SPI"
check "standby again" ask a standby

# --- until somebody who knows fills it ------------------------------------------------

start a
start b
check "the other node is in sight" busywait 20000 status b "s['peers'][0]['state'] != 'disconnected'"
check "it is told to use what it has, which is not safe either" ask b takeover --force-unsafe
check "it fills the first one" wait_step b a
check "all are safe" all_are_safe
stop b
start b
check "its next daemon fills it" wait_step b a
check "they stay safe" all_are_safe
check "the planned way back is free" ask a takeover
check "with the roles changed" wait_step a b
check "its numbers are past the lease of then" [ "$(sa_oseq "$A" "$B_OUT" "$A_SPI")" -ge "$end" ]

# --- a disk that is behind the kernel, or does not say of which life it is ------------

stop b
stop a
heard() { # a daemon died when its kernel had a newer epoch, and its disk had not
	sed -i '/^outdated/d' "$TMP/b.state/state"
	nl "$B" role-set standby $(($(sed -n 's/^epoch //p' "$TMP/b.state/state") + 1)) 3
}
check "a standby hears of another active, and dies" heard
start b
check "what it has is outdated" busywait 20000 status b "s['unsafe_total'] == 2"
stop b
check "and once more" heard
check "a takeover without the daemon" ask b takeover
check "uses none" is_fenced "$B" "$B_OUT" "$A_SPI"
check "standby again" ask b standby
sed -i '/^life/d' "$TMP/a.state/state"
start a
check "no word of a life is another one: it is not taken for the active" \
	busywait 20000 role_is a standby

# --- a role that the new one has from its first moment on -----------------------------

stop a KILL
check "the module comes back as a standby, as modprobe has it" reload_module standby
start a
check "no SA is safe" none_is_safe
stop a
check "the module comes back, and somebody makes it active" reload_module active
start a
check "that is not believed" none_is_safe

# --- modprobe -------------------------------------------------------------------------

# Where the state is kept by default, modprobe's configuration follows it.
options() { modprobe -c | sed -n 's/^options xfrmsync //p'; }
stop a
rm -rf /etc/modprobe.d/xfrmsync-role.conf /var/lib/xfrmsync/state
later rm -rf /etc/modprobe.d/xfrmsync-role.conf /var/lib/xfrmsync/state
nl "$A" role-set none >/dev/null
sed '/^state_dir/d' "$TMP/a.conf" >"$TMP/m.conf"
chmod 600 "$TMP/m.conf"
node_ns[m]=$A
start m
check "a node that keeps its state where nodes do" busywait 20000 ask m takeover
check_equal "modprobe has the role and the epoch" "role=standby epoch=1 node=1" "$(options)"
stop m
for ns in "$A" "$B"; do nl "$ns" role-set none; done >/dev/null
comes_as_modprobe() {
	# shellcheck disable=SC2046 # words
	unload_module && load_module $(options)
}
check "the module comes with what modprobe has" comes_as_modprobe
check "and is standby" grep -q '"role": "standby", "epoch": 1, "node": 1' <("$here/nl.py" status)
"$here/nl.py" role-set none >/dev/null

# --- the end --------------------------------------------------------------------------

check "every daemon ended cleanly" ended_cleanly
