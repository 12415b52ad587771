#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The policies that the daemon takes along: those of SAs, and no others; an SA whose policy is
# not in place is not used.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 34

need_daemon
setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 esp6 xfrm_user
pair_confs "$A" "$B"

policy() { # NS ADD|DELETE N [DST]: out, to 10.N.0.0/16, by SAs to DST
	local tmpl=()

	[ "$2" = delete ] || tmpl=(tmpl src 192.0.3.1 dst "$4" proto esp reqid 7 mode tunnel)
	ip -n "$1" xfrm policy "$2" src 10.1.0.0/16 dst "10.$3.0.0/16" dir out "${tmpl[@]}"
}
sa() { # NS DST SPI
	ip -n "$1" xfrm state add src 192.0.3.1 dst "$2" proto esp spi "$3" reqid 7 mode tunnel \
		aead 'rfc4106(gcm(aes))' "$(key 20 "$3")" 128
}
has() { ip -n "$1" xfrm policy | grep -q "dst 10.$2.0.0/16"; } # NS N

tunnel "$A" "$P" link=1
policy "$A" add 20 192.0.3.20
check "a pair" both_start a b
check "the tunnel's policies are there" policies_are "$B" 3
check_fails "one that no SA uses is not" has "$B" 20

# --- an SA comes and goes ---------------------------------------------------------------

policy "$A" add 21 192.0.3.21
policy "$A" add 22 192.0.3.22
sa "$A" 192.0.3.21 0x2100
check "an SA comes, and its policy with it" busywait 10000 has "$B" 21
check_fails "the others do not" has "$B" 22
check "in step" wait_step a b
check_equal "four of six are told" 4 "$(ask b status --json | sed -n 's/.*"policies": \([0-9]*\).*/\1/p' | head -n 1)"
ip -n "$A" xfrm state delete dst 192.0.3.21 proto esp spi 0x2100
check "the SA goes" busywait 10000 sas_are "$B" 2
sa "$A" 192.0.3.22 0x2200
check "another one comes" busywait 10000 has "$B" 22
check "the policy of before stays: nothing leaves in clear" has "$B" 21
policy "$A" delete 21
gone() { ! has "$@"; }
check "until it is deleted" busywait 10000 gone "$B" 21

six() { # KIND SRC DST WORDS...: in IPv6
	ip -n "$A" xfrm "$1" add src "$2" dst "$3" "${@:4}"
}
has_six() { ip -n "$1" xfrm policy | grep -q "dst fd00:26::/32"; } # NS
gone_six() { ip -n "$1" xfrm policy | is_without "dst fd00:26::/32"; }
outside=(2001:db8:1::1 2001:db8:1::26)
six policy fd00:1::/32 fd00:26::/32 dir out tmpl src "${outside[0]}" dst "${outside[1]}" proto esp reqid 7 mode tunnel
six policy fd00:1::/32 fd00:27::/32 dir out tmpl src "${outside[0]}" dst 2001:db8:1::27 proto esp reqid 7 mode tunnel
check "in step" wait_step a b
check "IPv6: no SA, no policy" gone_six "$B"
six state "${outside[@]}" proto esp spi 0x2600 reqid 7 mode tunnel aead 'rfc4106(gcm(aes))' "$(key 20 0x2600)" 128
check "an SA comes, and its policy with it" busywait 10000 has_six "$B"
check "the other does not" is_without fd00:27:: < <(ip -n "$B" xfrm policy)
ip -n "$A" xfrm state delete dst "${outside[1]}" proto esp spi 0x2600
check "the SA goes" busywait 10000 sas_are "$B" 3
check "the policy stays" has_six "$B"
ip -n "$A" xfrm policy delete src fd00:1::/32 dst fd00:26::/32 dir out
check "until it is deleted" busywait 10000 gone_six "$B"

# --- a policy for an interface that goes -----------------------------------------------------

for ns in "$A" "$B"; do ip -n "$ns" link add gone type dummy; done
ip -n "$A" xfrm policy add src 10.1.0.0/16 dst 10.24.0.0/16 dev gone dir out \
	tmpl src 192.0.3.1 dst 192.0.3.22 proto esp reqid 7 mode tunnel
of_gone() { ip -n "$B" xfrm policy | grep -q "dst 10.24.0.0/16 dev gone"; }
check "one for an interface" busywait 10000 of_gone
ip -n "$A" link delete gone
policy "$A" add 25 192.0.3.22
check "the interface goes, and another policy comes" busywait 10000 has "$B" 25
check "what was told stays as it was" of_gone
check "which is said" logged a "policy out 10.1.0.0/16 -> 10.24.0.0/16 is for an interface that is gone"
save_one() { in_ns "$A" "$XFRMSYNC" save --plain --force --dst 192.0.3.22 "$TMP/file" 2>"$TMP/err"; }
check_fails "no SA is saved without it" save_one
check "which is said, too" grep -q "spi 0x00002200: not saved: policy out 10.1.0.0/16 -> 10.24.0.0/16 is for an interface that is gone" "$TMP/err"

# --- an SA whose policy is not in place ---------------------------------------------------

policy "$B" add 23 192.0.3.99
policy "$A" add 23 192.0.3.22
lacks() { status b "len(s['unsafe']) == 1 and '0x00002200' in s['unsafe'][0]['sa'] and 'differs from this node' in s['unsafe'][0]['why']"; }
check "another policy of that name is here: the SA is not safe" busywait 10000 lacks
policy "$B" delete 23
check "deleted, it makes room" wait_step a b
check "all is safe" status b "not s['unsafe']"
policy "$A" delete 23
check "the active deletes its own" busywait 10000 gone "$B" 23
policy "$B" add 23 192.0.3.99
policy "$A" add 23 192.0.3.22
check "and makes it again" busywait 10000 lacks
check "it is taken over" ask b takeover
check "that SA is fenced" is_fenced "$B" 192.0.3.22 0x2200
check "the others are used" not_fenced "$B" "$B_OUT" "$A_SPI"
stop b
stop a
check "every daemon ended cleanly" ended_cleanly
