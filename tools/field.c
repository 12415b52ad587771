// SPDX-License-Identifier: GPL-2.0
/*
 * In: values of a context.
 * Out: the list of typed fields that the nodes exchange, and back.
 * Pure; the bytes may hold keys.
 */
#include <errno.h>

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

static int bad(struct field_error *why, uint16_t type, const char *what)
{
	why->type = type;
	why->what = what;
	return -EBADMSG;
}

int field_next(struct rd *r, uint16_t *last, struct field *f,
	       struct field_error *why)
{
	uint8_t zero;
	uint32_t len;

	if (!r->left)
		return 0;
	f->type = rd_u16(r);
	f->class = rd_u8(r);
	zero = rd_u8(r);
	len = rd_u32(r);
	if (r->bad)
		return bad(why, 0, "ends within the header of a field");
	f->value.left = len;
	f->value.bad = false;
	f->value.p = rd_bytes(r, len);
	if (r->bad)
		return bad(why, f->type, "is longer than the context");
	if (f->type == *last)
		return bad(why, f->type, "stands twice");
	if (f->type < *last)
		return bad(why, f->type, "is out of order");
	if (zero || (f->class != FIELD_MANDATORY && f->class != FIELD_OPTIONAL &&
		     f->class != FIELD_VENDOR))
		return bad(why, f->type, "has an unknown class");
	*last = f->type;
	return 1;
}
