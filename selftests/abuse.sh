#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Callers without the capability, and messages that are none: refused, and said why.
# timeout: 240

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
plan 59

load_module park_max=64 || bail "the module does not load"
modprobe -aq esp4 xfrm_user
setup_ns A B
results /usr/bin/python3 "$(dirname "$0")/abuse.py" "$A" "$B"
check "the module unloads" unload_module
