// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts.
 * Out: whether two are the same SA, with the same keys or parameters; its tag.
 * Pure; keys are compared in constant time.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sodium.h>

#include "context.h"
#include "context_fields.h"

static const uint16_t key_fields[] = {
	CONTEXT_AEAD, CONTEXT_AUTH, CONTEXT_CRYPT, CONTEXT_COMP,
};

#define N_KEY_FIELDS (sizeof(key_fields) / sizeof(key_fields[0]))

/* Reads a whole, valid SA. */
static bool read_sa(const uint8_t *p, size_t len, struct context_sa *info,
		    struct fields *fs, struct field_error *why)
{
	int ret = context_sa_info(p, len, info, why);

	/* Where its interface is gone, its keys are not. */
	return (!ret || ret == -ENODEV) &&
	       !fields_read(p, len, CONTEXT_IS_SA, fs, why);
}

uint64_t context_tag(const uint8_t *p, size_t len, const uint8_t key[32])
{
	crypto_generichash_state h;
	struct field_error why;
	struct context_sa info;
	struct fields fs;
	uint64_t tag = 0;
	uint32_t word;
	uint8_t out[16];
	size_t i;

	if (!read_sa(p, len, &info, &fs, &why))
		return 0;
	crypto_generichash_init(&h, key, 32, sizeof(out));
	word = htobe32((uint32_t)info.id.family << 16 | info.id.proto);
	crypto_generichash_update(&h, (void *)&word, 4);
	crypto_generichash_update(&h, (void *)&info.id.spi, 4);
	crypto_generichash_update(&h, info.id.dst, 16);
	word = htobe32(info.id.mark);
	crypto_generichash_update(&h, (void *)&word, 4);
	word = htobe32(info.id.mark_mask);
	crypto_generichash_update(&h, (void *)&word, 4);
	for (i = 0; i < N_KEY_FIELDS; i++) {
		const struct field *f = &fs.known[key_fields[i]];

		if (!fs.has[key_fields[i]])
			continue;
		/* With the field's header, so that no two lists run together. */
		crypto_generichash_update(&h, f->value.p - FIELD_HEADER,
					  f->value.left + FIELD_HEADER);
	}
	crypto_generichash_final(&h, out, sizeof(out));
	memcpy(&tag, out, sizeof(tag));
	sodium_memzero(&h, sizeof(h));
	tag = be64toh(tag);
	return tag ? tag : 1;
}

static bool is_one_tunnel(const struct context_sa *a, const struct context_sa *b)
{
	return a->mode == b->mode && a->reqid == b->reqid &&
	       a->if_id == b->if_id && !memcmp(a->src, b->src, sizeof(a->src));
}

bool context_same_keys(const uint8_t *a, size_t alen, const uint8_t *b,
		       size_t blen)
{
	struct context_sa ia, ib;
	struct field_error why;
	struct fields fa, fb;
	size_t i;

	if (!read_sa(a, alen, &ia, &fa, &why) ||
	    !read_sa(b, blen, &ib, &fb, &why) || !sa_id_equal(&ia.id, &ib.id))
		return false;
	for (i = 0; i < N_KEY_FIELDS; i++) {
		uint16_t type = key_fields[i];
		const struct rd *ra = &fa.known[type].value;
		const struct rd *rb = &fb.known[type].value;

		if (fa.has[type] != fb.has[type] || ra->left != rb->left)
			return false;
		if (fa.has[type] && sodium_memcmp(ra->p, rb->p, ra->left))
			return false;
	}
	/* It has no keys: of two tunnels to one address, with one CPI, nothing else
	 * says that they are two.
	 */
	return ia.id.proto != IPPROTO_COMP || is_one_tunnel(&ia, &ib);
}

/* The next mandatory field; false at the end. */
static bool next_mandatory(struct rd *r, uint16_t *last, struct field *f)
{
	struct field_error why;

	while (field_next(r, last, f, &why) > 0) {
		if (f->class == FIELD_MANDATORY)
			return true;
	}
	return false;
}

bool context_same_parameters(const uint8_t *a, size_t alen, const uint8_t *b,
			     size_t blen)
{
	struct rd ra = { .p = a, .left = alen }, rb = { .p = b, .left = blen };
	uint16_t last_a = 0, last_b = 0;
	struct field fa, fb;

	for (;;) {
		bool more = next_mandatory(&ra, &last_a, &fa);

		if (more != next_mandatory(&rb, &last_b, &fb))
			return false;
		if (!more)
			return true;
		if (fa.type != fb.type || fa.value.left != fb.value.left ||
		    sodium_memcmp(fa.value.p, fb.value.p, fa.value.left))
			return false;
	}
}

/* The next one that only a later version, or another kernel, has; false at the end. */
static bool next_unknown(struct rd *r, uint16_t *last, struct field *f)
{
	struct field_error why;

	while (field_next(r, last, f, &why) > 0) {
		if (f->class != FIELD_MANDATORY && !fields_name(f->type))
			return true;
	}
	return false;
}

static void put_field(struct buf *b, const struct field *f)
{
	size_t at = field_begin(b, f->type, f->class);

	buf_put(b, f->value.p, f->value.left);
	field_end(b, at);
}

int context_keep_unknown(const uint8_t *old, size_t len, struct buf *ctx)
{
	struct rd r_was = { .p = old, .left = len };
	struct rd r_is = { .p = ctx->data, .left = ctx->len };
	uint16_t last_was = 0, last_is = 0;
	struct field_error why;
	struct field was, is;
	struct buf both = {};
	bool more_was, more_is;

	if (!context_same_parameters(old, len, ctx->data, ctx->len))
		return 0;
	more_was = next_unknown(&r_was, &last_was, &was);
	if (!more_was)
		return 0;
	more_is = field_next(&r_is, &last_is, &is, &why) > 0;
	while (more_was || more_is) {
		/* Of one type it is the kernel's. */
		if (more_was && more_is && was.type == is.type) {
			more_was = next_unknown(&r_was, &last_was, &was);
		} else if (more_was && (!more_is || was.type < is.type)) {
			put_field(&both, &was);
			more_was = next_unknown(&r_was, &last_was, &was);
		} else {
			put_field(&both, &is);
			more_is = field_next(&r_is, &last_is, &is, &why) > 0;
		}
	}
	if (both.bad) {
		buf_free(&both);
		return -ENOMEM;
	}
	if (both.len > CONTEXT_MAX) {
		buf_free(&both);
		return 0;
	}
	buf_free(ctx);
	*ctx = both;
	return 0;
}

/* Not what is told to a node alone. */
static bool is_for_kernel(const struct field *f, bool all)
{
	if (f->class == FIELD_MANDATORY || f->type == CONTEXT_OFFLOAD ||
	    f->type == CONTEXT_PMTU)
		return false;
	/* A vendor's of the other byte order does not get there. */
	return all || f->class == FIELD_VENDOR || fields_name(f->type);
}

static bool has_field(const uint8_t *p, size_t len, uint16_t type)
{
	struct rd r = { .p = p, .left = len };
	struct field_error why;
	uint16_t last = 0;
	struct field f;

	while (field_next(&r, &last, &f, &why) > 0) {
		if (f.type == type)
			return true;
	}
	return false;
}

size_t context_lost(const uint8_t *p, size_t len, const uint8_t *now,
		    size_t now_len, bool all, char *buf, size_t size)
{
	struct rd r = { .p = p, .left = len };
	const char *name, *comma = "";
	struct field_error why;
	uint16_t last = 0;
	size_t n = 0, at = 0;
	struct field f;

	*buf = '\0';
	while (field_next(&r, &last, &f, &why) > 0) {
		if (!is_for_kernel(&f, all) || has_field(now, now_len, f.type))
			continue;
		n++;
		if (at >= size)
			continue;
		name = fields_name(f.type);
		if (name)
			at += snprintf(buf + at, size - at, "%s%s", comma, name);
		else if (f.class == FIELD_VENDOR)
			at += snprintf(buf + at, size - at, "%sattribute %u", comma,
				       f.type & ~(unsigned int)CONTEXT_VENDOR_BASE);
		else
			at += snprintf(buf + at, size - at, "%sfield 0x%04x", comma,
				       f.type);
		comma = ", ";
	}
	return n;
}
