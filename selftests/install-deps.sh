#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Installs the Debian packages that building, checking or showing xfrmsync needs.
#
# usage: install-deps.sh [build|check|bench|demo|kernel|headers]
#   build    compiler, kernel headers of both series, libraries
#   check    build, and what the tests and linters need (default)
#   bench    check, and what the benches' plots need
#   demo     the same, for the demonstration's
#   kernel   what debug-kernel.sh builds a kernel from
#   headers  brings the kernel headers to the archive's current version (kernels.sh
#            asks for it where the image of the installed headers is gone from there)
#
# Only what is missing is installed; with nothing missing it returns at once, offline.
set -euo pipefail

BUILD=(build-essential bc kmod pkg-config
	linux-headers-amd64 linux-headers-6.12-amd64
	libmnl-dev libssl-dev libsodium-dev libinih-dev libjansson-dev
	libcap-ng-dev libseccomp-dev)
KERNEL=(build-essential bc bison cpio flex kmod libelf-dev xz-utils linux-source-6.12)
CHECK=(git ccache libcmocka-dev sparse spin shellcheck groff-base
	gcc-s390x-linux-gnu libc6-dev-s390x-cross libstdc++-12-dev-s390x-cross
	qemu-user clang-14 libclang-rt-14-dev clang-tidy-14 cppcheck codespell pyflakes3
	qemu-system-x86 busybox-static zstd
	iproute2 iputils-ping strace iptables nftables ethtool netbase procps tcpdump socat openssl
	python3 python3-yaml python3-jsonschema python3-cryptography)
# A stock IKE daemon with its HA plugin, for the tests (its libvici has no headers); who
# decrypts what it sends; and who says on which node it is active.
IKE=(charon-systemd strongswan-swanctl libcharon-extra-plugins libstrongswan-standard-plugins
	libstrongswan-extra-plugins tshark keepalived)
PLOTS=(python3-matplotlib)

profile=${1:-check}
case $profile in
build)   want=("${BUILD[@]}") ;;
kernel)  want=("${KERNEL[@]}") ;;
check)   want=("${BUILD[@]}" "${KERNEL[@]}" "${CHECK[@]}" "${IKE[@]}") ;;
bench | demo)
	want=("${BUILD[@]}" "${KERNEL[@]}" "${CHECK[@]}" "${IKE[@]}" "${PLOTS[@]}") ;;
headers) want=(linux-headers-amd64 linux-headers-6.12-amd64) ;;
*)       sed -n '5,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for p in "${want[@]}"; do
	if [ "$profile" = headers ] || ! installed "$p"; then
		missing+=("$p")
	fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "install-deps: missing, and only root can install: ${missing[*]}" >&2
	exit 1
fi

# A package that brings a daemon (keepalived) would start it. The policy hook that
# forbids this is ours only if there was none, and then it goes away again.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT TERM
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi

echo "install-deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# A second apt-get (another check, unattended-upgrades) is waited for.
apt=(apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
# A third-party source that does not answer must not stop us: install will tell.
"${apt[@]}" update || echo "install-deps: apt-get update failed in part; going on" >&2
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >&2
