// SPDX-License-Identifier: GPL-2.0
/*
 * In: the name of a command; bytes of charon's vici socket.
 * Out: the packet of that request; the elements of what it answers.
 * Pure; who has the socket reads and writes it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vici.h"

static bool is_named(unsigned int type)
{
	return type == VICI_CMD_REQUEST || type == VICI_EVENT_REGISTER ||
	       type == VICI_EVENT_UNREGISTER || type == VICI_EVENT;
}

/* A name has one byte of length; a NUL within would make it another one. */
static bool get_name(struct rd *r, char name[VICI_NAME_MAX + 1])
{
	size_t len = rd_u8(r);

	rd_copy(r, name, len);
	name[r->bad ? 0 : len] = '\0';
	return !r->bad && strlen(name) == len;
}

void vici_put_request(struct buf *b, enum vici_type type, const char *name)
{
	size_t len = strnlen(name, VICI_NAME_MAX);

	buf_u32(b, 2 + len);
	buf_u8(b, type);
	buf_u8(b, len);
	buf_put(b, name, len);
}

int vici_get_packet(const uint8_t *data, size_t len, struct vici_packet *p)
{
	struct rd r = { .p = data, .left = len };
	uint32_t length;
	unsigned int type;

	if (len < 4)
		return 0;
	length = rd_u32(&r);
	if (length > VICI_MAX_PACKET)
		return -EMSGSIZE;
	if (!length)
		return -EBADMSG;
	if (r.left < length)
		return 0;
	memset(p, 0, sizeof(*p));
	r.left = length;
	type = rd_u8(&r);
	if (type >= VICI_TYPES)
		return -EBADMSG;
	p->type = type;
	if (is_named(type) && !get_name(&r, p->name))
		return -EBADMSG;
	p->message = r;
	p->len = 4 + (size_t)length;
	return 1;
}

static bool get_value(struct rd *r, struct vici_item *item)
{
	item->value_len = rd_u16(r);
	item->value = rd_bytes(r, item->value_len);
	return !r->bad;
}

/* Lists hold items and nothing else; sections and values stand outside of them. */
static bool fits(const struct vici_reader *v, unsigned int what)
{
	switch (what) {
	case VICI_SECTION_START:
		return !v->in_list && v->depth < VICI_MAX_DEPTH;
	case VICI_SECTION_END:
		return !v->in_list && v->depth;
	case VICI_KEY_VALUE:
	case VICI_LIST_START:
		return !v->in_list;
	case VICI_LIST_ITEM:
	case VICI_LIST_END:
		return v->in_list;
	default:
		return false;
	}
}

int vici_next(struct vici_reader *v, struct vici_item *item)
{
	unsigned int what;
	bool ok = true;

	memset(item, 0, sizeof(*item));
	if (!v->r.left)
		return v->depth || v->in_list || v->r.bad ? -EBADMSG : 0;
	what = rd_u8(&v->r);
	if (!fits(v, what))
		return -EBADMSG;
	item->what = what;
	switch (what) {
	case VICI_SECTION_START:
		v->depth++;
		ok = get_name(&v->r, item->name);
		break;
	case VICI_SECTION_END:
		v->depth--;
		break;
	case VICI_KEY_VALUE:
		ok = get_name(&v->r, item->name) && get_value(&v->r, item);
		break;
	case VICI_LIST_START:
		v->in_list = true;
		ok = get_name(&v->r, item->name);
		break;
	case VICI_LIST_ITEM:
		ok = get_value(&v->r, item);
		break;
	case VICI_LIST_END:
		v->in_list = false;
		break;
	}
	return ok ? 1 : -EBADMSG;
}

static int by_word(const void *a, const void *b)
{
	const struct vici_word *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len ? memcmp(x->p, y->p, x->len) : 0;
}

/* Room for a power of two. */
static int add_word(struct vici_words *w, const struct vici_item *item)
{
	struct vici_word *more = w->word;

	if (!(w->n & (w->n - 1)))
		more = reallocarray(more, w->n ? 2 * w->n : 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	w->word = more;
	w->word[w->n++] = (struct vici_word){ item->value, item->value_len };
	return 0;
}

int vici_get_words(struct rd message, const char *list, struct vici_words *w)
{
	struct vici_reader v = { .r = message };
	struct vici_item item;
	bool here = false;
	int ret, bad;

	*w = (struct vici_words){};
	while ((ret = vici_next(&v, &item)) == 1) {
		if (item.what == VICI_LIST_START)
			here = !v.depth && !strcmp(item.name, list);
		if (item.what != VICI_LIST_ITEM || !here)
			continue;
		bad = add_word(w, &item);
		if (bad)
			return bad;
	}
	if (w->n)
		qsort(w->word, w->n, sizeof(*w->word), by_word);
	return ret;
}

bool vici_has_word(const struct vici_words *w, const void *p, size_t len)
{
	const struct vici_word word = { p, len };

	return w->n && bsearch(&word, w->word, w->n, sizeof(word), by_word);
}
