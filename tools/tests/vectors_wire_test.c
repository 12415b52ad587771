// SPDX-License-Identifier: GPL-2.0
/*
 * In: frames and files, byte by byte (vectors/); files that a machine of the
 *     other byte order has written ($XFRMSYNC_EXCHANGE, a folder).
 * Out: what is in them, and the same bytes again, the same on every machine.
 * Host only.
 */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/xfrmsync.h>

#include "context.h"
#include "context_file.h"
#include "durable.h"
#include "vector.h"
#include "wire.h"

#define NOW 1700000000ULL
#define EPOCH 0x0102030405060708ULL
#define NODE 0x0a0b0c0d
#define TAG 0xfedcba9876543210ULL

static const struct secret key = {
	.key = "0123456789abcdef0123456789abcdef", .len = 32,
};

/* Of the vectors' records, the one with all its values. */
static struct record all_values(void)
{
	struct record rec = {
		.oseq = 0x100000005ULL, .seq = 0x200000006ULL, .bmp_words = 4,
		.bmp = { 0xf0000000, 1, 0x80000000, 0x01020304 },
		.bytes = 0x0123456789, .packets = 4711,
		.add_time = NOW - 600, .use_time = NOW - 60, .last_used = NOW - 1,
		.replay_window_errors = 1, .replay_errors = 2,
		.integrity_errors = 3, .guard = 64,
		.flags = XFRMSYNC_RECORD_F_DYING,
	};

	return rec;
}

#define SENT 0x100000001ULL

static void same_record(const struct record *got, const struct record *want)
{
	assert_memory_equal(got, want, offsetof(struct record, bmp) +
			    want->bmp_words * sizeof(want->bmp[0]));
}

/* The payload; the vector's header is of that type. */
static struct rd open_frame(const struct buf *b, uint8_t type)
{
	struct wire_header h;
	struct rd r;

	assert_int_equal(wire_header_parse(b->data, b->len, &h), 1);
	assert_int_equal(h.type, type);
	assert_int_equal(h.epoch, EPOCH);
	assert_int_equal(h.node, NODE);
	assert_int_equal(h.length, b->len - WIRE_HEADER);
	r = (struct rd){ .p = b->data + WIRE_HEADER, .left = h.length };
	return r;
}

/* Frees both. */
static void close_frame(const char *name, struct buf *vector, struct buf *ours)
{
	wire_end(ours, 0);
	vector_equal(name, vector, ours->data, ours->len);
	buf_free(vector);
	buf_free(ours);
}

static void check_hello(const char *name, const struct wire_hello *want)
{
	struct buf b = vector_read(name), ours = {};
	struct rd r = open_frame(&b, WIRE_HELLO);
	struct wire_hello got;

	assert_int_equal(wire_get_hello(&r, &got), 0);
	assert_memory_equal(&got, want, sizeof(got));
	assert_true(rd_done(&r));
	wire_begin(&ours, WIRE_HELLO, EPOCH, NODE);
	wire_put_hello(&ours, &got);
	close_frame(name, &b, &ours);
}

static void test_hello(void **state)
{
	struct wire_hello want = {
		.node_id = 7, .role = XFRMSYNC_ROLE_ACTIVE, .has_tag_key = true,
		.instance = 0x1122334455667788ULL, .name = "gw-a", .own = EPOCH,
	};
	size_t i;

	(void)state;
	for (i = 0; i < WIRE_TAG_KEY; i++)
		want.tag_key[i] = 0xe0 + i;
	chain_add(&want.chain, EPOCH, 7);
	chain_add(&want.chain, 9, NODE);
	check_hello("frame-hello", &want);
	memset(&want.chain, 0, sizeof(want.chain));
	want.own = 9;
	want.lost = 8;
	want.sees = true;
	want.knows_exposed = true;
	memset(want.tag_key, 0, WIRE_TAG_KEY);
	want.has_tag_key = false;
	want.role = XFRMSYNC_ROLE_STANDBY;
	want.spi_range = (struct spi_range){ 0xc1000000, 0xc1ffffff };
	check_hello("frame-hello-range", &want);
}

static void test_context(void **state)
{
	struct buf b = vector_read("frame-context"), ours = {};
	struct rd r = open_frame(&b, WIRE_CONTEXT);
	struct record want = all_values();
	struct context_sa info;
	struct wire_sa sa;

	(void)state;
	want.tag = TAG;
	want.lease_end = 0x140000000ULL;
	assert_int_equal(wire_get_sa(&r, &sa, NOW), 0);
	assert_int_equal(sa.handle, 5);
	assert_int_equal(sa.flags, WIRE_SA_UNSAFE);
	assert_true(sa.tag == TAG);
	assert_true(sa.lease_end == 0x140000000ULL);
	assert_true(sa.range_end == 0x180000000ULL);
	assert_true(sa.given_end == 0x1c0000000ULL);
	assert_true(sa.sent == SENT);
	same_record(&sa.rec, &want);
	assert_int_equal(context_sa_info(sa.context, sa.context_len, &info, NULL), 0);
	assert_int_equal(info.id.spi, htonl(0xc0000001));
	assert_int_equal(info.window, 128);
	wire_begin(&ours, WIRE_CONTEXT, EPOCH, NODE);
	wire_put_sa(&ours, &sa, NOW);
	close_frame("frame-context", &b, &ours);
}

static void check_records(const char *name, const struct record *want,
			  const uint64_t *want_sent, size_t n)
{
	struct buf b = vector_read(name), ours = {};
	struct rd r = open_frame(&b, WIRE_RECORDS);
	struct record got;
	uint32_t handle;
	uint64_t sent;
	size_t i;

	wire_begin(&ours, WIRE_RECORDS, EPOCH, NODE);
	for (i = 0; i < n; i++) {
		assert_int_equal(wire_get_record(&r, &handle, &got, &sent, NOW), 0);
		assert_int_equal(handle, i + 1);
		assert_true(sent == want_sent[i]);
		same_record(&got, &want[i]);
		wire_put_record(&ours, handle, &got, sent, NOW);
	}
	assert_true(rd_done(&r));
	close_frame(name, &b, &ours);
}

static void test_records(void **state)
{
	const struct record want[] = { { .oseq = 9 }, all_values(), { .oseq = 0 } };
	const struct record exposed[] = {
		{ .seq = 9, .guard = 64, .exposed = true },
		{ .seq = 1ULL << 32, .exposed = true },
	};
	const uint64_t want_sent[] = { 9, SENT, 0 }, none[] = { 0, 0 };

	(void)state;
	check_records("frame-records", want, want_sent, 3);
	check_records("frame-records-exposed", exposed, none, 2);
}

static void test_merge(void **state)
{
	const struct record want = {
		.seq = 0x200000006ULL, .bmp_words = 1, .bmp = { 0x80000001 },
	};
	struct buf b = vector_read("frame-merge"), ours = {};
	struct rd r = open_frame(&b, WIRE_MERGE);
	struct record got;
	uint32_t handle;
	uint64_t tag;

	(void)state;
	assert_int_equal(wire_get_merge(&r, &handle, &tag, &got), 0);
	assert_int_equal(handle, 5);
	assert_true(tag == TAG);
	same_record(&got, &want);
	wire_begin(&ours, WIRE_MERGE, EPOCH, NODE);
	wire_put_merge(&ours, handle, tag, &got);
	close_frame("frame-merge", &b, &ours);
}

static void check_policy(const char *name, uint8_t type)
{
	struct buf b = vector_read(name), ours = {};
	struct rd r = open_frame(&b, type);
	struct buf policy = vector_read("policy-out");
	struct context_policy info;

	assert_int_equal(context_policy_info(r.p, r.left, &info, NULL), 0);
	assert_string_equal(context_policy_name(&info), "policy out 10.1.1.0/24 -> 10.2.0.0/16");
	wire_begin(&ours, type, EPOCH, NODE);
	buf_put(&ours, policy.data, policy.len);
	close_frame(name, &b, &ours);
	buf_free(&policy);
}

static void test_policy(void **state)
{
	(void)state;
	check_policy("frame-policy", WIRE_POLICY);
	check_policy("frame-policy-delete", WIRE_POLICY_DELETE);
}

static int header_of(const char *name)
{
	struct buf b = vector_read(name);
	struct wire_header h;
	int ret = wire_header_parse(b.data, b.len, &h);

	buf_free(&b);
	return ret;
}

static void test_bad_frames(void **state)
{
	struct buf b = vector_read("bad-frame-record");
	struct rd r = open_frame(&b, WIRE_RECORDS);
	struct record rec;
	uint32_t handle;
	uint64_t sent;

	(void)state;
	assert_int_equal(wire_get_record(&r, &handle, &rec, &sent, NOW), -EBADMSG);
	buf_free(&b);
	assert_int_equal(header_of("bad-frame-magic"), -EPROTO);
	assert_int_equal(header_of("bad-frame-version"), -EPROTONOSUPPORT);
	assert_int_equal(header_of("bad-frame-long"), -EMSGSIZE);
	assert_int_equal(header_of("bad-frame-epoch"), -ERANGE);
}

/* ---- files ---- */

static char dir[] = "/tmp/xfrmsync-vectors.XXXXXX";
static char path[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void check_sa(const struct context_entry *e, const struct record *rec,
		     uint8_t flags, const char *context)
{
	struct buf b = vector_read(context);

	assert_int_equal(e->kind, CONTEXT_ENTRY_SA);
	assert_int_equal(e->flags, flags);
	same_record(&e->rec, rec);
	vector_equal(context, &b, e->context, e->context_len);
	buf_free(&b);
}

static void check_file(const char *file)
{
	const struct record all = all_values(), few = { .oseq = 2, .seq = 3 };
	struct buf policy = vector_read("policy-out");
	struct context_entry e;
	struct context_file f;
	char err[200] = "";
	struct rd r = {};

	if (context_file_read(&f, file, &key, true, err, sizeof(err)))
		fail_msg("%s", err);
	assert_string_equal(f.node, "gw-a");
	assert_int_equal(f.saved_at, NOW);
	assert_int_equal(f.sas, 2);
	assert_int_equal(f.policies, 1);
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 1);
	check_sa(&e, &all, CONTEXT_ENTRY_STOPPED, "sa-gcm-esn");
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 1);
	check_sa(&e, &few, 0, "sa-ah6");
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 1);
	assert_int_equal(e.kind, CONTEXT_ENTRY_POLICY);
	vector_equal("policy-out", &policy, e.context, e.context_len);
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 0);
	context_file_free(&f);
	buf_free(&policy);
}

static void write_file(const char *file, const struct secret *with)
{
	struct context_file f = { .saved_at = NOW, .node = "gw-a" };
	struct record all = all_values(), few = { .oseq = 2, .seq = 3 };
	struct buf gcm = vector_read("sa-gcm-esn"), ah = vector_read("sa-ah6");
	struct buf policy = vector_read("policy-out");

	context_file_begin(&f);
	context_file_put_sa(&f, &all, SENT, CONTEXT_ENTRY_STOPPED, gcm.data,
			    gcm.len);
	context_file_put_sa(&f, &few, 2, 0, ah.data, ah.len);
	context_file_put_policy(&f, policy.data, policy.len);
	assert_int_equal(context_file_write(&f, file, with), 0);
	context_file_free(&f);
	buf_free(&gcm);
	buf_free(&ah);
	buf_free(&policy);
}

static void spill(const char *name)
{
	struct buf b = vector_read(name);

	assert_int_equal(durable_write(path, b.data, b.len, 0600), 0);
	buf_free(&b);
}

/* Fields of a later version come out as they went in, by either way. */
static void test_unknown(void **state)
{
	struct buf context = vector_read("sa-unknown"), frame = {};
	struct context_file f = { .saved_at = NOW, .node = "gw-a" };
	struct wire_sa sa = {
		.handle = 1, .tag = TAG, .rec = { .oseq = 5 }, .sent = 5,
		.context = context.data, .context_len = context.len,
	};
	struct context_entry e;
	struct wire_sa got;
	char err[200] = "";
	struct rd r;

	(void)state;
	wire_put_sa(&frame, &sa, NOW);
	r = (struct rd){ .p = frame.data, .left = frame.len };
	assert_int_equal(wire_get_sa(&r, &got, NOW), 0);
	vector_equal("sa-unknown", &context, got.context, got.context_len);

	context_file_begin(&f);
	context_file_put_sa(&f, &got.rec, 5, 0, got.context, got.context_len);
	assert_int_equal(context_file_write(&f, path, &key), 0);
	context_file_free(&f);
	if (context_file_read(&f, path, &key, false, err, sizeof(err)))
		fail_msg("%s", err);
	r = (struct rd){};
	assert_int_equal(context_file_next(&f, &r, NOW, &e), 1);
	vector_equal("sa-unknown", &context, e.context, e.context_len);
	context_file_free(&f);
	buf_free(&frame);
	buf_free(&context);
}

static void test_plain(void **state)
{
	struct buf b = vector_read("file-plain");
	uint8_t raw[4096];
	FILE *f;

	(void)state;
	spill("file-plain");
	check_file(path);
	write_file(path, NULL);
	f = fopen(path, "re");
	assert_non_null(f);
	vector_equal("file-plain", &b, raw, fread(raw, 1, sizeof(raw), f));
	fclose(f);
	buf_free(&b);
}

/* Each was sealed on a machine of that kind; the seal itself is random. */
static void test_sealed(void **state)
{
	(void)state;
	spill("file-sealed-x86_64");
	check_file(path);
	spill("file-sealed-s390x");
	check_file(path);
}

#if __BYTE_ORDER == __LITTLE_ENDIAN
#define OURS "little"
#else
#define OURS "big"
#endif

/* What the other machine left there is read, ours is left for it. */
static void test_exchange(void **state)
{
	static const char *const orders[] = { "little", "big" };
	const char *exchange = getenv("XFRMSYNC_EXCHANGE");
	char file[256];
	size_t i;

	(void)state;
	if (!exchange) {
		write_file(path, &key);
		check_file(path);
		return;
	}
	snprintf(file, sizeof(file), "%s/" OURS, exchange);
	write_file(file, &key);
	for (i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "%s/%s", exchange, orders[i]);
		if (access(file, R_OK))
			continue;
		check_file(file);
		print_message("# read what a %s-endian machine sealed\n", orders[i]);
	}
}

static void test_refused(void **state)
{
	struct buf b = vector_read("frame-refused"), ours = {};
	struct rd r = open_frame(&b, WIRE_REFUSED);
	struct wire_refused got;

	(void)state;
	assert_int_equal(wire_get_refused(&r, &got), 0);
	assert_int_equal(got.handle, 5);
	assert_true(got.tag == TAG);
	assert_int_equal(got.why, WIRE_REFUSED_UNSUPPORTED);
	assert_string_equal(got.text, "no such kind");
	wire_begin(&ours, WIRE_REFUSED, EPOCH, NODE);
	wire_put_refused(&ours, &got);
	close_frame("frame-refused", &b, &ours);
}

/* ---- frames of a few numbers ---- */

/* What the vector says. And what a payload is, encoded again: 0 or -EBADMSG. */
typedef void make_fn(struct buf *b);
typedef int again_fn(struct rd *r, struct buf *b);

static void make_error(struct buf *b)
{
	wire_put_error(b, WIRE_ERROR_NAME, "no such peer");
}

static int again_error(struct rd *r, struct buf *b)
{
	char text[100];
	uint16_t code;

	if (wire_get_error(r, &code, text, sizeof(text)))
		return -EBADMSG;
	wire_put_error(b, code, text);
	return 0;
}

static void make_snapshot(struct buf *b)
{
	wire_put_snapshot(b, &(struct wire_snapshot){ 100000, 258 });
}

static int again_snapshot(struct rd *r, struct buf *b)
{
	struct wire_snapshot s;

	if (wire_get_snapshot(r, &s))
		return -EBADMSG;
	wire_put_snapshot(b, &s);
	return 0;
}

static void make_delete(struct buf *b)
{
	wire_put_delete(b, &(struct wire_delete){ .handle = 5, .tag = TAG });
}

static int again_delete(struct rd *r, struct buf *b)
{
	struct wire_delete del;

	if (wire_get_delete(r, &del))
		return -EBADMSG;
	wire_put_delete(b, &del);
	return 0;
}

static void make_ack(struct buf *b)
{
	const struct wire_ack ack = {
		.frames = 0x100000203ULL, .sas = 100000, .conflicts = 3,
	};

	wire_put_ack(b, &ack);
}

static int again_ack(struct rd *r, struct buf *b)
{
	struct wire_ack ack;

	if (wire_get_ack(r, &ack))
		return -EBADMSG;
	wire_put_ack(b, &ack);
	return 0;
}

static void make_lease_acks(struct buf *b)
{
	const struct wire_lease_ack ack[] = {
		{ .handle = 5, .number = 0x140000000ULL },
		{ .handle = 0x01020304, .number = 0x1000000 },
	};

	wire_put_lease_ack(b, &ack[0]);
	wire_put_lease_ack(b, &ack[1]);
}

static int again_lease_acks(struct rd *r, struct buf *b)
{
	struct wire_lease_ack ack;

	while (r->left) {
		if (wire_get_lease_ack(r, &ack))
			return -EBADMSG;
		wire_put_lease_ack(b, &ack);
	}
	return 0;
}

static void make_used(struct buf *b)
{
	const struct wire_number n = {
		.handle = 5, .tag = TAG, .number = 0x100000007ULL,
	};

	wire_put_number(b, &n);
}

static void make_given(struct buf *b)
{
	const struct wire_number n = {
		.handle = 5, .tag = TAG, .number = 0x1c0000000ULL,
	};

	wire_put_number(b, &n);
}

static int again_number(struct rd *r, struct buf *b)
{
	struct wire_number n;

	if (wire_get_number(r, &n))
		return -EBADMSG;
	wire_put_number(b, &n);
	return 0;
}

static void make_handover(struct buf *b)
{
	wire_put_handover(b, WIRE_HANDOVER_COMING);
}

static int again_handover(struct rd *r, struct buf *b)
{
	uint32_t result;

	if (wire_get_handover(r, &result))
		return -EBADMSG;
	wire_put_handover(b, result);
	return 0;
}

static void make_final(struct buf *b)
{
	const struct wire_final f[] = {
		{ .handle = 5, .last = 0x100000005ULL, .lease_end = 0x140000000ULL },
		{ .handle = 0x01020304, .last = 9, .lease_end = 0x1000000 },
	};

	wire_put_final(b, &f[0]);
	assert_int_equal(b->len - WIRE_HEADER, WIRE_FINAL_BYTES);
	wire_put_final(b, &f[1]);
}

static int again_final(struct rd *r, struct buf *b)
{
	struct wire_final f;

	while (r->left) {
		if (wire_get_final(r, &f))
			return -EBADMSG;
		wire_put_final(b, &f);
	}
	return 0;
}

static void make_lacking(struct buf *b)
{
	wire_put_lacking(b, "KEEPALIVE (esp,)");
}

static int again_lacking(struct rd *r, struct buf *b)
{
	char text[WIRE_LACKING_TEXT + 1];
	int ret = wire_get_lacking(r, text);

	if (!ret)
		wire_put_lacking(b, text);
	return ret;
}

static void make_ike(struct buf *b)
{
	const struct wire_ike ike = {
		.what = WIRE_IKE_MESSAGE, .msg = (void *)"\3\13\42\0\1", .len = 5,
	};

	wire_put_ike(b, &ike);
}

static int again_ike(struct rd *r, struct buf *b)
{
	struct wire_ike ike;
	int ret = wire_get_ike(r, &ike);

	if (!ret)
		wire_put_ike(b, &ike);
	return ret;
}

/* All of it is the header. */
static void make_nothing(struct buf *b)
{
	(void)b;
}

static int again_nothing(struct rd *r, struct buf *b)
{
	(void)r;
	(void)b;
	return 0;
}

/* What may follow: what a later version has to say, nothing, or one more. */
enum rest { LATER, NOTHING, MORE };

static const struct few {
	const char *name;
	uint8_t type;
	enum rest rest;
	size_t bytes;	/* at least; of one */
	make_fn *make;
	again_fn *again;
} few[] = {
	{ "frame-error", WIRE_ERROR, LATER, 2, make_error, again_error },
	{ "frame-ping", WIRE_PING, LATER, 0, make_nothing, again_nothing },
	{ "frame-pong", WIRE_PONG, LATER, 0, make_nothing, again_nothing },
	{ "frame-snapshot-begin", WIRE_SNAPSHOT_BEGIN, LATER, 8, make_snapshot,
	  again_snapshot },
	{ "frame-snapshot-end", WIRE_SNAPSHOT_END, LATER, 0, make_nothing,
	  again_nothing },
	{ "frame-delete", WIRE_DELETE, NOTHING, 12, make_delete, again_delete },
	{ "frame-ack", WIRE_ACK, LATER, 16, make_ack, again_ack },
	{ "frame-resync", WIRE_RESYNC, LATER, 0, make_nothing, again_nothing },
	{ "frame-lease-ack", WIRE_LEASE_ACK, MORE, 12, make_lease_acks,
	  again_lease_acks },
	{ "frame-used", WIRE_USED, NOTHING, 20, make_used, again_number },
	{ "frame-given", WIRE_GIVEN, NOTHING, 20, make_given, again_number },
	{ "frame-fill", WIRE_FILL, LATER, 0, make_nothing, again_nothing },
	{ "frame-lacking", WIRE_LACKING, LATER, 1, make_lacking, again_lacking },
	{ "frame-handover-request", WIRE_HANDOVER_REQUEST, LATER, 0, make_nothing,
	  again_nothing },
	{ "frame-handover", WIRE_HANDOVER, LATER, 4, make_handover,
	  again_handover },
	{ "frame-final", WIRE_FINAL, MORE, WIRE_FINAL_BYTES, make_final,
	  again_final },
	{ "frame-ike", WIRE_IKE, LATER, 2, make_ike, again_ike },
};

#define FEW (sizeof(few) / sizeof(few[0]))

/* Both ways; encoding what was decoded tells that the two agree. */
static void test_few(void **state)
{
	const struct few *f;

	(void)state;
	for (f = few; f < few + FEW; f++) {
		struct buf b = vector_read(f->name), same = vector_read(f->name);
		struct buf made = {}, again = {};
		struct rd r = open_frame(&b, f->type);

		wire_begin(&made, f->type, EPOCH, NODE);
		f->make(&made);
		close_frame(f->name, &same, &made);
		wire_begin(&again, f->type, EPOCH, NODE);
		assert_int_equal(f->again(&r, &again), 0);
		assert_true(rd_done(&r));
		close_frame(f->name, &b, &again);
	}
}

/* The first bytes of it; in memory of their own, for the sanitizer to watch. */
static int first_bytes(const struct few *f, const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct rd r = { .p = copy, .left = len };
	struct buf b = {};
	int ret;

	assert_non_null(copy);
	memcpy(copy, p, len);
	ret = f->again(&r, &b);
	buf_free(&b);
	free(copy);
	return ret;
}

static void test_few_cut(void **state)
{
	const struct few *f;
	size_t len;
	bool ok;

	(void)state;
	for (f = few; f < few + FEW; f++) {
		struct buf b = vector_read(f->name);

		for (len = 0; len < b.len - WIRE_HEADER; len++) {
			ok = f->rest == MORE ? len % f->bytes == 0 :
					       len >= f->bytes;
			if (first_bytes(f, b.data + WIRE_HEADER, len) !=
			    (ok ? 0 : -EBADMSG))
				fail_msg("%s: its first %zu bytes are %s",
					 f->name, len, ok ? "refused" : "taken");
		}
		buf_free(&b);
	}
}

static void test_few_long(void **state)
{
	const struct few *f;

	(void)state;
	for (f = few; f < few + FEW; f++) {
		struct buf b = vector_read(f->name);

		buf_u8(&b, 0);
		if (first_bytes(f, b.data + WIRE_HEADER, b.len - WIRE_HEADER) !=
		    (f->rest == LATER ? 0 : -EBADMSG))
			fail_msg("%s and a byte more", f->name);
		buf_free(&b);
	}
}

static void test_few_bad(void **state)
{
	struct buf used = vector_read("bad-frame-used"), again = {};
	struct buf final = vector_read("bad-frame-final");
	struct rd r = open_frame(&used, WIRE_USED);

	(void)state;
	assert_int_equal(again_number(&r, &again), -EBADMSG);
	r = open_frame(&final, WIRE_FINAL);
	assert_int_equal(again_final(&r, &again), -EBADMSG);
	/* The first one is whole. */
	assert_int_equal(again.len, WIRE_FINAL_BYTES);
	buf_free(&used);
	buf_free(&final);
	buf_free(&again);
}

/* A text of a peer, as long as there is room for. */
static void test_error_text(void **state)
{
	struct buf b = vector_read("frame-error");
	struct rd r = open_frame(&b, WIRE_ERROR);
	uint16_t code;
	char text[5];

	(void)state;
	assert_int_equal(wire_get_error(&r, &code, text, sizeof(text)), 0);
	assert_int_equal(code, WIRE_ERROR_NAME);
	assert_string_equal(text, "no s");
	r = (struct rd){ .p = b.data, .left = 1 };
	assert_int_equal(wire_get_error(&r, &code, text, sizeof(text)), -EBADMSG);
	assert_string_equal(text, "");
	buf_free(&b);
}

/* The compiler asks for each type that there is. */
static const char *vector_of(enum wire_type type)
{
	size_t i;

	switch (type) {
	case WIRE_HELLO:
		return "frame-hello";
	case WIRE_CONTEXT:
		return "frame-context";
	case WIRE_RECORDS:
		return "frame-records";
	case WIRE_POLICY:
		return "frame-policy";
	case WIRE_POLICY_DELETE:
		return "frame-policy-delete";
	case WIRE_MERGE:
		return "frame-merge";
	case WIRE_REFUSED:
		return "frame-refused";
	case WIRE_ERROR:
	case WIRE_PING:
	case WIRE_PONG:
	case WIRE_SNAPSHOT_BEGIN:
	case WIRE_SNAPSHOT_END:
	case WIRE_DELETE:
	case WIRE_ACK:
	case WIRE_RESYNC:
	case WIRE_LEASE_ACK:
	case WIRE_USED:
	case WIRE_GIVEN:
	case WIRE_FILL:
	case WIRE_LACKING:
	case WIRE_HANDOVER_REQUEST:
	case WIRE_HANDOVER:
	case WIRE_FINAL:
	case WIRE_IKE:
		for (i = 0; i < FEW && few[i].type != type; i++)
			;
		return i < FEW ? few[i].name : "";
	}
	return NULL;
}

static void test_all_types(void **state)
{
	const char *name;
	int type, n = 0;
	struct buf b;

	(void)state;
	for (type = 0; type <= UINT8_MAX; type++) {
		name = vector_of(type);
		if (!name)
			continue;
		b = vector_read(name);
		open_frame(&b, type);
		buf_free(&b);
		n++;
	}
	assert_int_equal(n, FEW + 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_few_cut),
		cmocka_unit_test(test_few_long),
		cmocka_unit_test(test_few_bad),
		cmocka_unit_test(test_error_text),
		cmocka_unit_test(test_all_types),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_exchange),
	};

	return cmocka_run_group_tests_name("vectors: frames, files", tests, set_up,
					   tear_down);
}
