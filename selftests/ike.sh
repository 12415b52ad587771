#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Stock strongSwan survives the takeover: the IKE SAs come along, and come back.
#
#   P 192.0.3.2 ======== IKE, ESP ===== 192.0.3.1, of A or B; A 192.0.2.1 --- TLS --- 192.0.2.2 B
#   Q 2001:db8:3::3 ==== IKE, ESP ==== 2001:db8:3::1, likewise
# timeout: 900

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/ike_lab.sh
. "$(dirname "$0")/ike_lab.sh"
plan 152

need_charon
need_daemon
setup_ns A B P Q
tmpdir
setup_veth "$A" "$B"
ike_outside "$A" "$B" "$P" "$Q"
ike_carry "$A"
pair_confs "$A" "$B"
for n in a b; do
	ike_conf $n
	charon_conf $n "${node_ns[$n]}" ha
	charon_conn $n site 192.0.3.1 192.0.3.2 gw p 10.1.0.0/16 10.2.0.0/16 -esn
	charon_conn $n six 2001:db8:3::1 2001:db8:3::3 gw q fd00:1::/32 fd00:4::/32
done
charon_conf p "$P"
charon_conn p site 192.0.3.2 192.0.3.1 p gw 10.2.0.0/16 10.1.0.0/16 -esn
charon_conf q "$Q"
charon_conn q six 2001:db8:3::3 2001:db8:3::1 q gw fd00:4::/32 fd00:1::/32
# Who is asked does not ask: P asks the gateway, and the gateway Q.
echo 'key_log = yes' >>"$TMP/b.conf"
sed -i 's/dpd_delay = 0/dpd_delay = 2/' "$TMP"/p.charon/swanctl/conf.d/site.conf \
	"$TMP"/[ab].charon/swanctl/conf.d/six.conf

declare -A conn=([p]=site [q]=six)
rekeyed() { # NAME PEER BEFORE: it has another Child SA with it
	local now

	now=$(child_spis "$1" "${conn[$2]}")
	[ "$(wc -l <<<"$now")" -eq 1 ] && [ -n "$now" ] && [ "$now" != "$3" ]
}
ike_rekeyed() { # NAME PEER BEFORE: both have another IKE SA
	[ "$(ike_spis "$1" "${conn[$2]}")" != "$3" ] && ike_same "$1" "$2" "${conn[$2]}"
}
settled() { # ACTIVE STANDBY: a Child SA for each peer, and all is the same on both
	[ "$(child_spis "$1" | wc -l)" -eq 2 ] && [ "$(child_spis "$1")" = "$(child_spis "$2")" ] &&
		ike_same "$1" "$2"
}
both_are() { ike_sa_is "$1" site "$2" && ike_sa_is "$1" six "$2"; } # NAME STATE
traffic() { # NAME: of the gateway, both ways with both peers
	check "traffic from $1 to P" send_and_count "${node_ns[$1]}" 10.2.0.1 20 "$TMP/p.sink"
	check "traffic from P" send_and_count "$P" 10.1.0.1 20 "$TMP/$1.sink"
	check "traffic from $1 to Q" send_and_count "${node_ns[$1]}" fd00:4::1 20 "$TMP/q.sink"
	check "traffic from Q" send_and_count "$Q" fd00:1::1 20 "$TMP/$1.sink"
}
rekeys() { # GATEWAY [COMMAND...]: each of both kinds, by each side of each tunnel; after each
	local gateway=$1 peer by was

	for peer in p q; do
		for by in "$peer" "$gateway"; do
			was=$(child_spis "$gateway" "${conn[$peer]}")
			check "Child rekey by $by" vici "$by" rekey child "${conn[$peer]}"
			check "succeeds" busywait 20000 rekeyed "$gateway" "$peer" "$was"
			was=$(ike_spis "$gateway" "${conn[$peer]}")
			check "IKE rekey by $by" vici "$by" rekey ike "${conn[$peer]}"
			check "succeeds" busywait 20000 ike_rekeyed "$gateway" "$peer" "$was"
			"${@:2}"
		done
	done
}

# shown NAME CONN...: `show --ike` has an IKE SA of each of them, and no other.
shown() {
	local said

	said=$(ask "$1" show --ike --json) && /usr/bin/python3 - "$said" "${@:2}" <<-'END'
		import json, sys
		have = sorted(sa["credentials"] for sa in json.loads(sys.argv[1]))
		assert have == sorted(sys.argv[2:]), have
	END
}
same_shown() { # NAME NAME: but for what is of each node; there are some, and charons have them
	local a b

	a=$(ask "$1" show --ike --json) && b=$(ask "$2" show --ike --json) &&
		[[ $a == *'"in_charon":true'* ]] && [ "$a" = "$b" ]
}
show_ike() { ask "$1" show --ike && ask "$1" show --ike --json; } # NAME
no_key_in() { # CMD...: none of keep_keys' is in what it says, which is something
	grep -ohE '[0-9a-f]{32,}' "$TMP"/keys/* | sort -u >"$TMP/secrets" && "$@" >"$TMP/said" &&
		[ -s "$TMP/said" ] && [ -s "$TMP/secrets" ] && ! grep -qiFf "$TMP/secrets" "$TMP/said"
}
same_saved() { # NAME FILE: it shows what the daemon does, but for its charon
	local saved now

	saved=$(ask "$1" show --ike --json --file "$2" --key "$TMP/seal.key") &&
		now=$(ask "$1" show --ike --json) && /usr/bin/python3 - "$saved" "$now" <<-'END'
		import json, sys
		# A DPD may have come in between.
		saved, now = ({sa["name"]: {k: v for k, v in sa.items()
		                            if k not in ("in_charon", "message_ids")}
		               for sa in json.loads(text)} for text in sys.argv[1:])
		assert len(saved) == 2 and saved == now, (saved, now)
	END
}
load_ike() { ask "$1" load --key "$TMP/seal.key" "$2" 2>"$TMP/load"; } # NAME FILE
# What charon has made the daemon hears a moment later.
keys_known() { # NAME: its key log has all that its charon has now
	local spi more

	ask "$1" show --ike --keys="$TMP/keys.now" >/dev/null || return
	while read -r _ spi more; do
		grep -q "^$spi,$more," "$TMP/keys.now/ikev2_decryption_table" || return
	done < <(ike_spis "$1")
	while read -r _ spi more; do
		grep -q "\"0x$spi\"" "$TMP/keys.now/esp_sa" || return
		grep -q "\"0x$more\"" "$TMP/keys.now/esp_sa" || return
	done < <(child_spis "$1")
}
same_keys() { # NAME NAME: some, and no others
	local n

	for n in "$@"; do
		mkdir -p "$TMP/keys.$n"
		ask "$n" show --ike --keys="$TMP/keys.$n" >/dev/null || return
		sort "$TMP/keys.$n/ikev2_decryption_table" "$TMP/keys.$n/esp_sa" >"$TMP/keys.$n/all"
	done
	[ -s "$TMP/keys.$1/all" ] && cmp "$TMP/keys.$1/all" "$TMP/keys.$2/all"
}
keep_keys() { # NAME: with what was kept before
	local table

	mkdir -p "$TMP/keys.now" "$TMP/keys"
	busywait 20000 keys_known "$1" >/dev/null || bail "$1 does not tell its keys"
	for table in ikev2_decryption_table esp_sa; do
		cat "$TMP/keys.now/$table" >>"$TMP/keys/$table"
		sort -u -o "$TMP/keys/$table" "$TMP/keys/$table"
	done
}

for n in a b p q; do
	charon_start $n
	check "connections of $n" charon_load $n
done
check "a pair" both_start a b
check "A's charon is there" busywait 20000 has_ike a charon "'ready'"
check "B's, too" busywait 20000 has_ike b charon "'ready'"
start_sink "$P" "$TMP/p.sink"
start_sink "$Q" "$TMP/q.sink"
start_sink "$A" "$TMP/a.sink"
start_sink "$B" "$TMP/b.sink"

# --- they come along --------------------------------------------------------------------

check "P's tunnel comes up" vici p initiate site
check "Q's, too" vici q initiate six
check "A's daemon knows the IKE SAs" busywait 20000 has_ike a ike_sas 2
check "so does B's" busywait 20000 has_ike b ike_sas 2
check "B's charon has them, passive" busywait 20000 both_are b PASSIVE
check "with the same SPIs" ike_same a b
check "and the Child SAs" busywait 20000 has_ike b child_sas 2
check "B is in step" wait_step a b
check_equal "SAs of A, no more" "$(count_sas "$A")" "$(count_sas "$B")"
check_equal "that are charon's" "$(child_spis a)" "$(child_spis b)"
check "both show the same of them" busywait 20000 same_shown a b
check "of each connection one" shown a site six
refused() { ask a show --ike --keys="$TMP" 2>"$TMP/refusal"; }
check_fails "no key is told without key_log" refused
check "which is said" grep -q "key_log = yes in \[ike\] of its configuration" "$TMP/refusal"
check "and nothing was written" [ ! -e "$TMP/esp_sa" ]
check_fails "save takes no IKE SA in clear" ask a save --ike --plain --force "$TMP/plain"
check "check: A's come along" finds a IKE "c['result'] == 'ok' and 'come along' in c['text']"
check "check: key_log is for debugging" finds b key_log "c['result'] == 'warn'"
# P's charon has no ha plugin; the configuration without [ike] is for none.
node_ns[p]=$P node_ns[q]=$P
cp "$TMP/a.conf" "$TMP/p.conf"
sed '/^\[ike\]/,$d' "$TMP/a.conf" >"$TMP/q.conf"
check "check: charon without the plugin" finds p IKE "c['result'] == 'fail' and
	'runs without the ha plugin' in c['text'] and 'sequence numbers end' in c['text']"
check "check: and without [ike]" finds q IKE "c['result'] == 'warn' and
	'without the ha plugin, and there is no [ike]' in c['text']"
traffic a
check "a Child rekey on A" vici p rekey child site
check "it comes along" busywait 20000 settled a b
check "B is in step again" wait_step a b

# --- A dies -----------------------------------------------------------------------------

check "no window is led" busywait 20000 no_guard a
check "as B knows" wait_step a b
before=$(ike_spis a) children=$(child_spis a)
ike_capture "$P" br0 "$TMP/wire.pcap"
charon_kill a
stop a KILL
ip -n "$A" link set xs0 down
ip -n "$A" link set out down
check "the takeover" ask b takeover
ike_carry "$B"
check "B's IKE SAs are established" busywait 20000 both_are b ESTABLISHED
check_equal "with the SPIs of before" "$before" "$(ike_spis b)"
check_equal "and the Child SAs'" "$children" "$(child_spis b)"
keep_keys b
traffic b
n=$(wire_count "$TMP/wire.pcap" dpd_peer)
check "P asks whether it lives" busywait 30000 wire_more "$TMP/wire.pcap" dpd_peer "$n"
n=$(wire_count "$TMP/wire.pcap" dpd_gateway)
check "and it asks Q" busywait 30000 wire_more "$TMP/wire.pcap" dpd_gateway "$n"
check_equal "the IKE SAs live" "$before" "$(ike_spis p; ike_spis q)"
rekeys b keep_keys b
traffic b
check_equal "no new IKE_SA_INIT" 0 "$(wire_count "$TMP/wire.pcap" init)"

# --- what its keys open, and who is told them ---------------------------------------------

check "show --ike has no key in it" no_key_in show_ike b
check "nor has the log" no_key_in cat "$TMP/b.log"
check_equal "tshark opens each IKE message, of 3 generations of both" "all of 6 IKE SAs" "$(opened "$TMP/wire.pcap")"
check_equal "and each ESP packet" all "$(opened_esp "$TMP/wire.pcap")"
head -c 32 /dev/urandom >"$TMP/seal.key"
chmod 600 "$TMP/seal.key"
check "save --ike" ask b save --ike --key "$TMP/seal.key" "$TMP/saved"
check "which the log says" grep -q " IKE SAs and .* with their secrets, are told to root" "$TMP/b.log"
check "the file has the same of them" same_saved b "$TMP/saved"
check_fails "load does not make them" load_ike b "$TMP/saved"
check "which is said" grep -q "2 IKE SAs of the file are not loaded" "$TMP/load"

# --- A comes back, and gets them back -----------------------------------------------------

nl "$A" role-set none >/dev/null
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
sed -i 's/^boot_id .*/boot_id another/' "$TMP/a.state/state"
ip -n "$A" link set xs0 up
before=$(ike_spis b) children=$(child_spis b)
start a
charon_start a
check "A has its connections again" charon_load a
check "its charon is there" busywait 20000 has_ike a charon "'ready'"
check "it is told all" busywait 30000 both_are a PASSIVE
check "A is in step" wait_step b a
check_equal "B has the IKE SAs of before" "$before" "$(ike_spis b)"
check_equal "with their Child SAs" "$children" "$(child_spis b)"
check_equal "A has them all" "$before $children" "$(ike_spis a) $(child_spis a)"
check_equal "and no more" "$(count_sas "$B")" "$(count_sas "$A")"
echo 'key_log = yes' >>"$TMP/a.conf"
check "A's daemon is reloaded, with key_log" reload a
check "a standby has the same keys" busywait 20000 same_keys a b
check "A is in step again" wait_step b a
check "the way back, planned" ask a takeover
ike_carry "$A"
check "A's IKE SAs are established" busywait 20000 both_are a ESTABLISHED
check "B's are passive" busywait 20000 both_are b PASSIVE
check_equal "with the SPIs of before" "$before $children" "$(ike_spis a) $(child_spis a)"
traffic a
rekeys a
check "B follows" busywait 20000 settled a b
traffic a

# --- a standby's charon is restarted, a daemon of either node -------------------------------

before=$(ike_spis a) children=$(child_spis a)
charon_kill b
check "B's daemon sees it" busywait 20000 has_ike b charon "'absent'"
charon_start b
check "B has its connections again" charon_load b
check "it is told all" busywait 30000 both_are b PASSIVE
check "B is in step" wait_step a b
check_equal "its Child SAs are back" "$children" "$(child_spis b)"
stop b
start b
check "B's daemon is restarted: in step" wait_step a b
check_equal "its Child SAs are back" "$children" "$(child_spis b)"
stop a
start a
check "A's daemon is restarted: it is told what it knew" busywait 20000 has_ike a child_sas 2
check "B is in step" wait_step a b
check_equal "A has all that it had" "$before $children" "$(ike_spis a) $(child_spis a)"
check_equal "so has B" "$before $children" "$(ike_spis b) $(child_spis b)"
check_equal "and as many SAs" "$(count_sas "$A")" "$(count_sas "$B")"
check "B takes over, planned" ask b takeover
ike_carry "$B"
check "its IKE SAs are established" busywait 20000 both_are b ESTABLISHED
traffic b

# --- the active's charon is stopped in order ------------------------------------------------

before=$(ike_spis p; ike_spis q)
# Who takes over after a step-down asks nobody for the last numbers: as after a crash.
check "no window is led" busywait 20000 no_guard b
check "A is in step" wait_step b a
check "systemd stops it, by the drop-in" charon_stops b
check "B's IKE SAs are passive" busywait 20000 both_are b PASSIVE
check "keepalived elects anew, whatever it saw of it" elects b
charon_kill b TERM
check "A takes over" ask a takeover
ike_carry "$A"
check "its IKE SAs are established" busywait 20000 both_are a ESTABLISHED
check_equal "the peers did not notice" "$before" "$(ike_spis p; ike_spis q)"
traffic a

# --- the wire ---------------------------------------------------------------------------

check_equal "no new IKE_SA_INIT" 0 "$(wire_count "$TMP/wire.pcap" init)"
check_equal "and no IKE_AUTH" 0 "$(wire_count "$TMP/wire.pcap" auth)"
check_equal "no number twice" 0 "$(wire_count "$TMP/wire.pcap" twice)"
stop a
stop b
for n in a p q; do charon_kill $n TERM; done
check "every daemon ended cleanly" ended_cleanly
