#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Lifetimes once more: held and saved on A, loaded on B, without a daemon (lifetimes.sh).
# timeout: 500

# shellcheck disable=SC2034 # lifetimes.sh reads it
by='file'
# shellcheck source=selftests/lifetimes.sh
. "$(dirname "$0")/lifetimes.sh"
