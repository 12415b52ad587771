/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: bytes that may be a context.
 * Out: an abort where the decoder does not keep what it promises.
 * Fuzzers only.
 */
#ifndef XFRMSYNC_TOOLS_FUZZ_CHECK_CONTEXT_H
#define XFRMSYNC_TOOLS_FUZZ_CHECK_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * check_context - decode it, and encode it again from what a kernel would be told
 * Nothing is to be said of one that is refused but why. One that is taken has to
 * come back from XFRM netlink byte by byte, but for what is not given to a kernel.
 */
void check_context(const uint8_t *p, size_t len);

#endif
