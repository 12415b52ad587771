#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Ranges of SPIs: nodes whose ranges overlap find out, and so does a node whose key manager has
# another one.
#
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 21

need_daemon
setup_ns A B
setup_veth "$A" "$B"
tmpdir
pair_confs "$A" "$B"

set_range() { # NAME RANGE
	sed -i '/^spi_range/d' "$TMP/$1.conf"
	sed -i "/^name/a spi_range = $2" "$TMP/$1.conf"
}
export STRONGSWAN_CONF=$TMP/none
# says NAME RESULT TEXT: check has a line of the range with both. Its exit code is of other things.
says() {
	ask "$1" check >"$TMP/check"
	grep -q "^$2 .*spi_range .*$3" "$TMP/check" || { cat "$TMP/check"; return 1; }
}

check "without a range there is nothing to compare" says a ok "none, and strongswan.conf was not found"
set_range a 0xc1000000-0xc1ffffff
check "with one, the key manager's is missing" says a ok "0xc1000000-0xc1ffffff; strongswan.conf was not found"
set_range b 0xc1ff0000-0xc2ffffff
start a
start b
connected() { status "$1" "s['peers'][0]['state'] != 'disconnected' and s['peers'][0]['role'] == 'standby'"; }
check "a pair" busywait 20000 connected a
check "each says its range" busywait 10000 status a "s['spi_range'] == '0xc1000000-0xc1ffffff' and s['peers'][0]['spi_range'] == '0xc1ff0000-0xc2ffffff'"
check "that they overlap is in the log" busywait 10000 logged a "peer b: its spi_range 0xc1ff0000-0xc2ffffff and ours, 0xc1000000-0xc1ffffff, overlap"
check "of both" busywait 10000 logged b "peer a: its spi_range .* overlap"
check "in the status" status b "len(s['spi_overlaps']) == 1"
text() { ask a status | grep -q "spi_range: .* of a and .* of b overlap"; }
check "for people, too" text
check "check fails by it" says a fail "0xc1000000-0xc1ffffff of a and 0xc1ff0000-0xc2ffffff of b overlap"
set_range b 0xc2000000-0xc2ffffff
check "another range" reload b
none_overlap() { status "$1" "s['peers'][0].get('spi_range') == '$2' and not s['spi_overlaps']"; }
check "and all is well" busywait 20000 none_overlap a 0xc2000000-0xc2ffffff
sed -i '/^spi_range/d' "$TMP/b.conf"
check "none at all" reload b
check "is known, too" busywait 20000 status a "s['peers'][0]['state'] != 'disconnected' and 'spi_range' not in s['peers'][0]"
check "and said" says a warn "b does not say its own"

export STRONGSWAN_CONF=$TMP/strongswan.conf
mkdir "$TMP/strongswan.d"
printf 'charon {\n\tplugins {\n\t}\n}\ninclude strongswan.d/*.conf\n' >"$STRONGSWAN_CONF"
check "charon's default is another one" says a fail "0xc1000000-0xc1ffffff, but charon's is 0xc0000000-0xcfffffff, its default"
check "without a range it is the same on all nodes" says b warn "none, and charon's is 0xc0000000-0xcfffffff, its default"
printf 'charon {\n\tspi_min = 0xc1000000\n}\n' >"$TMP/strongswan.d/charon.conf"
check "half of it" says a fail "charon's is 0xc1000000-0xcfffffff, in part its default"
printf 'charon {\n\tspi_min = 0xc1000000\n\tspi_max = 0xc1000fff\n}\n' >"$TMP/strongswan.d/charon.conf"
check "within" says a ok "0xc1000000-0xc1ffffff, charon's 0xc1000000-0xc1000fff is within"
printf 'charon-systemd {\n\tspi_min = 0xc0000000\n}\n' >"$TMP/strongswan.d/charon-systemd.conf"
check "charon-systemd goes by its own settings first" says a fail "0xc1000000-0xc1ffffff, but charon-systemd's is 0xc0000000-0xc1000fff"
stop b
stop a
check "every daemon ended cleanly" ended_cleanly
