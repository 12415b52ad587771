// SPDX-License-Identifier: GPL-2.0
/*
 * In: which form (the first byte), and a file of contexts: as it is, or its body, which
 *     is then sealed, or summed up, so that the reader gets to it.
 * Out: what load would see; a file whose entries are all taken is, written again, what
 *      it was.
 * libFuzzer's harness: the file reader.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "check_context.h"
#include "context_file.h"
#include "fuzz.h"
#include "ike_saved.h"
#include "seal.h"
#include "wire.h"

/* As context_file.c has them. */
#define HEAD 16
#define PURPOSE "xfrmsync contexts in a file 1"

enum { RAW, SEALED_BODY, PLAIN_BODY, FORMS };

static const struct secret key = { .key = { 1 }, .len = 32 };
static char path[64];
static int fd = -1;

static void put_plain(struct buf *b, const uint8_t *p, size_t len)
{
	uint8_t sum[32];

	buf_put(b, "XFRMSYNC\0\1\0\0\0\0\0", HEAD);
	buf_put(b, p, len);
	crypto_generichash(sum, sizeof(sum), b->data, b->len, NULL, 0);
	buf_put(b, sum, sizeof(sum));
}

static void put_sealed(struct buf *b, const uint8_t *p, size_t len)
{
	static const char head[HEAD] = "XFRMSYNC\0\1\1";

	buf_put(b, head, HEAD);
	seal_put(b, &key, PURPOSE, (const uint8_t *)head, HEAD, p, len);
}

static void spill(const struct buf *b)
{
	if (fd < 0) {
		fd = memfd_create("file", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	assert(fd >= 0 && !ftruncate(fd, b->len));
	assert(pwrite(fd, b->data, b->len, 0) == (ssize_t)b->len);
}

/* load does not ask for it: of a record that was taken. */
static uint64_t sent_of(const struct context_entry *e, const uint8_t *entry,
			uint64_t now)
{
	struct rd r = { .p = entry + 8, .left = e->context - entry - 8 };
	struct record rec;
	uint32_t handle;
	uint64_t sent;

	assert(!wire_get_record(&r, &handle, &rec, &sent, now));
	assert(rd_done(&r));
	return sent;
}

/* One that is taken comes back byte by byte, its context. */
static void check_ike(const uint8_t *p, size_t len)
{
	struct field_error why;
	struct ike_saved saved;
	struct buf again = {};
	char text[160];

	if (ike_saved_get(p, len, &saved, &why)) {
		assert(*ike_context_error_str(&why, text, sizeof(text)));
	} else {
		assert(!ike_context_encode(&saved.ctx, &again));
		assert(again.len <= len - 4 && !memcmp(again.data, p + 4, again.len));
	}
	ike_saved_exit(&saved);
	buf_free(&again);
}

/* False where one of them is malformed. */
static bool read_entries(const struct context_file *f, struct context_file *again)
{
	const uint8_t *at = f->body.data + f->first;
	struct context_entry e;
	struct rd r = {};
	bool all = true;
	int ret;

	for (; (ret = context_file_next(f, &r, f->saved_at, &e)); at = r.p) {
		if (ret < 0) {
			all = false;
			continue;
		}
		if (e.kind == CONTEXT_ENTRY_IKE) {
			check_ike(e.context, e.context_len);
			context_file_put_ike(again, e.flags, e.context, e.context_len);
			continue;
		}
		check_context(e.context, e.context_len);
		if (e.kind == CONTEXT_ENTRY_POLICY && !e.flags)
			context_file_put_policy(again, e.context, e.context_len);
		else if (e.kind == CONTEXT_ENTRY_SA)
			context_file_put_sa(again, &e.rec,
					    sent_of(&e, at, f->saved_at),
					    e.flags, e.context, e.context_len);
		else
			all = false;
	}
	return all;
}

static void check_file(const struct context_file *f)
{
	struct context_file again = { .saved_at = f->saved_at };
	bool all;

	memcpy(again.node, f->node, sizeof(again.node));
	context_file_begin(&again);
	all = read_entries(f, &again);
	/* Ages need a clock that is later than they are. */
	if (all && f->saved_at > UINT32_MAX) {
		assert(again.sas == f->sas && again.policies == f->policies);
		assert(again.ike_sas == f->ike_sas && again.ike_ended == f->ike_ended);
		assert(again.body.len == f->body.len);
		assert(!memcmp(again.body.data + again.first,
			       f->body.data + f->first, f->body.len - f->first));
	}
	context_file_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct context_file f;
	struct buf b = {};
	char err[200] = "";

	if (!size)
		return 0;
	if (data[0] % FORMS == RAW)
		buf_put(&b, data + 1, size - 1);
	else if (data[0] % FORMS == SEALED_BODY)
		put_sealed(&b, data + 1, size - 1);
	else
		put_plain(&b, data + 1, size - 1);
	spill(&b);
	buf_free(&b);
	if (context_file_read(&f, path, &key, true, err, sizeof(err))) {
		assert(err[0]);
		return 0;
	}
	check_file(&f);
	context_file_free(&f);
	return 0;
}
