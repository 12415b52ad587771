// SPDX-License-Identifier: GPL-2.0
/*
 * In: bytes that may be a context.
 * Out: an abort where the decoder does not keep what it promises.
 * Fuzzers only.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <linux/xfrm.h>

#include "check_context.h"
#include "context.h"
#include "context_fields.h"
#include "map.h"
#include "xfrm.h"

static union {
	uint8_t bytes[XFRM_BUF];
	struct nlmsghdr nlh;
} msg __attribute__((aligned(8)));

static struct nlmsghdr *empty_message(void)
{
	memset(&msg.nlh, 0, NLMSG_HDRLEN);
	return mnl_nlmsg_put_header(msg.bytes);
}

/* Told to a node, but not to its kernel; or the kernel has another form for it. */
static bool stays_behind(const struct field *f)
{
	struct rd r = f->value;
	uint32_t dir;

	if (f->type == CONTEXT_DIR) {
		dir = rd_u32(&r);
		return dir != 1 && dir != 2;
	}
	return f->type == CONTEXT_OFFLOAD || f->type == CONTEXT_PMTU ||
	       !fields_name(f->type);
}

/* SELinux appends a NUL to what it is given, so one is taken from what it tells. */
static size_t told_again(const struct field *f)
{
	size_t len = f->value.left;

	if (f->type == CONTEXT_SEC_CTX && len > 2 && !f->value.p[len - 1])
		len--;
	return len;
}

static bool next_kept(struct rd *r, uint16_t *last, struct field *f)
{
	struct field_error why;
	int ret;

	do {
		ret = field_next(r, last, f, &why);
		assert(ret >= 0);
	} while (ret > 0 && stays_behind(f));
	return ret;
}

static void check_same(const uint8_t *p, size_t len, const struct buf *b)
{
	struct rd one = { .p = p, .left = len };
	struct rd two = { .p = b->data, .left = b->len };
	uint16_t last_one = 0, last_two = 0;
	struct field f, g;
	bool more;

	for (;;) {
		more = next_kept(&one, &last_one, &f);
		assert(more == next_kept(&two, &last_two, &g));
		if (!more)
			return;
		assert(f.type == g.type && f.class == g.class);
		assert(g.value.left == told_again(&f));
		assert(!memcmp(f.value.p, g.value.p, g.value.left));
	}
}

static void check_refusal(const struct field_error *why)
{
	char text[160];

	assert(why->what);
	assert(context_error_str(why, text, sizeof(text))[0]);
}

/* Put in, it is there, and the rest is what it was. */
static void check_pmtu(const uint8_t *p, size_t len)
{
	struct buf with = {}, without = {}, again = {};
	struct field_error why;
	struct context_sa info;

	context_with_pmtu(p, len, 1400, &with);
	context_with_pmtu(p, len, 0, &without);
	assert(!context_sa_info(with.data, with.len, &info, &why));
	assert(info.pmtu == 1400 || len > CONTEXT_MAX - FIELD_HEADER - 4);
	context_with_pmtu(with.data, with.len, 0, &again);
	assert(again.len == without.len && !memcmp(again.data, without.data, again.len));
	buf_free(&with);
	buf_free(&without);
	buf_free(&again);
}

/* As the kernel tells it, and with what it does not know: nothing is lost. */
static void check_kept(const uint8_t *p, size_t len, struct buf *told)
{
	struct rd r = { .p = p, .left = len };
	struct field_error why;
	uint16_t last = 0;
	size_t unknown = 0;
	struct field f;

	while (field_next(&r, &last, &f, &why) > 0)
		unknown += fields_name(f.type) ? 0 : FIELD_HEADER + f.value.left;
	if (!context_same_parameters(p, len, told->data, told->len))
		unknown = 0;
	unknown += told->len;
	assert(!context_keep_unknown(p, len, told));
	assert(told->len <= unknown);
	if (told->len < unknown)	/* vendor's, which the kernel told as well; or too long */
		assert(context_same_parameters(p, len, told->data, told->len));
}

static void check_sa(const uint8_t *p, size_t len)
{
	static const uint8_t key[32] = { 1 };
	struct record live = { .oseq = 1ULL << 33, .seq = 7 };
	struct context_sa info;
	struct field_error why;
	struct buf again = {};
	int ret;

	if (context_sa_info(p, len, &info, &why)) {
		check_refusal(&why);
		return;
	}
	assert(context_tag(p, len, key));
	context_has_keys(p, len);
	assert(context_same_keys(p, len, p, len));
	assert(context_same_parameters(p, len, p, len));
	check_pmtu(p, len);
	live.bmp_words = info.bmp_words;
	ret = context_to_sa(p, len, &live, empty_message(), XFRM_BUF, &why);
	assert(!ret || ret == -ENODEV);
	if (ret)
		return;
	/* Keys of zeros alone are what a kernel in lockdown tells. */
	ret = context_from_sa(&msg.nlh, &again);
	assert(!ret || ret == -EOPNOTSUPP);
	if (!ret) {
		check_same(p, len, &again);
		check_kept(p, len, &again);
		assert(!context_sa_info(again.data, again.len, &info, &why));
	}
	buf_free(&again);
}

/* Another SPI in its templates, and it is the same policy. */
static void check_set_spi(const uint8_t *p, size_t len,
			  const struct context_policy *info)
{
	const struct context_template *t = &info->template[0];
	struct context_sa sa = {
		.id = { .family = t->family, .proto = t->proto, .spi = t->spi },
		.mode = t->mode, .reqid = t->reqid,
	};
	struct context_policy after;
	struct field_error why;
	struct buf copy = {};

	if (!info->templates)
		return;
	memcpy(sa.id.dst, t->dst, 16);
	memcpy(sa.src, t->src, 16);
	buf_put(&copy, p, len);
	if (!context_policy_set_spi(copy.data, copy.len, &sa, 0x01020304))
		assert(!memcmp(copy.data, p, len));
	assert(!context_policy_info(copy.data, copy.len, &after, &why));
	assert(!context_key_cmp(info->key, info->key_len, after.key, after.key_len));
	buf_free(&copy);
}

static void check_policy(const uint8_t *p, size_t len)
{
	struct context_policy info;
	struct field_error why;
	struct buf again = {};
	struct context_sa sa;
	int ret;

	ret = context_policy_info(p, len, &info, &why);
	if (ret) {
		check_refusal(&why);
		/* Named all the same; and for some SAs, or for any. */
		assert(info.key_len && info.key_len <= CONTEXT_KEY_MAX);
		assert(*context_policy_name(&info));
		assert(info.unreadable == (ret != -ENODEV && !info.templates));
		assert(info.templates <= CONTEXT_TEMPLATES_MAX);
		return;
	}
	assert(!info.unreadable);
	memset(&sa, 0, sizeof(sa));
	sa.id.family = info.family;
	sa.reqid = info.reqid;
	memcpy(sa.id.dst, info.dst, 16);
	memcpy(sa.src, info.src, 16);
	assert(context_policy_uses_any(&info, &sa, 1) ==
	       context_policy_uses(&info, &sa));
	assert(info.key_len && info.key_len < CONTEXT_KEY_MAX);
	ret = context_to_policy_id(p, len, empty_message(), XFRM_BUF, &why);
	assert(!ret || ret == -ENODEV);
	ret = context_to_policy(p, len, empty_message(), XFRM_BUF, &why);
	assert(!ret || ret == -ENODEV);
	if (ret)
		return;
	assert(!context_from_policy(&msg.nlh, &again));
	check_same(p, len, &again);
	check_kept(p, len, &again);
	check_set_spi(p, len, &info);
	buf_free(&again);
}

/* With the names of another node: as good, or as bad, as before. */
static void check_mapped(const uint8_t *p, size_t len)
{
	static const char *const pairs[] = {
		"192.0.2.1=198.51.100.1", "192.0.2.2=198.51.100.2",
		"10.1.0.0=10.9.0.9", "2001:db8::1=2001:db8::f",
	};
	struct context_policy policy;
	struct field_error why;
	struct context_sa sa;
	struct map m = {};
	struct buf b = {};
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert(!map_add(&m, pairs[i]));
	buf_put(&b, p, len);
	map_context(&m, b.data, b.len);
	if (context_is_sa(p, len))
		assert(context_sa_info(b.data, b.len, &sa, &why) ==
		       context_sa_info(p, len, &sa, &why));
	else
		assert(context_policy_info(b.data, b.len, &policy, &why) ==
		       context_policy_info(p, len, &policy, &why));
	buf_free(&b);
}

void check_context(const uint8_t *p, size_t len)
{
	if (context_is_sa(p, len))
		check_sa(p, len);
	else
		check_policy(p, len);
	check_mapped(p, len);
}
