#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Which SAs a takeover uses: it always works, fences what is not safe, asks for its rekey, and
# says why; both nodes may have rebooted, and crashes may follow each other.
#
#   P 192.0.3.2 ===== tunnels ===== 192.0.3.1 A or B, 192.0.2.1 --- TLS --- 192.0.2.2
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 81


need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_outside "$A" "$B" "$P"
tmpdir
modprobe -aq esp4 ah4 xfrm_user
pair_confs "$A" "$B"
start_sink "$P" "$TMP/p"
for ns in "$A" "$B"; do start_sink "$ns" "$TMP/in-${ns##*-}"; done

expired() { grep -q "spi $2.*" <(tr '\n' ' ' <"$1"); } # FILE SPI
come_in() { send_packets "$P" 10.1.0.1 5 && [ "$(delivered "$1")" -ge "$2" ]; } # FILE N
carries() { # NS: both ways; what comes in has to pass the guard, which is behind a few packets more
	local in=$TMP/in-${1##*-}

	send_and_count "$1" 10.2.0.1 5 "$TMP/p" || { echo "not to P"; return 1; }
	busywait 10000 come_in "$in" $(($(delivered "$in") + 5)) || { echo "not from P"; return 1; }
}

# --- what is not safe, and why --------------------------------------------------------

tunnel "$A" "$P" link=1 window=128
carry "$A"
check "a pair" both_start a b
twin=(src 192.0.3.6 dst 192.0.3.1 proto esp spi 0x6000 reqid 7 mode tunnel flag esn
	aead 'rfc4106(gcm(aes))' "$(key 20 twin)" 128)
ip -n "$B" xfrm state add "${twin[@]}" replay-window 64
ip -n "$A" xfrm state add "${twin[@]}" replay-window 128
check "an SA whose counter cannot be raised" busywait 10000 status b "s['unsafe_total'] == 1"
check "is named, with the reason" status b "'0x00006000' in s['unsafe'][0]['sa'] and
	'restored' in s['unsafe'][0]['why']"
check "and is fenced, as it was before it was tried" is_fenced "$B" 192.0.3.1 0x6000
ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.7 proto esp spi 0x6100 reqid 77 mode transport \
	aead 'rfc4106(gcm(aes))' "$(key 20 optional)" 128
sed -i 's/^reqid = .*/reqid = 1, 7, 77/' "$TMP/a.conf" "$TMP/b.conf"
check "the filter is changed" reload a
check "on both nodes" reload b
ip -n "$A" xfrm policy add src 192.0.3.1 dst 192.0.3.7 dir out tmpl \
	proto esp reqid 77 mode transport level use
check "one with an optional template" busywait 20000 status b "s['unsafe_total'] == 2"
check "the active says so, too" status a "any('level use' in u['why'] for u in s['unsafe'])"
check "and so does check, which names the policy" finds a policies \
	"'1 with an optional template' in c['text'] and c['policies'] == ['policy out 192.0.3.1/32 -> 192.0.3.7/32']"
check "and the SA, with the reason" finds a policies \
	"['esp 192.0.3.7 spi 0x00006100'] == [n['sa'] for n in c['sas']] and 'level use' in c['sas'][0]['why']"
check "check of the standby names what is not safe" finds b ready "sorted(n['sa'] for n in c['sas']) ==
	['esp 192.0.3.1 spi 0x00006000', 'esp 192.0.3.7 spi 0x00006100'] and
	any('restored' in n['why'] for n in c['sas'])"
check "people read that" grep -q "^  *esp 192.0.3.1 spi 0x00006000: .*restored" <(ask b check)
more() { # add|delete: SAs of the same policy
	local n args=()

	[ "$1" = delete ] || args=(reqid 77 mode transport aead 'rfc4106(gcm(aes))' "$(key 20 more)" 128)
	for n in 1 2 3 4 5 6 7 8 9; do
		ip -n "$A" xfrm state "$1" src 192.0.3.1 dst 192.0.3.7 proto esp spi 0x611$n \
			"${args[@]}" || return
	done
}
check "nine more such SAs" more add
check "all are in its JSON" busywait 20000 finds b ready "len(c['sas']) == 11"
ask a check | sed -n '/^warn *policies/,/^ *-> /p' >"$TMP/named"
check_equal "people read of eight of them" 8 "$(grep -c "^  *esp .*level use" "$TMP/named")"
check "and where the others are" grep -q "^  *and 2 more SAs: xfrmsync check --json" "$TMP/named"
more delete
check "as before" busywait 20000 status b "s['unsafe_total'] == 2"
check "people read it" grep -q "not safe: .*0x00006000" <(ask b status)

check "a dry run: what would be used" busywait 10000 \
	plan_says b "p['safe'] == 2 and p['unsafe'] == 2 and s('$A_SPI')['action'] == 'use'"
check "planned, no number would be left out" plan_says b "s('$A_SPI')['jump'] == 0 and
	s('$A_SPI')['predicted_loss'] == 0"
ip -n "$A" link set xs0 down
check "after a crash, as many as a lease has" busywait 20000 \
	plan_says b "s('$A_SPI')['jump'] >= 1 << 29"
ip -n "$A" link set xs0 up
check "planned again" busywait 20000 plan_says b "p['would'].startswith('ask')"
check "what not, and why" plan_says b "s('0x00006000')['action'].startswith('fence') and
	'restored' in s('0x00006000')['why']"
check "what would be rekeyed" plan_says b "p['rekeyed'] == 2 and s('0x00006000')['rekey'] and
	not s('$A_SPI')['rekey'] and s('0x00006000')['predicted_loss'] is None and p['unpredicted'] == 2"
check "people read it" grep -q "$A_SPI: use, jump 0, guard 0, predicted loss 0" <(ask b takeover --dry-run)
check "and the sum" grep -q "in sum: 2 SAs are safe, 2 not; 2 to be rekeyed, 0 held; predicted loss 0 " \
	<(ask b takeover --dry-run)
check_fails "it would not be as it should" ask b takeover --dry-run
check "nothing was changed" status b "s['role'] == 'standby'"

# --- a soft expiry that nobody could use -----------------------------------------------

xfrm_monitor "$B" "$TMP/expire" expire
ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.9 proto ah spi 0x6200 reqid 7 mode tunnel \
	auth-trunc 'hmac(sha256)' "$(key 32 soft)" 128 limit time-soft 2
check "an SA expires softly on the standby" busywait 20000 expired "$TMP/expire" 0x00006200
: >"$TMP/expire"
kill -STOP "${pid[a]}"
check "its takeover" ask b takeover
check "tells it again" busywait 20000 expired "$TMP/expire" 0x00006200
check "an SA that is not safe is fenced" is_fenced "$B" 192.0.3.1 0x6000
check "and its rekey asked for" busywait 20000 expired "$TMP/expire" 0x00006000
check "one that is safe is not" not_fenced "$B" "$B_OUT" "$A_SPI"
carry "$B"
check "and carries traffic" carries "$B"
kill -CONT "${pid[a]}"
check "the old active steps down" busywait 20000 status a "s['role'] == 'standby'"
check "the peers hear that it is fenced" busywait 20000 status a \
	"any('0x00006000' in u['sa'] for u in s['unsafe'])"
check "an operator may use it all the same" ask b takeover --force-unsafe
check "it is used" not_fenced "$B" 192.0.3.1 0x6000
check "and can be taken over again" busywait 20000 status a \
	"not any('0x00006000' in u['sa'] for u in s['unsafe'])"
ip -n "$B" xfrm policy delete src 192.0.3.1 dst 192.0.3.7 dir out
for spi in 0x6000 0x6100 0x6200; do
	for dst in 192.0.3.1 192.0.3.7; do
		ip -n "$B" xfrm state delete dst "$dst" proto esp spi $spi 2>/dev/null
	done
done
ip -n "$B" xfrm state delete dst 192.0.3.9 proto ah spi 0x6200
check "all safe" wait_step b a

# --- three crashes in a row -----------------------------------------------------------

crash() { # NAME
	stop "$1" KILL
	ip -n "${node_ns[$1]}" link set out down
	ip -n "${node_ns[$1]}" link set xs0 down
}
comes_back() { # NAME: as after a reboot, without any SA
	local ns=${node_ns[$1]}

	nl "$ns" role-set none >/dev/null
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
	sed -i 's/^boot_id .*/boot_id another/' "$TMP/$1.state/state"
	ip -n "$ns" link set xs0 up
	start "$1"
}

from=b to=a
for n in 1 2 3; do
	crash $from
	check "crash $n: the other node takes over" busywait 20000 ask $to takeover
	carry "${node_ns[$to]}"
	check "crash $n: and carries traffic" carries "${node_ns[$to]}"
	comes_back $from
	check "crash $n: the dead one is filled again" wait_step $to $from
	swap=$from from=$to to=$swap
done

# --- both reboot ----------------------------------------------------------------------

boot_script() { # NS: static SAs, from the beginning
	family=4 proto=esp mode=tunnel esn=1 window=128 encap=''
	lib_sa "$1" "$A_OUT" "$B_OUT" "$A_SPI"
	lib_sa "$1" "$B_OUT" "$A_OUT" "$B_SPI"
	lib_policies "$1" 10.1.0.1 10.2.0.1 "$A_OUT" "$B_OUT"
}
crash a
crash b
for n in a b; do
	comes_back $n
	boot_script "${node_ns[$n]}"
done
check "both have rebooted, and are standby" busywait 20000 status a "s['role'] == 'standby' and
	s['peers'][0]['state'] != 'disconnected'"
check "one becomes active" ask a takeover
carry "$A"
check "a static SA is not used" is_fenced "$A" "$B_OUT" "$A_SPI"
was=$(delivered "$TMP/p")
send_packets "$A" 10.2.0.1 5 2>/dev/null
check_equal "nothing is sent with it" "$was" "$(delivered "$TMP/p")"
check_equal "no number is drawn" 0 "$(sa_oseq "$A" "$B_OUT" "$A_SPI")"
for ns in "$A" "$P"; do
	lib_sa "$ns" "$A_OUT" "$B_OUT" 0x00001100
	lib_sa "$ns" "$B_OUT" "$A_OUT" 0x00001101
done
check "what IKE negotiates anew carries traffic" carries "$A"
check "the other node is filled" busywait 20000 status b "s['role'] == 'standby' and
	s['peers'][0]['state'] == 'synced'"
check "the static SA, by force" ask a takeover --force-unsafe
check "is used" not_fenced "$A" "$B_OUT" "$A_SPI"
check "and all is well" wait_step a b

# --- what comes to a standby, and the active does not tell -----------------------------

comes() { # NS SPI REQID
	ip -n "$1" xfrm state add src 192.0.3.1 dst 192.0.3.8 proto esp spi "$2" reqid "$3" mode tunnel \
		flag esn replay-window 64 aead 'rfc4106(gcm(aes))' "$(key 20 "came$2")" 128
}
untold() { # SPI: b names it
	status b "any('$1' in u['sa'] and 'did not tell' in u['why'] for u in s['unsafe'])"
}

comes "$B" 0x6300 7
check "an SA that the active did not tell" busywait 10000 untold 0x00006300
check "is counted" status b "s['unsafe_total'] == 1 and not s['ready']"
check "and planned to be fenced" plan_says b "s('0x00006300')['action'].startswith('fence')"
comes "$B" 0x6301 99
check "one that is not managed is not" busywait 10000 status b "s['unsafe_total'] == 1"
check "nor fenced" busywait 10000 not_fenced "$B" 192.0.3.8 0x6301
comes "$B" 0x6302 7
check "another one" busywait 10000 untold 0x00006302
comes "$A" 0x6302 7
check "that the active tells then" busywait 10000 status b "s['unsafe_total'] == 1"
check "is not fenced" not_fenced "$B" 192.0.3.8 0x6302
stop b
comes "$B" 0x6303 7
start b
check "one that came while there was no daemon" busywait 20000 untold 0x00006303
check "the standby is filled all the same" busywait 20000 status b "s['peers'][0]['state'] == 'synced'"
crash a
check "a takeover" busywait 20000 ask b takeover
carry "$B"
for spi in 0x6300 0x6303; do
	check "$spi is fenced" is_fenced "$B" 192.0.3.8 $spi
done
for spi in 0x6301 0x6302; do
	check "$spi is not" not_fenced "$B" 192.0.3.8 $spi
done
check "what is safe carries traffic" carries "$B"
comes "$B" 0x6304 7
check "what comes to the active is not fenced" not_fenced "$B" 192.0.3.8 0x6304
check "the untold ones, by force" ask b takeover --force-unsafe
check "are used" not_fenced "$B" 192.0.3.8 0x6300

stop b
check "every daemon ended cleanly" ended_cleanly
