// SPDX-License-Identifier: GPL-2.0
/*
 * In: bytes that may be the context of an IKE SA.
 * Out: what is taken comes back byte by byte, is printed, derived from, and played.
 * libFuzzer's harness: the decoder of IKE contexts.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "ike_context.h"

static struct ike_context ctx, again;
static struct ha_msg parsed;

static void check_refusal(int ret, const struct field_error *why)
{
	char text[160];

	assert(ret == -EBADMSG || ret == -EOPNOTSUPP);
	assert(why->what);
	assert(ike_context_error_str(why, text, sizeof(text))[0]);
}

static void check_json(void)
{
	json_t *o = ike_context_json(&ctx);

	assert(o);
	json_decref(o);
}

static int take(void *arg, const struct ha_msg *msg)
{
	struct ike_store *s = arg;
	struct buf b = {};
	int ret;

	/* Longer than charon takes, or a key exchange that its version has not. */
	ret = ha_build(msg, &b, NULL);
	assert(!ret || ret == -EMSGSIZE || ret == -EOPNOTSUPP);
	if (!ret)
		ret = ha_parse(b.data, b.len, &parsed, NULL);
	if (!ret)
		ret = ike_store_take(s, &parsed);
	buf_free(&b);
	return ret < 0 ? ret : 0;
}

/* What charon would tell of it then is what was told, but for what it does not tell. */
static void check_played(void)
{
	struct ike_store s;
	struct ike_sa *sa;

	assert(!ike_store_init(&s));
	if (!ike_context_play(&ctx, 5, take, &s)) {
		sa = ike_store_find(&s, &ctx.id);
		assert(sa && sa->established);
		assert(!ike_context_of_sa(sa, IKE_CONTEXT_DH, &again));
		assert(again.mid_i == ctx.mid_i && again.mid_r == ctx.mid_r);
		assert(again.rekeyed == ctx.rekeyed);
		assert(again.remote_vips == ctx.remote_vips);
		assert(again.peer_addrs == ctx.peer_addrs);
		assert(again.ni.len == ctx.ni.len);
		assert(!memcmp(again.ni.p, ctx.ni.p, ctx.ni.len));
		ike_context_exit(&again);
	}
	ike_store_exit(&s);
}

static void check_derived(void)
{
	struct buf b = {};
	int ret;

	ret = ike_context_derive(&ctx, IKE_CONTEXT_KEYS);
	assert(!ret || ret == -EOPNOTSUPP || ret == -EIO);
	if (!ret)
		assert(!ike_context_encode(&ctx, &b));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct field_error why = {};
	struct buf b = {};
	int ret;

	ret = ike_context_decode(data, size, &ctx, &why);
	if (ret) {
		check_refusal(ret, &why);
		ike_context_exit(&ctx);
		return 0;
	}
	assert(!ike_context_encode(&ctx, &b));
	assert(b.len == size && !memcmp(b.data, data, size));
	buf_free(&b);
	check_json();
	check_played();
	check_derived();
	ike_context_exit(&ctx);
	return 0;
}
