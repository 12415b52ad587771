// SPDX-License-Identifier: GPL-2.0
/*
 * In: a context, of an SA or of a policy.
 * Out: what check_context finds.
 * libFuzzer's harness: the context decoder.
 */
#include "check_context.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_context(data, size);
	return 0;
}
