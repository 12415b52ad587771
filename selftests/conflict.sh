#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# An SA comes whose SPI another SA has here: refused, renegotiated, or given another SPI; by
# load, and by the daemon.
#
#   P 192.0.3.2 ===== bridge ===== 192.0.3.1 A or B; A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 480

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 115

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
tmpdir
modprobe -aq esp4 xfrm_user bridge
pair_confs "$A" "$B"
sed -i '/^name/a spi_range = 0xc1000000-0xc100000f' "$TMP/b.conf"
head -c 32 /dev/urandom >"$TMP/key"
chmod 600 "$TMP/key"

load() { # OPTION...: on B
	in_ns "$B" "$XFRMSYNC" load -c "$TMP/b.conf" --key "$TMP/key" "$@" "$TMP/file" \
		>"$TMP/out" 2>"$TMP/err"
}
says() { grep -q -- "$1" "$TMP/err" || { cat "$TMP/err"; return 1; }; } # TEXT
prints() { grep -q -- "$1" "$TMP/out" || { cat "$TMP/out"; return 1; }; } # TEXT
# json PYTHON: of what load printed with --json, o.
json() {
	/usr/bin/python3 -c 'import json, sys
o = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else str(o))' "$TMP/out" "$1"
}
flush() { ip -n "$1" xfrm state flush && ip -n "$1" xfrm policy flush; } # NS
in_the_way() { # NS DST SPI
	ip -n "$1" xfrm state add src 192.0.3.7 dst "$2" proto esp spi "$3" reqid 9 \
		mode tunnel aead 'rfc4106(gcm(aes))' "$(key 20 other)" 128
}
# The SPI that an SA to that address has from the range.
new_spi() { ip -n "$1" xfrm state | awk '/spi 0xc10000/ { print $4; exit }'; } # NS
has_seq() { [ "$(sa_seq "$1" 192.0.3.1 "$(new_spi "$1")")" -eq "$2" ]; }      # NS N

# What a key manager does: the peer's SA gets the SPI, and goes on at its number.
peer_takes() { # SPI
	local oseq

	oseq=$(sa_oseq "$P" "$A_OUT" "$B_SPI") || return
	ip -n "$P" xfrm state delete dst "$A_OUT" proto esp spi "$B_SPI" &&
		ip -n "$P" xfrm state add src "$B_OUT" dst "$A_OUT" proto esp spi "$1" reqid 1 \
			mode tunnel flag esn replay-window 128 replay-oseq "$oseq" \
			aead 'rfc4106(gcm(aes))' "$(key 20 "$B_SPI")" 128
}
peer_goes_back() { # SPI
	local oseq

	oseq=$(sa_oseq "$P" "$A_OUT" "$1") || return
	ip -n "$P" xfrm state delete dst "$A_OUT" proto esp spi "$1" &&
		ip -n "$P" xfrm state add src "$B_OUT" dst "$A_OUT" proto esp spi "$B_SPI" reqid 1 \
			mode tunnel flag esn replay-window 128 replay-oseq "$oseq" \
			aead 'rfc4106(gcm(aes))' "$(key 20 "$B_SPI")" 128
}

expired() { grep -q "$1" "$TMP/expire"; } # TEXT

setup_outside "$A" "$B" "$P"
carry "$A"
tunnel "$A" "$P" link=1 window=128
# One that names the SPI.
for dir in in fwd; do
	ip -n "$A" xfrm policy update src 10.2.0.1 dst 10.1.0.1 dir "$dir" tmpl src "$B_OUT" \
		dst "$A_OUT" proto esp spi "$B_SPI" reqid 1 mode tunnel
done
start_sink "$A" "$TMP/a"
check "traffic" send_and_count "$P" "$A_IN" 30 "$TMP/a"
check "saved and held" in_ns "$A" "$XFRMSYNC" save --stop --key "$TMP/key" "$TMP/file"

# --- load: deny ---------------------------------------------------------------------

in_the_way "$B" "$A_OUT" "$B_SPI"
check_fails "another SA has the SPI: refused" load
check "naming the SA in the way" says "esp $A_OUT spi $B_SPI: not loaded: another SA has this SPI here (esp $A_OUT spi $B_SPI from 192.0.3.7, reqid 9, tunnel)"
check "the other direction is there" sas_are "$B" 2
check "with its policy alone" policies_are "$B" 1
check_fails "with --json" load --json
check "the same" json "o['failed'][0]['in_the_way']['src'] == '192.0.3.7' and not o['renegotiate'] and not o['new_spi']"
check_fails "there is no other way" load --on-conflict=perhaps

# --- load: renegotiate ----------------------------------------------------------------

xfrm_monitor "$B" "$TMP/expire" expire
check_fails "to be renegotiated: it is not loaded" load --on-conflict=renegotiate
check "which is a line" prints "^renegotiate esp $A_OUT spi $B_SPI from $B_OUT, reqid 1, tunnel; in the way: esp $A_OUT spi $B_SPI from 192.0.3.7; soft-expired for it: esp $B_OUT spi $A_SPI"
check "its other direction is asked to be rekeyed" busywait 10000 expired "^Expired src $A_OUT dst $B_OUT"
check "softly" expired "hard 0"
check "the other SA stays" sas_are "$B" 2
check_fails "where nothing of it is there" load --on-conflict=renegotiate --spi "$B_SPI" --json
check "nobody can be asked, which is said" json "o['renegotiate'][0]['spi'] == '$B_SPI' and o['renegotiate'][0]['reqid'] == 1 and o['renegotiate'][0]['soft_expired'] == []"

# --- load: new-spi ----------------------------------------------------------------------

flush "$B"
in_the_way "$B" "$A_OUT" "$B_SPI"
check "by another SPI" load --on-conflict=new-spi
check "of the range" [ -n "$(new_spi "$B")" ]
check "which is told" prints "^new-spi esp $A_OUT spi $B_SPI from $B_OUT, reqid 1, tunnel: has spi $(new_spi "$B") here"
check "all three SAs" sas_are "$B" 3
check "with the window of the old one" has_seq "$B" 30
check "its policies name it" [ "$(ip -n "$B" xfrm policy | grep -c "spi $(new_spi "$B")")" -eq 2 ]
check "once more" load --on-conflict=new-spi --json
check "it is here already" json "o['present'] == 2 and not o['new_spi'] and not o['failed']"
check "all three SAs" sas_are "$B" 3
moved=$(new_spi "$B")
carry "$B"
start_sink "$B" "$TMP/b"
check "the peer is told" peer_takes "$moved"
check "traffic by it" send_and_count "$P" "$A_IN" 10 "$TMP/b"
check "the peer goes back" peer_goes_back "$moved"

flush "$B"
in_the_way "$B" "$B_OUT" "$A_SPI"
check_fails "outbound, the SPI is the peer's" load --on-conflict=new-spi
check "it is refused" says "esp $B_OUT spi $A_SPI: not loaded: another SA has this SPI here.*not known to be inbound"
check "the inbound one is there as it was" sa_seq "$B" "$A_OUT" "$B_SPI"
flush "$B"

# --- load: new-spi, of every kind ------------------------------------------------------------

modprobe -aq esp6 ah4 ah6 ipcomp ipcomp6 deflate
setup_ns C D
flush_both() { flush "$C" && flush "$D"; }
kind() { # NS SRC KEY WORDS...: that SA of it
	local algo=(comp deflate)

	case $proto in
	esp) algo=(aead 'rfc4106(gcm(aes))' "$(key 20 "$3")" 128) ;;
	ah)  algo=(auth-trunc 'hmac(sha256)' "$(key 32 "$3")" 128) ;;
	esac
	ip -n "$1" xfrm state add src "$2" dst "$to" proto "$proto" spi "$spi" mode tunnel "${algo[@]}" \
		"${mark[@]}" "${@:4}"
}
of_its_policies() { # the templates name that SPI
	[ "$(ip -n "$D" xfrm policy | grep -c "proto $proto spi $1")" -eq 2 ]
}
the_new_one() { sed -n 's/^new-spi .*: has spi \(0x[0-9a-f]*\) here$/\1/p' "$TMP/out"; }
has_it() { # SPI: with what it had
	ip -n "$D" xfrm state get src "$from" dst "$to" proto "$proto" spi "$1" "${mark[@]}" | grep "reqid 1 "
}
stays() { ip -n "$D" xfrm state | grep -A1 "^src $other dst $to" | grep "proto $proto spi $spi reqid 9 "; }
while read -r name family proto spi value; do
	from=192.0.3.2 to=192.0.3.1 other=192.0.3.7 sel=(src 10.2.0.1 dst 10.1.0.1) mark=()
	if [ "$family" = 6 ]; then
		from=2001:db8:1::2 to=2001:db8:1::1 other=2001:db8:1::7 sel=(src fd00:2::1 dst fd00:1::1)
	fi
	[ -z "$value" ] || mark=(mark "$value" mask 0xff)
	kind "$C" "$from" own reqid 1
	for dir in in fwd; do
		ip -n "$C" xfrm policy add "${sel[@]}" dir $dir "${mark[@]}" tmpl src "$from" dst "$to" \
			proto "$proto" spi "$spi" reqid 1 mode tunnel
	done
	kind "$D" "$other" other reqid 9
	check "$name: saved and held" in_ns "$C" "$XFRMSYNC" save --stop --key "$TMP/key" "$TMP/one"
	elsewhere() {
		in_ns "$D" "$XFRMSYNC" load -c "$TMP/b.conf" --key "$TMP/key" "$@" "$TMP/one" >"$TMP/out" 2>"$TMP/err"
	}
	check_fails "$name: denied" elsewhere
	check "$name: naming what is in the way" says "another SA has this SPI here ($proto $to spi .* from $other, reqid 9"
	check "$name: by another one" elsewhere --on-conflict=new-spi
	check "$name: which the SA has" has_it "$(the_new_one)"
	check "$name: and its policies" of_its_policies "$(the_new_one)"
	check "$name: the other SA stays" stays
	check "$name: once more" elsewhere --on-conflict=new-spi
	check "$name: it is here already" grep -q "^0 SAs loaded, 1 were here" "$TMP/out"
	flush_both
done <<-END
	esp6 6 esp 0x00007001
	ah4 4 ah 0x00007002
	ah6 6 ah 0x00007003
	ipcomp4 4 comp 0x00000071
	ipcomp6 6 comp 0x00000072
	marked 4 esp 0x00007004 5
END

# --- the daemon: deny -------------------------------------------------------------------

# The file on A lets what it held go.
check "A carries on" in_ns "$A" "$XFRMSYNC" load --key "$TMP/key" "$TMP/file"
carry "$A"
in_the_way "$B" "$A_OUT" "$B_SPI"
start a
start b
check "a pair" busywait 20000 status b "s['peers'][0]['state'] != 'disconnected' and s['peers'][0]['role'] == 'standby'"
check "A is active" ask a takeover
named() { status b "len(s['conflict']) == 1 and s['conflict'][0]['in_the_way']['reqid'] == 9 and not s['ready']"; }
check "the standby names the conflict, and what is in the way" busywait 20000 named
check "nothing else" sas_are "$B" 2

# --- the daemon: new-spi ------------------------------------------------------------------

set_conflict() { # WHAT
	sed -i '/^on_conflict/d' "$TMP/b.conf"
	sed -i "/^\[sync\]/a on_conflict = $1" "$TMP/b.conf"
	reload b
}
in_ns "$B" "$XFRMSYNC" monitor --json -c "$TMP/b.conf" >"$TMP/events" 2>&1 &
lib_pids+=($!)
# Until the daemon has heard of the monitor, it does not get what happens.
hears() { send_packets "$1" "$2" 1; [ -s "$TMP/events" ]; } # NS ADDRESS
check "somebody monitors" busywait 20000 hears "$P" "$A_IN"
check "another setting" set_conflict new-spi
check "then it has another SPI, and the standby is ready" busywait 20000 status b "s['ready'] and not s['conflict'] and len(s['new_spi']) == 1"
moved=$(new_spi "$B")
check "of the range" [ -n "$moved" ]
check "who monitors is told" busywait 10000 grep -q "\"new_spi\": *\"$moved\"" "$TMP/events"
check "the policies name it" [ "$(ip -n "$B" xfrm policy | grep -c "spi $moved")" -eq 2 ]
check "traffic on the active" send_and_count "$P" "$A_IN" 20 "$TMP/a"
check "the window follows" busywait 10000 has_seq "$B" "$(sa_seq "$A" "$A_OUT" "$B_SPI")"
stop b
start b
check "after a restart" busywait 20000 status b "s['ready'] and len(s['new_spi']) == 1"
check_equal "it is the same SPI" "$moved" "$(new_spi "$B")"
check "in no more than three SAs" sas_are "$B" 3
check "it takes over" ask b takeover
check "the peer is told" peer_takes "$moved"
carry "$B"
check "traffic by it" send_and_count "$P" "$A_IN" 10 "$TMP/b"

# --- the daemon: renegotiate ----------------------------------------------------------------

check "the other node, too, has it by that SPI" busywait 20000 in_step b a
check "which takes over again" ask a takeover
stop b
flush "$B"
in_the_way "$B" "$A_OUT" "$moved"
sed -i 's/^on_conflict.*/on_conflict = renegotiate/' "$TMP/b.conf"
: >"$TMP/expire"
start b
check "a conflict again" busywait 20000 status b "len(s['conflict']) == 1 and s['on_conflict'] == 'renegotiate'"
check "it is taken over all the same" ask b takeover
check "which asks to rekey by the other direction" busywait 10000 expired "^Expired src $A_OUT dst $B_OUT"

# --- load, beside a daemon ------------------------------------------------------------------

in_ns "$B" "$XFRMSYNC" monitor --json -c "$TMP/b.conf" >"$TMP/events" 2>&1 &
lib_pids+=($!)
check "who monitors hears" busywait 20000 hears "$B" "$B_IN"
in_the_way "$B" "$A_OUT" "$B_SPI"
ip -n "$B" xfrm policy flush
check "by another SPI" load --on-conflict=new-spi --spi "$B_SPI" --json
told=$(/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["new_spi"][0]["new_spi"])' "$TMP/out")
check "which load tells" [ -n "$told" ]
check "and the daemon, too, all who monitor" busywait 10000 grep -q "\"new_spi\": *\"$told\"" "$TMP/events"
stop b
stop a
check "every daemon ended cleanly" ended_cleanly
