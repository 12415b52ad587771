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
int field_next(struct rd *r, uint16_t *last, struct field *f,
	       struct field_error *why);

#endif
