#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# When a takeover must be refused, and what has to heal without an operator: reboots, a cut
# sync link, SAs and policies that cannot be created at first.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 61

here=$(dirname "$0")

need_tool
check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"

setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
make_ca ca
make_cert ca a a
make_cert ca b b
make_conf a "$A" 1 192.0.2.1 b 192.0.2.2
make_conf b "$B" 2 192.0.2.2 a 192.0.2.1
tunnel "$A" "$P" link=1 window=128
esp_out=("$B_OUT" "$A_SPI")
size=$(((1 << 30) + 65536))

links_down() {
	status a "s['peers'][0]['state'] != 'synced'" && status b "s['peers'][0]['state'] != 'synced'"
}

# --- the sync link is cut, the address goes over and comes back ----------------------

check "a pair" both_start a b
check "with the SAs" busywait 10000 sas_are "$B" 2
check "at the lease's end" busywait 10000 oseq_is "$B" "${esp_out[@]}" $size
ip -n "$A" link set xs0 down
check "the link is cut" busywait 20000 links_down
check "the other node takes over" ask b takeover
check "and steps back" ask b standby
check "the first one was active all along" role_is a active
ip -n "$A" link set xs0 up
check "the link is back: the first one is active, the other one filled" wait_step a b
check "after it was filled itself" logged a "takes over again"
check "it starts past what the other one could send" \
	[ "$(sa_oseq "$A" "${esp_out[@]}")" -ge $size ]

# --- both are told to be active, and one was all along --------------------------------

epoch() { # NAME
	ask "$1" status --json | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["epoch"])'
}
told() { ask "$1" takeover | grep -q "already active, $2"; } # NAME TEXT
steps_down() { grep -c "stepping down" "$TMP/$1.log"; }       # NAME
down=$(steps_down a) first=$(epoch a)
check "with its standby in sight it has nothing to do" told a "epoch $first"
check "the standby's snapshot is still the one it was" status b "s['ready']"
ip -n "$A" link set xs0 down
check "the link is cut again" busywait 20000 links_down
check "the other node takes over, unheard" ask b takeover
check "the first one is told to: it is" told a "now in epoch"
check "above what the other one has" [ "$(epoch a)" -gt "$(epoch b)" ]
ip -n "$A" link set xs0 up
check "the link is back: it stays active, and fills the other one" wait_step a b
check_equal "without a break" "$down" "$(steps_down a)"
check "the other one heard of it" logged b "stepping down"

ip -n "$A" link set xs0 down
check "the link is cut once more" busywait 20000 links_down
check "the first one is told to" told a "now in epoch"
check "then the other one takes over" ask b takeover
check "and is told to, once more" told b "now in epoch"
ip -n "$A" link set xs0 up
check "the link is back: who was told last stays" wait_step b a
check "planned, back again" ask a takeover
check "in step" wait_step a b

# The connection outlives a short cut, and brings what was asked before it.
sed -i 's/^dead_ms = .*/dead_ms = 60000/' "$TMP/a.conf" "$TMP/b.conf"
reload a
reload b
check "connections that last" wait_step a b
ip -n "$A" link set xs0 down
check "a short cut: the other node takes over without an answer" ask b takeover
check "the first one is told to" busywait 20000 told a "now in epoch"
ip -n "$A" link set xs0 up
check "it does not hand over to a wish of before" busywait 60000 logged a "asked for a handover before"
check "it is active" wait_step a b
check_equal "and was all along" "$((down + 1))" "$(steps_down a)"
kill -STOP "${pid[b]}"
check "it is told to while the other one hangs" busywait 20000 told a "now in epoch"
ask b takeover >"$TMP/asked" 2>&1 &
asked=$!
kill -CONT "${pid[b]}"
wait $asked
check "that one's wish of after it counts" grep "handed over" "$TMP/asked"
check "in step the other way" wait_step b a
check "planned, back" ask a takeover
sed -i 's/^dead_ms = .*/dead_ms = 3000/' "$TMP/a.conf" "$TMP/b.conf"
reload a
reload b
check "as before" wait_step a b

# --- what was touched on the standby goes when the active's goes ----------------------

# A stray packet of B's own on an SA that B has for A.
ip -n "$B" -batch - <<-END
	address add 10.1.0.1/32 dev lo
	address add 192.0.3.1/32 dev lo
	address delete 10.2.0.1/32 dev lo
	route replace 10.2.0.0/16 via 192.0.2.1 src 10.1.0.1
	route replace 192.0.3.2/32 via 192.0.2.1
END
is_unused() { "$here/nl.py" -n "$B" dump | grep "\"spi\": $((A_SPI))" | grep -q '"restored"'; }
let_pass() { # FLAG: unmanaged takes the fence away for this SA
	"$here/nl.py" -n "$B" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 flags="$1" >/dev/null
}
busywait 20000 is_unused
let_pass unmanaged
in_ns "$B" bash -c 'echo stray >/dev/udp/10.2.0.1/9'
let_pass 0
check_fails "a stray packet uses an SA of the standby" is_unused
stop b
ip -n "$A" xfrm state delete dst "$B_OUT" proto esp spi "$A_SPI"
start b
check "the standby's daemon restarts" wait_step a b
check "what went meanwhile is gone all the same" busywait 10000 sas_are "$B" 1

# --- what cannot be created at first --------------------------------------------------

ip -n "$A" link add late0 type dummy
ip -n "$A" xfrm state add src 192.0.3.4 dst 192.0.3.1 proto esp spi 0x7000 reqid 7 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 late)" 128 sel dev late0
check "an SA bound to a device that is not there: not ready" \
	busywait 10000 status b "not s['ready']"
ip -n "$B" link add late0 type dummy
check "the device comes, and so does the SA" busywait 30000 sas_are "$B" 2
check "ready again" wait_step a b

own=(src 10.7.0.0/16 dst 10.8.0.0/16 dir out)
ip -n "$B" xfrm policy add "${own[@]}" tmpl src 192.0.3.1 dst 192.0.3.8 proto esp reqid 7 mode tunnel
ip -n "$A" xfrm policy add "${own[@]}" tmpl src 192.0.3.1 dst 192.0.3.9 proto esp reqid 7 mode tunnel
check "another policy of the same name: not ready" busywait 10000 status b "not s['ready']"
check "it is left alone" grep -q 192.0.3.8 <(ip -n "$B" xfrm policy get "${own[@]}")
ip -n "$B" xfrm policy delete "${own[@]}"
check "deleted, it makes room for the active's" wait_step a b
check "which is there" grep -q 192.0.3.9 <(ip -n "$B" xfrm policy get "${own[@]}")

# --- reboots --------------------------------------------------------------------------

# What a script at boot makes: the keys of before, all counters at their beginning.
reboot() { # NAME
	stop "$1" KILL
	"$here/nl.py" -n "${node_ns[$1]}" role-set none >/dev/null
	ip -n "${node_ns[$1]}" xfrm state flush
	lib_boot "${node_ns[$1]}"
	sed -i 's/^boot_id .*/boot_id another/' "$TMP/$1.state/state"
}
lib_boot() {
	ip -n "$1" xfrm state add src "$A_OUT" dst "$B_OUT" proto esp spi "$A_SPI" reqid 1 mode tunnel \
		flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 "$A_SPI")" 128
}

stop b
reboot a
start a
check "rebooted, it is standby" busywait 20000 role_is a standby
check "one SA is not safe" status a "s['unsafe_total'] == 1 and '$B_OUT' in s['unsafe'][0]['sa']"
stop a
start a
check "the daemon starts once more" busywait 20000 role_is a standby
check "that changes nothing" status a "s['unsafe_total'] == 1"
start b
check "the other node, which was in step, may" busywait 20000 ask b takeover
check "and fills it" wait_step b a
check "beside what it made itself" busywait 10000 sas_are "$A" 3
check "the planned way back is free" ask a takeover
check "with the roles changed" wait_step a b

stop a
reboot b
check "rebooted, without the daemon: a takeover" ask b takeover
check "does not use what a script made" is_fenced "$B" "${esp_out[@]}"
"$here/nl.py" -n "$B" role-set none >/dev/null
check_fails "without a role nothing is held" is_fenced "$B" "${esp_out[@]}"

# --- the end --------------------------------------------------------------------------

check "every daemon ended cleanly" ended_cleanly
for ns in "$A" "$B"; do
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
	"$here/nl.py" -n "$ns" role-set none >/dev/null
done
