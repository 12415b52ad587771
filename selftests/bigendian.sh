#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Builds the tool's unit tests and fuzzers for a big-endian machine (s390x), runs them by
# qemu-user, and has files of contexts that one byte order saved loaded by the other.
# Prints TAP.
#
# usage: bigendian.sh [TEST...]    e.g. context_test; default: all, and files and fuzzers
#
#   RUNS=5000    executions of each fuzzer
set -uo pipefail

cd "$(dirname "$(readlink -f "$0")")/.." || exit
# shellcheck source=selftests/s390x.sh
. selftests/s390x.sh
# One starts the tool, which only binfmt_misc could do, three would ask of qemu's process, and one
# looks for a socket in /proc/net/udp, where this kernel writes addresses in its own byte order.
not_here=(cmdline_test privileges_test privops_test secret_test ike_test)
here=build/tools
there=build/tools-s390x

die() { echo "Bail out! bigendian: $*"; exit 1; }

# Each reads what the other has sealed: the first one of them, when it is run again.
exchange() {
	local dir rc

	make --no-print-directory -s -C tools "../$here/vectors_wire_test" || return
	dir=$(mktemp -d) || return
	(cd tools && XFRMSYNC_EXCHANGE=$dir && export XFRMSYNC_EXCHANGE &&
		"../$here/vectors_wire_test" >/dev/null && s390x_run "../$there/vectors_wire_test" &&
		"../$here/vectors_wire_test")
	rc=$?
	rm -rf "$dir"
	return $rc
}

tests=("$@")
if [ $# -eq 0 ]; then
	for t in tools/tests/*_test.c; do
		t=$(basename "$t" .c)
		[[ " ${not_here[*]} " == *" $t "* ]] || tests+=("$t")
	done
fi

s390x_get || { echo "1..0 # SKIP no s390x packages can be had from the archive here"; exit 0; }
s390x_make BUILD="../$there" CC=$s390x_triplet-gcc EXTRA_CFLAGS="$s390x_cflags" \
	EXTRA_LDFLAGS="$s390x_ldflags" "${tests[@]/#/../$there/}" ||
	die "the tests cannot be built for s390x"
failed=0
export CMOCKA_MESSAGE_OUTPUT=TAP
for t in "${tests[@]}"; do
	echo "# $t, big-endian"
	(cd tools && s390x_run "../$there/$t") || failed=1
done
[ $# -eq 0 ] || exit $failed

echo "# files, from one byte order to the other and back"
exchange || failed=1
echo "# fuzzers, big-endian"
RUNS=${RUNS:-5000} ARCH=s390x selftests/fuzz.sh || failed=1
exit $failed
