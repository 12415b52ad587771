#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Contexts to a file and back, without a daemon: saved and held on A, loaded on B, used there;
# what a file may not be; each SA with its policies or not at all.
#
#   P 192.0.3.2 ===== bridge ===== 192.0.3.1 A or B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 137

here=$(dirname "$0")
need_daemon
setup_ns A B C P
tmpdir
modprobe -aq esp4 esp6 ah6 xfrm_user bridge

tool() { # NS VERB...
	local ns=$1

	shift
	in_ns "$ns" "$XFRMSYNC" "$@" 2>"$TMP/err"
}
says() { grep -q -- "$1" "$TMP/err" || { cat "$TMP/err"; return 1; }; } # TEXT
number() { [ "$(sa_field "$1" "$2" "$3" "$4")" -eq "$5" ]; }            # NS DST SPI seq|oseq N
no_sas() { sas_are "$1" 0 && policies_are "$1" 0; }                    # NS

head -c 32 /dev/urandom >"$TMP/key"
head -c 32 /dev/urandom >"$TMP/foreign"
chmod 600 "$TMP/key" "$TMP/foreign"
K=(--key "$TMP/key")

# --- moved --------------------------------------------------------------------------

setup_outside "$A" "$B" "$P"
carry "$A"
tunnel "$A" "$P" link=1 window=128
out=("$B_OUT" "$A_SPI") in=("$A_OUT" "$B_SPI")
start_sink "$P" "$TMP/p"
start_sink "$A" "$TMP/a"
check "traffic through A" send_and_count "$A" "$B_IN" 20 "$TMP/p"
check "both ways" send_and_count "$P" "$A_IN" 30 "$TMP/a"

# No SA of the file uses it.
ip -n "$A" xfrm policy add src 10.77.0.1 dst 10.78.0.1 dir out tmpl src 192.0.3.1 dst 192.0.3.2 \
	proto esp reqid 77 mode tunnel
check_fails "without a key nothing is saved" tool "$A" save --stop "$TMP/file"
check "which is said" says "no key to seal the file with"
check_fails "no file was made" [ -e "$TMP/file" ]
check "nothing is held either" not_fenced "$A" "${out[@]}"
check "saved and held" tool "$A" save --stop "${K[@]}" "$TMP/file"
check_equal "the file is root's alone" 600 "$(stat -c %a "$TMP/file")"
secret=$(key 20 "$A_SPI")
has_key() { xxd -p "$1" | tr -d '\n' | grep -q "${secret#0x}"; } # FILE
check_fails "the key does not stand in it" has_key "$TMP/file"
check "A holds the SA" is_fenced "$A" "${out[@]}"
before=$(sa_oseq "$A" "${out[@]}")
send_packets "$A" "$B_IN" 5 2>/dev/null
check "and draws no number" number "$A" "${out[@]}" oseq "$before"

check_fails "with another key it does not open" tool "$B" load --key "$TMP/foreign" "$TMP/file"
check "which is said" says "sealed with another key"
check "nothing was loaded" no_sas "$B"
check_fails "an SA that it has not" tool "$B" load "${K[@]}" --spi 0x9999 "$TMP/file"
check "which is said" says "no SA of $TMP/file is meant"
check "loaded on B" tool "$B" load "${K[@]}" "$TMP/file"
check "both SAs" sas_are "$B" 2
check "and their policies" policies_are "$B" 3
# When it was last used is the one time that XFRM takes from nobody.
part() { static_part "$@" | grep -v lastused; }
check_equal "the SA out is the same" "$(part "$A" "$B_OUT" esp "$A_SPI")" \
	"$(part "$B" "$B_OUT" esp "$A_SPI")"
check_equal "the SA in is the same" "$(part "$A" "$A_OUT" esp "$B_SPI")" \
	"$(part "$B" "$A_OUT" esp "$B_SPI")"
check "at the number that A drew last" number "$B" "${out[@]}" oseq "$before"
check "with the window of A" number "$B" "${in[@]}" seq 30
carry "$B"
start_sink "$B" "$TMP/b"
check "traffic through B" send_and_count "$B" "$B_IN" 20 "$TMP/p"
check "both ways" send_and_count "$P" "$A_IN" 20 "$TMP/b"
replays() { ip -n "$1" -s xfrm state | awk '/replay-window/ && !/anti/ { n += $4 + 0 } END { print n + 0 }'; }
check_equal "nothing refused as a replay" 0 "$(($(replays "$B") + $(replays "$P")))"
check "once more: they are here already" tool "$B" load "${K[@]}" "$TMP/file"
check "and still carry" send_and_count "$P" "$A_IN" 5 "$TMP/b"
present() { tool "$B" load --json "${K[@]}" "$TMP/file" | grep -q '"present": 2'; }
check "with --json" present

# --- shown ----------------------------------------------------------------------------

shown() { tool "$B" show --context "$@" >"$TMP/shown" && [ -s "$TMP/shown" ]; }
check "show --context" shown
check "names the algorithm and the key's length" grep -q 'name rfc4106(gcm(aes)) key_bits 160' "$TMP/shown"
check "its counters" grep -Eq '^    counters +oseq [1-9][0-9]* seq ' "$TMP/shown"
check "and the policies" grep -q '^policy out 10.1.0.1/32 -> 10.2.0.1/32' "$TMP/shown"
check_fails "not the key" grep -qi "${secret#0x}" "$TMP/shown"
check "the file's" shown --file "$TMP/file" "${K[@]}"
check_equal "all that is in it" 5 "$(grep -c '^[a-z]' "$TMP/shown")"
check_equal "both were stopped" 2 "$(grep -c '^    stopped  *yes' "$TMP/shown")"
check_equal "what they counted" 2 "$(grep -Ec '^    counters +.* packets [1-9]' "$TMP/shown")"
five() { /usr/bin/python3 -c 'import json, sys; sys.exit(len(json.load(open(sys.argv[1]))) != 5)' "$TMP/shown"; }
check "the file's as JSON" shown --json --file "$TMP/file" "${K[@]}"
check "is a list of them" five

# --- what went on is not used twice ------------------------------------------------------

check "saved, but not held" tool "$B" save "${K[@]}" "$TMP/live"
check "which is warned of" says "2 SAs go on"
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
check_fails "load refuses it" tool "$A" load "${K[@]}" "$TMP/live"
check "by name, and why" says "esp 192.0.3.2 spi $A_SPI.*it went on when it was saved"
check "nothing was loaded" no_sas "$A"
check "unless it is forced" tool "$A" load --force-unsafe "${K[@]}" "$TMP/live"
check "both SAs" sas_are "$A" 2
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush

# --- what a file may not be ---------------------------------------------------------------

head -c -1 "$TMP/file" >"$TMP/cut"
check_fails "one that is cut" tool "$A" load "${K[@]}" "$TMP/cut"
check "is refused whole" no_sas "$A"
edit() { /usr/bin/python3 "$here/context_file.py" "$@"; } # FILE WHAT
cp "$TMP/file" "$TMP/changed"
check "a byte is changed" edit "$TMP/changed" flip
check_fails "one that was changed" tool "$A" load "${K[@]}" "$TMP/changed"
check "is refused whole" no_sas "$A"

check_fails "in clear, keys are refused" tool "$B" save --stop --plain "$TMP/plain"
check "by name, and what to do" says "esp 192.0.3.2 spi $A_SPI: not saved: it has keys"
check "B goes on" not_fenced "$B" "${out[@]}"
check "unless that is forced" tool "$B" save --stop --plain --force "$TMP/plain"
cp "$TMP/plain" "$TMP/policy"
cp "$TMP/plain" "$TMP/policy-cut"
cp "$TMP/plain" "$TMP/record"
cp "$TMP/plain" "$TMP/more"
check "one context is bad" edit "$TMP/plain" "unknown-field $A_SPI"
check_fails "one that is not sealed is refused" tool "$A" load "${K[@]}" "$TMP/plain"
check "which is said" says "it is not sealed: --plain"
tool "$A" load --plain "$TMP/plain" >/dev/null
check_equal "the file is not loaded whole: the exit code says so" 1 $?
check "the bad one and its field are named" \
	says "esp 192.0.3.2 spi $A_SPI: not loaded: field 0x0100 is mandatory, and this version does not know it"
check "the other one is there" number "$A" "${in[@]}" seq 55
check "with the policies that use it" policies_are "$A" 2
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush

# What nobody has to know stays behind, and that is said.
check "a later version's, with more to say of an SA" edit "$TMP/more" "more-fields $A_SPI"
check "and of a policy" edit "$TMP/more" "policy-more out"
check "is loaded" tool "$A" load --plain "$TMP/more"
check "all of it" sas_are "$A" 2
lost="loaded without what is not known here: field 0x0100, attribute 200"
check "what is left out of the SA is said" says "esp 192.0.3.2 spi $A_SPI: $lost\$"
check "and of the policy" says "policy out 10.1.0.1/32 -> 10.2.0.1/32: $lost\$"
check_equal "of nothing else" 2 "$(grep -c "loaded without" "$TMP/err")"
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
tool "$A" load --json --plain "$TMP/more" >"$TMP/more.json"
check "JSON has it as well" py is "len(s['not_kept']) == 2 and
	{'name': 'esp 192.0.3.2 spi $A_SPI', 'fields': 'field 0x0100, attribute 200'} in s['not_kept']" "$(cat "$TMP/more.json")"
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush

# An SA is not used without its policy: what it is for would leave in clear.
check "one policy is bad" edit "$TMP/policy" "policy-field out"
check_fails "the file is not loaded whole" tool "$A" load --plain "$TMP/policy"
check "the policy and its field are named" \
	says "policy out 10.1.0.1/32 -> 10.2.0.1/32: not loaded: field 0x0100 is mandatory, and this version does not know it"
check "and the SA that uses it" says "esp 192.0.3.2 spi $A_SPI: not loaded: policy out 10.1.0.1/32 -> 10.2.0.1/32: field 0x0100"
check "the SA in is there" number "$A" "${in[@]}" seq 55
check "the SA out is not" sas_are "$A" 1
check "nor is the bad policy" policies_are "$A" 2
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
check "nobody can read for whom one policy is" edit "$TMP/policy-cut" "policy-cut out"
check_fails "that is not loaded whole either" tool "$A" load --plain "$TMP/policy-cut"
check "it is said that it is a policy" says "a policy: not loaded: field 0x0041 (TEMPLATES) is longer than the context"
check "it may be of any SA, which is said of each" says "esp 192.0.3.1 spi $B_SPI: not loaded: a policy of the file cannot be read"
check "none is loaded" no_sas "$A"
check_fails "unless it is forced" tool "$A" load --plain --force-unsafe "$TMP/policy-cut"
check "both SAs" sas_are "$A" 2
check "with what can be read" policies_are "$A" 2
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush
check "one record is bad" edit "$TMP/record" "record $A_SPI"
check_fails "its SA is not loaded" tool "$A" load --plain "$TMP/record"
check "by name" says "esp 192.0.3.2 spi $A_SPI: not loaded: its record is malformed"
check "the other one is" sas_are "$A" 1
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush

# --- what is here, but was made anew -----------------------------------------------------

check "the SA of the file alone" tool "$A" load "${K[@]}" --spi "$A_SPI" "$TMP/file"
ip -n "$A" xfrm state flush
lib_again() { proto=esp mode=tunnel esn=1 window=128 encap='' lib_sa "$A" "$A_OUT" "$B_OUT" "$A_SPI"; }
check "a boot script makes it anew" lib_again
check_fails "then it is not simply here" tool "$A" load "${K[@]}" --spi "$A_SPI" "$TMP/file"
check "but behind the file" says "behind the file: its numbers would be used twice"
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush

ip -n "$A" xfrm state add src "$A_OUT" dst "$B_OUT" proto esp spi "$A_SPI" reqid 2 mode tunnel \
	flag esn replay-window 128 replay-oseq "$before" aead 'rfc4106(gcm(aes))' "$(key 20 "$A_SPI")" 128
check_fails "nor with another reqid" tool "$A" load "${K[@]}" --spi "$A_SPI" "$TMP/file"
check "which is said" says "esp 192.0.3.2 spi $A_SPI: not loaded: it is here with its keys, and with other parameters"
check "its policies went again" policies_are "$A" 0
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy flush

# --- all or nothing ----------------------------------------------------------------------

ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.2 proto esp spi "$A_SPI" reqid 9 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 other)" 128
check_fails "another SA has the SPI" tool "$A" load "${K[@]}" --spi "$A_SPI" "$TMP/file"
check "which is said" says "another SA has this SPI here"
check "its policies were not loaded" policies_are "$A" 0
ip -n "$A" xfrm state flush
ip -n "$A" xfrm policy add src 10.1.0.1 dst 10.2.0.1 dir out action block
check_fails "another policy has the name" tool "$A" load "${K[@]}" --spi "$A_SPI" "$TMP/file"
check "then the SA was not loaded either" sas_are "$A" 0
ip -n "$A" xfrm policy flush
# In has two: fwd is put last.
ip -n "$A" xfrm policy add src 10.2.0.1 dst 10.1.0.1 dir fwd action block
check_fails "so has the second of two" tool "$A" load "${K[@]}" --spi "$B_SPI" "$TMP/file"
check "then the first one is not there either" policies_are "$A" 1
check "nor the SA" sas_are "$A" 0
ip -n "$A" xfrm policy flush

# --- a number that a takeover jumped to, and nobody sent ---------------------------------

check "the SA once more" lib_again
jump=$(((1 << 30) + 20))
check "a takeover jumps" nl "$A" restore -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 \
	flags=esn,bmp oseq=$jump sent=20
check "saved and held" tool "$A" save --stop "${K[@]}" "$TMP/jumped"
check "loaded elsewhere" tool "$C" load "${K[@]}" "$TMP/jumped"
check "at the number that it jumped to" number "$C" "${out[@]}" oseq $jump
record() { nl "$C" get family=2 dst="$B_OUT" spi="$A_SPI" proto=50; }
check "what was sent of it is known" grep -q '"sent": 20[,}]' <(record)
check "it is not held there" not_fenced "$C" "${out[@]}"
for n in "$A" "$B" "$P"; do
	ip -n "$n" xfrm state flush
	ip -n "$n" xfrm policy flush
done

# --- IPv6 ---------------------------------------------------------------------------------

ip -n "$P" -batch - <<-END
	address add 2001:db8:1::2/64 dev br0 nodad
	address add fd00:2::1/128 dev lo nodad
	route add fd00:1::/32 via 2001:db8:1::1 src fd00:2::1
END
carry6() { # NS: it has the address now
	local n

	for n in "$A" "$B"; do ip -n "$n" address delete 2001:db8:1::1/64 dev out; done 2>/dev/null
	ip -n "$1" -batch - <<-END
		address add 2001:db8:1::1/64 dev out nodad
		address replace fd00:1::1/128 dev lo nodad
		route replace fd00:2::/32 via 2001:db8:1::2 src fd00:1::1
	END
	ip -n "$P" neigh flush dev br0
}
for n in "$A" "$B"; do ip -n "$n" link set out up; done
carry6 "$A"
tunnel "$A" "$P" family=6 link=1 window=128
out=("$B_OUT" "$A_SPI") in=("$A_OUT" "$B_SPI")
check "IPv6: traffic through A" send_and_count "$A" "$B_IN" 20 "$TMP/p"
check "both ways" send_and_count "$P" "$A_IN" 30 "$TMP/a"
check "saved and held" tool "$A" save --stop "${K[@]}" "$TMP/six"
check "A holds the SA" is_fenced "$A" "${out[@]}"
before=$(sa_oseq "$A" "${out[@]}")
check "loaded on B" tool "$B" load "${K[@]}" "$TMP/six"
check "with policies" policies_are "$B" 3
check_equal "the SA out is the same" "$(part "$A" "$B_OUT" esp "$A_SPI")" \
	"$(part "$B" "$B_OUT" esp "$A_SPI")"
check_equal "the SA in is the same" "$(part "$A" "$A_OUT" esp "$B_SPI")" \
	"$(part "$B" "$A_OUT" esp "$B_SPI")"
check "at the number that A drew last" number "$B" "${out[@]}" oseq "$before"
check "with the window of A" number "$B" "${in[@]}" seq 30
carry6 "$B"
check "traffic through B" send_and_count "$B" "$B_IN" 20 "$TMP/p"
check "both ways" send_and_count "$P" "$A_IN" 20 "$TMP/b"
check_equal "nothing refused as a replay" 0 "$(($(replays "$B") + $(replays "$P")))"

# --- of a machine of the other byte order, and SAs of one SPI --------------------------------

ip -n "$C" xfrm state flush
ip -n "$C" xfrm policy flush
sed 's/#.*//' "$here/../tools/tests/vectors/file-sealed-s390x.hex" | xxd -r -p >"$TMP/big"
printf 0123456789abcdef0123456789abcdef >"$TMP/big.key"
chmod 600 "$TMP/big.key"
# The other one has a direction and a window, which 6.12 does not take.
check "a file of a big-endian machine" tool "$C" load --key "$TMP/big.key" --spi 0x12345678 \
	--force-unsafe "$TMP/big"
check "has its SA" sas_are "$C" 1
its_key() { ip -n "$C" xfrm state | grep -q 0x404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f; }
check "with its key" its_key
ip -n "$C" xfrm state flush
ip -n "$C" xfrm policy flush

# Asked for the marked one, XFRM tells the one that was made after it and takes any mark.
for n in "mark 5 mask 255" ""; do
	# shellcheck disable=SC2086 # words
	ip -n "$C" xfrm state add src 192.0.3.9 dst 192.0.3.1 proto esp spi 0x3003 reqid 7 mode tunnel \
		$n aead 'rfc4106(gcm(aes))' "$(key 20 "hidden $n")" 128
done
check_fails "an SA that another one hides" tool "$C" save "${K[@]}" "$TMP/hidden"
check "is not saved with the other one's keys" says "mark 0x5/0xff: not saved: another SA, .* hides it"
check_fails "nor shown with them" tool "$C" show --context
check "but named" says "mark 0x5/0xff: another SA, .* hides it"
ip -n "$C" xfrm state flush

nl "$A" role-set standby 5 1 >/dev/null
check_fails "a standby refuses" tool "$A" load "${K[@]}" "$TMP/file"
check_fails "to hold for a file, too" tool "$A" save --stop "${K[@]}" "$TMP/other"
check "the active uses them" says "this node is standby"
mknod "$TMP/null" c 1 3
check_fails "a device is not replaced by a file" tool "$B" save "${K[@]}" "$TMP/null"
