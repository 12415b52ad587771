/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: bytes that a fuzzer made up.
 * Out: 0; an abort or a sanitizer's report is a finding.
 * libFuzzer calls it; each harness has its own.
 */
#ifndef XFRMSYNC_TOOLS_FUZZ_FUZZ_H
#define XFRMSYNC_TOOLS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
