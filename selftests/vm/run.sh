#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Runs a command as root in a VM that sees this machine's files.
#
# usage: run.sh -k KERNEL [options] -- CMD ARGS...
#   -k KERNEL      6.1, 6.12, debug, kcsan (see debug-kernel.sh), or a folder with
#                  boot/vmlinuz-KVER and lib/modules/KVER
#   -m MB          memory (1024, more on a debug kernel)
#   -c CPUS        processors (2)
#   -t SECONDS     time for boot, command and shutdown (300)
#   -o DIR         keeps console.log, dmesg, stdout, rc there (else a temporary folder)
#   -a APPEND      more kernel command line
#   --icount 1     one processor, emulated, whose clock counts instructions: a nanosecond each
#   --name NAME    host name of the guest (vm)
#   --net SPEC     a network card, repeatable; they are eth0, eth1 ... in that order.
#                  mcast=ADDR:PORT[,mac=MAC]: a segment shared by all VMs of this machine
#                  that give the same; or any -netdev, as tap,ifname=t0,script=no[,mac=MAC].
#                  On mcast a guest gets its own frames back: right for a quick bus, wrong
#                  for a bridge or where duplicate address detection matters (use tap).
#   --share DIR[:GUESTDIR]   a folder that the guest writes to (at the same path if no
#                  GUESTDIR), repeatable
#   --pidfile FILE qemu's pid while it runs: kill -9 is the guest's power cut
#   --retries N    how often to boot again when the guest died before user space (1)
#
# The guest sees the host's / as it is now, and writes to a RAM copy that is gone with
# it; /run, /tmp, /var/tmp, /var/lib/xfrmsync and /etc/xfrmsync are empty there (but the
# current folder, this tree and shares are there wherever they lie). Standard output and
# error of CMD come out on standard output as they are written. No standard input.
#
# Exit code: that of CMD; 99 if the kernel complained (see splats.sh), whatever CMD said;
# 98 if the guest died under CMD (power cut); 124 at the timeout; 125 if it died before
# user space, or could not be started; 2 for a wrong call.
#
# Environment: XFRMSYNC_ACCEL=kvm|tcg instead of probing; XFRMSYNC_CACHE as in kernels.sh;
# XFRMSYNC_ICOUNT_CPU=max: with --icount, a processor that is told of rep movsb as fast.
# Several run at once; to run one in the background, put & after it: on SIGTERM or SIGINT
# it ends its own qemu and is gone.
set -uo pipefail

here=$(dirname "$(readlink -f "$0")")
tree=$(readlink -f "$here/../..")

usage() { sed -n '5,23s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "run.sh: $*" >&2; exit 125; }

kernel='' mem='' cpus=2 timeout=300 out='' append='' name=vm pidfile='' retries=1 icount=''
nets=() shares=()
while [ $# -gt 0 ]; do
	[ "$1" = -- ] && { shift; break; }
	[ $# -ge 2 ] || usage
	case $1 in
	-k) kernel=$2 ;;
	-m) mem=$2 ;;
	-c) cpus=$2 ;;
	-t) timeout=$2 ;;
	-o) out=$2 ;;
	-a) append=$2 ;;
	--icount) icount=$2 ;;
	--name) name=$2 ;;
	--net) nets+=("$2") ;;
	--share) shares+=("$2") ;;
	--pidfile) pidfile=$2 ;;
	--retries) retries=$2 ;;
	*) usage ;;
	esac
	shift 2
done
if [ -z "$kernel" ] || [ $# -eq 0 ]; then usage; fi

# Children that outlive a signal to us would be somebody else's load.
qemu='' reader='' temp=''
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	[ -z "$reader" ] || kill "$reader" 2>/dev/null
	[ -z "$qemu" ] || { kill -9 "$qemu" && wait "$qemu"; } 2>/dev/null
	[ -z "$pidfile" ] || rm -f "$pidfile"
	[ -z "$temp" ] || rm -rf "$temp"
}
trap cleanup EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT

if [ -z "$out" ]; then
	temp=$(mktemp -d)
	out=$temp
fi
mkdir -p "$out" || die "$out: cannot be made"
out=$(readlink -f "$out")

found=$("$here/kernels.sh" get "$kernel") || die "no kernel $kernel"
read -r _ kver vmlinuz moddir initrd <<<"$found"
read -r needed _ thread < <("$here/kernels.sh" needs "$kver")
mem=${mem:-$needed}
XFRMSYNC_ACCEL=$("$here/accel.sh" "$vmlinuz" "$initrd") || exit 2
if [ "$XFRMSYNC_ACCEL" = kvm ]; then
	machine=(-accel kvm -cpu host)
else
	# With thread=multi one boot of 26 died before the root was mounted. Emulated, rep movsb
	# takes a turn for each byte, and a page table of five levels one more look for each miss: a
	# guest that has them costs a tenth more, and a twentieth.
	machine=(-accel "tcg,thread=$thread" -cpu "max,erms=off,la57=off")
fi

# By rep movsb and rep stosb a byte is an instruction of its own here, of which a real
# processor does 32 to 64 in a cycle. Kernel and glibc use them for what is long where the
# processor says that they are fast: what is copied and cleared would be most of what is
# counted. One that does not say so has loops of 8 bytes an instruction, or of a vector, as
# others than Intel's had: still more than it takes, by a factor and no longer by 50.
without_fast_rep() {
	local known f cpu=max

	known=$(qemu-system-x86_64 -cpu help)
	for f in erms fsrm fzrm fsrs fsrc; do
		! grep -qw "$f" <<<"$known" || cpu+=,$f=off
	done
	echo "$cpu"
}
if [ -n "$icount" ]; then
	machine=(-accel "tcg,thread=single" -cpu "${XFRMSYNC_ICOUNT_CPU:-$(without_fast_rep)}"
		-icount "shift=0,sleep=off")
	cpus=1
fi

cmdline="console=ttyS0 loglevel=5 panic=-1 oops=panic net.ifnames=0 log_buf_len=4M"
cmdline+=" random.trust_cpu=on tsc=reliable mitigations=off"
# What the emulator translated of a program serves its next run, where that lies as before:
# it halves what a process costs.
cmdline+=" norandmaps"
# Emulated, on a busy machine: a stall is told where it is one.
cmdline+=" watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120"
cmdline+=" vm.moddir=$moddir $append"

p9=security_model=none,multidevs=remap
args=(-M q35 "${machine[@]}" -smp "$cpus" -m "${mem}M"
	-nodefaults -no-user-config -display none -no-reboot
	-kernel "$vmlinuz" -initrd "$initrd" -append "$cmdline"
	-fsdev "local,id=root,path=/,readonly=on,$p9"
	-device "virtio-9p-pci,fsdev=root,mount_tag=hostroot"
	-fsdev "local,id=result,path=$out,$p9"
	-device "virtio-9p-pci,fsdev=result,mount_tag=result"
	-object "rng-random,id=rng,filename=/dev/urandom" -device "virtio-rng-pci,rng=rng"
	-device "isa-debug-exit,iobase=0xf4,iosize=4"
	-serial "file:$out/console.log")

guest_shares=()
for i in "${!shares[@]}"; do
	dir=$(readlink -f "${shares[i]%%:*}")
	[ -d "$dir" ] || die "--share ${shares[i]}: no such folder"
	case ${shares[i]} in
	*:*) guest_shares+=("${shares[i]#*:}") ;;
	*)   guest_shares+=("$dir") ;;
	esac
	args+=(-fsdev "local,id=share$i,path=$dir,$p9"
		-device "virtio-9p-pci,fsdev=share$i,mount_tag=share$i")
done

for i in "${!nets[@]}"; do
	spec=${nets[i]} mac=
	case $spec in
	*mac=*)
		mac=${spec##*mac=}
		mac=${mac%%,*}
		spec=${spec/,mac=$mac/} ;;
	esac
	# A name gives the same address at every boot, as a real machine's card does.
	[ -n "$mac" ] || mac=52:54:00$(echo "$name/$i" | sha256sum | sed 's/\(..\)\(..\)\(..\).*/:\1:\2:\3/')
	case $spec in
	# Bound to the loopback interface, the frames never leave this machine.
	mcast=*localaddr=*) spec=socket,$spec ;;
	mcast=*) spec=socket,$spec,localaddr=127.0.0.1 ;;
	esac
	type=${spec%%,*} rest=${spec#"$type"}
	args+=(-netdev "$type,id=n$i$rest" -device "virtio-net-pci,netdev=n$i,mac=$mac")
done

cp "$here/guest.sh" "$out/guest.sh"
{
	printf 'JOB_HOSTNAME=%q\nJOB_CWD=%q\nJOB_NETS=%d\n' "$name" "$PWD" "${#nets[@]}"
	printf 'JOB_KEEP=(%q %q)\n' "$tree" "$PWD"
	printf 'JOB_SHARES=('; [ ${#guest_shares[@]} -eq 0 ] || printf '%q ' "${guest_shares[@]}"
	printf ')\nJOB_CMD=('; printf '%q ' "$@"
	echo ')'
} >"$out/job"

# Streams what the guest writes until qemu is gone: 0, or 124 at the deadline.
boot() {
	rm -f "$out"/{up,rc,rc.part,dmesg,kmemleak,console.log}
	: >"$out/stdout"
	qemu-system-x86_64 "${args[@]}" </dev/null >"$out/qemu.log" 2>&1 &
	qemu=$!
	[ -z "$pidfile" ] || echo "$qemu" >"$pidfile"

	timeout "$timeout" tail --pid="$qemu" -s 0.1 -n +1 -f "$out/stdout" &
	reader=$!
	wait "$reader"
	local rc=$?
	reader=''
	kill -9 "$qemu" 2>/dev/null
	wait "$qemu" 2>/dev/null
	qemu=''
	return "$rc"
}

for ((try = 0; ; try++)); do
	boot
	streamed=$?
	if [ -e "$out/up" ] || [ "$try" -ge "$retries" ]; then break; fi
	echo "run.sh: the $kver guest died before user space, booting again" >&2
	cp "$out/console.log" "$out/console.log.$try" 2>/dev/null
done

if [ ! -e "$out/up" ]; then
	cat "$out/qemu.log" >&2
	tail -n 20 "$out/console.log" >&2
	die "the $kver guest died before user space"
fi

logs=("$out/console.log")
for f in dmesg kmemleak; do
	[ ! -e "$out/$f" ] || logs+=("$out/$f")
done
if splats=$("$here/splats.sh" "${logs[@]}") || [ -s "$out/kmemleak" ]; then
	echo "run.sh: the $kver kernel complained:" >&2
	sort -u <<<"$splats" | head -n 20 | sed 's/^/  /' >&2
	exit 99
fi
[ "$streamed" -ne 124 ] || { echo "run.sh: timed out after $timeout s" >&2; exit 124; }
if [ ! -e "$out/rc" ]; then
	echo "run.sh: the $kver guest died under the command" >&2
	exit 98
fi
exit "$(cat "$out/rc")"
