/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: contexts.
 * Out: what stands in them, for people and machines; never a key.
 * Any process of the tool.
 */
#ifndef XFRMSYNC_TOOLS_CONTEXT_PRINT_H
#define XFRMSYNC_TOOLS_CONTEXT_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

/*
 * context_json - the fields of a context, by their names in wire.rst
 * Keys are told by their length, unknown fields by class and length. A
 * malformed one has "error". New reference; NULL: no memory.
 */
json_t *context_json(const uint8_t *p, size_t len);

/* The same object in a block: a heading, and a line for each field. */
void context_print(FILE *out, const json_t *o);

/* One of a list, after n others: a member of an array, or a block. */
void context_print_next(FILE *out, const json_t *o, bool json, size_t n);

#endif
