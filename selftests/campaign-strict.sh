#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The short campaign with a strict guard: nothing at all may be delivered again. Two rounds have
# stories of planned takeovers after which it holds, or fences, SAs; one is as it is drawn.
# timeout: 600

export XFRMSYNC_SEED=${XFRMSYNC_SEED:-20261122}
export XFRMSYNC_CAMPAIGN=${XFRMSYNC_CAMPAIGN:-n=3 guard=strict case=held,fenced,drawn}
# shellcheck disable=SC2034 # campaign.sh reads it
n_results=18
# shellcheck source=selftests/campaign.sh
. "$(dirname "$0")/campaign.sh"
