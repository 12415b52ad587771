// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts with their records; a file of them.
 * Out: the file, sealed or plain (Documentation/wire.rst); what is in it.
 * Reads and writes the whole file at once. Bodies hold keys and are wiped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "context_file.h"
#include "durable.h"
#include "seal.h"
#include "wire.h"

#define MAGIC "XFRMSYNC"
#define VERSION_NOW 1
#define HEAD 16			/* bytes */
#define SUM 32			/* bytes */
#define PURPOSE "xfrmsync contexts in a file 1"

enum form { PLAIN = 0, SEALED = 1 };

/* ---- writing ---- */

void context_file_begin(struct context_file *f)
{
	size_t len = strlen(f->node);

	buf_u64(&f->body, f->saved_at);
	buf_u8(&f->body, len);
	buf_put(&f->body, f->node, len);
	f->first = f->body.len + 8;
	buf_u32(&f->body, 0);
	buf_u32(&f->body, 0);
}

static size_t entry_begin(struct buf *b, uint8_t kind, uint8_t flags)
{
	buf_u8(b, kind);
	buf_u8(b, flags);
	buf_u16(b, 0);
	buf_u32(b, 0);
	return b->len;
}

static void entry_end(struct buf *b, size_t start)
{
	buf_set_u32(b, start - 4, b->len - start);
}

void context_file_put_sa(struct context_file *f, const struct record *rec,
			 uint64_t sent, uint8_t flags, const uint8_t *context,
			 size_t len)
{
	size_t at = entry_begin(&f->body, CONTEXT_ENTRY_SA, flags);

	wire_put_record(&f->body, 0, rec, sent, f->saved_at);
	buf_put(&f->body, context, len);
	entry_end(&f->body, at);
	f->sas++;
}

void context_file_put_policy(struct context_file *f, const uint8_t *context,
			     size_t len)
{
	size_t at = entry_begin(&f->body, CONTEXT_ENTRY_POLICY, 0);

	buf_put(&f->body, context, len);
	entry_end(&f->body, at);
	f->policies++;
}

static void count_ike(struct context_file *f, uint8_t flags)
{
	if (flags & CONTEXT_ENTRY_ENDED)
		f->ike_ended++;
	else
		f->ike_sas++;
}

void context_file_put_ike(struct context_file *f, uint8_t flags,
			  const uint8_t *entry, size_t len)
{
	size_t at = entry_begin(&f->body, CONTEXT_ENTRY_IKE, flags);

	buf_put(&f->body, entry, len);
	entry_end(&f->body, at);
	count_ike(f, flags);
}

static void fill_head(uint8_t head[HEAD], enum form form)
{
	memset(head, 0, HEAD);
	memcpy(head, MAGIC, 8);
	head[9] = VERSION_NOW;
	head[10] = form;
}

int context_file_write(const struct context_file *f, const char *path,
		       const struct secret *key)
{
	struct buf body = f->body, out = {};
	uint8_t head[HEAD], sum[SUM];
	int ret;

	if (body.bad)
		return -ENOMEM;
	/* Of DH secrets come all keys there were. */
	if (f->ike_sas + f->ike_ended && !key)
		return -EPERM;
	buf_set_u32(&body, f->first - 8, f->sas);
	buf_set_u32(&body, f->first - 4, f->policies);
	fill_head(head, key ? SEALED : PLAIN);
	buf_put(&out, head, HEAD);
	if (key) {
		seal_put(&out, key, PURPOSE, head, HEAD, body.data, body.len);
	} else {
		buf_put(&out, body.data, body.len);
		if (!out.bad)
			crypto_generichash(sum, SUM, out.data, out.len, NULL, 0);
		buf_put(&out, sum, SUM);
	}
	ret = out.bad ? -ENOMEM : durable_write(path, out.data, out.len, 0600);
	buf_free(&out);
	return ret;
}

/* ---- reading ---- */

static int read_all(const char *path, struct buf *b)
{
	uint8_t chunk[16384];
	struct stat st;
	ssize_t n;
	int fd, ret = 0;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* A device may have no end. */
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		ret = -EINVAL;
	while (!ret && !b->bad && (n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno != EINTR)
			ret = -errno;
		else if (n > 0)
			buf_put(b, chunk, n);
	}
	sodium_memzero(chunk, sizeof(chunk));
	close(fd);
	return b->bad ? -ENOMEM : ret;
}

static const char *open_plain(struct context_file *f, const struct buf *raw)
{
	uint8_t sum[SUM];

	if (raw->len < HEAD + SUM)
		return "it is cut";
	crypto_generichash(sum, SUM, raw->data, raw->len - SUM, NULL, 0);
	if (memcmp(sum, raw->data + raw->len - SUM, SUM))
		return "it is cut, or was changed";
	buf_put(&f->body, raw->data + HEAD, raw->len - HEAD - SUM);
	return f->body.bad ? "out of memory" : NULL;
}

static const char *open_sealed(struct context_file *f, const struct buf *raw,
			       const struct secret *key)
{
	if (!key)
		return "it is sealed: the cluster's key is needed (key_file, or --key)";
	if (seal_get(&f->body, key, PURPOSE, raw->data, HEAD, raw->data + HEAD,
		     raw->len - HEAD))
		return "it is cut, was changed, or is sealed with another key";
	return f->body.bad ? "out of memory" : NULL;
}

/* The part before the entries; and all of them have to be there. */
static const char *read_head(struct context_file *f)
{
	struct rd r = { .p = f->body.data, .left = f->body.len };
	size_t sas = 0, policies = 0;
	uint8_t len, kind, flags;

	f->saved_at = rd_u64(&r);
	len = rd_u8(&r);
	if (len >= sizeof(f->node))
		return "it is malformed";
	rd_copy(&r, f->node, len);
	f->node[len] = 0;
	if (strlen(f->node) != len)
		return "it is malformed";
	f->sas = rd_u32(&r);
	f->policies = rd_u32(&r);
	f->first = f->body.len - r.left;
	while (r.left && !r.bad) {
		kind = rd_u8(&r);
		flags = rd_u8(&r);
		sas += kind == CONTEXT_ENTRY_SA;
		policies += kind == CONTEXT_ENTRY_POLICY;
		if (kind == CONTEXT_ENTRY_IKE)
			count_ike(f, flags);
		rd_bytes(&r, 2);
		rd_bytes(&r, rd_u32(&r));
		if (kind < CONTEXT_ENTRY_SA || kind > CONTEXT_ENTRY_IKE)
			return "it has entries of an unknown kind";
	}
	return r.bad || sas != f->sas || policies != f->policies ?
	       "it is malformed" : NULL;
}

static const char *read_raw(struct context_file *f, const struct buf *raw,
			    const struct secret *key, bool plain)
{
	struct rd r = { .p = raw->data, .left = raw->len };
	const uint8_t *magic = rd_bytes(&r, 8);
	const char *why;
	uint8_t form;

	if (!magic || memcmp(magic, MAGIC, 8))
		return "it is no file of contexts";
	if (rd_u16(&r) != VERSION_NOW)
		return "it is of another version of xfrmsync";
	form = rd_u8(&r);
	if (rd_u8(&r) || rd_u32(&r) || r.bad || form > SEALED)
		return "it is malformed";
	/* Anybody can write one that is not: no key vouches for it. */
	if (form == PLAIN && !plain)
		return "it is not sealed: --plain, if you trust whoever wrote it";
	why = form == SEALED ? open_sealed(f, raw, key) : open_plain(f, raw);
	if (!why)
		why = read_head(f);
	if (!why && form == PLAIN && f->ike_sas + f->ike_ended)
		why = "it has IKE SAs, and is not sealed: nobody vouches for them";
	return why;
}

int context_file_read(struct context_file *f, const char *path,
		      const struct secret *key, bool plain, char *err,
		      size_t errlen)
{
	struct buf raw = {};
	const char *why;
	int ret;

	memset(f, 0, sizeof(*f));
	ret = read_all(path, &raw);
	why = ret == -EINVAL ? "it is no regular file" : ret ? strerror(-ret) : read_raw(f, &raw, key, plain);
	buf_free(&raw);
	if (!why)
		return 0;
	snprintf(err, errlen, "%s: %s", path, why);
	context_file_free(f);
	return -1;
}

int context_file_next(const struct context_file *f, struct rd *r, uint64_t now,
		      struct context_entry *e)
{
	uint32_t handle, len;
	struct rd v;
	bool bad;

	if (!r->p) {
		r->p = f->body.data + f->first;
		r->left = f->body.len - f->first;
	}
	memset(e, 0, sizeof(*e));
	if (!r->left)
		return 0;
	e->kind = rd_u8(r);
	e->flags = rd_u8(r);
	bad = rd_u16(r);
	len = rd_u32(r);
	v = (struct rd){ .p = rd_bytes(r, len), .left = len };
	/* Its age grew meanwhile; a clock that went back does not make it younger. */
	if (f->saved_at < now)
		now = f->saved_at;
	if (e->kind == CONTEXT_ENTRY_SA &&
	    (wire_get_record(&v, &handle, &e->rec, &e->sent, now) || handle))
		bad = true;
	if (v.bad)
		return -EBADMSG;
	e->context = v.p;
	e->context_len = v.left;
	return !bad && e->kind >= CONTEXT_ENTRY_SA &&
	       e->kind <= CONTEXT_ENTRY_IKE ? 1 : -EBADMSG;
}

void context_file_free(struct context_file *f)
{
	buf_free(&f->body);
	memset(f, 0, sizeof(*f));
}
