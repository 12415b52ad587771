/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the name of a command; bytes of charon's vici socket.
 * Out: the packet of that request; the elements of what it answers.
 * Pure; who has the socket reads and writes it.
 *
 * strongSwan's src/libcharon/plugins/vici/README.md describes the protocol: each packet
 * has its length before it (u32), then a type and, for some types, a name; then a
 * message, a list of elements that nest. libvici of Debian comes without headers.
 */
#ifndef XFRMSYNC_TOOLS_VICI_H
#define XFRMSYNC_TOOLS_VICI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define VICI_MAX_PACKET (512 * 1024)	/* bytes, as charon has it */
#define VICI_NAME_MAX 255
#define VICI_MAX_DEPTH 16		/* of sections in sections */

enum vici_type {
	VICI_CMD_REQUEST = 0,
	VICI_CMD_RESPONSE = 1,
	VICI_CMD_UNKNOWN = 2,
	VICI_EVENT_REGISTER = 3,
	VICI_EVENT_UNREGISTER = 4,
	VICI_EVENT_CONFIRM = 5,
	VICI_EVENT_UNKNOWN = 6,
	VICI_EVENT = 7,
	VICI_TYPES,
};

enum vici_element {
	VICI_SECTION_START = 1,
	VICI_SECTION_END = 2,
	VICI_KEY_VALUE = 3,
	VICI_LIST_START = 4,
	VICI_LIST_ITEM = 5,
	VICI_LIST_END = 6,
};

/* Append a request without arguments: a command, or who wants an event. */
void vici_put_request(struct buf *b, enum vici_type type, const char *name);

struct vici_packet {
	enum vici_type type;
	char name[VICI_NAME_MAX + 1];	/* of an event, or a request; else empty */
	struct rd message;		/* in place */
	size_t len;			/* of all of it, with its length: take so many */
};

/*
 * vici_get_packet - look at the first bytes of what came
 * Return: 1, *p is filled; 0, more bytes are needed; -EMSGSIZE (longer than any);
 * -EBADMSG.
 */
int vici_get_packet(const uint8_t *data, size_t len, struct vici_packet *p);

/* What stands at a place of a message. */
struct vici_item {
	enum vici_element what;
	char name[VICI_NAME_MAX + 1];	/* of a section, a value, a list */
	const uint8_t *value;		/* in place, without a NUL */
	size_t value_len;
};

/* Where in a message a reader is. Zeroed but for r. */
struct vici_reader {
	struct rd r;
	unsigned int depth;		/* sections that are open */
	bool in_list;
};

/* 1: *item is the next element; 0: the message is at its end; -EBADMSG. */
int vici_next(struct vici_reader *v, struct vici_item *item);

/* Items of a list, sorted; they point into the message, which has to stay. */
struct vici_words {
	struct vici_word {
		const uint8_t *p;
		size_t len;
	} *word;
	size_t n;
};

/*
 * vici_get_words - the items of that list, outside of all sections
 * @w: free word when it is not used any more, also after an error
 * Return: 0, -EBADMSG, -ENOMEM.
 */
int vici_get_words(struct rd message, const char *list, struct vici_words *w);
bool vici_has_word(const struct vici_words *w, const void *p, size_t len);

#endif
