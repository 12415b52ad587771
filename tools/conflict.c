// SPDX-License-Identifier: GPL-2.0
/*
 * In: an SA that another one of this kernel keeps out: it has its SPI.
 * Out: both by name; the SA of the other direction; a free SPI.
 * Any process of the tool; asks the kernel for the SPI only.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/xfrm.h>
#include <linux/xfrmsync.h>

#include "conflict.h"

const char *conflict_sa_str(const struct context_sa *sa, char *buf, size_t size)
{
	char name[160], src[INET6_ADDRSTRLEN] = "?";

	inet_ntop(sa->id.family, sa->src, src, sizeof(src));
	snprintf(buf, size, "%s from %s, reqid %u, %s",
		 sa_id_str(&sa->id, name, sizeof(name)), src, sa->reqid,
		 record_mode_str(sa->mode));
	return buf;
}

json_t *conflict_sa_json(const struct context_sa *sa)
{
	char src[INET6_ADDRSTRLEN] = "?", dst[INET6_ADDRSTRLEN] = "?";
	char name[160], spi[16];

	inet_ntop(sa->id.family, sa->src, src, sizeof(src));
	inet_ntop(sa->id.family, sa->id.dst, dst, sizeof(dst));
	snprintf(spi, sizeof(spi), "0x%08x", ntohl(sa->id.spi));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I}",
			 "sa", sa_id_str(&sa->id, name, sizeof(name)),
			 "proto", record_proto_str(sa->id.proto),
			 "src", src, "dst", dst, "spi", spi,
			 "reqid", (json_int_t)sa->reqid,
			 "mode", record_mode_str(sa->mode),
			 "if_id", (json_int_t)sa->if_id,
			 "mark", (json_int_t)sa->id.mark,
			 "mark_mask", (json_int_t)sa->id.mark_mask);
}

json_t *conflict_new_spi_json(const struct context_sa *from,
			      const struct context_sa *sa)
{
	json_t *o = conflict_sa_json(from);
	char spi[16];

	snprintf(spi, sizeof(spi), "0x%08x", ntohl(sa->id.spi));
	json_object_set_new(o, "event", json_string("new-spi"));
	json_object_set_new(o, "new_spi", json_string(spi));
	return o;
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "?";
}

void conflict_print(FILE *out, const json_t *o)
{
	const json_t *way = json_object_get(o, "in_the_way");
	const json_t *asked = json_object_get(o, "soft_expired"), *name;
	size_t i;

	fprintf(out, "%s from %s, reqid %lld, %s", text_of(o, "sa"),
		text_of(o, "src"),
		(long long)json_integer_value(json_object_get(o, "reqid")),
		text_of(o, "mode"));
	if (json_object_get(o, "new_spi"))
		fprintf(out, ": has spi %s here", text_of(o, "new_spi"));
	if (way)
		fprintf(out, "; in the way: %s from %s", text_of(way, "sa"),
			text_of(way, "src"));
	json_array_foreach(asked, i, name)
		fprintf(out, "%s %s", i ? "," : "; soft-expired for it:",
			json_string_value(name));
	fputc('\n', out);
}

bool conflict_is_other_way(const struct context_sa *a,
			   const struct context_sa *b)
{
	/* Each way may have an interface of its own. */
	return a->id.family == b->id.family && a->id.proto == b->id.proto &&
	       a->mode == b->mode && a->reqid == b->reqid &&
	       !memcmp(a->src, b->id.dst, 16) && !memcmp(a->id.dst, b->src, 16);
}

void conflict_note_policy(struct conflict_uses *u,
			  const struct context_policy *pol,
			  const struct context_sa *sa)
{
	if (!context_policy_uses(pol, sa))
		return;
	u->out |= pol->dir == XFRM_POLICY_OUT;
	u->in |= pol->dir != XFRM_POLICY_OUT;
}

bool conflict_is_inbound(const struct context_sa *sa,
			 const struct conflict_uses *u)
{
	if (sa->dir)
		return sa->dir == XFRMSYNC_DIR_IN;
	return u->in && !u->out;
}

bool conflict_free_spi(struct xfrm *x, const struct context_sa *sa,
		       struct spi_search *s, uint32_t *spi)
{
	struct sa_id id = sa->id;
	struct buf ctx = {};
	int ret;

	while (spi_search_next(s, &id.spi)) {
		ret = xfrm_look_up_sa(x, &id, &ctx);
		buf_free(&ctx);
		if (ret == -ESRCH) {
			*spi = id.spi;
			return true;
		}
	}
	return false;
}
