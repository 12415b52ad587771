#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# The matrix once more: held and saved on A, loaded on B, without a daemon (matrix.sh).
# timeout: 500

# shellcheck disable=SC2034 # matrix.sh reads it
by='file'
# shellcheck source=selftests/matrix.sh
. "$(dirname "$0")/matrix.sh"
