// SPDX-License-Identifier: GPL-2.0
/*
 * In: IKE SAs, of the store.
 * Out: what a client of the control socket is told of them.
 * Pure; but for ike_show_json's what comes out are keys: wipe it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "ike_context.h"
#include "ike_keylog.h"
#include "ike_saved.h"
#include "ike_show.h"

/* As ike_context_json has it. */
static void name_of(const struct ha_ike_id *id, char name[64])
{
	size_t at = snprintf(name, 64, "IKE SA "), i;

	for (i = 0; i < 8; i++)
		at += snprintf(name + at, 64 - at, "%02x", id->spi_i[i]);
	for (i = 0; i < 8; i++)
		at += snprintf(name + at, 64 - at, "%02x", id->spi_r[i]);
}

static const char *why_not(const struct ike_sa *sa, int ret)
{
	if (sa->id.version != 2)
		return "it is of IKEv1";
	switch (ret) {
	case -ENOENT:
		return "what charon told of it is not whole";
	case -EOPNOTSUPP:
		return "it has an algorithm that is not known here";
	case -EINVAL:
		return "what charon told of it makes no context";
	case -EMSGSIZE:
		return "it has more of something than a context takes";
	default:
		return strerror(-ret);
	}
}

bool ike_show_is_whole(const struct ike_sa *sa)
{
	return sa->established && !sa->gone;
}

/* ---- for people ---- */

json_t *ike_show_json(const struct ike_sa *sa)
{
	struct ike_context *ctx = calloc(1, sizeof(*ctx));
	char name[64];
	json_t *o;
	int ret;

	if (!ctx)
		return NULL;
	name_of(&sa->id, name);
	ret = ike_context_of_sa(sa, IKE_CONTEXT_DH, ctx);
	o = ret ? json_pack("{s:s, s:s}", "name", name, "error", why_not(sa, ret)) :
		  ike_context_json(ctx);
	ike_context_exit(ctx);
	free(ctx);
	if (!o)
		return NULL;
	json_object_set_new(o, "in_charon", json_boolean(sa->played));
	if (sa->incomplete)
		json_object_set_new(o, "incomplete", json_string(sa->incomplete));
	return o;
}

/* ---- keys ---- */

static void put_text(struct buf *out, const char *text)
{
	buf_put(out, text, strlen(text));
}

/* By hand: jansson would leave copies behind. The lines are printable ASCII. */
static void put_lines(struct buf *out, const char *table, const struct buf *lines)
{
	size_t i;

	for (i = 0; i < lines->len; i++) {
		if (!i || lines->data[i - 1] == '\n') {
			put_text(out, "{\"table\":\"");
			put_text(out, table);
			put_text(out, "\",\"line\":\"");
		}
		if (lines->data[i] == '\n') {
			put_text(out, "\"}\n");
			continue;
		}
		if (lines->data[i] == '"')
			put_text(out, "\\");
		buf_put(out, &lines->data[i], 1);
	}
}

static void put_error(struct buf *out, const char *name, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "{\"sa\":\"%s\",\"error\":\"%s\"}\n", name, why);
	put_text(out, text);
}

static const char *why_no_line(const struct ike_sa *sa, int ret)
{
	return ret == -EOPNOTSUPP && sa->id.version == 2 ?
	       "Wireshark has no name for an algorithm of it, or it is not known here" :
	       why_not(sa, ret);
}

static void put_child(struct buf *out, const struct ike_child *c)
{
	struct buf lines = {};
	char name[64];
	int ret = ike_keylog_child(&lines, c);

	snprintf(name, sizeof(name), "Child SA 0x%08" PRIx32, ntohl(c->in_spi));
	if (ret)
		put_error(out, name, why_no_line(c->sa, ret));
	else
		put_lines(out, IKE_KEYLOG_ESP_FILE, &lines);
	buf_free(&lines);
}

void ike_show_keys(const struct ike_sa *sa, struct buf *out)
{
	const struct ike_child *c;
	struct buf lines = {};
	char name[64];
	int ret = ike_keylog_sa(&lines, sa);

	name_of(&sa->id, name);
	if (ret)
		put_error(out, name, why_no_line(sa, ret));
	else
		put_lines(out, IKE_KEYLOG_IKE_FILE, &lines);
	buf_free(&lines);
	ike_sa_for_each_child(sa, c)
		put_child(out, c);
}

/* ---- of a file ---- */

#define CHUNK 48		/* bytes, which give 64 digits and no padding */

static void put_base64(struct buf *out, const struct buf *b)
{
	char text[2 * CHUNK];
	size_t at, n;

	for (at = 0; at < b->len; at += n) {
		n = b->len - at < CHUNK ? b->len - at : CHUNK;
		sodium_bin2base64(text, sizeof(text), b->data + at, n,
				  sodium_base64_VARIANT_ORIGINAL);
		put_text(out, text);
	}
	sodium_memzero(text, sizeof(text));
}

void ike_show_entry(const struct ike_sa *sa, struct buf *out)
{
	struct buf entry = {};
	char name[64];
	int ret;

	if (!sa->established || (sa->gone && !sa->n_children))
		return;
	name_of(&sa->id, name);
	ret = ike_saved_put(sa, &entry);
	if (ret) {
		put_error(out, name, why_not(sa, ret));
	} else {
		put_text(out, sa->gone ? "{\"ended\":true,\"entry\":\"" :
					 "{\"ended\":false,\"entry\":\"");
		put_base64(out, &entry);
		put_text(out, "\"}\n");
	}
	buf_free(&entry);
}
