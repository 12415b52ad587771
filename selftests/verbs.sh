#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What an operator sees: check names what is wrong, monitor tells what moves, show and status
# say the same to people and to machines; with the daemon and without.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
#
# timeout: 400

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 80

need_tool
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user

make_ca ca
make_ca other
make_cert ca a a
make_cert ca b b
make_cert ca expired a -1
make_cert other foreign a
make_conf a "$A" 1 192.0.2.1 b 192.0.2.2
make_conf b "$B" 2 192.0.2.2 a 192.0.2.1

exit_code() { # WANTED CMD...
	local rc

	"${@:2}"
	rc=$?
	[ $rc -eq "$1" ] || { echo "exit code $rc"; return 1; }
}

# says CODE TEXT CMD...: CMD exits with CODE, and TEXT is in what it says.
says() {
	local out

	out=$(exit_code "$1" "${@:3}" 2>&1)
	# shellcheck disable=SC2181 # both are told with the output
	if [ $? -ne 0 ] || ! grep -q -- "$2" <<<"$out"; then
		echo "$out"
		return 1
	fi
}

# --- check --------------------------------------------------------------------------

# found NODE CODE RESULT WHAT TEXT: check exits with CODE and has this finding; what it says in
# JSON is what it says in text.
found() {
	local text json

	text=$(exit_code "$2" ask "$1" check) && json=$(exit_code "$2" ask "$1" check --json) &&
		/usr/bin/python3 - "$text" "$json" "${@:2}" <<-'END'
		import json, sys
		lines, said = sys.argv[1].splitlines(), json.loads(sys.argv[2])
		code, *wanted = sys.argv[3:]
		have = [c for c in said["checks"] if [c["result"], c["check"]] == wanted[:2]]
		assert any(wanted[2] in c["text"] for c in have), said
		assert said["ok"] == (code == "0"), said
		for name, result in ("failed", "fail"), ("warned", "warn"):
		    assert said[name] == sum(c["result"] == result for c in said["checks"]), said
		for c in said["checks"]:
		    words = [c["result"], c["check"], c["text"]]
		    assert any(line.split() == " ".join(words).split() for line in lines), (words, lines)
		    assert "hint" not in c or any(line.split() == ["->", *c["hint"].split()]
		                                  for line in lines), (c["hint"], lines)
		END
}

spoil() { sed -i.good "$1" "$TMP/a.conf"; } # SED
mend() { mv "$TMP/a.conf.good" "$TMP/a.conf"; }

# spoilt NAME SED RESULT WHAT TEXT: what check finds in a.conf as SED leaves it.
spoilt() {
	spoil "$2"
	check "$1" found a 1 "${@:3}"
	mend
}

check "check: the module is not loaded" found a 1 fail module "not loaded"
for verb in show status monitor run; do
	check "$verb: the module is not loaded" says 1 "not loaded" ask a $verb
done
check "the module loads" load_module
module_loaded || skip_all "the module is not loaded"
check "check: no daemon runs" found a 1 fail daemon "does not run"

# windows SPI:SIZE...: these are named under that finding, and no others are; none: there is
# no such finding.
windows() {
	local json

	json=$(exit_code 1 ask a check --json) && /usr/bin/python3 - "$json" "$@" <<-'END'
		import json, sys
		checks = json.loads(sys.argv[1])["checks"]
		assert any(c["check"] == "policies" and c["result"] == "ok" for c in checks), checks
		found = [c for c in checks if c["check"] == "windows"]
		have = sorted(f"{sa['sa'].split()[-1]}:{sa['why'].split()[-1]}"
		              for c in found for sa in c["sas"])
		assert have == sys.argv[2:] and len(found) == bool(have), checks
		assert all(c["result"] == "warn" and c["text"].startswith(f"{len(have)} SAs ")
		           and "power of two" in c["hint"] for c in found), found
		END
}

window_sa() { # ESN SIZE SPI
	# shellcheck disable=SC2034 # lib_sa reads them
	local proto=esp mode=transport encap='' esn=$1 window=$2

	lib_sa "$A" 192.0.3.2 192.0.3.1 "$3"
}

# 24 without ESN is no ring: XFRM shifts it.
for n in 24 32 33 128 1000; do window_sa 0 $n 0x30$n; done
for n in 32 96 128 4096; do window_sa 1 $n 0x31$n; done
check "check: windows that do not divide 2^32 are named, and no others" \
	windows 0x00003033:33 0x00003196:96 0x00301000:1000
for n in 33 1000; do
	ip -n "$A" xfrm state delete dst 192.0.3.1 proto esp spi 0x30$n
done
ip -n "$A" xfrm state delete dst 192.0.3.1 proto esp spi 0x3196
check "check: of the others there is nothing to say" windows

check "check: SAs that no IKE daemon has, nor any end in time" \
	found a 1 warn IKE "with static keys nobody replaces them; after a takeover they go on until the sequence numbers end"
mortal_sa() { # SPI SECONDS
	# shellcheck disable=SC2034 # lib_sa reads them
	local proto=esp mode=transport encap='' esn=0 window=32

	lib_sa "$A" 192.0.3.2 192.0.3.1 "$1" limit time-hard "$2"
}
mortal_sa 0x3777 7200
mortal_sa 0x3778 3600
check "check: the first of them to end" \
	found a 1 warn IKE "at the latest for the first SA (esp 192.0.3.1 spi 0x00003778, its hard lifetime)"
cp "$(command -v sleep)" "$TMP/pluto"
background ip netns exec "$B" "$TMP/pluto" 1000
check "check: another namespace's IKE daemon is none here" found a 1 warn IKE "no IKE daemon runs"
background ip netns exec "$A" "$TMP/pluto" 1000
check "check: libreswan" found a 1 warn IKE "libreswan's pluto runs: its IKE SAs do not come along"
kill "$BG_PID"
wait "$BG_PID" 2>/dev/null
ip -n "$A" xfrm state flush
check "check: no IKE daemon, and no SA" found a 1 ok IKE "and there is no SA"
spoilt "check: [ike] without charon" "/^\[filter\]/,/^\$/d; \$a [ike]" \
	warn IKE "no charon runs in this network namespace"

tunnel "$A" "$P" link=1 window=128
check "two nodes in step" both_start a b
check "check: the active is ready" found a 0 ok ready "the active is ready"
check "check: the standby is ready" found b 0 ok ready "the standby is ready"
check "check: its peer answers" found a 0 ok peers "b answers at 192.0.2.2 port 4797"
check "check: its certificate is good" found a 0 ok certificate "issued by the CA"

spoilt "check: the certificate has expired" 's,/a\.crt,/expired.crt,; s,/a\.key,/expired.key,' \
	fail certificate "expired 1 days ago"
spoilt "check: the certificate is of another CA" \
	's,/a\.crt,/foreign.crt,; s,/a\.key,/foreign.key,' \
	fail certificate "does not lead to the CA"
spoilt "check: the certificate names another node" 's,/a\.crt,/b.crt,; s,/a\.key,/b.key,' \
	fail certificate "does not name this node"
spoilt "check: the key is not the certificate's" 's,/a\.key,/b.key,' \
	fail credentials "b.key: key values mismatch"
spoilt "check: no certificate is there" 's,/a\.crt,/nowhere.crt,' fail configuration "nowhere.crt"
spoilt "check: an unknown key" 's/^heartbeat_ms/colour = red\n&/' \
	fail configuration "unknown key colour"
spoilt "check: a value out of range" 's/^dead_ms.*/dead_ms = 10/' fail configuration "dead_ms = 10"
chmod 777 "$TMP/a.state"
check "check: others can write the state" found a 1 fail state_dir "others than root"
chmod 700 "$TMP/a.state"
spoilt "check: no peers" '/^\[peer/,/^address/d' fail peers "none in the configuration"
chmod 644 "$TMP/a.key"
check "check: the key can be read by others" found a 1 fail configuration "may be read by others"
chmod 600 "$TMP/a.key"
chown 65534 "$TMP/a.key"
check "check: the key is another user's" found a 1 fail configuration "does not belong to root"
chown 0 "$TMP/a.key"
chmod 666 "$TMP/a.conf"
check "check: the configuration can be written by others" \
	found a 1 fail configuration "may be written by others"
chmod 600 "$TMP/a.conf"
cp "$TMP/a.state/state" "$TMP/state"
sed -i '$d' "$TMP/a.state/state"
check "check: the stored role is damaged" found a 1 fail "stored role" "damaged"
cp "$TMP/state" "$TMP/a.state/state"

optional=(src 10.7.0.0/16 dst 10.8.0.0/16 dir out)
ip -n "$A" xfrm policy add "${optional[@]}" tmpl src 192.0.3.1 dst 192.0.3.2 proto esp reqid 99 \
	mode transport level use
check "check: a policy lets plaintext out: a warning" found a 0 warn policies "1 with an optional"
ip -n "$A" xfrm policy delete "${optional[@]}"
check "check: all is well again" found a 0 ok policies "none lets plaintext out"

# A user cannot look into the folder where the tool was built.
cp "$XFRMSYNC" "$TMP/xfrmsync"
chmod 711 "$TMP"
check "check: it says who has to run it" says 1 "^fail *rights *not root" \
	setpriv --reuid 65534 --regid 65534 --clear-groups "$TMP/xfrmsync" check

# --- show and status ----------------------------------------------------------------

shown() { # OPTION...: both SPIs are in it
	local out

	out=$(ask a show "$@") && grep -qi "$A_SPI" <<<"$out" && grep -qi "$B_SPI" <<<"$out"
}

show_json_is() { # SPIS OPTION...
	local have

	have=$(ask a show --json "${@:2}" |
		/usr/bin/python3 -c 'import json, sys
print(*sorted(sa["spi"] for sa in json.load(sys.stdin)))')
	[ "$have" = "$1" ] || { echo "$have"; return 1; }
}

status_text() { # NODE WORDS...: each in it
	local out word

	out=$(ask "$1" status) || return
	for word in "${@:2}"; do
		grep -qF -- "$word" <<<"$out" || { echo "no $word in: $out"; return 1; }
	done
}

check "show: a table" shown
check "show: in detail" shown --details
check "show: as JSON" show_json_is "$A_SPI $B_SPI"
check "show: one of them" show_json_is "$B_SPI" --spi "$B_SPI"
check "show: none of them" show_json_is "" --proto ah
check "status: the active" status_text a "a: active, ready, epoch 1 of node 1" "2 SAs" synced
check "status: the standby" status_text b "b: standby, ready, epoch 1 of node 1" synced
check "status: as JSON" status a "s['daemon'] and s['node'] == 'a' and s['sas'] == 2 and
	s['peers'][0]['name'] == 'b' and s['reader']"

# --- takeover and standby: what must not change anything ----------------------------

# words of the command line that are wrong
while read -r line; do
	# shellcheck disable=SC2086 # several words
	check "usage: $line" exit_code 2 ask b $line
done <<-END
	takeover now
	takeover --timeout
	takeover --timeout 0
	takeover --epoch 7
	standby now
	standby --force-unsafe
	standby --timeout -1
	monitor --count 0
	show --spi x
	status --verbose
	check --fix
	run --daemon
END

check "takeover --dry-run: a planned one" \
	says 0 "would ask the active to hand over" ask b takeover --dry-run
check "takeover --dry-run: nothing to do" \
	says 0 "would change nothing: already active" ask a takeover --dry-run
check "standby --dry-run" says 0 "would step down" ask a standby --dry-run
check "nothing was changed" in_step a b
check "and it is still epoch 1" status b "s['epoch'] == 1"

# --- monitor ------------------------------------------------------------------------

# Bash lets what runs in the background ignore SIGINT: that has to be undone.
watch() { # OPTION...: sets BG_PID
	background ip netns exec "$A" env --default-signal=INT "$XFRMSYNC" monitor \
		-c "$TMP/a.conf" "$@" >"$TMP/monitor.out" 2>"$TMP/monitor.err"
}

told_text() {
	grep -q "$A_SPI > $B_OUT .*sent $(sa_oseq "$A" "$B_OUT" "$A_SPI") " "$TMP/monitor.out" &&
		grep -q "$B_SPI > $A_OUT .*received $(sa_seq "$A" "$A_OUT" "$B_SPI") " "$TMP/monitor.out"
}

# What stands behind the last newline is not whole.
told_json() {
	/usr/bin/python3 - "$TMP/monitor.out" "$A_SPI" "$(sa_oseq "$A" "$B_OUT" "$A_SPI")" \
		"$B_SPI" "$(sa_seq "$A" "$A_OUT" "$B_SPI")" <<-'END'
		import json, sys
		path, out, oseq, come, seq = sys.argv[1:]
		text = open(path).read()
		last = {sa["spi"]: sa for sa in map(json.loads, text[:text.rfind("\n") + 1].splitlines())}
		sys.exit(last[out]["oseq"] != int(oseq) or last[come]["seq"] != int(seq))
		END
}

# moves MS CMD: after a packet each way, CMD finds both SAs told of as the kernel has them.
moves() {
	send_packets "$P" "$A_IN" 1
	send_packets "$A" "$B_IN" 1
	busywait "$1" "$2"
}

# When it begins to look is not known, and then all may be told; what comes next was noticed.
follows() { busywait 20000 moves 1000 "$1" && moves 20000 "$1"; } # CMD

# What a signal ends is gone within some time, and said nothing.
ends_on() { # SIGNAL
	kill "-$1" "$BG_PID" && ends "$BG_PID" && [ ! -s "$TMP/monitor.err" ]
}

no_reader() { ! kernel_reader "$1"; } # NS

start_sink "$A" "$TMP/sink"
start_sink "$P" "$TMP/sink-p"
for source in "through the daemon" "of the module"; do
	watch
	check "monitor $source: a line for each SA" follows told_text
	check "monitor $source: SIGTERM ends it" ends_on TERM
	watch --json
	check "monitor $source: as JSON" follows told_json
	check "monitor $source: SIGINT ends it" ends_on INT
	[ "$source" = "of the module" ] || stop a
done

check "nobody reads the stream any more" busywait 20000 no_reader "$A"
check "monitor --count: begins with all, and ends" exit_code 0 ask a monitor --json --count 2
check_equal "with two lines" 2 "$(ask a monitor --json --count 2 2>/dev/null | wc -l)"

# --- without the daemon -------------------------------------------------------------

check "check: an active that nobody reads" found a 1 fail reader "nobody reads"
check "status without the daemon" status_text a "active, not ready, epoch 1 of node 1, no daemon"
check "status without the daemon, as JSON" status a "not s['daemon'] and s['role'] == 'active' and
	not s['ready'] and s['reasons'] and s['sas'] == 2 and not s['peers']"
check "show without the daemon" show_json_is "$A_SPI $B_SPI"
check "check: the peer is not there: a warning" found b 0 warn peers "a at 192.0.2.1 port 4797"
start a
check "the daemon starts beside all that" wait_step a b
stop a
stop b
start b
check "check: a standby that nobody filled" busywait 20000 found b 1 fail ready "no snapshot of an active"
stop b
check "every daemon ended cleanly" ended_cleanly
