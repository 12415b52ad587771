// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts of SAs that shall be installed here.
 * Out: whether this kernel supports their kind: algorithms, mode, attributes.
 * The daemon's loop; asks the kernel, in a namespace of its own, once for each kind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "context.h"
#include "context_fields.h"
#include "kind.h"
#include "log.h"
#include "scratch.h"

#define MAX_KINDS 256	/* more than that are not asked for */

/* ---- what makes a kind ---- */

/* The part of a field that does; the rest is one SA's own. */
static void part_of(const struct field *f, size_t *at, size_t *len)
{
	*at = 0;
	*len = f->value.left;
	switch (f->type) {
	case CONTEXT_SA_ID:		/* family, protocol, mode */
		*len = 4;
		break;
	case CONTEXT_SELECTOR:		/* family */
	case CONTEXT_ENCAP:		/* type */
		*len = 2;
		break;
	case CONTEXT_AEAD:		/* key bits, ICV bits, length of the name, name */
	case CONTEXT_AUTH:
	case CONTEXT_CRYPT:
	case CONTEXT_COMP:
		*len = f->value.left > 8 ? 9 + f->value.p[8] : 0;
		break;
	case CONTEXT_SEL_DEVICE:
	case CONTEXT_LIFETIME:
	case CONTEXT_COADDR:
	case CONTEXT_MARK:
	case CONTEXT_SET_MARK:
	case CONTEXT_IF_ID:
	case CONTEXT_TFC_PAD:
	case CONTEXT_MTIMER:
	case CONTEXT_OFFLOAD:
	case CONTEXT_KEEPALIVE:
		*len = 0;
		break;
	}
	if (*len > f->value.left)
		*len = f->value.left;
}

int kind_hash(const uint8_t *p, size_t len, uint8_t hash[KIND_HASH])
{
	struct rd r = { .p = p, .left = len };
	crypto_generichash_state h;
	struct field_error why;
	uint16_t last = 0;
	struct field f;
	size_t at, n;
	int ret;

	crypto_generichash_init(&h, NULL, 0, KIND_HASH);
	while ((ret = field_next(&r, &last, &f, &why)) > 0) {
		/* Of its path, not of the SA: it comes and goes. */
		if (f.type == CONTEXT_PMTU)
			continue;
		part_of(&f, &at, &n);
		crypto_generichash_update(&h, (void *)&f.type, sizeof(f.type));
		crypto_generichash_update(&h, (void *)&n, sizeof(n));
		crypto_generichash_update(&h, f.value.p + at, n);
	}
	crypto_generichash_final(&h, hash, KIND_HASH);
	return ret;
}

/* Most SAs are of one kind: to see that it is this one takes a quarter of a hash. */
size_t kind_shape(const uint8_t *p, size_t len, uint8_t shape[KIND_SHAPE])
{
	struct rd r = { .p = p, .left = len };
	struct field_error why;
	uint16_t last = 0;
	size_t at, n, to = 0;
	struct field f;
	uint32_t size;
	int ret;

	while ((ret = field_next(&r, &last, &f, &why)) > 0) {
		if (f.type == CONTEXT_PMTU)
			continue;
		part_of(&f, &at, &n);
		size = n;
		if (n > KIND_SHAPE || KIND_SHAPE - to < sizeof(f.type) + sizeof(size) + n)
			return 0;
		memcpy(shape + to, &f.type, sizeof(f.type));
		memcpy(shape + to + sizeof(f.type), &size, sizeof(size));
		to += sizeof(f.type) + sizeof(size);
		memcpy(shape + to, f.value.p + at, n);
		to += n;
	}
	return ret ? 0 : to;
}

/* "esp, tunnel, rfc4106(gcm(aes)) with 160 bits", for people. */
static void describe(const uint8_t *p, size_t len, char *buf, size_t size)
{
	struct context_sa info;
	struct field_error why;
	struct fields fs;
	struct alg alg;
	uint16_t type;
	int n;

	*buf = '\0';
	if (context_sa_info(p, len, &info, &why) ||
	    fields_read(p, len, CONTEXT_IS_SA, &fs, &why))
		return;
	n = snprintf(buf, size, "%s, %s", record_proto_str(info.id.proto),
		     record_mode_str(info.mode));
	for (type = CONTEXT_AEAD; type <= CONTEXT_COMP; type++) {
		if (!fs.has[type] || fields_get_alg(&fs, type, &alg) ||
		    (size_t)n >= size)
			continue;
		n += snprintf(buf + n, size - n, ", %s", alg.name);
		if (alg.key_bits && (size_t)n < size)
			n += snprintf(buf + n, size - n, " with %u bits",
				      alg.key_bits);
	}
}

/* ---- a dry installation ---- */

/* The keys are not needed for it, only as many bytes. */
static void forget_keys(struct buf *copy)
{
	struct field_error why;
	struct fields fs;
	struct alg alg;
	uint16_t type;

	if (fields_read(copy->data, copy->len, CONTEXT_IS_SA, &fs, &why))
		return;
	for (type = CONTEXT_AEAD; type <= CONTEXT_COMP; type++) {
		if (fs.has[type] && !fields_get_alg(&fs, type, &alg))
			randombytes_buf(copy->data + (alg.key - copy->data),
					alg.key_len);
	}
}

/* Errors of this node at this moment, or of the helper that asks (privops.h), which say
 * nothing of the kind.
 */
static bool is_passing(int ret)
{
	return ret == -EINTR || ret == -EPERM || ret == -ENODEV ||
	       ret == -EEXIST || ret == -EAGAIN || ret == -ENOMEM ||
	       ret == -ENOBUFS || ret == -ETOOMANYREFS || ret == -EPIPE ||
	       ret == -EACCES || ret == -EMSGSIZE;
}

void kinds_open(struct kinds *k)
{
	int ret = scratch_open(&k->scratch);

	k->opened = !ret;
	if (ret)
		log_info("no namespace to try kinds of SAs in (%s): what is not supported is found when it is installed",
			 strerror(-ret));
}

/* XFRM passes over attributes that it does not know: what it does not tell, it has not. */
static void look_what_is_lacking(struct kinds *k, const uint8_t *p, size_t len,
				 const struct sa_id *id, char *buf, size_t size)
{
	struct buf told = {};

	*buf = '\0';
	if (!xfrm_get_sa(&k->scratch, id, &told))
		context_lost(p, len, told.data, told.len, false, buf, size);
	buf_free(&told);
}

/* 0: it was taken, but for what is lacking; else why not. */
static int try(struct kinds *k, const uint8_t *p, size_t len, char *lacking,
	       size_t size)
{
	static const struct record unused;

	struct context_sa info;
	struct buf copy = {};
	int ret;

	ret = context_sa_info(p, len, &info, NULL);
	if (ret)
		return -EAGAIN;
	buf_put(&copy, p, len);
	if (copy.bad)
		return -ENOMEM;
	forget_keys(&copy);
	ret = xfrm_add_sa(&k->scratch, copy.data, copy.len, &unused);
	if (!ret) {
		look_what_is_lacking(k, p, len, &info.id, lacking, size);
		xfrm_delete_sa(&k->scratch, &info.id);
	}
	buf_free(&copy);
	return ret;
}

static struct kind *find(struct kinds *k, const uint8_t *hash)
{
	size_t i;

	for (i = 0; i < k->n; i++) {
		if (!memcmp(k->kind[i].hash, hash, KIND_HASH))
			return &k->kind[i];
	}
	return NULL;
}

/* NULL: nothing is known of it. */
static struct kind *ask(struct kinds *k, const uint8_t *p, size_t len,
			const uint8_t *hash)
{
	struct kind *more;
	char what[120], lacking[KIND_WHY] = "";
	int ret;

	if (k->n == MAX_KINDS || !k->opened)
		return NULL;
	ret = try(k, p, len, lacking, sizeof(lacking));
	if (is_passing(ret))
		return NULL;
	more = reallocarray(k->kind, k->n + 1, sizeof(*more));
	if (!more)
		return NULL;
	k->kind = more;
	more = &k->kind[k->n++];
	memset(more, 0, sizeof(*more));
	memcpy(more->hash, hash, KIND_HASH);
	more->supported = !ret;
	describe(p, len, what, sizeof(what));
	if (*lacking) {
		snprintf(more->lacking, sizeof(more->lacking), "%.70s (%s)",
			 lacking, what);
		k->untold++;
		log_warn("this node's kernel does not know what SAs of a kind have: %s: they are used without",
			 more->lacking);
	}
	if (!ret)
		return more;
	snprintf(more->why, sizeof(more->why), "%.70s (%s)", k->scratch.error,
		 what);
	log_warn("this node does not support a kind of SA: %s", more->why);
	return more;
}

const char *kinds_why_not(struct kinds *k, const uint8_t *p, size_t len)
{
	uint8_t hash[KIND_HASH], shape[KIND_SHAPE];
	size_t shape_len = kind_shape(p, len, shape);
	struct kind *kind;

	if (shape_len && shape_len == k->last_len &&
	    !memcmp(shape, k->last_shape, shape_len)) {
		kind = &k->kind[k->last];
	} else {
		if (kind_hash(p, len, hash))
			return NULL;
		kind = find(k, hash);
		if (!kind)
			kind = ask(k, p, len, hash);
		if (!kind)
			return NULL;
		k->last = kind - k->kind;
		k->last_len = shape_len;
		memcpy(k->last_shape, shape, shape_len);
	}
	return kind->supported ? NULL : kind->why;
}

void kinds_ask_again(struct kinds *k)
{
	size_t i = 0;

	k->last_len = 0;	/* they move */
	while (i < k->n) {
		if (k->kind[i].supported)
			i++;
		else
			k->kind[i] = k->kind[--k->n];
	}
}

const char *kinds_next_lacking(struct kinds *k)
{
	size_t i;

	if (!k->untold)
		return NULL;
	for (i = 0; i < k->n; i++) {
		if (*k->kind[i].lacking && !k->kind[i].told) {
			k->kind[i].told = true;
			k->untold--;
			return k->kind[i].lacking;
		}
	}
	return NULL;
}

void kinds_tell_again(struct kinds *k)
{
	size_t i;

	k->untold = 0;
	for (i = 0; i < k->n; i++) {
		k->kind[i].told = false;
		k->untold += *k->kind[i].lacking != '\0';
	}
}

void kinds_free(struct kinds *k)
{
	if (k->opened)
		xfrm_close(&k->scratch);
	free(k->kind);
	memset(k, 0, sizeof(*k));
}
