#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Replay windows: the kernel as the oracle. States at every border are written onto real
# SAs, by XFRM's netlink and by our restore; ESP packets with chosen 64-bit numbers follow.
#
#   A 192.0.2.1 ===== ===== 192.0.2.2 B, which receives
# timeout: 180

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 65

# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
modprobe -aq esp4 xfrm_user authenc authencesn crypto_null hmac sha256_generic
setup_ns A B
setup_veth "$A" "$B"
results /usr/bin/python3 "$(dirname "$0")/window.py" "$A" "$B"
