// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs and policies as the kernel tells them, and bytes of all kinds.
 * Out: the same again for a kernel; nothing for what is malformed.
 * Host only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <linux/xfrm.h>
#include <linux/xfrmsync.h>
#include <sodium.h>

#include "context.h"
#include "map.h"

#define SIZE 16384
#define UNKNOWN_ATTR 60
#define GONE 2147480001		/* the number of an interface that is not here */

struct msg {
	union {
		uint8_t bytes[SIZE];
		struct nlmsghdr nlh;
	};
};

static struct xfrm_usersa_info *sa_begin(struct msg *m, uint16_t family,
					 uint8_t proto)
{
	struct xfrm_usersa_info *sa;

	memset(m, 0, sizeof(*m));
	mnl_nlmsg_put_header(m->bytes)->nlmsg_type = XFRM_MSG_NEWSA;
	sa = mnl_nlmsg_put_extra_header(&m->nlh, sizeof(*sa));
	sa->family = family;
	sa->sel.family = family;
	sa->id.proto = proto;
	sa->id.spi = htonl(0x12345678);
	sa->mode = XFRM_MODE_TUNNEL;
	sa->reqid = 42;
	sa->lft.hard_byte_limit = XFRM_INF;
	sa->lft.soft_add_expires_seconds = 3600;
	if (family == AF_INET) {
		sa->id.daddr.a4 = htonl(0xc0000202);
		sa->saddr.a4 = htonl(0xc0000201);
	} else {
		memset(&sa->id.daddr, 0x22, 16);
		memset(&sa->saddr, 0x11, 16);
	}
	sa->curlft.bytes = 12345;	/* does not belong to the context */
	return sa;
}

static void put_aead(struct msg *m)
{
	struct {
		struct xfrm_algo_aead a;
		uint8_t key[20];
	} alg = {};

	strcpy(alg.a.alg_name, "rfc4106(gcm(aes))");
	alg.a.alg_key_len = 160;
	alg.a.alg_icv_len = 128;
	memset(alg.key, 0x5a, sizeof(alg.key));
	mnl_attr_put(&m->nlh, XFRMA_ALG_AEAD, sizeof(alg.a) + 20, &alg);
}

static void put_auth(struct msg *m, uint8_t fill)
{
	struct {
		struct xfrm_algo_auth a;
		uint8_t key[32];
	} alg = {};

	strcpy(alg.a.alg_name, "hmac(sha256)");
	alg.a.alg_key_len = 256;
	alg.a.alg_trunc_len = 128;
	memset(alg.key, fill, sizeof(alg.key));
	mnl_attr_put(&m->nlh, XFRMA_ALG_AUTH_TRUNC, sizeof(alg.a) + 32, &alg);
}

static void put_esn(struct msg *m, uint32_t window)
{
	struct {
		struct xfrm_replay_state_esn e;
		uint32_t bmp[RECORD_BMP_WORDS];
	} esn = {};

	esn.e.bmp_len = (window + 31) / 32;
	esn.e.replay_window = window;
	esn.e.seq = 99;			/* nor does this */
	mnl_attr_put(&m->nlh, XFRMA_REPLAY_ESN_VAL,
		     sizeof(esn.e) + esn.e.bmp_len * 4, &esn);
}

static void put_u32(struct msg *m, int attr, uint32_t v)
{
	mnl_attr_put(&m->nlh, attr, 4, &v);
}

static void put_mark(struct msg *m)
{
	struct xfrm_mark mark = { .v = 5, .m = 0xff };

	mnl_attr_put(&m->nlh, XFRMA_MARK, sizeof(mark), &mark);
}

static void make_gcm(struct msg *m)
{
	struct xfrm_usersa_info *sa = sa_begin(m, AF_INET, IPPROTO_ESP);

	sa->flags = XFRM_STATE_ESN;
	put_aead(m);
	put_esn(m, 128);
}

static void make_everything(struct msg *m)
{
	struct xfrm_encap_tmpl encap = {
		.encap_type = 2, .encap_sport = htons(4500),
		.encap_dport = htons(4501),
	};
	xfrm_address_t coaddr = { .a4 = htonl(0xc0000203) };
	struct xfrm_usersa_info *sa = sa_begin(m, AF_INET, IPPROTO_ESP);

	sa->flags = XFRM_STATE_ESN | XFRM_STATE_AF_UNSPEC;
	sa->sel.dport = htons(53);
	sa->sel.dport_mask = 0xffff;
	sa->sel.prefixlen_d = 24;
	put_aead(m);
	mnl_attr_put(&m->nlh, XFRMA_ENCAP, sizeof(encap), &encap);
	mnl_attr_put(&m->nlh, XFRMA_COADDR, sizeof(coaddr), &coaddr);
	put_mark(m);
	put_u32(m, XFRMA_SET_MARK, 7);
	put_u32(m, XFRMA_SET_MARK_MASK, 0xf);
	put_u32(m, XFRMA_IF_ID, 3);
	put_u32(m, XFRMA_TFCPAD, 100);
	put_u32(m, XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
	put_esn(m, 4096);
}

static void make_ah6(struct msg *m)
{
	sa_begin(m, AF_INET6, IPPROTO_AH)->replay_window = 32;
	put_auth(m, 0x77);
}

static void make_cbc(struct msg *m)
{
	struct {
		struct xfrm_algo a;
		uint8_t key[16];
	} alg = { .a = { .alg_name = "cbc(aes)", .alg_key_len = 128 } };

	make_ah6(m);
	memset(alg.key, 0x33, sizeof(alg.key));
	mnl_attr_put(&m->nlh, XFRMA_ALG_CRYPT, sizeof(alg), &alg);
}

static void make_ipcomp(struct msg *m)
{
	struct xfrm_algo alg = { .alg_name = "deflate" };

	sa_begin(m, AF_INET, IPPROTO_COMP);
	mnl_attr_put(&m->nlh, XFRMA_ALG_COMP, sizeof(alg), &alg);
}

typedef void (*make_fn)(struct msg *m);

/* A context, through a kernel's message and back, is the same context. */
static void round_trip(make_fn make)
{
	struct record live = { .oseq = 1ULL << 33 | 7, .seq = 9 };
	struct buf one = {}, two = {};
	struct context_sa info;
	struct msg m, out;

	make(&m);
	assert_int_equal(context_from_sa(&m.nlh, &one), 0);
	assert_int_equal(context_sa_info(one.data, one.len, &info, NULL), 0);
	live.bmp_words = info.bmp_words;
	memset(&out, 0, sizeof(out));
	mnl_nlmsg_put_header(out.bytes)->nlmsg_type = XFRM_MSG_NEWSA;
	assert_int_equal(context_to_sa(one.data, one.len, &live, &out.nlh, SIZE, NULL),
			 0);
	assert_int_equal(context_from_sa(&out.nlh, &two), 0);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	buf_free(&one);
	buf_free(&two);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip(make_gcm);
	round_trip(make_everything);
	round_trip(make_ah6);
}

static void test_outline(void **state)
{
	struct context_sa info;
	struct buf b = {};
	struct msg m;

	(void)state;
	make_everything(&m);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), 0);
	assert_int_equal(info.id.family, AF_INET);
	assert_int_equal(info.id.spi, htonl(0x12345678));
	assert_int_equal(info.id.mark, 5);
	assert_int_equal(info.id.mark_mask, 0xff);
	assert_int_equal(info.reqid, 42);
	assert_int_equal(info.if_id, 3);
	assert_true(info.esn && info.large);
	assert_int_equal(info.window, 4096);
	assert_int_equal(info.bmp_words, 128);
	buf_free(&b);
}

/* What the SA is born with stands in the message. */
static void test_live(void **state)
{
	struct record live = {
		.oseq = 0x500000006ULL, .seq = 0x700000008ULL,
		.bmp_words = 4, .bmp = { 1, 2, 3, 4 },
		.bytes = 11, .packets = 12, .add_time = 13, .use_time = 14,
	};
	const struct xfrm_replay_state_esn *esn = NULL;
	const struct xfrm_lifetime_cur *cur = NULL;
	const struct nlattr *attr;
	struct msg m, out = {};
	struct buf b = {};

	(void)state;
	make_gcm(&m);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	mnl_nlmsg_put_header(out.bytes);
	assert_int_equal(context_to_sa(b.data, b.len, &live, &out.nlh, SIZE, NULL), 0);
	mnl_attr_for_each(attr, &out.nlh, sizeof(struct xfrm_usersa_info)) {
		if (mnl_attr_get_type(attr) == XFRMA_REPLAY_ESN_VAL)
			esn = mnl_attr_get_payload(attr);
		if (mnl_attr_get_type(attr) == XFRMA_LTIME_VAL)
			cur = mnl_attr_get_payload(attr);
	}
	assert_non_null(esn);
	assert_non_null(cur);
	assert_int_equal(esn->oseq, 6);
	assert_int_equal(esn->oseq_hi, 5);
	assert_int_equal(esn->seq, 8);
	assert_int_equal(esn->seq_hi, 7);
	assert_memory_equal(esn->bmp, live.bmp, 16);
	assert_int_equal(cur->bytes, 11);
	assert_int_equal(cur->add_time, 13);
	assert_int_equal(context_to_sa(b.data, b.len, &live, &out.nlh, 200, NULL),
			 -EMSGSIZE);
	buf_free(&b);
}

static void cut(make_fn make)
{
	struct context_sa info;
	struct buf b = {};
	struct msg m;
	uint8_t *copy;
	size_t len;

	make(&m);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	for (len = 0; len < b.len; len++) {
		/* Exactly so long, so that sanitizers see a step beyond. */
		copy = malloc(len ? len : 1);
		memcpy(copy, b.data, len);
		/* At a field's border an optional tail may be missing. */
		if (!context_sa_info(copy, len, &info, NULL))
			assert_true(len > 200);
		free(copy);
	}
	buf_free(&b);
}

static void test_cut(void **state)
{
	(void)state;
	cut(make_gcm);
	cut(make_everything);
	cut(make_ah6);
}

/* No byte that changes makes it read or write out of bounds. */
static void test_mutated(void **state)
{
	struct record live = { .bmp_words = 4 };
	struct context_sa info;
	struct msg m, out;
	struct buf b = {};
	size_t i, bit;

	(void)state;
	make_everything(&m);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	for (i = 0; i < b.len; i++) {
		for (bit = 0; bit < 8; bit++) {
			b.data[i] ^= 1 << bit;
			context_sa_info(b.data, b.len, &info, NULL);
			memset(&out, 0, sizeof(out));
			mnl_nlmsg_put_header(out.bytes);
			context_to_sa(b.data, b.len, &live, &out.nlh, SIZE, NULL);
			b.data[i] ^= 1 << bit;
		}
	}
	buf_free(&b);
}

static void append_field(struct buf *b, uint16_t type, uint8_t class)
{
	buf_u16(b, type);
	buf_u8(b, class);
	buf_u8(b, 0);
	buf_u32(b, 2);
	buf_u16(b, 0xbeef);
}

/* The field's place in a list; its header at p[0], its length at p[4]. */
static uint8_t *find_field(struct buf *b, uint16_t type)
{
	struct rd r = { .p = b->data, .left = b->len };
	struct field_error why;
	uint16_t last = 0;
	struct field f;

	while (field_next(&r, &last, &f, &why) > 0) {
		if (f.type == type)
			return (uint8_t *)f.value.p - FIELD_HEADER;
	}
	fail();
	return NULL;
}

static void cut_out(struct buf *b, uint16_t type)
{
	uint8_t *p = find_field(b, type);
	size_t len = FIELD_HEADER + p[6] * 256 + p[7];

	memmove(p, p + len, b->data + b->len - p - len);
	b->len -= len;
}

static void expect(const struct buf *b, int ret, const char *want)
{
	struct field_error why;
	struct context_sa info;
	char text[160];

	assert_int_equal(context_sa_info(b->data, b->len, &info, &why), ret);
	assert_string_equal(context_error_str(&why, text, sizeof(text)), want);
}

static void fill(struct buf *b, make_fn make)
{
	struct msg m;

	make(&m);
	buf_clear(b);
	assert_int_equal(context_from_sa(&m.nlh, b), 0);
}

/* Who reads why a context was refused, reads which field it was. */
static void test_named(void **state)
{
	struct context_policy policy;
	struct field_error why;
	struct context_sa info;
	struct buf b = {};
	char text[160];

	(void)state;
	fill(&b, make_everything);
	expect(&b, 0, "nothing is wrong with it");
	cut_out(&b, CONTEXT_REPLAY);
	expect(&b, -EBADMSG, "field 0x0006 (REPLAY) is missing");
	assert_int_equal(context_sa_info(b.data, b.len, &info, &why), -EBADMSG);
	assert_int_equal(info.id.spi, htonl(0x12345678));

	fill(&b, make_everything);
	cut_out(&b, CONTEXT_SA_ID);
	expect(&b, -EBADMSG, "field 0x0001 (SA_ID) is missing");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_IF_ID)[1] = CONTEXT_SET_MARK;
	expect(&b, -EBADMSG, "field 0x000e (SET_MARK) stands twice");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_IF_ID)[1] = CONTEXT_SA_FLAGS;
	expect(&b, -EBADMSG, "field 0x0005 (SA_FLAGS) is out of order");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_SET_MARK)[7] = 255;
	expect(&b, -EBADMSG, "field 0x000e (SET_MARK) is longer than the context");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_AEAD)[FIELD_HEADER + 3] += 8;
	expect(&b, -EBADMSG, "field 0x0007 (AEAD) has a wrong length");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_MARK)[2] = 'Q';
	expect(&b, -EBADMSG, "field 0x000d (MARK) has an unknown class");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_MARK)[2] = FIELD_OPTIONAL;
	expect(&b, -EBADMSG, "field 0x000d (MARK) has a wrong class");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_TFC_PAD)[2] = FIELD_MANDATORY;
	expect(&b, -EBADMSG, "field 0x0010 (TFC_PAD) has a wrong class");

	fill(&b, make_gcm);
	append_field(&b, CONTEXT_POLICY, FIELD_MANDATORY);
	expect(&b, -EBADMSG, "field 0x0040 (POLICY) does not belong to an SA");
	fill(&b, make_gcm);
	append_field(&b, CONTEXT_PCPU, FIELD_OPTIONAL);
	expect(&b, -EBADMSG, "field 0x0016 (PCPU) has a wrong length");
	fill(&b, make_gcm);
	append_field(&b, 0x0100, FIELD_MANDATORY);
	expect(&b, -EOPNOTSUPP,
	       "field 0x0100 is mandatory, and this version does not know it");
	b.len -= 5;
	expect(&b, -EBADMSG, "it ends within the header of a field");

	fill(&b, make_gcm);
	assert_int_equal(context_policy_info(b.data, b.len, &policy, &why),
			 -EBADMSG);
	assert_string_equal(context_error_str(&why, text, sizeof(text)),
			    "field 0x0001 (SA_ID) does not belong to a policy");
	buf_free(&b);
}

/* One context has one form. */
static void test_canonical(void **state)
{
	struct buf b = {};

	(void)state;
	fill(&b, make_everything);
	find_field(&b, CONTEXT_SA_ID)[FIELD_HEADER + 12 + 4] = 1;
	expect(&b, -EBADMSG, "field 0x0001 (SA_ID) is not canonical");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_ENCAP)[FIELD_HEADER + 8 + 15] = 1;
	expect(&b, -EBADMSG, "field 0x000b (ENCAP) is not canonical");
	fill(&b, make_everything);
	find_field(&b, CONTEXT_COADDR)[FIELD_HEADER + 4] = 1;
	expect(&b, -EBADMSG, "field 0x000c (COADDR) is not canonical");
	fill(&b, make_cbc);
	expect(&b, 0, "nothing is wrong with it");
	find_field(&b, CONTEXT_CRYPT)[FIELD_HEADER + 7] = 96;
	expect(&b, -EBADMSG, "field 0x0009 (CRYPT) is not canonical");
	fill(&b, make_ipcomp);
	expect(&b, 0, "nothing is wrong with it");
	find_field(&b, CONTEXT_COMP)[FIELD_HEADER + 7] = 1;
	expect(&b, -EBADMSG, "field 0x000a (COMP) is not canonical");
	fill(&b, make_ipcomp);
	find_field(&b, CONTEXT_COMP)[FIELD_HEADER + 3] = 8;
	find_field(&b, CONTEXT_COMP)[7]++;
	buf_u8(&b, 1);
	expect(&b, -EBADMSG, "field 0x000a (COMP) is not canonical");
	buf_free(&b);
}

static void test_unknown(void **state)
{
	struct context_sa info;
	struct buf b = {};
	size_t len;
	struct msg m;

	(void)state;
	make_gcm(&m);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	len = b.len;
	append_field(&b, 0x0100, FIELD_OPTIONAL);
	append_field(&b, 0x8099, FIELD_VENDOR);
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), 0);
	b.len = len;
	append_field(&b, 0x0100, FIELD_MANDATORY);
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), -EOPNOTSUPP);
	b.len = len;
	append_field(&b, 0x0100, 'X');
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), -EBADMSG);
	b.len = len;
	append_field(&b, 0x0100, FIELD_OPTIONAL);
	append_field(&b, 0x0100, FIELD_OPTIONAL);
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), -EBADMSG);
	buf_free(&b);
}

/* An attribute of a newer kernel comes out as it went in. */
static void test_vendor(void **state)
{
	struct buf b = {};
	const struct nlattr *attr;
	struct msg m, out = {};
	bool seen = false;

	(void)state;
	make_gcm(&m);
	mnl_attr_put(&m.nlh, UNKNOWN_ATTR, 5, "abcd");
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	mnl_nlmsg_put_header(out.bytes);
	assert_int_equal(context_to_sa(b.data, b.len, NULL, &out.nlh, SIZE, NULL), 0);
	mnl_attr_for_each(attr, &out.nlh, sizeof(struct xfrm_usersa_info)) {
		if (mnl_attr_get_type(attr) != UNKNOWN_ATTR)
			continue;
		seen = true;
		assert_int_equal(mnl_attr_get_payload_len(attr), 5);
		assert_string_equal(mnl_attr_get_payload(attr), "abcd");
	}
	assert_true(seen);
	buf_free(&b);
}

/* As SELinux does: what it is given, and a NUL of its own that counts. */
static void put_sec_ctx(struct msg *m, const void *label, size_t len)
{
	struct {
		struct xfrm_user_sec_ctx s;
		char label[64];
	} sec = {};

	sec.s.len = sizeof(sec.s) + len + 1;
	sec.s.exttype = XFRMA_SEC_CTX;
	sec.s.ctx_alg = XFRM_SC_ALG_SELINUX;
	sec.s.ctx_doi = XFRM_SC_DOI_LSM;
	sec.s.ctx_len = len + 1;
	memcpy(sec.label, label, len);
	mnl_attr_put(&m->nlh, XFRMA_SEC_CTX, sec.s.len, &sec);
}

/* Told and given any number of times, it stays as long as it is. */
static void test_sec_ctx(void **state)
{
	static const struct {
		const char *label;
		size_t len;
	} given[] = {
		{ "system_u:object_r:ipsec_spd_t:s0", 32 },
		{ "kernel", 7 },	/* ip's own NUL counts, too */
		{ "", 0 },
	};
	const struct xfrm_user_sec_ctx *sec;
	const struct nlattr *attr;
	struct msg in, out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		size_t len = given[i].len;
		struct buf b = {};
		int found = 0;

		make_gcm(&in);
		put_sec_ctx(&in, given[i].label, len);
		assert_int_equal(context_from_sa(&in.nlh, &b), 0);
		memset(&out, 0, sizeof(out));
		mnl_nlmsg_put_header(out.bytes);
		assert_int_equal(context_to_sa(b.data, b.len, NULL, &out.nlh,
					       SIZE, NULL), 0);
		mnl_attr_for_each(attr, &out.nlh, sizeof(struct xfrm_usersa_info)) {
			if (mnl_attr_get_type(attr) != XFRMA_SEC_CTX)
				continue;
			sec = mnl_attr_get_payload(attr);
			assert_int_equal(sec->ctx_len, len);
			assert_int_equal(sec->len, sizeof(*sec) + len);
			assert_memory_equal(sec + 1, given[i].label, len);
			found++;
		}
		assert_int_equal(found, 1);
		buf_free(&b);
	}
}

/* The bytes of a whole AH context, the same on every architecture. */
static void test_golden(void **state)
{
	static const char want[] =
		"00014d000000002c" "000a330112345678" "0000002a"
		"22222222222222222222222222222222"
		"11111111111111111111111111111111"
		"00024d0000000034" "000a000000000000"
		"00000000000000000000000000000000"
		"00000000000000000000000000000000"
		"0000000000000000" "00000000"
		"00044d0000000040" "0000000000000000ffffffffffffffff"
		"00000000000000000000000000000000"
		"0000000000000e100000000000000000"
		"00000000000000000000000000000000"
		"00054d0000000008" "0000000000000000"
		"00064d000000000c" "000000000000002000000000"
		"00084d0000000035" "0000010000000080" "0c"
		"686d61632873686132353629"
		"7777777777777777777777777777777777777777777777777777777777777777";
	char hex[2048];
	struct buf b = {};
	struct msg m;

	(void)state;
	make_ah6(&m);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	assert_true(b.len * 2 < sizeof(hex));
	sodium_bin2hex(hex, sizeof(hex), b.data, b.len);
	assert_string_equal(hex, want);
	buf_free(&b);
}

static void test_tag(void **state)
{
	static const uint8_t key[32] = { 1 }, other_key[32] = { 2 };
	struct buf a = {}, b = {};
	struct msg m;
	uint64_t tag;

	(void)state;
	make_ah6(&m);
	assert_int_equal(context_from_sa(&m.nlh, &a), 0);
	tag = context_tag(a.data, a.len, key);
	assert_true(tag != 0);
	assert_true(tag != context_tag(a.data, a.len, other_key));

	/* Another key is another SA; another lifetime is not. */
	sa_begin(&m, AF_INET6, IPPROTO_AH)->lft.hard_byte_limit = 5;
	put_auth(&m, 0x77);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	assert_int_equal(tag, context_tag(b.data, b.len, key));
	assert_true(context_same_keys(a.data, a.len, b.data, b.len));
	assert_false(context_same_parameters(a.data, a.len, b.data, b.len));
	buf_clear(&b);
	sa_begin(&m, AF_INET6, IPPROTO_AH);
	put_auth(&m, 0x78);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	assert_true(tag != context_tag(b.data, b.len, key));
	assert_false(context_same_keys(a.data, a.len, b.data, b.len));
	buf_free(&a);
	buf_free(&b);
}

/* It has no keys, so what it has of its tunnel stands for them. */
static void test_same_ipcomp(void **state)
{
	/* In the first field: mode, reqid, source; not flags, say. */
	static const size_t at[] = { 3, 11, 28 + 15 };
	struct msg m;
	struct xfrm_usersa_info *sa = sa_begin(&m, AF_INET6, IPPROTO_COMP);
	struct xfrm_algo algo = { .alg_name = "deflate" };
	struct buf a = {}, b;
	size_t i;

	(void)state;
	sa->id.spi = htonl(0x71);
	sa->mode = XFRM_MODE_TUNNEL;
	mnl_attr_put(&m.nlh, XFRMA_ALG_COMP, sizeof(algo), &algo);
	assert_int_equal(context_from_sa(&m.nlh, &a), 0);
	assert_true(context_same_keys(a.data, a.len, a.data, a.len));
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		b = (struct buf){};
		buf_put(&b, a.data, a.len);
		b.data[FIELD_HEADER + at[i]] ^= 1;
		assert_false(context_same_keys(a.data, a.len, b.data, b.len));
		buf_free(&b);
	}
	buf_free(&a);
}

static void make_policy(struct msg *m)
{
	struct xfrm_userpolicy_info *pol;
	struct xfrm_user_tmpl t = {
		.family = AF_INET, .mode = XFRM_MODE_TUNNEL, .reqid = 42,
		.id.proto = IPPROTO_ESP, .aalgos = ~0U,
	};

	memset(m, 0, sizeof(*m));
	mnl_nlmsg_put_header(m->bytes)->nlmsg_type = XFRM_MSG_NEWPOLICY;
	pol = mnl_nlmsg_put_extra_header(&m->nlh, sizeof(*pol));
	pol->sel.family = AF_INET;
	pol->sel.daddr.a4 = htonl(0x0a020000);
	pol->sel.prefixlen_d = 16;
	pol->dir = XFRM_POLICY_OUT;
	pol->priority = 1000;
	t.id.daddr.a4 = htonl(0xc0000202);
	t.saddr.a4 = htonl(0xc0000201);
	mnl_attr_put(&m->nlh, XFRMA_TMPL, sizeof(t), &t);
	put_u32(m, XFRMA_IF_ID, 9);
}

static void test_policy(void **state)
{
	struct context_policy info;
	struct buf one = {}, two = {};
	struct msg m, out = {};
	size_t len;

	(void)state;
	make_policy(&m);
	assert_int_equal(context_from_policy(&m.nlh, &one), 0);
	assert_int_equal(context_policy_info(one.data, one.len, &info, NULL), 0);
	assert_int_equal(info.templates, 1);
	assert_int_equal(info.reqid, 42);
	assert_int_equal(info.if_id, 9);
	assert_true(info.key_len < CONTEXT_KEY_MAX);
	mnl_nlmsg_put_header(out.bytes);
	assert_int_equal(context_to_policy(one.data, one.len, &out.nlh, SIZE, NULL), 0);
	assert_int_equal(context_from_policy(&out.nlh, &two), 0);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	for (len = 0; len < one.len; len++)
		context_policy_info(one.data, len, &info, NULL);
	/* IPv4 stands in the first four bytes. */
	find_field(&one, CONTEXT_TEMPLATES)[FIELD_HEADER + 16 + 4] = 1;
	assert_int_equal(context_policy_info(one.data, one.len, &info, NULL),
			 -EBADMSG);
	find_field(&one, CONTEXT_TEMPLATES)[FIELD_HEADER + 16 + 4] = 0;
	find_field(&one, CONTEXT_TEMPLATES)[FIELD_HEADER + 7] = 1;
	assert_int_equal(context_policy_info(one.data, one.len, &info, NULL),
			 -EBADMSG);
	find_field(&one, CONTEXT_TEMPLATES)[FIELD_HEADER + 7] = 0;
	/* A policy without a template has no such field. */
	cut_out(&one, CONTEXT_TEMPLATES);
	assert_int_equal(context_policy_info(one.data, one.len, &info, NULL), 0);
	field_end(&one, field_begin(&one, CONTEXT_TEMPLATES, FIELD_MANDATORY));
	assert_int_equal(context_policy_info(one.data, one.len, &info, NULL),
			 -EBADMSG);
	/* One is never taken for the other. */
	assert_int_equal(context_sa_info(one.data, one.len,
					 &(struct context_sa){}, NULL), -EBADMSG);
	buf_free(&one);
	buf_free(&two);
}

/* As far as it can be told, it is said for which SAs a refused policy is. */
static void expect_refused(struct buf *b, int ret, bool unreadable)
{
	struct context_policy good, info;
	char name[160];
	struct buf whole = {};
	struct msg m;

	make_policy(&m);
	assert_int_equal(context_from_policy(&m.nlh, &whole), 0);
	assert_int_equal(context_policy_info(whole.data, whole.len, &good, NULL), 0);
	assert_int_equal(context_policy_info(b->data, b->len, &info, NULL), ret);
	assert_int_equal(info.unreadable, unreadable);
	assert_int_equal(info.templates, !unreadable);
	assert_true(info.key_len && info.key_len <= CONTEXT_KEY_MAX);
	assert_true(strlen(context_policy_name(&info)));
	if (unreadable) {
		/* Of no other policy. */
		assert_int_not_equal(info.key[0], good.key[0]);
	} else {
		assert_memory_equal(&info.template[0], &good.template[0],
				    sizeof(good.template[0]));
		assert_int_equal(info.key_len, good.key_len);
		assert_memory_equal(info.key, good.key, good.key_len);
		snprintf(name, sizeof(name), "%s", context_policy_name(&good));
		assert_string_equal(context_policy_name(&info), name);
		assert_int_equal(info.if_id, good.if_id);
	}
	buf_free(&whole);
}

static void again(struct buf *b)
{
	struct msg m;

	make_policy(&m);
	buf_clear(b);
	assert_int_equal(context_from_policy(&m.nlh, b), 0);
}

static void test_refused_policy(void **state)
{
	struct buf b = {};

	(void)state;
	again(&b);
	append_field(&b, 0x0100, FIELD_MANDATORY);
	expect_refused(&b, -EOPNOTSUPP, false);
	/* Before what is read, too. */
	again(&b);
	cut_out(&b, CONTEXT_LIFETIME);
	expect_refused(&b, -EBADMSG, false);
	again(&b);
	find_field(&b, CONTEXT_LIFETIME)[2] = FIELD_OPTIONAL;
	expect_refused(&b, -EBADMSG, false);
	buf_free(&b);
}

static void test_refused_policy_is_for(void **state)
{
	struct context_policy one, two;
	struct buf b = {};

	(void)state;
	/* Each of these says for which SAs it is. */
	again(&b);
	cut_out(&b, CONTEXT_SELECTOR);
	expect_refused(&b, -EBADMSG, true);
	again(&b);
	cut_out(&b, CONTEXT_POLICY);
	expect_refused(&b, -EBADMSG, true);
	again(&b);
	find_field(&b, CONTEXT_IF_ID)[2] = FIELD_OPTIONAL;
	expect_refused(&b, -EBADMSG, true);
	again(&b);
	find_field(&b, CONTEXT_TEMPLATES)[2] = FIELD_OPTIONAL;
	expect_refused(&b, -EBADMSG, true);
	again(&b);
	find_field(&b, CONTEXT_TEMPLATES)[FIELD_HEADER + 16 + 4] = 1;
	expect_refused(&b, -EBADMSG, true);
	/* None is sent without templates: a newer version's are elsewhere. */
	again(&b);
	cut_out(&b, CONTEXT_TEMPLATES);
	append_field(&b, 0x0100, FIELD_MANDATORY);
	expect_refused(&b, -EOPNOTSUPP, true);
	assert_int_equal(context_policy_info(b.data, b.len, &one, NULL), -EOPNOTSUPP);
	b.data[b.len - 1] ^= 1;
	assert_int_equal(context_policy_info(b.data, b.len, &two, NULL), -EOPNOTSUPP);
	assert_true(one.key_len == two.key_len &&
		    memcmp(one.key, two.key, one.key_len));
	/* No list at all. */
	again(&b);
	b.len -= 3;
	expect_refused(&b, -EBADMSG, true);
	buf_free(&b);
}

/* A device of a form of its own: not the policy without one. */
static void test_refused_device(void **state)
{
	struct context_policy one, two;
	struct buf b = {}, with = {};
	size_t before;

	(void)state;
	again(&b);
	assert_int_equal(context_policy_info(b.data, b.len, &one, NULL), 0);
	before = find_field(&b, CONTEXT_LIFETIME) - b.data;
	buf_put(&with, b.data, before);
	append_field(&with, CONTEXT_SEL_DEVICE, FIELD_OPTIONAL);
	buf_put(&with, b.data + before, b.len - before);
	assert_int_equal(context_policy_info(with.data, with.len, &two, NULL),
			 -EBADMSG);
	buf_free(&with);
	assert_false(two.unreadable);
	assert_int_not_equal(two.key[0], one.key[0]);
	buf_free(&b);
}

static void policy_of(struct buf *b, uint32_t ifindex)
{
	struct xfrm_userpolicy_info *pol;
	struct msg m;

	make_policy(&m);
	pol = mnl_nlmsg_get_payload(&m.nlh);
	pol->sel.ifindex = ifindex;
	buf_clear(b);
	assert_int_equal(context_from_policy(&m.nlh, b), 0);
}

/* An interface that is gone is not none. */
static void test_gone_interface(void **state)
{
	struct context_policy gone, any, lo;
	struct buf b = {}, other = {};
	struct xfrm_usersa_info *sa;
	struct field_error why;
	struct context_sa info;
	struct msg m, out = {};
	char text[160];

	(void)state;
	policy_of(&b, 0);
	assert_int_equal(context_policy_info(b.data, b.len, &any, NULL), 0);
	policy_of(&b, if_nametoindex("lo"));
	assert_int_equal(context_policy_info(b.data, b.len, &lo, NULL), 0);
	policy_of(&b, GONE);
	assert_int_equal(context_policy_info(b.data, b.len, &gone, &why), -ENODEV);
	assert_string_equal(context_error_str(&why, text, sizeof(text)),
			    "field 0x0003 (SEL_DEVICE) names an interface that is gone");
	assert_false(gone.unreadable);
	assert_int_equal(gone.templates, 1);
	assert_string_equal(context_policy_name(&gone),
			    "policy out 0.0.0.0/0 -> 10.2.0.0/16");
	assert_true(context_policy_was_for(&gone, &lo));
	assert_false(context_policy_was_for(&gone, &any));
	assert_false(context_policy_was_for(&gone, &gone));
	assert_false(context_policy_was_for(&lo, &lo));
	assert_false(context_policy_was_for(&any, &lo));
	mnl_nlmsg_put_header(out.bytes);
	assert_int_equal(context_to_policy(b.data, b.len, &out.nlh, SIZE, NULL), -ENODEV);
	/* Refused for more than that, it is still not the one without. */
	append_field(&b, 0x0100, FIELD_MANDATORY);
	assert_int_equal(context_policy_info(b.data, b.len, &gone, NULL), -EOPNOTSUPP);
	assert_false(gone.unreadable);
	assert_false(gone.key_len == any.key_len);

	make_gcm(&m);
	assert_int_equal(context_from_sa(&m.nlh, &other), 0);
	sa = mnl_nlmsg_get_payload(&m.nlh);
	sa->sel.ifindex = GONE;
	buf_clear(&b);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	assert_int_equal(context_sa_info(b.data, b.len, &info, &why), -ENODEV);
	assert_string_equal(context_error_str(&why, text, sizeof(text)),
			    "field 0x0003 (SEL_DEVICE) names an interface that is gone");
	assert_int_equal(info.window, 128);
	assert_true(info.esn);
	/* It is that SA all the same, with another selector. */
	assert_true(context_same_keys(b.data, b.len, other.data, other.len));
	assert_false(context_same_parameters(b.data, b.len, other.data, other.len));
	mnl_nlmsg_put_header(out.bytes);
	assert_int_equal(context_to_sa(b.data, b.len, NULL, &out.nlh, SIZE, NULL), -ENODEV);
	buf_free(&b);
	buf_free(&other);
}

/* Another SPI: in the SA, and in the policies that name it, not in others. */
static void test_set_spi(void **state)
{
	struct buf sa = {}, named = {}, any = {};
	struct context_policy pol;
	struct context_sa info;
	uint32_t spi = htonl(0xc1000001);
	struct msg m;

	(void)state;
	fill(&sa, make_gcm);
	assert_int_equal(context_sa_info(sa.data, sa.len, &info, NULL), 0);
	make_policy(&m);
	assert_int_equal(context_from_policy(&m.nlh, &any), 0);
	buf_put(&named, any.data, any.len);
	memcpy(find_field(&named, CONTEXT_TEMPLATES) + FIELD_HEADER + 8,
	       &info.id.spi, 4);
	/* The policy's if_id is the SA's. */
	assert_false(context_policy_set_spi(named.data, named.len, &info, spi));
	info.if_id = 9;
	assert_false(context_policy_set_spi(any.data, any.len, &info, spi));
	assert_true(context_policy_set_spi(named.data, named.len, &info, spi));
	assert_false(context_policy_set_spi(named.data, named.len, &info, spi));
	assert_int_equal(context_policy_info(named.data, named.len, &pol, NULL), 0);
	assert_int_equal(pol.template[0].spi, spi);
	assert_false(context_policy_uses(&pol, &info));
	context_set_spi(sa.data, sa.len, spi);
	assert_int_equal(context_sa_info(sa.data, sa.len, &info, NULL), 0);
	assert_int_equal(info.id.spi, spi);
	info.if_id = 9;
	assert_true(context_policy_uses(&pol, &info));
	buf_free(&sa);
	buf_free(&named);
	buf_free(&any);
}

#define T(p, m, ...) \
	{ .family = AF_INET, .proto = IPPROTO_##p, .mode = XFRM_MODE_##m, ##__VA_ARGS__ }

#define ADDR(...) { __VA_ARGS__ }
#define INNER ADDR(10, 0, 1, 1)
#define INNER_SRC ADDR(10, 0, 2, 1)
#define OUTER ADDR(192, 0, 2, 2)
#define OUTER_SRC ADDR(192, 0, 2, 1)

/* What is behind a tunnel has the tunnel's ends for addresses (xfrm_tmpl_resolve_one). */
static void test_behind_tunnel(void **state)
{
	const struct context_template tunnel =
		T(COMP, TUNNEL, .reqid = 7, .has_dst = true, .has_src = true,
		  .dst = OUTER, .src = OUTER_SRC);
	const struct context_template transport = T(ESP, TRANSPORT, .reqid = 7);
	const struct context_sa inner = {
		.id = { .family = AF_INET, .proto = IPPROTO_ESP, .dst = INNER },
		.src = INNER_SRC, .mode = XFRM_MODE_TRANSPORT, .reqid = 7,
	}, outer = {
		.id = { .family = AF_INET, .proto = IPPROTO_ESP, .dst = OUTER },
		.src = OUTER_SRC, .mode = XFRM_MODE_TRANSPORT, .reqid = 7,
	};
	struct context_policy pol = {
		.dir = XFRM_POLICY_OUT, .templates = 1, .sel_family = AF_INET,
		.sel_dst = { 10, 0, 1 }, .sel_src = { 10, 0, 2 },
		.sel_dst_len = 24, .sel_src_len = 24,
	};

	(void)state;
	/* Alone, it is for packets as they are: in a main policy beside a sub one, too. */
	pol.template[0] = transport;
	assert_true(context_policy_uses(&pol, &inner));
	assert_false(context_policy_uses(&pol, &outer));
	pol.template[0] = tunnel;
	pol.template[1] = transport;
	pol.templates = 2;
	assert_false(context_policy_uses(&pol, &inner));
	assert_true(context_policy_uses(&pol, &outer));
	assert_true(context_policy_uses_any(&pol, &outer, 1));
	/* IPComp that does not compress is left out. */
	pol.template[0].optional = true;
	assert_true(context_policy_uses(&pol, &inner));
	assert_true(context_policy_uses(&pol, &outer));
	/* Two behind one; another transport between them changes nothing. */
	pol.template[0].optional = false;
	pol.template[2] = transport;
	pol.template[1].proto = IPPROTO_AH;
	pol.templates = 3;
	assert_true(context_policy_uses(&pol, &outer));
	/* The nearest tunnel counts. */
	pol.template[1] = tunnel;
	pol.template[1].dst[3] = 99;
	assert_false(context_policy_uses(&pol, &outer));
	/* What it says itself of its ends XFRM does not look at. */
	pol.template[1] = tunnel;
	pol.template[2].has_dst = true;
	assert_true(context_policy_uses(&pol, &outer));
	assert_true(context_policy_uses_any(&pol, &outer, 1));
	/* IPv6 is not IPv4. */
	pol.template[0].family = AF_INET6;
	pol.template[1].family = AF_INET6;
	assert_false(context_policy_uses(&pol, &outer));
}

/* Outbound an SA is looked for, inbound a policy. */
static void test_marks(void **state)
{
	static const uint8_t dirs[] = {
		XFRM_POLICY_OUT, XFRM_POLICY_IN, XFRM_POLICY_FWD,
	};
	struct context_policy pol = {
		.templates = 1, .sel_family = AF_INET, .sel_dst_len = 8,
		.template = { T(ESP, TUNNEL, .has_dst = true, .dst = OUTER) },
	};
	struct context_sa sa = {
		.id = { .family = AF_INET, .proto = IPPROTO_ESP, .dst = OUTER,
			.mark = 5, .mark_mask = 0xff },
		.mode = XFRM_MODE_TUNNEL,
	};
	size_t i;
	bool in;

	(void)state;
	for (i = 0; i < sizeof(dirs); i++) {
		pol.dir = dirs[i];
		in = pol.dir != XFRM_POLICY_OUT;
		pol.mark = 0;
		pol.mark_mask = 0;
		assert_int_equal(context_policy_uses(&pol, &sa), in);
		pol.mark = 6;
		pol.mark_mask = 0xff;
		assert_int_equal(context_policy_uses(&pol, &sa), in);
		pol.mark = 0x105;
		pol.mark_mask = 0xfff;
		assert_true(context_policy_uses(&pol, &sa));
		sa.if_id = 7;
		assert_int_equal(context_policy_uses(&pol, &sa), in);
		assert_int_equal(context_policy_uses_any(&pol, &sa, 1), in);
		pol.if_id = 7;
		assert_true(context_policy_uses(&pol, &sa));
		pol.if_id = 8;
		assert_false(context_policy_uses(&pol, &sa));
		sa.if_id = 0;
		assert_false(context_policy_uses(&pol, &sa));
		pol.if_id = 0;
		/* From wherever it came. */
		pol.template[0].has_dst = false;
		assert_int_equal(context_policy_uses(&pol, &sa), in);
		pol.template[0].has_dst = true;
	}
}

/* Searched in order, or one by one: the same. */
static void test_used_by_any(void **state)
{
	struct context_policy pol = {};
	struct context_template *t;
	struct context_sa sa[40];
	unsigned int n, i, used = 0;
	bool any;

	(void)state;
	srand(1);
	for (n = 0; n < 4000; n++) {
		memset(sa, 0, sizeof(sa));
		for (i = 0; i < 40; i++) {
			sa[i].id.family = AF_INET;
			sa[i].id.proto = IPPROTO_ESP;
			sa[i].id.dst[3] = rand() % 40;
			sa[i].src[3] = rand() % 2;
			sa[i].reqid = rand() % 4;
			sa[i].mode = rand() % 2;
		}
		qsort(sa, 40, sizeof(sa[0]), context_sa_order);
		memset(&pol, 0, sizeof(pol));
		pol.dir = rand() % 3;
		pol.templates = 1 + rand() % 2;
		for (i = 0; i < pol.templates; i++) {
			t = &pol.template[i];
			t->family = AF_INET;
			t->proto = IPPROTO_ESP;
			t->mode = rand() % 2;
			t->optional = !(rand() % 4);
			t->reqid = rand() % 6;
			t->has_dst = rand() % 4;
			t->dst[3] = rand() % 40;
			t->has_src = !t->has_dst || rand() % 2;
			t->src[3] = rand() % 2;
		}
		for (i = 0, any = false; i < 40; i++)
			any |= context_policy_uses(&pol, &sa[i]);
		assert_int_equal(context_policy_uses_any(&pol, sa, 40), any);
		used += any;
	}
	assert_true(used > 400 && used < 3600);
}

static void map_of(struct map *m, const char *one, const char *two)
{
	memset(m, 0, sizeof(*m));
	assert_null(map_add(m, one));
	if (two)
		assert_null(map_add(m, two));
}

/* There and back is the context of before. */
static void check_back(const struct buf *was, struct buf *b, const char *one,
		       const char *two)
{
	struct map m;

	map_of(&m, one, two);
	assert_int_not_equal(memcmp(was->data, b->data, was->len), 0);
	map_context(&m, b->data, b->len);
	assert_memory_equal(was->data, b->data, was->len);
}

static void test_map_sa(void **state)
{
	struct xfrm_usersa_info *sa;
	struct buf b = {}, was = {};
	struct context_sa info;
	struct msg m;
	struct map map;

	(void)state;
	fill(&b, make_gcm);
	fill(&was, make_gcm);
	map_of(&map, "192.0.2.9=192.0.2.8", "192.0.2.1=198.51.100.1");
	map_context(&map, b.data, b.len);
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), 0);
	assert_memory_equal(info.src, "\xc6\x33\x64\x01", 4);
	assert_memory_equal(info.id.dst, "\xc0\x00\x02\x02", 4);
	check_back(&was, &b, "198.51.100.1=192.0.2.1", NULL);
	/* Both ways at once: each address is mapped once. */
	map_of(&map, "192.0.2.1=192.0.2.2", "192.0.2.2=192.0.2.1");
	assert_false(map_joins(&map, AF_INET, was.data + 8 + 28, was.data + 8 + 12));
	map_context(&map, b.data, b.len);
	check_back(&was, &b, "192.0.2.1=192.0.2.2", "192.0.2.2=192.0.2.1");
	map_of(&map, "192.0.2.1=192.0.2.2", NULL);
	assert_true(map_joins(&map, AF_INET, was.data + 8 + 28, was.data + 8 + 12));

	/* A host that is the gateway follows, a network that it is in does not. */
	make_gcm(&m);
	sa = mnl_nlmsg_get_payload(&m.nlh);
	sa->sel.saddr.a4 = sa->saddr.a4;
	sa->sel.daddr.a4 = sa->saddr.a4;
	sa->sel.prefixlen_s = 32;
	sa->sel.prefixlen_d = 31;
	buf_clear(&b);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	map_of(&map, "192.0.2.1=198.51.100.1", NULL);
	map_context(&map, b.data, b.len);
	assert_memory_equal(find_field(&b, CONTEXT_SELECTOR) + 8 + 24, "\xc6\x33\x64\x01", 4);
	assert_memory_equal(find_field(&b, CONTEXT_SELECTOR) + 8 + 8, "\xc0\x00\x02\x01", 4);

	/* Nothing of an IPv6 SA, though its first four bytes are those. */
	make_ah6(&m);
	sa = mnl_nlmsg_get_payload(&m.nlh);
	memcpy(&sa->saddr, "\xc0\x00\x02\x01", 4);
	buf_clear(&b);
	buf_clear(&was);
	assert_int_equal(context_from_sa(&m.nlh, &b), 0);
	buf_put(&was, b.data, b.len);
	map_context(&map, b.data, b.len);
	assert_memory_equal(was.data, b.data, b.len);
	map_of(&map, "2222:2222:2222:2222:2222:2222:2222:2222=fd00::1", NULL);
	map_context(&map, b.data, b.len);
	assert_int_equal(context_sa_info(b.data, b.len, &info, NULL), 0);
	assert_memory_equal(info.id.dst, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	buf_free(&b);
	buf_free(&was);
}

/* What else has an address: original, care-of; templates, and what is cut. */
static void test_map_others(void **state)
{
	struct context_policy pol;
	struct buf b = {}, was = {};
	struct map map;
	uint8_t *at;
	size_t len;
	struct msg m;

	(void)state;
	map_of(&map, "192.0.2.1=198.51.100.1", NULL);
	fill(&b, make_everything);
	at = find_field(&b, CONTEXT_COADDR) + 8;
	memcpy(at, "\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	map_context(&map, b.data, b.len);
	assert_memory_equal(find_field(&b, CONTEXT_COADDR) + 8, "\xc6\x33\x64\x01", 4);
	at = find_field(&b, CONTEXT_ENCAP) + 8 + 8;
	memcpy(at, "\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	map_context(&map, b.data, b.len);
	assert_memory_equal(find_field(&b, CONTEXT_ENCAP) + 8 + 8, "\xc6\x33\x64\x01", 4);

	make_policy(&m);
	buf_clear(&b);
	assert_int_equal(context_from_policy(&m.nlh, &b), 0);
	buf_put(&was, b.data, b.len);
	map_context(&map, b.data, b.len);
	assert_int_equal(context_policy_info(b.data, b.len, &pol, NULL), 0);
	assert_memory_equal(pol.template[0].src, "\xc6\x33\x64\x01", 4);
	assert_memory_equal(pol.template[0].dst, "\xc0\x00\x02\x02", 4);
	assert_int_equal(pol.sel_dst_len, 16);
	check_back(&was, &b, "198.51.100.1=192.0.2.1", NULL);
	for (len = 0; len < b.len; len++)
		map_context(&map, b.data, len);
	buf_free(&b);
	buf_free(&was);
}

static void test_cut_message(void **state)
{
	struct buf b = {};
	struct msg m;

	(void)state;
	make_gcm(&m);
	m.nlh.nlmsg_len = NLMSG_LENGTH(10);
	assert_int_equal(context_from_sa(&m.nlh, &b), -EBADMSG);
	/* A key that is longer than its attribute. */
	sa_begin(&m, AF_INET, IPPROTO_ESP);
	put_aead(&m);
	((struct xfrm_algo_aead *)(m.bytes + NLMSG_LENGTH(sizeof(
		struct xfrm_usersa_info)) + MNL_ATTR_HDRLEN))->alg_key_len = 9999;
	assert_int_equal(context_from_sa(&m.nlh, &b), -EBADMSG);
	buf_free(&b);
}

/* ---- what the kernel does not tell stays ---- */

static void test_keep_unknown(void **state)
{
	struct buf now = {}, old = {}, was = {};
	uint8_t *at;

	(void)state;
	again(&now);
	again(&old);
	again(&was);
	/* Nothing is unknown. */
	assert_int_equal(context_keep_unknown(old.data, old.len, &now), 0);
	assert_int_equal(now.len, was.len);
	field_put_u32(&old, 0x0100, FIELD_OPTIONAL, 7);
	field_put_u32(&old, CONTEXT_VENDOR_BASE | 90, FIELD_VENDOR, 8);
	field_put_u32(&old, CONTEXT_VENDOR_BASE | 91, FIELD_VENDOR, 9);
	/* The kernel has one of them, of another value. */
	field_put_u32(&now, CONTEXT_VENDOR_BASE | 90, FIELD_VENDOR, 80);
	assert_int_equal(context_keep_unknown(old.data, old.len, &now), 0);
	assert_int_equal(now.len, was.len + 3 * (FIELD_HEADER + 4));
	at = find_field(&now, 0x0100);
	assert_int_equal(at[FIELD_HEADER + 3], 7);
	at = find_field(&now, CONTEXT_VENDOR_BASE | 90);
	assert_int_equal(at[FIELD_HEADER + 3], 80);
	at = find_field(&now, CONTEXT_VENDOR_BASE | 91);
	assert_int_equal(at[FIELD_HEADER + 3], 9);
	assert_memory_equal(now.data, was.data, was.len);
	/* Changed here: it is of what stood there before. */
	buf_clear(&now);
	again(&now);
	find_field(&now, CONTEXT_LIFETIME)[FIELD_HEADER] ^= 1;
	assert_int_equal(context_keep_unknown(old.data, old.len, &now), 0);
	assert_int_equal(now.len, was.len);
	buf_free(&now);
	buf_free(&old);
	buf_free(&was);
}

/* Who loads a context is told what stays behind: all of it, or what the kernel dropped. */
static void test_lost(void **state)
{
	static const uint8_t value[] = { 1, 2, 3 };
	struct buf given = {}, told = {};
	char text[80];
	size_t at;

	(void)state;
	fill(&given, make_everything);
	fill(&told, make_everything);
	assert_int_equal(context_lost(given.data, given.len, told.data, told.len,
				      true, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	cut_out(&told, CONTEXT_TFC_PAD);
	/* Not an optional one: nobody would have taken the SA without. */
	cut_out(&told, CONTEXT_IF_ID);
	at = field_begin(&given, 0x100, FIELD_OPTIONAL);
	buf_put(&given, value, sizeof(value));
	field_end(&given, at);
	at = field_begin(&given, CONTEXT_VENDOR_BASE | 200, FIELD_VENDOR);
	buf_put(&given, value, sizeof(value));
	field_end(&given, at);
	assert_int_equal(context_lost(given.data, given.len, told.data, told.len,
				      true, text, sizeof(text)), 3);
	assert_string_equal(text, "TFC_PAD, field 0x0100, attribute 200");
	assert_int_equal(context_lost(given.data, given.len, told.data, told.len,
				      false, text, sizeof(text)), 2);
	assert_string_equal(text, "TFC_PAD, attribute 200");
	/* As many as there is room for. */
	assert_int_equal(context_lost(given.data, given.len, told.data, told.len,
				      true, text, 12), 3);
	assert_string_equal(text, "TFC_PAD, fi");
	buf_free(&given);
	buf_free(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_outline),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_keep_unknown),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_vendor),
		cmocka_unit_test(test_sec_ctx),
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_same_ipcomp),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_refused_policy),
		cmocka_unit_test(test_refused_policy_is_for),
		cmocka_unit_test(test_refused_device),
		cmocka_unit_test(test_gone_interface),
		cmocka_unit_test(test_set_spi),
		cmocka_unit_test(test_behind_tunnel),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_used_by_any),
		cmocka_unit_test(test_map_sa),
		cmocka_unit_test(test_map_others),
		cmocka_unit_test(test_cut_message),
	};

	return cmocka_run_group_tests_name("context", tests, NULL, NULL);
}
