// SPDX-License-Identifier: GPL-2.0
/*
 * In: values of a context.
 * Out: the list of typed fields that the nodes exchange, and back.
 * Pure; the bytes may hold keys.
 */
#include "field.h"

size_t field_begin(struct buf *b, uint16_t type, enum field_class class)
{
	buf_u16(b, type);
	buf_u8(b, class);
	buf_u8(b, 0);
	buf_u32(b, 0);
	return b->len;
}

void field_end(struct buf *b, size_t start)
{
	buf_set_u32(b, start - 4, b->len - start);
}

void field_put_u32(struct buf *b, uint16_t type, enum field_class class,
		   uint32_t v)
{
	size_t at = field_begin(b, type, class);

	buf_u32(b, v);
	field_end(b, at);
}

void field_bad(struct field_error *why, uint16_t type, const char *what)
{
	why->type = type;
	why->what = what;
}
