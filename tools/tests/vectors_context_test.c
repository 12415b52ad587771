// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts, byte by byte (vectors/), and the same SAs and policies as this
 *     machine's kernel would tell them: in its own byte order.
 * Out: one from the other, both ways, the same on every machine.
 * Host only.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/udp.h>
#include <linux/xfrm.h>

#include "context.h"
#include "vector.h"
#include "xfrm_attr.h"

#define SIZE 16384
#define UNKNOWN_ATTR 60

struct msg {
	union {
		uint8_t bytes[SIZE];
		struct nlmsghdr nlh;
	};
};

/* ---- as the kernel tells them ---- */

static void set_addr(xfrm_address_t *to, const char *text)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	assert_int_equal(inet_pton(family, text, to), 1);
}

static void no_limits(struct xfrm_lifetime_cfg *lft)
{
	lft->soft_byte_limit = XFRM_INF;
	lft->hard_byte_limit = XFRM_INF;
	lft->soft_packet_limit = XFRM_INF;
	lft->hard_packet_limit = XFRM_INF;
}

static struct xfrm_usersa_info *begin_sa(struct msg *m, uint16_t family,
					 uint8_t proto, uint32_t spi)
{
	bool v6 = family == AF_INET6;
	struct xfrm_usersa_info *sa;

	memset(m, 0, sizeof(*m));
	mnl_nlmsg_put_header(m->bytes)->nlmsg_type = XFRM_MSG_NEWSA;
	sa = mnl_nlmsg_put_extra_header(&m->nlh, sizeof(*sa));
	sa->family = family;
	sa->sel.family = family;
	sa->id.proto = proto;
	sa->id.spi = htonl(spi);
	sa->mode = XFRM_MODE_TUNNEL;
	set_addr(&sa->id.daddr, v6 ? "2001:db8::2" : "192.0.2.2");
	set_addr(&sa->saddr, v6 ? "2001:db8::1" : "192.0.2.1");
	no_limits(&sa->lft);
	return sa;
}

/* The heads of xfrm_algo, _auth and _aead differ in length alone. */
static void put_alg(struct msg *m, int attr, const char *name, uint32_t bits,
		    const uint32_t *param, uint8_t first)
{
	struct {
		char name[64];
		uint32_t words[2];
		uint8_t key[64];
	} alg = { .words = { bits, param ? *param : 0 } };
	size_t head = sizeof(alg.name) + (param ? 8 : 4), i;

	strcpy(alg.name, name);
	for (i = 0; i < bits / 8; i++)
		((uint8_t *)&alg)[head + i] = first + i;
	mnl_attr_put(&m->nlh, attr, head + bits / 8, &alg);
}

static void put_aead(struct msg *m, const char *name, uint32_t bits,
		     uint32_t icv, uint8_t first)
{
	put_alg(m, XFRMA_ALG_AEAD, name, bits, &icv, first);
}

static void put_auth(struct msg *m, const char *name, uint32_t bits,
		     uint32_t trunc, uint8_t first)
{
	put_alg(m, XFRMA_ALG_AUTH_TRUNC, name, bits, &trunc, first);
}

static void put_esn(struct msg *m, uint32_t window)
{
	struct {
		struct xfrm_replay_state_esn e;
		uint32_t bmp[RECORD_BMP_WORDS];
	} esn = { .e.bmp_len = window / 32, .e.replay_window = window };

	mnl_attr_put(&m->nlh, XFRMA_REPLAY_ESN_VAL,
		     sizeof(esn.e) + esn.e.bmp_len * 4, &esn);
}

static void put_u32(struct msg *m, int attr, uint32_t v)
{
	mnl_attr_put(&m->nlh, attr, sizeof(v), &v);
}

static void put_u8(struct msg *m, int attr, uint8_t v)
{
	mnl_attr_put(&m->nlh, attr, sizeof(v), &v);
}

static void put_mark(struct msg *m, uint32_t v, uint32_t mask)
{
	struct xfrm_mark mark = { .v = v, .m = mask };

	mnl_attr_put(&m->nlh, XFRMA_MARK, sizeof(mark), &mark);
}

static void make_gcm(struct msg *m)
{
	struct xfrm_usersa_info *sa = begin_sa(m, AF_INET, IPPROTO_ESP, 0xc0000001);

	sa->reqid = 42;
	sa->flags = XFRM_STATE_ESN;
	sa->lft = (struct xfrm_lifetime_cfg){
		.soft_byte_limit = 1ULL << 40, .hard_byte_limit = XFRM_INF,
		.soft_packet_limit = 1000, .hard_packet_limit = 2000,
		.soft_add_expires_seconds = 3000, .hard_add_expires_seconds = 3600,
		.hard_use_expires_seconds = 7200,
	};
	put_aead(m, "rfc4106(gcm(aes))", 160, 128, 0);
	put_esn(m, 128);
}

static void make_gcm_out(struct msg *m)
{
	make_gcm(m);
	put_u8(m, XFRM_ATTR_SA_DIR, 2);
}

/* Of a kernel that is newer than this tool. */
static void make_vendor(struct msg *m)
{
	make_gcm(m);
	put_u32(m, UNKNOWN_ATTR, 0x01020304);
}

static void make_ah6(struct msg *m)
{
	struct xfrm_usersa_info *sa = begin_sa(m, AF_INET6, IPPROTO_AH, 0x12345678);

	sa->mode = XFRM_MODE_TRANSPORT;
	sa->replay_window = 32;
	sa->sel.proto = IPPROTO_ICMPV6;
	sa->sel.daddr = sa->id.daddr;
	sa->sel.saddr = sa->saddr;
	sa->sel.prefixlen_d = 128;
	sa->sel.prefixlen_s = 128;
	put_auth(m, "hmac(sha256)", 256, 128, 0x40);
}

static void make_ipcomp6(struct msg *m)
{
	begin_sa(m, AF_INET6, IPPROTO_COMP, 0x1234)->reqid = 7;
	put_alg(m, XFRMA_ALG_COMP, "deflate", 0, NULL, 0);
}

static void make_udp(struct msg *m)
{
	struct xfrm_encap_tmpl encap = {
		.encap_type = UDP_ENCAP_ESPINUDP,
		.encap_sport = htons(4500), .encap_dport = htons(4501),
	};
	struct xfrm_usersa_info *sa = begin_sa(m, AF_INET, IPPROTO_ESP, 0xcafe0001);

	sa->reqid = 1;
	sa->flags = XFRM_STATE_NOECN;
	sa->replay_window = 32;
	put_auth(m, "hmac(sha1)", 160, 96, 0x80);
	put_alg(m, XFRMA_ALG_CRYPT, "cbc(aes)", 128, NULL, 0xa0);
	set_addr(&encap.encap_oa, "198.51.100.7");
	mnl_attr_put(&m->nlh, XFRMA_ENCAP, sizeof(encap), &encap);
	put_u32(m, XFRM_ATTR_NAT_KEEPALIVE, 20);
}

static void put_sec_ctx(struct msg *m, const char *label)
{
	struct {
		struct xfrm_user_sec_ctx s;
		char label[64];
	} sec = {};
	size_t len = strlen(label);

	sec.s.len = sizeof(sec.s) + len;
	sec.s.exttype = XFRMA_SEC_CTX;
	sec.s.ctx_alg = XFRM_SC_ALG_SELINUX;
	sec.s.ctx_doi = XFRM_SC_DOI_LSM;
	sec.s.ctx_len = len;
	memcpy(sec.label, label, len);
	mnl_attr_put(&m->nlh, XFRMA_SEC_CTX, sec.s.len, &sec);
}

static void make_all(struct msg *m)
{
	struct xfrm_usersa_info *sa = begin_sa(m, AF_INET, IPPROTO_ESP, 0x100);
	xfrm_address_t coaddr = {};

	sa->reqid = 0xfffffffe;
	sa->mode = XFRM_MODE_BEET;
	sa->flags = XFRM_STATE_ESN | XFRM_STATE_AF_UNSPEC;
	sa->sel = (struct xfrm_selector){
		.family = AF_INET, .proto = IPPROTO_UDP,
		.prefixlen_d = 24, .prefixlen_s = 32,
		.dport = htons(53), .dport_mask = htons(0xffff),
		.sport = htons(1024), .sport_mask = htons(0xfc00),
		.user = 4711, .ifindex = if_nametoindex("lo"),
	};
	set_addr(&sa->sel.daddr, "10.2.3.0");
	set_addr(&sa->sel.saddr, "10.1.0.1");
	put_aead(m, "rfc7539esp(chacha20,poly1305)", 288, 128, 0x10);
	put_esn(m, 4096);
	put_u32(m, XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
	set_addr(&coaddr, "203.0.113.9");
	mnl_attr_put(&m->nlh, XFRMA_COADDR, sizeof(coaddr), &coaddr);
	put_mark(m, 5, 0xff);
	put_u32(m, XFRMA_SET_MARK, 7);
	put_u32(m, XFRMA_SET_MARK_MASK, 15);
	put_u32(m, XFRMA_IF_ID, 3);
	put_u32(m, XFRMA_TFCPAD, 100);
	put_sec_ctx(m, "system_u:object_r:ipsec_spd_t:s0");
	put_u32(m, XFRMA_MTIMER_THRESH, 30);
	put_u8(m, XFRM_ATTR_SA_DIR, 1);
	put_u32(m, XFRM_ATTR_SA_PCPU, 1);
}

static struct xfrm_userpolicy_info *begin_policy(struct msg *m, uint8_t dir)
{
	struct xfrm_userpolicy_info *pol;

	memset(m, 0, sizeof(*m));
	mnl_nlmsg_put_header(m->bytes)->nlmsg_type = XFRM_MSG_NEWPOLICY;
	pol = mnl_nlmsg_put_extra_header(&m->nlh, sizeof(*pol));
	pol->sel.family = AF_INET;
	pol->dir = dir;
	no_limits(&pol->lft);
	return pol;
}

static void make_policy_out(struct msg *m)
{
	struct xfrm_userpolicy_info *pol = begin_policy(m, XFRM_POLICY_OUT);
	struct xfrm_user_tmpl t = {
		.family = AF_INET, .id.proto = IPPROTO_ESP, .reqid = 42,
		.mode = XFRM_MODE_TUNNEL,
		.aalgos = ~0U, .ealgos = ~0U, .calgos = ~0U,
	};

	pol->priority = 1000;
	set_addr(&pol->sel.daddr, "10.2.0.0");
	set_addr(&pol->sel.saddr, "10.1.1.0");
	pol->sel.prefixlen_d = 16;
	pol->sel.prefixlen_s = 24;
	set_addr(&t.id.daddr, "192.0.2.2");
	set_addr(&t.saddr, "192.0.2.1");
	mnl_attr_put(&m->nlh, XFRMA_TMPL, sizeof(t), &t);
}

static void make_policy_in(struct msg *m)
{
	struct xfrm_userpolicy_type type = { .type = XFRM_POLICY_TYPE_SUB };
	struct xfrm_userpolicy_info *pol = begin_policy(m, XFRM_POLICY_IN);
	struct xfrm_user_tmpl t[2] = {
		{
			.family = AF_INET, .id.proto = IPPROTO_COMP, .reqid = 7,
			.mode = XFRM_MODE_TUNNEL, .optional = 1,
			.aalgos = ~0U, .ealgos = ~0U, .calgos = ~0U,
		}, {
			.family = AF_INET, .id.proto = IPPROTO_ESP, .reqid = 7,
			.id.spi = htonl(0xc0000002),
			.aalgos = 1, .ealgos = 2, .calgos = 4,
		},
	};

	pol->priority = 0x01020304;
	pol->flags = XFRM_POLICY_ICMP;
	pol->sel.proto = IPPROTO_TCP;
	pol->sel.dport = htons(443);
	pol->sel.dport_mask = 0xffff;
	pol->sel.prefixlen_d = 32;
	pol->sel.user = 1000;
	set_addr(&pol->sel.daddr, "10.1.1.5");
	pol->lft = (struct xfrm_lifetime_cfg){ 1, 2, 3, 4, 5, 6, 7, 8 };
	put_mark(m, 0x105, 0xfff);
	put_u32(m, XFRMA_IF_ID, 9);
	mnl_attr_put(&m->nlh, XFRMA_POLICY_TYPE, sizeof(type), &type);
	set_addr(&t[0].id.daddr, "192.0.2.1");
	set_addr(&t[0].saddr, "192.0.2.2");
	mnl_attr_put(&m->nlh, XFRMA_TMPL, sizeof(t), t);
}

/* ---- one from the other ---- */

#if __BYTE_ORDER == __LITTLE_ENDIAN
#define VENDOR_OURS "sa-vendor-little"
#define VENDOR_OTHER "sa-vendor-big"
#else
#define VENDOR_OURS "sa-vendor-big"
#define VENDOR_OTHER "sa-vendor-little"
#endif

static const struct {
	const char *vector;
	void (*make)(struct msg *m);
	bool is_policy;
} good[] = {
	{ "sa-gcm-esn", make_gcm_out, false },
	{ "sa-ah6", make_ah6, false },
	{ "sa-ipcomp6", make_ipcomp6, false },
	{ "sa-udp", make_udp, false },
	{ "sa-all", make_all, false },
	{ VENDOR_OURS, make_vendor, false },
	{ "policy-out", make_policy_out, true },
	{ "policy-in", make_policy_in, true },
};

#define N_GOOD (sizeof(good) / sizeof(good[0]))

static void test_encode(void **state)
{
	struct buf want, got = {};
	struct msg m;
	size_t i;

	(void)state;
	for (i = 0; i < N_GOOD; i++) {
		want = vector_read(good[i].vector);
		good[i].make(&m);
		buf_clear(&got);
		assert_int_equal(good[i].is_policy ?
				 context_from_policy(&m.nlh, &got) :
				 context_from_sa(&m.nlh, &got), 0);
		vector_equal(good[i].vector, &want, got.data, got.len);
		buf_free(&want);
	}
	buf_free(&got);
}

static size_t count_attrs(const struct xfrm_attrs *a)
{
	size_t n = 0, i;

	for (i = 0; i <= XFRM_ATTR_MAX; i++)
		n += !!a->tb[i];
	return n;
}

/* The same body and attributes; their order is nobody's concern. */
static void same_message(const char *name, const struct msg *got,
			 const struct msg *want, size_t body)
{
	struct xfrm_attrs g, w;
	size_t i;

	assert_int_equal(xfrm_attrs_parse(&got->nlh, body, &g), 0);
	assert_int_equal(xfrm_attrs_parse(&want->nlh, body, &w), 0);
	assert_memory_equal(mnl_nlmsg_get_payload(&got->nlh),
			    mnl_nlmsg_get_payload(&want->nlh), body);
	for (i = 0; i <= XFRM_ATTR_MAX; i++) {
		if (!w.tb[i])
			continue;
		if (!g.tb[i])
			fail_msg("%s: attribute %zu is missing", name, i);
		assert_int_equal(g.tb[i]->nla_len, w.tb[i]->nla_len);
		assert_memory_equal(g.tb[i], w.tb[i], w.tb[i]->nla_len);
	}
	assert_int_equal(count_attrs(&g), count_attrs(&w));
}

static void decode(const char *name, void (*make)(struct msg *m), bool is_policy)
{
	struct buf b = vector_read(name);
	struct msg got = {}, want;

	make(&want);
	mnl_nlmsg_put_header(got.bytes);
	assert_int_equal(is_policy ?
			 context_to_policy(b.data, b.len, &got.nlh, SIZE, NULL) :
			 context_to_sa(b.data, b.len, NULL, &got.nlh, SIZE, NULL), 0);
	same_message(name, &got, &want,
		     is_policy ? sizeof(struct xfrm_userpolicy_info) :
				 sizeof(struct xfrm_usersa_info));
	buf_free(&b);
}

static void test_decode(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < N_GOOD; i++)
		decode(good[i].vector, good[i].make, good[i].is_policy);
}

/* What is not known, or of the other byte order, is left out; the rest stands. */
static void test_unknown(void **state)
{
	(void)state;
	decode("sa-unknown", make_gcm, false);
	decode(VENDOR_OTHER, make_gcm, false);
}

/* Of the path, which XFRM knows nothing of: told beside what it tells. */
static void test_pmtu(void **state)
{
	struct buf want = vector_read("sa-pmtu"), got = {}, with = {};
	struct context_sa info;
	struct msg m;

	(void)state;
	make_gcm_out(&m);
	assert_int_equal(context_from_sa(&m.nlh, &got), 0);
	context_with_pmtu(got.data, got.len, 1400, &with);
	vector_equal("sa-pmtu", &want, with.data, with.len);
	assert_int_equal(context_sa_info(want.data, want.len, &info, NULL), 0);
	assert_int_equal(info.pmtu, 1400);
	decode("sa-pmtu", make_gcm_out, false);
	buf_free(&want);
	buf_free(&with);
	buf_free(&got);
}

/* A tag is the same wherever it is computed. */
static void test_tag(void **state)
{
	static const uint8_t key[32] = { 1, 2, 3 };
	struct buf b = vector_read("sa-all");

	(void)state;
	assert_true(context_tag(b.data, b.len, key) == 0xa4b8fd75152b13a2ULL);
	buf_free(&b);
}

static void test_bad(void **state)
{
	static const struct {
		const char *vector;
		int ret;
		const char *why;
	} bad[] = {
		{ "bad-unknown", -EOPNOTSUPP,
		  "field 0x0100 is mandatory, and this version does not know it" },
		{ "bad-missing", -EBADMSG, "field 0x0004 (LIFETIME) is missing" },
		{ "bad-length", -EBADMSG, "field 0x000f (IF_ID) has a wrong length" },
		{ "bad-window", -EBADMSG,
		  "field 0x0006 (REPLAY) has a window that no kernel has" },
		{ "bad-twice", -EBADMSG, "field 0x000d (MARK) stands twice" },
		{ "bad-order", -EBADMSG, "field 0x000d (MARK) is out of order" },
		{ "bad-cut", -EBADMSG,
		  "field 0x000f (IF_ID) is longer than the context" },
	};
	struct field_error why;
	struct context_sa info;
	char text[160];
	struct buf b;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		b = vector_read(bad[i].vector);
		assert_int_equal(context_sa_info(b.data, b.len, &info, &why),
				 bad[i].ret);
		assert_string_equal(context_error_str(&why, text, sizeof(text)),
				    bad[i].why);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_pmtu),
		cmocka_unit_test(test_tag),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests_name("vectors: contexts", tests, NULL, NULL);
}
