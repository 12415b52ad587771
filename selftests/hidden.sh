#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# SAs that another one of their address, SPI and protocol hides, since the peers know them: XFRM
# tells the other one when it is asked for them. Their numbers go on to be followed; and where they
# cannot be, nobody uses them.
#
#   A 192.0.2.1 --- TLS --- 192.0.2.2 B
#   A 10.1.0.1, fd00:1::1 --- 192.0.3.1, 2001:db8:1::1 ===== ESP ===== P
# timeout: 300

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 88

gateway=([4]=192.0.3.1 [6]=2001:db8:1::1) peer=([4]=192.0.3.2 [6]=2001:db8:1::2)
here=([4]=10.1.0.1 [6]=fd00:1::1) there=([4]=10.2.0.1 [6]=fd00:2::1)
OUT=0x00003003 IN=0x00003004
why="another SA, whose mark takes in its own, hides it"

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 esp6 xfrm_user
pair_confs "$A" "$B"
sed -i 's/^\[sync\]/&\nlease_esn_log2 = 8/' "$TMP/a.conf" "$TMP/b.conf"
print_seed

# --- SAs --------------------------------------------------------------------------------

# Of one family at a time: from eight SAs on XFRM makes its tables larger, and turns over the order
# of those that stand in one place.
family=4

ends_of() { # SPI: sets src and dst
	src=${gateway[$family]} dst=${peer[$family]}
	[ "$1" = "$OUT" ] || src=${peer[$family]} dst=${gateway[$family]}
}

add() { # REQID NS [WORDS...]: both directions
	local spi src dst

	for spi in $OUT $IN; do
		ends_of "$spi"
		ip -n "$2" xfrm state add src "$src" dst "$dst" proto esp spi "$spi" reqid "$1" \
			mode tunnel flag esn replay-window 64 "${@:3}" \
			aead 'rfc4106(gcm(aes))' "$(key 20 "$1 $spi")" 128 || return
	done
}

delete() { # NS [WORDS...]: without a mark, XFRM finds the ones that have none
	local spi src dst

	for spi in $OUT $IN; do
		ends_of "$spi"
		ip -n "$1" xfrm state delete dst "$dst" proto esp spi "$spi" "${@:2}" || return
	done
}

marked() { # NS SPI: the module's record of the one with a mark
	local src dst

	ends_of "$2"
	nl "$1" dump | grep "\"spi\": $(($2))," | grep "\"dst\": \"$dst\"" | grep '"mark": 5,'
}
of() { marked "$1" "$2" | sed -n "s/.*\"$3\": \([0-9]*\)[,}].*/\1/p"; } # NS SPI NAME
is() { [ "$(of "${@:2}")" = "$1" ]; }          # WANT NS SPI NAME
is_more() { [ "$(of "${@:2}")" -gt "$1" ]; }   # THAN NS SPI NAME
comes_to() { busywait 10000 is "$@"; }

each() { "$1" "$2" $OUT && "$1" "$2" $IN; }    # CMD NS: of both that have a mark
marked_fenced() { marked "$@" | grep -q '"fenced"'; }  # NS SPI
marked_free() { marked "$@" | is_without '"fenced"'; } # NS SPI
fenced_are() { [ "$(nl "$1" dump | grep -c '"fenced"')" -eq "$2" ]; } # NS N
found() { ip -n "$1" xfrm state get dst "${peer[$family]}" proto esp spi $OUT mark 5 mask 255; } # NS

# Their selector names it; no context can tell that.
come_for_interface() {
	ip -n "$B" link add xgone type dummy && add 9 "$B" sel dev xgone && ip -n "$B" link delete xgone
}
delete_all() { delete "$1" && delete "$1" mark 5 mask 255; } # NS

# --- packets ----------------------------------------------------------------------------

send_marked() { # N: by the SA with the mark
	in_ns "$A" /usr/bin/python3 - "${there[$family]}" "$1" <<-'END'
		import socket, sys
		sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
		sock.setsockopt(socket.SOL_SOCKET, 36, 5)    # SO_MARK
		for _ in range(int(sys.argv[2])):
		    sock.sendto(b"x", (sys.argv[1], 9))
	END
}

# seen SEQ: as if as many had come to the active by the SA with the mark
seen() {
	local said

	said=$(nl "$A" restore epoch=1 node=1 -- family=$((2 + 8 * (family == 6))) dst="${gateway[$family]}" \
		spi=$IN proto=50 mark=5 mark-mask=255 tag="$(of "$A" $IN tag)" flags=esn,bmp seq="$1" \
		window=64 bitmap=3:0 restore-flags=merge) || return
	is_without reason <<<"$said" || { echo "$said"; return 1; }
}

# --- what daemons say ---------------------------------------------------------------------

all_ready() { status b "s['ready'] and not s['conflicts']" && status a "s['ready'] and not s['unsafe']"; }
conflicts() { status b "len(s['conflict']) == 4 and not s['ready'] and
	all(c['in_the_way']['reqid'] == 9 for c in s['conflict'])"; }
named() { status a "sum('mark 0x5/0xff' in u['sa'] and 'its SPI is in use by' in u['why'] for u in s['unsafe']) == 2"; }
fences() { plan_says b "sum(x['action'].startswith('fence') for x in p['sas']) == 2"; }
untold() { status a "s['role'] == 'active' and sum(u['why'].endswith('$why') for u in s['unsafe']) == 2"; }

check "a pair" both_start a b
for family in 4 6; do

# --- known, and hidden since ------------------------------------------------------------

ip -n "$A" xfrm policy add src "${here[$family]}" dst "${there[$family]}" dir out mark 5 mask 255 \
	tmpl src "${gateway[$family]}" dst "${peer[$family]}" proto esp reqid 1 mode tunnel
add 1 "$A" mark 5 mask 255
check "IPv$family: two SAs are told" busywait 10000 sas_are "$B" 2
check "others of their names come" add 7 "$A"
check "and are told, too" busywait 10000 sas_are "$B" 4
check_equal "on both nodes XFRM finds those" 2 "$(cat <(found "$A") <(found "$B") | grep -c "reqid 7")"
end=$(of "$A" $OUT lease-end)
check "traffic out, past the half of a lease" send_marked 200
check "by the SA that is hidden" comes_to 200 "$A" $OUT oseq
check "its lease is renewed" busywait 10000 is_more "$end" "$A" $OUT lease-end
check "the standby stands at its end" comes_to "$(of "$A" $OUT lease-end)" "$B" $OUT oseq
check "its window moves" seen 30
check "on the standby, too" comes_to 30 "$B" $IN seq
check "nothing is in conflict, nor unsafe" all_ready
check "nobody is fenced" fenced_are "$B" 0

# --- the standby starts anew ------------------------------------------------------------

stop b
start b
check "the standby's daemon, anew, follows them" wait_step a b
check "nothing is in conflict, nor unsafe" all_ready
check "the window moves" seen 40
check "on the standby, too" comes_to 40 "$B" $IN seq
stop b
ip -n "$B" xfrm state flush
add 9 "$B"
start b
check "where there are others, they find no place" busywait 20000 conflicts
check "the active names them" busywait 10000 named
check "nothing is deleted for them" sas_are "$B" 2
check "those go" delete "$B"
check "without another snapshot, all are there" busywait 20000 all_ready
check "four" sas_are "$B" 4

# --- the active starts anew -------------------------------------------------------------

check "all is told" wait_step a b
stop a KILL
start a
check "the active's daemon, anew, cannot read them, which it says" busywait 20000 untold
check "the standby, that is told nothing more, fences them" busywait 20000 each marked_fenced "$B"
check "and deletes none in their place" sas_are "$B" 4
check "a takeover would leave them so" fences
check "what hides them goes" delete "$A"
check "they are told" busywait 20000 status a "s['ready'] and not s['unsafe']"
check "followed" wait_step a b
check "and not fenced" busywait 10000 each marked_free "$B"

# --- on the standby by what cannot be read whole -----------------------------------------

check "on the standby others come, for an interface that goes" come_for_interface
check "on the active, all go" delete "$A" mark 5 mask 255
check "on the standby they cannot be deleted, and are fenced" busywait 10000 each marked_fenced "$B"
check "nothing is deleted in their place" sas_are "$B" 4
check "by hand" delete_all "$B"
check "all go" sas_are "$B" 0

done
check "they come again" add 1 "$A" mark 5 mask 255
check "and are told" busywait 10000 sas_are "$B" 2

# --- a takeover ---------------------------------------------------------------------------

check "they are hidden once more" add 7 "$A"
check "on both" busywait 10000 sas_are "$B" 4
check "all is told" wait_step a b
stop a KILL
start a
check "they are told no more" busywait 20000 untold
check "so they are fenced" busywait 20000 each marked_fenced "$B"
xfrm_monitor "$B" "$TMP/expire" expire
stop a KILL
check "the standby takes over" ask b takeover
check "it does not use them" each marked_fenced "$B"
check "but the others" fenced_are "$B" 2
expired() { [ "$(grep -c "mark 0x5/0xff" "$TMP/expire")" -ge 2 ]; }
check "and has them rekeyed" busywait 10000 expired
stop b
check "every daemon ended cleanly" ended_cleanly
