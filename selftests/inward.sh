#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# SAs with the direction in have no lease: told and not acknowledged, they are the cluster's all the
# same. Who took over and used them deletes them at a rekey; so they go on the other node, too.
#
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 21

here=$(dirname "$0")
need_daemon
setup_ns A B P
setup_veth "$A" "$B"
tmpdir
modprobe -aq esp4 esp6 xfrm_user
pair_confs "$A" "$B"
# A daemon that stands still, and a link that is cut, are no reason to end the connection.
sed -i 's/^dead_ms = .*/dead_ms = 60000/' "$TMP/a.conf" "$TMP/b.conf"

ends4=(192.0.3.2 192.0.3.1) ends6=(2001:db8:3::2 2001:db8:3::1)
inbound() { # NS SRC DST SPI: as IKE makes them; where it gets its direction is another one
	ip -n "$1" xfrm state add src "$2" dst "$3" proto esp spi "$4" reqid 1 mode tunnel \
		flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 "$4")" 128
}
copy() { /usr/bin/python3 "$here/direction.py" "$P" "$A" "$@"; } # DST SPI
has_one() { sa_record "$@" | grep -q '"spi"'; }                  # NS DST SPI
has_tag() { sa_record "$A" "$@" | grep -q '"tag"'; }            # DST SPI
is_shared() { sa_record "$A" "$@" | grep -q '"shared"'; }       # DST SPI
waits() { in_ns "$B" ss -Htn state established | awk '{ n += $1 } END { print n + 0 }'; }
waits_more() { [ "$(waits)" -gt $(($1 + 700)) ]; }              # BYTES: both contexts are there

inbound "$P" "${ends4[@]}" 0x6000
inbound "$P" "${ends6[@]}" 0x6000
/usr/bin/python3 "$here/direction.py" "$P" "$B" "${ends4[1]}" 0x6000
[ $? -ne 4 ] || skip_all "SAs have no direction in this kernel"
ip -n "$B" xfrm state flush
check "a pair" both_start a b
kill -STOP "${pid[b]}"
before=$(waits)
copy "${ends4[1]}" 0x6000
check "an inbound SA of the active, IPv4" has_one "$A" "${ends4[1]}" 0x6000
check "IPv6" copy "${ends6[1]}" 0x6000
check "the active has taken them up, IPv4" busywait 10000 has_tag "${ends4[1]}" 0x6000
check "IPv6" busywait 10000 has_tag "${ends6[1]}" 0x6000
check "it has told both, and the standby stands still" busywait 20000 waits_more "$before"
check "its kernel knows that it has, IPv4" is_shared "${ends4[1]}" 0x6000
check "IPv6" is_shared "${ends6[1]}" 0x6000
ip -n "$A" link set xs0 down
kill -CONT "${pid[b]}"
check "the standby has them, and cannot say so any more" busywait 20000 sas_are "$B" 2
stop a KILL
start a
check "another daemon is active, and has heard nothing" busywait 20000 role_is a active
check "the other node takes over" ask b takeover
check "with both" status b "s['unsafe_total'] == 0"
check "they are rekeyed there, IPv4" ip -n "$B" xfrm state delete dst "${ends4[1]}" proto esp spi 0x6000
check "IPv6" ip -n "$B" xfrm state delete dst "${ends6[1]}" proto esp spi 0x6000
check "the other node has none" sas_are "$B" 0
ip -n "$A" link set xs0 up
check "the first one steps down, and is filled" busywait 60000 in_step b a
check "it has none any more" sas_are "$A" 0
check "planned, back again" ask a takeover
check "in step" wait_step a b
stop a
stop b
check "every daemon ended cleanly" ended_cleanly
