#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# No key of an SA stands in the log, in /proc, in /sys, in traces or in our messages.
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 8

# shellcheck disable=SC2119 # no parameters
load_module || bail "the module does not load"
modprobe -aq esp4 ah4 xfrm_user
setup_ns A B
setup_veth "$A" "$B"
results /usr/bin/python3 "$(dirname "$0")/keys.py" "$A" "$B"
