#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Three nodes: who must acknowledge a lease, and that ranges are disjoint; crashes one after the
# other, planned takeovers, three actives with a strict guard, a new active that the old one never
# reached, and that dies, a standby that is removed.
#
# The wires are in wires.sh.
# timeout: 480

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/wires.sh
. "$(dirname "$0")/wires.sh"
plan 126

need_daemon
setup_ns A B C P H W
tmpdir
check "the wires are laid" lay_wires "$A" "$B" "$C"
gateway_confs
sed -i 's/^dead_ms = .*/dead_ms = 1500/' "$TMP"/?.conf

results /usr/bin/python3 "$(dirname "$0")/three.py" "$TMP" "$A" "$B" "$C" "$P" "$H" "$W"
