/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: values of a context.
 * Out: the list of typed fields that the nodes exchange, and back.
 * Pure; the bytes may hold keys.
 *
 * {u16 type, u8 class, u8 0, u32 length, value}, all in network order, in
 * strictly ascending order of type: one form for one context, and no doubles.
 */
#ifndef XFRMSYNC_TOOLS_FIELD_H
#define XFRMSYNC_TOOLS_FIELD_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define FIELD_HEADER 8		/* bytes */

enum field_class {
	FIELD_MANDATORY = 'M',	/* unknown: the context is refused */
	FIELD_OPTIONAL = 'O',	/* unknown: kept, passed on, not applied */
	FIELD_VENDOR = 'V',	/* an XFRM attribute we do not know */
};

struct field {
	uint16_t type;
	uint8_t class;		/* enum field_class */
	struct rd value;	/* in place */
};

/* What is wrong with a list, for people: field_error_str. */
struct field_error {
	uint16_t type;		/* 0: of no field */
	const char *what;	/* static; NULL: nothing is wrong */
};

/* A field begins; field_end with what this returned writes its length. */
size_t field_begin(struct buf *b, uint16_t type, enum field_class class);
void field_end(struct buf *b, size_t start);
void field_put_u32(struct buf *b, uint16_t type, enum field_class class,
		   uint32_t v);

/*
 * field_next - the next field of a list
 * @last: type of the one before; 0 before the first, then it is kept here
 * Return: 1; 0 at the end; -EBADMSG, and *why says what is wrong with which.
 */
/* -EBADMSG is what it comes to. */
void field_bad(struct field_error *why, uint16_t type, const char *what);

/* Ten of these an SA, each time it is read: no call for one. */
static inline int field_next(struct rd *r, uint16_t *last, struct field *f,
			     struct field_error *why)
{
	struct {
		uint16_t type;
		uint8_t class, zero;
		uint32_t len;
	} head;

	_Static_assert(sizeof(head) == FIELD_HEADER, "as it is written");
	if (!r->left)
		return 0;
	rd_copy(r, &head, sizeof(head));
	if (r->bad)
		return field_bad(why, 0, "ends within the header of a field"), -EBADMSG;
	f->type = be16toh(head.type);
	f->class = head.class;
	f->value.left = be32toh(head.len);
	f->value.bad = false;
	f->value.p = rd_bytes(r, f->value.left);
	if (r->bad)
		return field_bad(why, f->type, "is longer than the context"), -EBADMSG;
	if (f->type == *last)
		return field_bad(why, f->type, "stands twice"), -EBADMSG;
	if (f->type < *last)
		return field_bad(why, f->type, "is out of order"), -EBADMSG;
	if (head.zero || (f->class != FIELD_MANDATORY && f->class != FIELD_OPTIONAL &&
			  f->class != FIELD_VENDOR))
		return field_bad(why, f->type, "has an unknown class"), -EBADMSG;
	*last = f->type;
	return 1;
}

#endif
