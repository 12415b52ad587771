/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: tests/vectors/NAME.hex, hex digits with comments.
 * Out: the bytes.
 * Host only; run from the tool's folder, as make does.
 */
#ifndef XFRMSYNC_TOOLS_TESTS_VECTOR_H
#define XFRMSYNC_TOOLS_TESTS_VECTOR_H

#include "buf.h"

/* The caller frees it. Fails the test where there is no such file. */
struct buf vector_read(const char *name);
/* Fails the test where they differ, and says in which byte of which vector. */
void vector_equal(const char *name, const struct buf *vector, const void *p,
		  size_t len);

#endif
