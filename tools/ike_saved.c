// SPDX-License-Identifier: GPL-2.0
/*
 * In: an IKE SA of the store; the value of an entry of a file.
 * Out: the one of the other (Documentation/wire.rst, Files).
 * Pure; the bytes hold keys: wipe them, log none.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ike_saved.h"

int ike_saved_put(const struct ike_sa *sa, struct buf *out)
{
	struct ike_context *ctx = calloc(1, sizeof(*ctx));
	size_t start = out->len;
	const struct ike_child *c;
	int ret;

	if (!ctx)
		return -ENOMEM;
	buf_u32(out, 0);
	ret = ike_context_of_sa(sa, IKE_CONTEXT_DH, ctx);
	if (!ret)
		ret = ike_context_encode(ctx, out);
	buf_set_u32(out, start, out->len - start - 4);
	ike_context_exit(ctx);
	free(ctx);
	if (ret)
		return ret;
	ike_sa_for_each_child(sa, c) {
		buf_u16(out, c->add.len);
		buf_put(out, c->add.p, c->add.len);
	}
	return out->bad ? -ENOMEM : 0;
}

static bool is_child_add(const uint8_t *p, size_t len, const struct ike_context *ctx,
			 struct ha_msg *msg)
{
	return p && !ha_parse(p, len, msg, NULL) && msg->type == HA_CHILD_ADD &&
	       ha_ike_id_equal(ha_ike_id(msg), &ctx->id);
}

static int check_children(const struct ike_saved *s, struct field_error *why)
{
	struct ha_msg *msg = calloc(1, sizeof(*msg));
	struct rd r = s->children;
	bool good = true;
	size_t len;

	if (!msg)
		return -ENOMEM;
	while (good && r.left) {
		len = rd_u16(&r);
		good = is_child_add(rd_bytes(&r, len), len, &s->ctx, msg);
	}
	free(msg);
	if (good)
		return 0;
	*why = (struct field_error){ .what = "a Child SA's message is malformed" };
	return -EBADMSG;
}

int ike_saved_get(const uint8_t *p, size_t len, struct ike_saved *s,
		  struct field_error *why)
{
	struct rd r = { .p = p, .left = len };
	const uint8_t *ctx;
	uint32_t n;
	int ret;

	memset(s, 0, sizeof(*s));
	n = rd_u32(&r);
	ctx = rd_bytes(&r, n);
	if (!ctx) {
		*why = (struct field_error){ .what = "its context is cut" };
		return -EBADMSG;
	}
	ret = ike_context_decode(ctx, n, &s->ctx, why);
	if (ret)
		return ret;
	s->children = r;
	return check_children(s, why);
}

void ike_saved_exit(struct ike_saved *s)
{
	ike_context_exit(&s->ctx);
	memset(s, 0, sizeof(*s));
}
