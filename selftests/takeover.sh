#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# When a takeover must be refused, and what has to heal without an operator: reboots, a cut
# sync link, SAs and policies that cannot be created at first.
#
#   P 192.0.3.2 ===== tunnel ===== 192.0.3.1 A 192.0.2.1 --- TLS --- 192.0.2.2 B
# timeout: 600

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
plan 180


need_daemon

setup_ns A B P
setup_veth "$A" "$B"
setup_veth "$A" "$P" 1
tmpdir
modprobe -aq esp4 xfrm_user
pair_confs "$A" "$B"
tunnel "$A" "$P" link=1 window=128
esp_out=("$B_OUT" "$A_SPI")
size=$(((1 << 30) + 65536))

links_down() {
	status a "s['peers'][0]['state'] != 'synced'" && status b "s['peers'][0]['state'] != 'synced'"
}

epoch() { # NAME
	py value "s['epoch']" "$(ask "$1" status --json)"
}
epoch_of() { sed -n "s/^$1 //p" "$TMP/$2.state/state"; } # WORD NAME: as the disk has it
# What a script at boot makes: the keys of before, all counters at their beginning.
lib_boot() { # NS
	ip -n "$1" xfrm state add src "$A_OUT" dst "$B_OUT" proto esp spi "$A_SPI" reqid 1 mode tunnel \
		flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 "$A_SPI")" 128
}
told() { ask "$1" takeover | grep -q "already active, $2"; } # NAME TEXT
steps_down() { grep -c "stepping down" "$TMP/$1.log"; }       # NAME

# --- the sync link is cut, the address goes over and comes back ----------------------

check "a pair" both_start a b
check "with the SAs" busywait 10000 sas_are "$B" 2
check "at the lease's end" busywait 10000 oseq_is "$B" "${esp_out[@]}" $size
ip -n "$A" link set xs0 down
check "the link is cut" busywait 20000 links_down
check "the other node takes over" ask b takeover
check "and steps back" ask b standby
check "the first one was active all along" role_is a active
ip -n "$A" link set xs0 up
check "the link is back: the first one is active, the other one filled" wait_step a b
check "after it was filled itself" busywait 20000 logged a "takes over again"
check "it starts past what the other one could send" \
	[ "$(sa_oseq "$A" "${esp_out[@]}")" -ge $size ]

# --- both are told to be active, and one was all along --------------------------------

down=$(steps_down a) first=$(epoch a)
check "with its standby in sight it has nothing to do" told a "epoch $first"
check "the standby's snapshot is still the one it was" status b "s['ready']"
ip -n "$A" link set xs0 down
check "the link is cut again" busywait 20000 links_down
check "the other node takes over, unheard" ask b takeover
check "the first one is told to: it is" told a "now in epoch"
check "above what the other one has" [ "$(epoch a)" -gt "$(epoch b)" ]
ip -n "$A" link set xs0 up
check "the link is back: it stays active, and fills the other one" wait_step a b
check_equal "without a break" "$down" "$(steps_down a)"
check "the other one heard of it" busywait 20000 logged b "stepping down"

ip -n "$A" link set xs0 down
check "the link is cut once more" busywait 20000 links_down
check "the first one is told to" told a "now in epoch"
check "then the other one takes over" ask b takeover
check "and is told to, once more" told b "now in epoch"
ip -n "$A" link set xs0 up
check "the link is back: who was told last stays" wait_step b a
check "planned, back again" ask a takeover
check "in step" wait_step a b

# The connection outlives a short cut, and brings what was asked before it.
sed -i 's/^dead_ms = .*/dead_ms = 60000/' "$TMP/a.conf" "$TMP/b.conf"
reload a
reload b
check "connections that last" wait_step a b
ip -n "$A" link set xs0 down
check "a short cut: the other node takes over without an answer" ask b takeover
check "the first one is told to" busywait 20000 told a "now in epoch"
ip -n "$A" link set xs0 up
check "it does not hand over to a wish of before" busywait 60000 logged a "asked for a handover before"
check "it is active" wait_step a b
check_equal "and was all along" "$((down + 1))" "$(steps_down a)"
kill -STOP "${pid[b]}"
check "it is told to while the other one hangs" busywait 20000 told a "now in epoch"
ask b takeover >"$TMP/asked" 2>&1 &
asked=$!
kill -CONT "${pid[b]}"
wait $asked
check "that one's wish of after it counts" grep "handed over" "$TMP/asked"
check "in step the other way" wait_step b a
check "planned, back" ask a takeover
sed -i 's/^dead_ms = .*/dead_ms = 3000/' "$TMP/a.conf" "$TMP/b.conf"
reload a
reload b
check "as before" wait_step a b

# --- another one was active, and its numbers are gone with it ----------------------------

ip -n "$A" link set xs0 down
check "the link is cut" busywait 20000 links_down
check "the other node takes over" ask b takeover
stop b KILL
nl "$B" role-set none >/dev/null
sed -i 's/^boot_id .*/boot_id another/' "$TMP/b.state/state"
start b
check "it is rebooted" busywait 20000 role_is b standby
ip -n "$A" link set xs0 up
check "the first one hears of it, steps down, and is filled by nobody" \
	busywait 60000 logged a "nobody fills this node"
check "it is active again" busywait 20000 role_is a active
check "what the other one may have sent on, it does not use" status a "s['unsafe_total'] == 2"
check "until the operator says otherwise" ask a takeover --force-unsafe
check "in step" wait_step a b

# --- the same, and the first one was told to stay ----------------------------------------

# What B sends leaves by a device of its own, so that it draws numbers.
ip -n "$B" -batch - <<-END
	link add own0 type dummy
	link set own0 up
	address add 10.1.0.1/32 dev lo
	address add 192.0.3.1/24 dev own0
	address delete 10.2.0.1/32 dev lo
	route replace 10.2.0.0/16 dev own0 src 10.1.0.1
END
from_b() { # N: so many packets
	in_ns "$B" bash -c "for i in {1..$1}; do echo data >/dev/udp/10.2.0.1/9; done"
}
unsafe_is() { status "$1" "s['unsafe_total'] == $2"; } # NAME N
said() { grep -c "$2" "$TMP/$1.log"; }                 # NAME TEXT
wait_step a b
start=$(sa_oseq "$B" "${esp_out[@]}") found=$(said a "lost the numbers")
ip -n "$A" link set xs0 down
check "the link is cut" busywait 20000 links_down
check "the other node takes over, unheard" ask b takeover
from_b 20
used=$(sa_oseq "$B" "${esp_out[@]}")
check "and sends" [ "$used" -ge $((start + 20)) ]
check "the first one is told to stay" told a "now in epoch"
stop b KILL
nl "$B" role-set none >/dev/null
ip -n "$B" xfrm state flush
sed -i 's/^boot_id .*/boot_id another/' "$TMP/b.state/state"
start b
check "the other one is rebooted" busywait 20000 role_is b standby
xfrm_monitor "$A" "$TMP/expire" expire
ip -n "$A" link set xs0 up
check "it is filled, and the SAs are not safe there" busywait 20000 unsafe_is b 2
check_fails "nor do they stand where it began to send" oseq_is "$B" "${esp_out[@]}" "$start"
check "they are fenced" is_fenced "$B" "${esp_out[@]}"
check "on the first one they are to be rekeyed" unsafe_is a 2
check "which it says" status a "'lost the numbers' in s['unsafe'][0]['why']"
check "their key manager is asked" busywait 20000 grep -q "spi $A_SPI" "$TMP/expire"
ip -n "$A" xfrm state add src "$A_OUT" dst "$B_OUT" proto esp spi 0x7a00 reqid 1 mode tunnel \
	flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 made)" 128
check "one made after it is like any other" busywait 20000 oseq_is "$B" "$B_OUT" 0x7a00 $size
stop a
start a
check "the next daemon knows" busywait 20000 status a "s['role'] == 'active' and
	s['peers'][0]['state'] == 'synced' and s['unsafe_total'] == 2"
check "so does the other node" busywait 20000 unsafe_is b 2
check_equal "it was found once" $((found + 1)) "$(said a "lost the numbers")"
check "until the operator says otherwise" ask a takeover --force-unsafe
check "in step" wait_step a b
check "the other one takes over from there" ask b takeover
check "and is followed" wait_step b a
check "planned, back" ask a takeover
check "in step once more" wait_step a b
ip -n "$A" xfrm state delete dst "$B_OUT" proto esp spi 0x7a00
busywait 20000 sas_are "$B" 2

# --- ... which took over once more before anybody heard it -------------------------------

wait_step a b
start=$(sa_oseq "$B" "${esp_out[@]}") found=$(said a "lost the numbers")
ip -n "$A" link set xs0 down
check "the link is cut" busywait 20000 links_down
check "the other node takes over, unheard" ask b takeover
from_b 20
used=$(sa_oseq "$B" "${esp_out[@]}")
check "and sends" [ "$used" -ge $((start + 20)) ]
stop b KILL
nl "$B" role-set none >/dev/null
ip -n "$B" xfrm state flush
sed -i 's/^boot_id .*/boot_id another/' "$TMP/b.state/state"
start b
check "it is rebooted" busywait 20000 role_is b standby
check "and takes over again, in an epoch of which it has all numbers" ask b takeover
stop b
start b
check "its next daemon is active" busywait 20000 role_is b active
check "the first one is told to stay" told a "now in epoch"
check "above all of that" told a "now in epoch"
ip -n "$A" link set xs0 up
check "what was lost before is: the SAs are not safe there" busywait 20000 unsafe_is b 2
check_fails "nor do they stand where it began to send" oseq_is "$B" "${esp_out[@]}" "$start"
check "on the first one they are to be rekeyed" unsafe_is a 2
check_equal "it was found once" $((found + 1)) "$(said a "lost the numbers")"
stop b
start b
check "its next daemon is filled once more" busywait 20000 unsafe_is b 2
check_equal "that is no other loss" $((found + 1)) "$(said a "lost the numbers")"
check "the operator says to use them" ask a takeover --force-unsafe
check "in step" wait_step a b

# --- it is not rebooted, but its SA is gone ----------------------------------------------

start=$(sa_oseq "$B" "${esp_out[@]}") found=$(said a "lost the numbers")
ip -n "$A" link set xs0 down
check "the link is cut" busywait 20000 links_down
check "the other node takes over, unheard" ask b takeover
from_b 20
used=$(sa_oseq "$B" "${esp_out[@]}")
check "and sends" [ "$used" -ge $((start + 20)) ]
ip -n "$B" xfrm state delete dst "$B_OUT" proto esp spi "$A_SPI"
check "its SA is deleted there" busywait 20000 sas_are "$B" 1
check "the first one is told to stay" told a "now in epoch"
ip -n "$A" link set xs0 up
check "the SAs are not safe on the other node" busywait 20000 unsafe_is b 2
check_fails "nor does this one stand where it began to send" oseq_is "$B" "${esp_out[@]}" "$start"
check "on the first one they are to be rekeyed" unsafe_is a 2
check_equal "it was found once" $((found + 1)) "$(said a "lost the numbers")"
check "the operator says to use them" ask a takeover --force-unsafe
check "in step" wait_step a b

# What is deleted where all others know of it, costs nothing.
made() { # NS SPI
	ip -n "$1" xfrm state add src "$A_OUT" dst "$B_OUT" proto esp spi "$2" reqid 1 mode tunnel \
		flag esn replay-window 128 aead 'rfc4106(gcm(aes))' "$(key 20 "$2")" 128
}
check "the other one takes over, planned" ask b takeover
check "and is followed" wait_step b a
made "$B" 0x7b00
check "an SA is made there" busywait 20000 sas_are "$A" 3
ip -n "$B" xfrm state delete dst "$B_OUT" proto esp spi 0x7b00
check "and is deleted, on both" busywait 20000 sas_are "$A" 2
check "planned, back" ask a takeover
check "in step once more" wait_step a b
made "$A" 0x7c00
check "so it is on the first one" busywait 20000 sas_are "$B" 3
ip -n "$A" xfrm state delete dst "$B_OUT" proto esp spi 0x7c00
check "with one of its own" busywait 20000 sas_are "$B" 2
check "the other one takes over" ask b takeover
check "in step the other way" wait_step b a
check "nothing is unsafe" unsafe_is b 0
check "planned, back again" ask a takeover
check "as it was" wait_step a b
check "nothing is unsafe on the first one either" unsafe_is a 0
check_equal "nobody lost anything" $((found + 1)) "$(said a "lost the numbers")"
ip -n "$B" -batch - <<-END
	link delete own0
	address delete 10.1.0.1/32 dev lo
	address add 10.2.0.1/32 dev lo
END
busywait 20000 sas_are "$B" 2

# --- the disk is full -----------------------------------------------------------------

# A folder in the file's place: nothing can be written there.
full() { mv "$TMP/$1.state/state" "$TMP/$1.state/kept" && mkdir "$TMP/$1.state/state"; }   # NAME
not_full() { rmdir "$TMP/$1.state/state" && mv "$TMP/$1.state/kept" "$TMP/$1.state/state"; } # NAME
in_kernel() { # NS: role and epoch
	nl "$1" status | grep -o '"role": "[a-z]*", "epoch": [0-9]*'
}
was=$(in_kernel "$B")
ip -n "$A" link set xs0 down
check "the link is cut, once more" busywait 20000 links_down
check "the standby's disk is full" full b
check_fails "a takeover that cannot be stored is refused" ask b takeover
check_equal "the kernel has the role and the epoch of before" "$was" "$(in_kernel "$B")"
not_full b
ip -n "$A" link set xs0 up
check "in step, once more" wait_step a b
full a
ask a standby >/dev/null
check "who steps down is fenced all the same" grep standby <(in_kernel "$A")
not_full a
check "it is active again" ask a takeover
check "and in step" wait_step a b

# --- the disk is full, and there is no daemon -------------------------------------------

full_disk() {
	cp "$TMP/a.state/state" "$TMP/kept" &&
		mount -t tmpfs -o size=32k none "$TMP/a.state" &&
		cp "$TMP/kept" "$TMP/a.state/state" &&
		touch "$TMP/a.state/lock" &&
		! cat /dev/zero >"$TMP/a.state/rest"
}
stop a
check "an active without a daemon, its disk is full" full_disk
check_fails "that it steps down cannot be stored" ask a standby
check "it is fenced all the same" grep standby <(in_kernel "$A")
check_equal "the disk has what it had" active "$(epoch_of role a)"
check_fails "a takeover that cannot be stored is refused" ask a takeover
check "it is fenced as before" grep standby <(in_kernel "$A")
umount "$TMP/a.state"
check "there is room again: it is active" ask a takeover
full a
check_fails "nor can it be told what the disk has" ask a standby
check "it is fenced, too" grep standby <(in_kernel "$A")
not_full a
start a
check "the next daemon is standby" busywait 20000 role_is a standby
check "told so, it is active" ask a takeover
check "and in step, once more" wait_step a b

# --- a takeover that was stored, and no more ------------------------------------------

# What a daemon leaves that is killed then: on disk the next epoch, of this boot and this life
# of the module; in the kernel the one before, and what a boot script made.
stored() { # EPOCH
	nl "$B" role-set none >/dev/null &&
		ip -n "$B" xfrm state flush &&
		nl "$B" role-set standby $(($1 - 1)) 1 >/dev/null &&
		lib_boot "$B" &&
		cat >"$TMP/b.state/state" <<-END
			xfrmsync-state 1
			epoch $1
			node 2
			role active
			boot_id $(cat /proc/sys/kernel/random/boot_id)
			life $(nl "$B" status | sed -n 's/.*"life": \([0-9]*\).*/\1/p')
			own $1
			chain 2 $1
			end
		END
}
goes_on() { grep -c "was about to become active" "$TMP/b.log"; }
next=$(($(epoch a) + 1))
stop b KILL
check "rebooted, a node stores a takeover, and dies" stored $next
check "what a script made is fenced" is_fenced "$B" "${esp_out[@]}"
check "a dry run, without the daemon, says so" plan_says b "p['unsafe'] == 1 and
	s('$A_SPI')['action'].startswith('fence') and 'did not tell it' in s('$A_SPI')['why']"
check "and that it would be rekeyed" plan_says b "p['rekeyed'] == 1 and s('$A_SPI')['rekey'] and
	s('$A_SPI')['predicted_loss'] is None and p['unpredicted'] == 1"
check "by force it would be used" py is \
	"s['rekeyed'] == s['unpredicted'] == s['predicted_loss'] == 0" \
	"$(ask b takeover --dry-run --force-unsafe --json)"
check_fails "which is not as it should be" ask b takeover --dry-run
check "people read it" grep -q "0x.*: fence, and ask for a rekey because it came" <(ask b takeover --dry-run)
check "told once more, without the daemon, it is active" ask b takeover
check_equal "above the epoch that it had stored" $((next + 1)) "$(epoch_of epoch b)"
check "it does not use what a script made" is_fenced "$B" "${esp_out[@]}"
check "until the operator says otherwise, to an active" ask b takeover --force-unsafe
check "then it does" not_fenced "$B" "${esp_out[@]}"
check "once more it dies there" stored $next
check "told to be standby, without the daemon" ask b standby
check_equal "it forgets what it had stored" standby "$(epoch_of role b)"
check_equal "and does not take its counters for the newest" - "$(epoch_of boot_id b)"
ip -n "$B" xfrm state flush
went_on=$(goes_on)
check "the first one is told to be standby, too" ask a standby
start b
check "the next daemon sees that nobody is active" busywait 20000 status b \
	"s['peers'][0]['role'] == 'standby'"
check_equal "and has nothing to go on with" "$went_on" "$(goes_on)"
check "it stays one" role_is b standby
check "the first one is told to go on" ask a takeover --force-unsafe
check "in step, as before" wait_step a b
oseq=$(sa_oseq "$B" "${esp_out[@]}") sent=$(sa_oseq "$A" "${esp_out[@]}")
stop b
check "a dry run of a standby, without the daemon: the numbers that it would leave out" plan_says b \
	"p['unsafe'] == 0 and 0 < s('$A_SPI')['jump'] <= $oseq and s('$A_SPI')['jump'] >= $oseq - $sent"
check "what it would lose, where that is known" plan_says b "s('$A_SPI')['guard'] == 0 and
	s('$A_SPI')['predicted_loss'] == 0 and not s('$A_SPI')['rekey']"
check "and what is not" plan_says b "any('by how much a guard' in n for n in p['not_known'])"
check "people read it" grep -q "$A_SPI: use, jump [0-9][0-9]*, guard 0, predicted loss 0" \
	<(ask b takeover --dry-run)
start b
wait_step a b

# --- what was touched on the standby goes when the active's goes ----------------------

# A stray packet of B's own on an SA that B has for A.
ip -n "$B" -batch - <<-END
	address add 10.1.0.1/32 dev lo
	address add 192.0.3.1/32 dev lo
	address delete 10.2.0.1/32 dev lo
	route replace 10.2.0.0/16 via 192.0.2.1 src 10.1.0.1
	route replace 192.0.3.2/32 via 192.0.2.1
END
is_unused() { nl "$B" dump | grep "\"spi\": $((A_SPI))" | grep -q '"restored"'; }
let_pass() { # FLAG: unmanaged takes the fence away for this SA
	nl "$B" bind -- family=2 dst="$B_OUT" spi="$A_SPI" proto=50 flags="$1" >/dev/null
}
busywait 20000 is_unused
let_pass unmanaged
in_ns "$B" bash -c 'echo stray >/dev/udp/10.2.0.1/9'
let_pass 0
check_fails "a stray packet uses an SA of the standby" is_unused
stop b
ip -n "$A" xfrm state delete dst "$B_OUT" proto esp spi "$A_SPI"
start b
check "the standby's daemon restarts" wait_step a b
check "what went meanwhile is gone all the same" busywait 10000 sas_are "$B" 1

# --- what cannot be created at first --------------------------------------------------

ip -n "$A" link add late0 type dummy
ip -n "$A" xfrm state add src 192.0.3.4 dst 192.0.3.1 proto esp spi 0x7000 reqid 7 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 late)" 128 sel dev late0
check "an SA bound to a device that is not there: not ready" \
	busywait 10000 status b "not s['ready']"
ip -n "$B" link add late0 type dummy
check "the device comes, and so does the SA" busywait 30000 sas_are "$B" 2
check "ready again" wait_step a b

own=(src 10.7.0.0/16 dst 10.8.0.0/16 dir out)
ip -n "$B" xfrm policy add "${own[@]}" tmpl src 192.0.3.1 dst 192.0.3.8 proto esp reqid 7 mode tunnel
ip -n "$A" xfrm policy add "${own[@]}" tmpl src 192.0.3.1 dst 192.0.3.9 proto esp reqid 7 mode tunnel
ip -n "$A" xfrm state add src 192.0.3.1 dst 192.0.3.9 proto esp spi 0x7900 reqid 7 mode tunnel \
	aead 'rfc4106(gcm(aes))' "$(key 20 nine)" 128
check "another policy of the same name: not ready" busywait 10000 status b "not s['ready']"
check "it is left alone" grep -q 192.0.3.8 <(ip -n "$B" xfrm policy get "${own[@]}")
ip -n "$B" xfrm policy delete "${own[@]}"
check "deleted, it makes room for the active's" wait_step a b
check "which is there" grep -q 192.0.3.9 <(ip -n "$B" xfrm policy get "${own[@]}")
ip -n "$A" xfrm state delete dst 192.0.3.9 proto esp spi 0x7900
busywait 10000 sas_are "$B" 2

# --- reboots --------------------------------------------------------------------------

reboot() { # NAME
	stop "$1" KILL
	nl "${node_ns[$1]}" role-set none >/dev/null
	ip -n "${node_ns[$1]}" xfrm state flush
	lib_boot "${node_ns[$1]}"
	sed -i 's/^boot_id .*/boot_id another/' "$TMP/$1.state/state"
}

stop b
reboot a
start a
check "rebooted, it is standby" busywait 20000 role_is a standby
check "one SA is not safe" busywait 20000 status a "s['unsafe_total'] == 1 and '$B_OUT' in s['unsafe'][0]['sa']"
stop a
start a
check "the daemon starts once more" busywait 20000 role_is a standby
check "that changes nothing" busywait 20000 status a "s['unsafe_total'] == 1"
start b
check "the other node, which was in step, may" busywait 20000 ask b takeover
check "and fills it" wait_step b a
check "beside what it made itself" busywait 10000 sas_are "$A" 3
check "the planned way back is free" ask a takeover
check "with the roles changed" wait_step a b

stop a
reboot b
became=$(epoch_of own b)
check "rebooted, without the daemon: a takeover" ask b takeover
check_equal "does not forget what is lost" "$became" "$(epoch_of lost b)"
check_equal "nor that it is one" "$(epoch_of epoch b)" "$(epoch_of own b)"
check "does not use what a script made" is_fenced "$B" "${esp_out[@]}"
nl "$B" role-set none >/dev/null
check "without a role nothing is held" not_fenced "$B" "${esp_out[@]}"

# --- the end --------------------------------------------------------------------------

check "every daemon ended cleanly" ended_cleanly
