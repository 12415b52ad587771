#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Two daemons in two namespaces: what the active has, the standby has, ready to take over.
#
#   P 192.0.3.2 ===== tunnels ===== 192.0.3.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
#
# timeout: 400

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 122

here=$(dirname "$0")

need_daemon

setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
start_sink "$A" "$TMP/sink"
start_sink "$P" "$TMP/sink-p"
modprobe -aq esp4 esp6 ah4 ah6 xfrm_user

make_ca ca
make_ca other
make_cert ca a a
make_cert ca b b
make_cert other forged b
make_conf a "$A" 1 192.0.2.1 b 192.0.2.2
make_conf b "$B" 2 192.0.2.2 a 192.0.2.1
make_conf forged "$A" 1 192.0.2.1 b 192.0.2.2 name=a

# --- what is compared ---------------------------------------------------------------

same_static() { # DST PROTO SPI
	local one

	one=$(static_part "$A" "$@")
	[ -n "$one" ] && diff <(echo "$one") <(static_part "$B" "$@")
}

same_seq() { [ "$(sa_seq "$A" "$1" "$2")" = "$(sa_seq "$B" "$1" "$2")" ]; } # DST SPI

ah_oseq_is() { # NS N
	local TUNNEL_PROTO=ah

	[ "$(sa_oseq "$1" 192.0.3.1 0x3000)" = "$2" ]
}

same_marked() {
	local get=(xfrm state get dst fd00:9::2 proto esp spi 0x3001 mark 5 mask 255) one

	one=$(ip -n "$A" "${get[@]}" | grep -v anti-replay)
	[ -n "$one" ] && diff <(echo "$one") <(ip -n "$B" "${get[@]}" | grep -v anti-replay)
}

same_hidden() { # DST
	local get=(xfrm state get dst "$1" proto esp spi 0x3003 mark 5 mask 255) one

	one=$(ip -n "$A" "${get[@]}" | grep -v anti-replay)
	grep -q "mark 0x5/0xff" <<<"$one" && diff <(echo "$one") <(ip -n "$B" "${get[@]}" | grep -v anti-replay)
}
no_marks() { ask a check --json | tr -d ' \n' | is_without '"check":"marks"'; }

past_lease() {
	[ "$(sa_oseq "$A" "${esp_out[@]}")" -gt "$(sa_oseq "$B" "${esp_out[@]}")" ]
}

# What a call of tunnel sets stays the first one's.
ah_tunnel() {
	local A_SPI B_SPI A_OUT B_OUT A_IN B_IN TUNNEL_PROTO

	tunnel "$A" "$P" link=1 proto=ah mode=transport esn=0 window=32 spi=0x2000
}

drop_ah_tunnel() {
	local ns

	for ns in "$A" "$P"; do
		ip -n "$ns" xfrm state deleteall proto ah reqid 1
		ip -n "$ns" xfrm policy deleteall src 192.0.3.1 dst 192.0.3.2
		ip -n "$ns" xfrm policy deleteall src 192.0.3.2 dst 192.0.3.1
	done
}

# --- where a key may be, and where not ----------------------------------------------

pairs() { sed "s/../$1/g"; } # TEXT: in place of each two digits, which are &

# The first twelve bytes of a key, in hex, in hex with spaces, or as they are.
no_key_leaks() {
	local files=(--include='*.log' --include=state --include=policies) label k

	for label in "20 $A_SPI" "20 $B_SPI" "32 0x00002000" "32 ah" "16 enc" "20 auth" "32 ah3"; do
		# shellcheck disable=SC2086 # two words
		k=$(key $label)
		k=$(pairs '& ' <<<"${k:2:24}")
		! grep -rliE "${files[@]}" "${k// /[ :]?}" "$TMP" || return
		! grep -rl "${files[@]}" '' "$TMP" | xargs cat | has_bytes "${k// /}" || return
	done
}

# has_bytes HEX: the input does. To grep a newline among them would be the end of a line.
has_bytes() {
	/usr/bin/python3 -c 'import sys
sys.exit(bytes.fromhex(sys.argv[1]) not in sys.stdin.buffer.read())' "$1"
}

# What the kernel tells of the daemons, and its log, for no_key_leaks to look through.
keep_evidence() {
	local name

	dmesg >"$TMP/dmesg.log" || return
	for name in a b; do
		cat "/proc/${pid[$name]}/"{environ,cmdline} >"$TMP/$name.proc.log" || return
	done
	[ -s "$TMP/dmesg.log" ] && grep -q xfrmsync "$TMP/a.proc.log"
}

no_core() { awk '/^Max core file size/ { exit $5 || $6 }' "/proc/${pid[$1]}/limits"; } # NAME
locked() { awk '/^VmLck/ { exit !$2 }' "/proc/${pid[$1]}/status"; }                     # NAME

# memory_of NAME [CMD...]: all that the daemon can read, as gcore would have it; by CMD.
memory_of() {
	"${@:2}" /usr/bin/python3 -c '
import sys
mem = open(f"/proc/{sys.argv[1]}/mem", "rb", 0)
for line in open(f"/proc/{sys.argv[1]}/maps"):
    ends, mode = line.split()[:2]
    start, end = (int(end, 16) for end in ends.split("-"))
    if mode[0] == "r" and "[v" not in line:
        mem.seek(start)
        sys.stdout.buffer.write(mem.read(end - start))' "${pid[$1]}"
}

closed_to() { # NAME CMD...: what CMD runs may not read it
	local out

	! out=$(memory_of "$@" 2>&1 >/dev/null) && grep -q "Permission denied" <<<"$out"
}

memory_holds() { # NAME KEY
	memory_of "$1" | has_bytes "${2:2:24}"
}

# --- a first takeover ---------------------------------------------------------------

start a
start b
check "a fresh node is standby" busywait 20000 status a "s['role'] == 'standby'"
check "they connect" busywait 20000 status b "s['peers'][0]['state'] != 'disconnected' and
	s['peers'][0]['role'] == 'standby'"
check "a node becomes active" ask a takeover
check "and fills the other" wait_step a b

tunnel "$A" "$P" link=1 window=128 spi=0x1000
esp_out=("$B_OUT" "$A_SPI") esp_in=("$A_OUT" "$B_SPI")
check "its SAs appear on the standby" busywait 10000 sas_are "$B" 2
check "outbound: the same SA" same_static "$B_OUT" esp "$A_SPI"
check "inbound: the same SA" same_static "$A_OUT" esp "$B_SPI"
check "its counter stands at the lease's end" busywait 10000 oseq_is "$B" "${esp_out[@]}" $(((1 << 30) + 65536))
check "its policies appear" busywait 10000 policies_are "$B" 3

ip -n "$A" xfrm state add src 192.0.3.9 dst 192.0.3.1 proto ah spi 0x3000 reqid 7 \
	mode transport replay-window 32 auth-trunc 'hmac(sha256)' "$(key 32 ah)" 128
ip -n "$A" xfrm state add src fd00:9::1 dst fd00:9::2 proto esp spi 0x3001 reqid 7 \
	mode tunnel mark 5 mask 255 if_id 3 enc 'cbc(aes)' "$(key 16 enc)" \
	auth-trunc 'hmac(sha1)' "$(key 20 auth)" 96 limit packet-hard 12345
ip -n "$A" xfrm state add src 192.0.3.9 dst 192.0.3.1 proto esp spi 0x3002 reqid 99 \
	mode tunnel aead 'rfc4106(gcm(aes))' "$(key 20 other)" 128
check "AH appears" busywait 10000 same_static 192.0.3.1 ah 0x3000
check "without ESN: the lease is smaller" ah_oseq_is "$B" $(((1 << 24) + 65536))
check "IPv6 with mark and interface id appears" busywait 10000 same_marked
check "what the filter leaves out does not" sas_are "$B" 4

# --- live state ---------------------------------------------------------------------

check "traffic comes in" send_and_count "$P" "$A_IN" 200 "$TMP/sink"
check "the standby's window follows" busywait 10000 same_seq "${esp_in[@]}"
check_equal "to the last packet" 200 "$(sa_seq "$A" "${esp_in[@]}")"
check "traffic goes out" send_and_count "$A" "$B_IN" 50 "$TMP/sink-p"
check_equal "the active counts it" 50 "$(sa_oseq "$A" "${esp_out[@]}")"
check "the standby stays at the lease's end" oseq_is "$B" "${esp_out[@]}" $(((1 << 30) + 65536))
check "and hears of all of it" wait_step a b

# --- the same numbers ---------------------------------------------------------------

ah_tunnel
check "AH both ways appears as well" busywait 10000 sas_are "$B" 6
results /usr/bin/python3 "$here/agree.py" "$A" "$B" "$P" "$TMP/a.conf" "$TMP/a.run/sock" \
	"$TMP/b.conf" "$TMP/b.run/sock"
drop_ah_tunnel
check "it is dropped again" busywait 10000 sas_are "$B" 4
check "with its policies" busywait 10000 policies_are "$B" 3
seen=$(sa_seq "$A" "${esp_in[@]}")

# --- what changes -------------------------------------------------------------------

ip -n "$A" xfrm state update src fd00:9::1 dst fd00:9::2 proto esp spi 0x3001 reqid 7 \
	mode tunnel mark 5 mask 255 if_id 3 enc 'cbc(aes)' "$(key 16 enc)" \
	auth-trunc 'hmac(sha1)' "$(key 20 auth)" 96 limit packet-hard 54321
check "an update is followed" busywait 10000 same_marked
ip -n "$A" xfrm state delete dst 192.0.3.1 proto ah spi 0x3000
check "a deletion is followed" busywait 10000 sas_are "$B" 3
ip -n "$A" xfrm state add src 192.0.3.9 dst 192.0.3.1 proto ah spi 0x3000 reqid 7 \
	mode transport replay-window 32 auth-trunc 'hmac(sha256)' "$(key 32 ah2)" 128
check "a new SA of the same SPI too" busywait 10000 same_static 192.0.3.1 ah 0x3000
ip -n "$A" xfrm state delete dst 192.0.3.1 proto ah spi 0x3000
ip -n "$A" xfrm state add src 192.0.3.9 dst 192.0.3.1 proto ah spi 0x3000 reqid 7 \
	mode transport replay-window 32 auth-trunc 'hmac(sha256)' "$(key 32 ah3)" 128
check "deleted and made anew at once: the new one" busywait 10000 same_static 192.0.3.1 ah 0x3000
ip -n "$B" xfrm state flush
check "what is flushed on the standby comes back" busywait 10000 sas_are "$B" 4
ip -n "$B" xfrm policy flush
check "and so do policies" busywait 10000 policies_are "$B" 3
ip -n "$A" xfrm policy delete src 10.2.0.1 dst 10.1.0.1 dir fwd
check "a policy's deletion is followed" busywait 10000 policies_are "$B" 2

# Both are new to the daemon; asked for the marked one, XFRM tells the one that hides it.
marked="spi 0x00003003 mark 0x5/0xff" hides="another SA, whose mark takes in its own, hides it"
for dst in 192.0.3.1 fd00:9::2; do
	src=${dst/%.1/.9} src=${src/%::2/::9}
	hidden="esp $dst $marked"
	kill -STOP "${pid[a]}"
	for mark in "mark 5 mask 255" ""; do
		# shellcheck disable=SC2086 # words
		ip -n "$A" xfrm state add src "$src" dst $dst proto esp spi 0x3003 reqid 7 mode tunnel \
			$mark aead 'rfc4106(gcm(aes))' "$(key 20 "hidden $mark")" 128
	done
	kill -CONT "${pid[a]}"
	check "$dst: an SA that another one hides is not protected, which is said" busywait 10000 \
		logged a "$hidden: cannot read it ($hides): it is not protected"
	check "status names it, and why" status a "not s['ready'] and s['unsafe'] ==
		[{'sa': '$hidden', 'why': 'it is not told to the peers: $hides'}]"
	check "for people, too" grep -q "not safe: $hidden: it is not told to the peers: $hides" <(ask a status)
	check "so does check, by the daemon" finds a ready "c['sas'] ==
		[{'sa': '$hidden', 'why': 'it is not told to the peers: $hides'}]"
	check "and by the kernel" finds a marks "c['result'] == 'warn' and c['sas'] ==
		[{'sa': '$hidden', 'why': '$hides'}]"
	check "the other one is protected" busywait 10000 same_static $dst esp 0x3003
	check "and no more" sas_are "$B" 5
	ip -n "$A" xfrm state delete dst $dst proto esp spi 0x3003
	check "that one goes: what it hid is protected" busywait 10000 same_hidden $dst
	check "and is named no more" busywait 10000 status a "s['ready'] and not s['unsafe']"
	# Known to the peers, and hidden since.
	ip -n "$A" xfrm state add src "$src" dst $dst proto esp spi 0x3003 reqid 7 mode tunnel \
		aead 'rfc4106(gcm(aes))' "$(key 20 "hidden")" 128
	check "one that comes to hide it is protected" busywait 10000 sas_are "$B" 6
	ip -n "$A" xfrm state delete dst $dst proto esp spi 0x3003
	check "it goes" busywait 10000 sas_are "$B" 5
	ip -n "$A" xfrm state delete dst $dst proto esp spi 0x3003 mark 5 mask 255
	check "and the marked one" busywait 10000 sas_are "$B" 4
done
check "check finds no marks that overlap" no_marks

# --- what the standby has of its own ------------------------------------------------

own=(src 192.0.3.8 dst 192.0.3.1 proto esp spi 0x4000 reqid 7 mode tunnel aead 'rfc4106(gcm(aes))')
ip -n "$B" xfrm state add "${own[@]}" "$(key 20 mine)" 128
ip -n "$B" xfrm policy add src 10.7.0.0/16 dst 10.8.0.0/16 dir out tmpl src 192.0.3.1 \
	dst 192.0.3.8 proto esp reqid 7 mode tunnel
before=$(static_part "$B" 192.0.3.1 esp 0x4000)
ip -n "$A" xfrm state add "${own[@]}" "$(key 20 yours)" 128
check "another SA of the same name is a conflict" busywait 10000 status b "s['conflicts'] == 1"
check_equal "and left alone" "$before" "$(static_part "$B" 192.0.3.1 esp 0x4000)"
ip -n "$A" xfrm state delete dst 192.0.3.1 proto esp spi 0x4000
check "also when the active's goes" busywait 10000 status b "s['conflicts'] == 0"
check_equal "it is still there" "$before" "$(static_part "$B" 192.0.3.1 esp 0x4000)"
ip -n "$B" xfrm state delete dst 192.0.3.1 proto esp spi 0x4000

# --- restarts -----------------------------------------------------------------------

stop b
ip -n "$A" xfrm state delete dst 192.0.3.1 proto ah spi 0x3000
ip -n "$A" xfrm policy delete src 10.2.0.1 dst 10.1.0.1 dir in
send_and_count "$P" "$A_IN" 10 "$TMP/sink"
start b
check "the standby's daemon restarts" wait_step a b
check "what went meanwhile is gone" busywait 10000 sas_are "$B" 3
check "but its own policy is not" busywait 10000 policies_are "$B" 2
check_equal "the window has moved" $((seen + 10)) "$(sa_seq "$A" "${esp_in[@]}")"
check "it is up to date" busywait 10000 same_seq "${esp_in[@]}"
reload a
check "the configuration is read again: active as before" wait_step a b
check "with the same lease" oseq_is "$B" "${esp_out[@]}" $(((1 << 30) + 65536))
stop a KILL
start a
check "the active's daemon dies and restarts: active again" wait_step a b
check "with the same leases" oseq_is "$B" "${esp_out[@]}" $(((1 << 30) + 65536))
start second a
check "a second daemon is refused" exits second
check "and says why" busywait 20000 logged second "another daemon"

# --- takeovers ----------------------------------------------------------------------

last=$(sa_oseq "$A" "${esp_out[@]}")
check "planned: the standby takes over" ask b takeover
check "the old active is its standby" wait_step b a
check "it goes on where the other one ended" oseq_is "$B" "${esp_out[@]}" "$last"
check "the old active is past all that the new one may use" past_lease
check "fail back" ask a takeover
check "the same way" wait_step a b
stop a KILL
background ip netns exec "$B" /usr/bin/python3 "$here/nl.py" pull 600 >/dev/null
check "somebody else reads the standby's stream" busywait 20000 kernel_reader "$B"
check "the active's daemon dies: a takeover without it" ask b takeover
check "without the stream it is not ready" status b "not s['ready']"
kill "$BG_PID"
check "it follows the SAs as soon as it can" busywait 20000 status b "s['ready']"
check "with a higher epoch" status b "s['role'] == 'active' and s['epoch'] == 4"
check "the one that died does not lag by what it had" status b "s['peers'][0]['lag_packets'] == 0"
start a
check "the old active comes back and steps down" wait_step b a
check "and says so" busywait 20000 logged a "stepping down"
stop a
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
sed -i 's/^role .*/role active/; s/^boot_id .*/boot_id another/' "$TMP/a.state/state"
start a
check "after a reboot it is filled" wait_step b a
check "with all SAs" busywait 10000 sas_are "$A" 3

# --- strangers ----------------------------------------------------------------------

in_ns "$A" bash -c 'exec 3<>/dev/tcp/192.0.2.2/4797 && echo hello >&3 && timeout 5 cat <&3' >/dev/null 2>&1
check "a plain TCP talker is refused" busywait 10000 logged b "does not speak TLS"
stop a
start forged
check "a certificate of another CA is refused" busywait 10000 logged b "certificate is refused"
check "without any effect" status b "s['role'] == 'active' and s['peers'][0]['state'] != 'synced'"
stop forged
start a
check "the right one is taken" wait_step b a

# --- what must not be used, and what must not be lost --------------------------------

stop a
ip -n "$B" xfrm state add src 192.0.3.7 dst 192.0.3.1 proto esp spi 0x5000 reqid 7 \
	mode tunnel aead 'rfc4106(gcm(aes))' "$(key 20 alone)" 128
check "the active alone gets an SA" busywait 10000 status b "s['sas'] == 4"
stop b
ip -n "$A" xfrm state flush
ip -n "$A" xfrm state add src 192.0.3.9 dst 192.0.3.1 proto ah spi 0x3000 reqid 7 \
	mode transport replay-window 32 auth-trunc 'hmac(sha256)' "$(key 32 ah3)" 128
sed -i 's/^boot_id .*/boot_id another/' "$TMP/a.state/state"
start a
busywait 20000 status a "s['role'] == 'standby' and s['peers']"
check "after a reboot it is active all the same" ask a takeover
check "an SA that a script made anew is fenced" is_fenced "$A" 192.0.3.1 0x3000
check "unless forced" ask a takeover --force-unsafe
check "used then" not_fenced "$A" 192.0.3.1 0x3000
start b
check "the other one steps down" busywait 20000 status b "s['role'] == 'standby' and s['ready']"
check "and keeps what it had alone" static_part "$B" 192.0.3.1 esp 0x5000

twin=(src 192.0.3.6 dst 192.0.3.1 proto esp spi 0x6000 reqid 7 mode tunnel flag esn
	aead 'rfc4106(gcm(aes))' "$(key 20 twin)" 128)
ip -n "$B" xfrm state add "${twin[@]}" replay-window 64
ip -n "$A" xfrm state add "${twin[@]}" replay-window 128
check "an SA whose counter cannot be raised is not ready" busywait 10000 status b "not s['ready']"
check "a takeover all the same" ask b takeover
check "does not use it" is_fenced "$B" 192.0.3.1 0x6000

# --- the end ------------------------------------------------------------------------

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
check "what the daemons show of themselves is kept" keep_evidence
for n in a b; do
	check "$n leaves no core" no_core $n
	check "$n does not reach the swap" locked $n
	check "nobody else reads the memory of $n" closed_to $n "${nobody[@]}"
done
check "where a key would be found" busywait 10000 memory_holds a "$(key 32 ah3)"
stop a
stop b
check "no key is in any log, environment or state file" no_key_leaks
key 20 "$B_SPI" >"$TMP/leak.log"
check_fails "one would be found" no_key_leaks
xxd -r -p <<<"$(key 20 "$B_SPI" | cut -c3-)" >"$TMP/leak.log"
check_fails "so would one that is not printed" no_key_leaks
rm "$TMP/leak.log"
check "and nothing else was" no_key_leaks
check "every daemon ended cleanly" ended_cleanly
for ns in "$A" "$B"; do
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
done
