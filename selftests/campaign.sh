#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# A campaign of crash takeovers: seeded rounds of traffic, rekeys, deletes, restarts and a bad
# sync link, then a crash, a takeover, an attacker who repeats all that he captured, and the
# old active that comes back when it likes. The wires are the judge.
#
# The wires are in wires.sh; the sync link between A and B has a netem at each end.
#
# XFRMSYNC_CAMPAIGN="n=3 from=0 guard=available out=FILE" and XFRMSYNC_SEED choose the rounds; see
# `make campaign`. Two others have words of their own, and this one run: campaign-strict.sh and
# campaign-sharp.sh.
# timeout: 600

# The short one that is part of all tests has the same rounds each time; `make campaign` draws.
[ -n "${XFRMSYNC_CAMPAIGN-}" ] || export XFRMSYNC_SEED="${XFRMSYNC_SEED:-20261121}"

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/daemon.sh
. "$(dirname "$0")/daemon.sh"
# shellcheck source=selftests/wires.sh
. "$(dirname "$0")/wires.sh"
plan "${n_results:-16}"

need_daemon
setup_ns A B P H W
tmpdir
# Otherwise a packet of many segments is cut before the cipher, and not at its end.
[[ " ${XFRMSYNC_CAMPAIGN-} " != *" segments=1 "* ]] || modprobe -aq esp4_offload esp6_offload
check "the wires are laid" lay_wires "$A" "$B"
gateway_confs

results /usr/bin/python3 "$(dirname "$0")/campaign.py" "$TMP" "$A" "$B" "$P" "$H" "$W"
