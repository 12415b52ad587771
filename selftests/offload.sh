#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# SAs that a NIC offloads. Crypto offload: the kernel draws the numbers, so all is as without it.
# Packet offload: the NIC alone knows them; that is said, and a takeover does not use such an SA.
#
#   NIC 192.0.9.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
#
# The NIC is a module of the tests' (offload/), which takes every SA.
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 33

here=$(dirname "$0")
nic=$BUILD/offload/xsoffload.ko

need_tool
[ -f "$nic" ] || skip_all "the NIC is not built for $KVER: make offload-6.12"
check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
modprobe -aq esp4 esp4_offload xfrm_user
check "and a NIC" insmod "$nic"
later rmmod xsoffload
setup_ns A B
later ip -n "$A" link delete off0
setup_veth "$A" "$B"
tmpdir
pair_confs "$A" "$B"
sed -i 's/^heartbeat_ms/lease_esn_log2 = 5\n&/' "$TMP/a.conf" "$TMP/b.conf"

# --- two SAs --------------------------------------------------------------------------

ip -n "$A" -batch - <<-END
	link add off0 type xsoffload
	link set off0 addrgenmode none
	link set off0 up
	address add 192.0.9.1/24 dev off0
	route add 10.8.0.0/16 via 192.0.9.8 src 10.1.0.1
	route add 10.9.0.0/16 via 192.0.9.9 src 10.1.0.1
END
TUNNEL_PROTO=esp
crypto=192.0.9.8 packet=192.0.9.9
for n in 8 9; do
	ip -n "$A" xfrm state add src 192.0.9.1 dst 192.0.9.$n proto esp spi 0x900$n reqid 7 mode tunnel \
		flag esn replay-window 64 aead 'rfc4106(gcm(aes))' "$(key 20 $n)" 128
	ip -n "$A" xfrm policy add src 10.1.0.0/16 dst 10.$n.0.0/16 dir out tmpl src 192.0.9.1 \
		dst 192.0.9.$n proto esp spi 0x900$n reqid 7 mode tunnel
done
offload() { "$here/offload.py" "$A" "$1" off0 "$2"; } # SPI FLAGS
check "an SA with crypto offload" offload 0x9008 0
why=''
offload 0x9009 4 >"$TMP/no" 2>&1
taken=$?
if [ $taken -ne 0 ] && grep -q "Unrecognized flags" "$TMP/no"; then
	why="no packet offload in $KVER"
	ip -n "$A" xfrm state delete dst $packet proto esp spi 0x9009
fi
packets() { # NAME CMD...: a result of packet offload
	if [ -n "$why" ]; then tap_skip "$1" "$why"; else check "$@"; fi
}
packets "an SA with packet offload" [ $taken -eq 0 ]
# With packet offload neither is ready, and will not be.
start a
start b
check "a pair" busywait 20000 status b "s['peers'][0]['role'] == 'standby'"
check "one is active" ask a takeover
follows() { # ACTIVE STANDBY
	status "$2" "s['role'] == 'standby' and s['managed'] > 0 and s['peers'][0]['state'] == 'synced'" &&
		status "$1" "s['peers'][0]['state'] == 'synced' and s['peers'][0]['lag_packets'] == 0"
}
check "and fills the other one" busywait 20000 follows a b

# --- what is said ---------------------------------------------------------------------

says() { # NAME TEXT: a finding of check
	in_ns "${node_ns[$1]}" "$XFRMSYNC" check -c "$TMP/$1.conf" | grep -q "$2"
}
out() { sa_oseq "$A" $crypto 0x9008; }
sent() { ip -n "$A" -j -s link show off0 | sed -n 's/.*"tx":{[^}]*"packets":\([0-9]*\).*/\1/p'; }
say() { send_packets "$A" "10.$1.0.1" "$2" 2>/dev/null; } # 8|9 N
told() { # NUMBER: of the SA with crypto offload, B knows it
	py is "s[0]['oseq'] == $1 and s[0]['lag'] == {'b': 0}" "$(ask a show --json --spi 0x9008)"
}

packets "packet offload: status says that it cannot be taken over" status a "s['unsafe_total'] == 1 and
	'0x00009009' in s['unsafe'][0]['sa'] and 'packet offload' in s['unsafe'][0]['why']"
packets "packet offload: and is not ready" status a "not s['ready']"
packets "packet offload: check names it" finds a offload "'1 SAs with packet offload' in c['text'] and
	['esp $packet spi 0x00009009'] == [n['sa'] for n in c['sas']]"
packets "packet offload: for people, too" says a "^  *esp $packet spi 0x00009009: packet offload"
packets "packet offload: check of the standby names it" finds b ready "['esp $packet spi 0x00009009'] ==
	[n['sa'] for n in c['sas']] and 'the active could not' in c['sas'][0]['why']"
packets "packet offload: so does the standby" busywait 10000 status b "s['unsafe_total'] == 1 and
	'0x00009009' in s['unsafe'][0]['sa']"
packets "packet offload: a dry run would fence it" grep -q "0x00009009.*fence" <(ask b takeover --dry-run)
check "crypto offload: it is safe" status a "not any('0x00009008' in u['sa'] for u in s['unsafe'])"
check "crypto offload: here, too" status b "not any('0x00009008' in u['sa'] for u in s['unsafe'])"

# --- the kernel draws the numbers --------------------------------------------------------

before=$(sent)
check "crypto offload: packets" say 8 10
check_equal "crypto offload: reach the NIC" $((before + 10)) "$(sent)"
check_equal "crypto offload: with numbers of the kernel's" 10 "$(out)"
check "crypto offload: which the standby is told" busywait 10000 told 10
ip -n "$A" link set xs0 down
check "the link is cut" busywait 20000 status a "s['peers'][0]['state'] != 'synced'"
before=$(sent)
say 8 100
check "crypto offload: not past the lease" [ $(($(sent) - before)) -lt 40 ]
check_equal "crypto offload: nothing else leaves" "$(out)" $((10 + $(sent) - before))
used=$(out)

# --- a takeover --------------------------------------------------------------------------

stop a KILL
check "B takes over" ask b takeover
packets "packet offload: it is fenced" is_fenced "$B" $packet 0x9009
packets "packet offload: and told" status b "s['unsafe_total'] == 1"
check "crypto offload: it is not" not_fenced "$B" $crypto 0x9008
check "crypto offload: B is past what was used" [ "$(sa_oseq "$B" $crypto 0x9008)" -ge "$used" ]
ip -n "$A" link set xs0 up
start a
check "A follows" busywait 20000 follows b a
before=$(sent)
check_fails "crypto offload: a standby sends nothing" say 8 1
say 9 1
check_equal "nothing has reached the NIC" "$before" "$(sent)"
check_equal "and no number was drawn" "$(out)" "$(sa_oseq "$A" $crypto 0x9008)"

stop a
stop b
check "every daemon ended cleanly" ended_cleanly
