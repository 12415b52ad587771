#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The short campaign with limits that are as sharp as the rule: a module and a tool whose leases end
# right behind what may be used (make sharp HEADROOM=2). Seed 6 sees a module that goes past them.
# timeout: 600

sharp=$(dirname "$BUILD")/headroom-2
export MODULE=$sharp/$KVER/xfrmsync.ko XFRMSYNC=$sharp/tools/xfrmsync
export XFRMSYNC_SEED=${XFRMSYNC_SEED:-6} XFRMSYNC_CAMPAIGN=${XFRMSYNC_CAMPAIGN:-n=2 guard=available}
# shellcheck source=selftests/campaign.sh
. "$(dirname "$0")/campaign.sh"
