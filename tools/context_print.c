// SPDX-License-Identifier: GPL-2.0
/*
 * In: contexts.
 * Out: what stands in them, for people and machines; never a key.
 * Any process of the tool.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include <linux/xfrm.h>

#include "context.h"
#include "context_fields.h"
#include "context_print.h"

static json_t *address_json(uint16_t family, const void *addr)
{
	char text[INET6_ADDRSTRLEN];

	return json_string(inet_ntop(family, addr, text, sizeof(text)) ? text : "");
}

/* Names that somebody else chose: nothing in them moves a terminal. */
static json_t *text_json(const uint8_t *p, size_t len)
{
	char text[256];
	size_t i;

	for (i = 0; i < len && i < sizeof(text) - 1; i++)
		text[i] = p[i] >= 0x20 && p[i] < 0x7f ? p[i] : '?';
	text[i] = 0;
	return json_string(text);
}

static json_t *hex_json(uint32_t v)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%08" PRIx32, v);
	return json_string(text);
}

/* XFRM_INF and 0 are no limits. */
static void put_limit(json_t *o, const char *name, uint64_t v)
{
	if (v && v != XFRM_INF)
		json_object_set_new(o, name, json_integer(v));
}

static json_t *lifetime_json(const struct fields *fs)
{
	struct xfrm_lifetime_cfg lft;
	json_t *o = json_object();

	fields_get_lifetime(fs, &lft);
	put_limit(o, "soft_bytes", lft.soft_byte_limit);
	put_limit(o, "hard_bytes", lft.hard_byte_limit);
	put_limit(o, "soft_packets", lft.soft_packet_limit);
	put_limit(o, "hard_packets", lft.hard_packet_limit);
	put_limit(o, "soft_seconds", lft.soft_add_expires_seconds);
	put_limit(o, "hard_seconds", lft.hard_add_expires_seconds);
	put_limit(o, "soft_use_seconds", lft.soft_use_expires_seconds);
	put_limit(o, "hard_use_seconds", lft.hard_use_expires_seconds);
	return o;
}

static json_t *selector_json(const struct fields *fs)
{
	struct xfrm_selector sel;
	json_t *o = json_object();
	char text[80], addr[INET6_ADDRSTRLEN] = "";

	if (fields_get_selector(fs, &sel) || !sel.family)
		return o;
	inet_ntop(sel.family, &sel.saddr, addr, sizeof(addr));
	snprintf(text, sizeof(text), "%s/%u", addr, sel.prefixlen_s);
	json_object_set_new(o, "src", json_string(text));
	inet_ntop(sel.family, &sel.daddr, addr, sizeof(addr));
	snprintf(text, sizeof(text), "%s/%u", addr, sel.prefixlen_d);
	json_object_set_new(o, "dst", json_string(text));
	if (sel.proto)
		json_object_set_new(o, "proto", json_integer(sel.proto));
	if (sel.sport_mask)
		json_object_set_new(o, "sport", json_integer(ntohs(sel.sport)));
	if (sel.dport_mask)
		json_object_set_new(o, "dport", json_integer(ntohs(sel.dport)));
	return o;
}

static json_t *mark_json(const struct fields *fs, uint16_t type)
{
	uint32_t v = 0, m = 0;

	fields_get_mark(fs, type, &v, &m);
	return json_pack("{s:o, s:o}", "value", hex_json(v), "mask", hex_json(m));
}

/* The salt of RFC 4106 and others counts as key, as it does for the kernel. */
static json_t *alg_json(const struct fields *fs, uint16_t type)
{
	struct alg alg;
	json_t *o;

	if (fields_get_alg(fs, type, &alg))
		return json_object();
	o = json_pack("{s:o, s:I}", "name",
		      text_json((uint8_t *)alg.name, strlen(alg.name)),
		      "key_bits", (json_int_t)alg.key_bits);
	if (alg.param)
		json_object_set_new(o, "icv_bits", json_integer(alg.param));
	return o;
}

static json_t *flags_json(const struct fields *fs)
{
	struct rd r = fs->known[CONTEXT_SA_FLAGS].value;
	uint32_t flags = rd_u32(&r), extra = rd_u32(&r);

	return json_pack("{s:o, s:o}", "state", hex_json(flags), "extra",
			 hex_json(extra));
}

static json_t *policy_json(const struct fields *fs)
{
	static const char *const dirs[] = { "in", "out", "fwd" };

	struct rd r = fs->known[CONTEXT_POLICY].value;
	uint32_t priority = rd_u32(&r), type;
	uint8_t dir = rd_u8(&r), action = rd_u8(&r);

	rd_u16(&r);
	type = rd_u32(&r);
	return json_pack("{s:s, s:s, s:s, s:I}", "dir", dir < 3 ? dirs[dir] : "?",
			 "type", type == XFRM_POLICY_TYPE_SUB ? "sub" : "main",
			 "action", action == XFRM_POLICY_ALLOW ? "allow" : "block",
			 "priority", (json_int_t)priority);
}

static json_t *templates_json(const struct fields *fs)
{
	struct rd r = fs->known[CONTEXT_TEMPLATES].value;
	const uint8_t *src, *dst;
	json_t *list = json_array();
	uint16_t family;
	uint8_t proto, mode, optional;
	uint32_t reqid, spi;
	json_t *o;

	while (r.left && !r.bad) {
		family = rd_u16(&r);
		proto = rd_u8(&r);
		mode = rd_u8(&r);
		rd_u8(&r);
		optional = rd_u8(&r);
		rd_u16(&r);
		spi = rd_u32(&r);
		reqid = rd_u32(&r);
		dst = rd_bytes(&r, 16);
		src = rd_bytes(&r, 16);
		rd_bytes(&r, 12);
		if (!dst || !src)
			break;
		o = json_pack("{s:o, s:o, s:s, s:s, s:I, s:b}",
			      "src", address_json(family, src),
			      "dst", address_json(family, dst),
			      "proto", record_proto_str(proto),
			      "mode", record_mode_str(mode),
			      "reqid", (json_int_t)reqid, "optional", optional);
		if (spi)
			json_object_set_new(o, "spi", hex_json(spi));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *encap_json(struct rd r)
{
	uint16_t type = rd_u16(&r), sport = rd_u16(&r), dport = rd_u16(&r);

	return json_pack("{s:i, s:i, s:i}", "type", type, "sport", sport,
			 "dport", dport);
}

/* An address of the SA's family. */
static json_t *coaddr_json(const struct fields *fs, const struct field *f)
{
	struct rd id = fs->known[CONTEXT_SA_ID].value;

	return address_json(rd_u16(&id), f->value.p);
}

static json_t *known_json(const struct fields *fs, const struct field *f)
{
	struct rd r = f->value;

	switch (f->type) {
	case CONTEXT_SELECTOR:
		return selector_json(fs);
	case CONTEXT_LIFETIME:
		return lifetime_json(fs);
	case CONTEXT_SA_FLAGS:
		return flags_json(fs);
	case CONTEXT_AEAD ... CONTEXT_COMP:
		return alg_json(fs, f->type);
	case CONTEXT_COADDR:
		return coaddr_json(fs, f);
	case CONTEXT_SEC_CTX:
		return text_json(r.p + 2, r.left - 2);
	case CONTEXT_MARK:
	case CONTEXT_SET_MARK:
		return mark_json(fs, f->type);
	case CONTEXT_SEL_DEVICE:
		return text_json(r.p, r.left);
	case CONTEXT_ENCAP:
		return encap_json(r);
	case CONTEXT_OFFLOAD:
		return json_pack("{s:i, s:o}", "flags", r.p[0], "device",
				 text_json(r.p + 1, r.left - 1));
	case CONTEXT_POLICY:
		return policy_json(fs);
	case CONTEXT_TEMPLATES:
		return templates_json(fs);
	case CONTEXT_IF_ID:
		return hex_json(rd_u32(&r));
	default:
		return r.left == 4 ? json_integer(rd_u32(&r)) :
		       json_pack("{s:I}", "bytes", (json_int_t)r.left);
	}
}

static json_t *sa_json(const struct context_sa *sa)
{
	json_t *o;

	o = json_pack("{s:s, s:o, s:o, s:o, s:s, s:I, s:b, s:I}",
		      "proto", record_proto_str(sa->id.proto),
		      "src", address_json(sa->id.family, sa->src),
		      "dst", address_json(sa->id.family, sa->id.dst),
		      "spi", hex_json(ntohl(sa->id.spi)),
		      "mode", record_mode_str(sa->mode),
		      "reqid", (json_int_t)sa->reqid,
		      "esn", sa->esn, "window", (json_int_t)sa->window);
	return o;
}

static void put_fields(json_t *o, const struct fields *fs)
{
	struct rd r = { .p = fs->start, .left = fs->len };
	struct field_error why;
	uint16_t last = 0;
	struct field f;
	char name[32];
	size_t i;

	while (field_next(&r, &last, &f, &why) > 0) {
		/* These are the heading. */
		if (f.type == CONTEXT_SA_ID || f.type == CONTEXT_REPLAY)
			continue;
		if (!fields_name(f.type)) {
			snprintf(name, sizeof(name), "0x%04x", f.type);
			json_object_set_new(o, name, json_pack("{s:s%, s:I}",
				"class", &f.class, (size_t)1,
				"bytes", (json_int_t)f.value.left));
			continue;
		}
		snprintf(name, sizeof(name), "%s", fields_name(f.type));
		for (i = 0; name[i]; i++)
			name[i] = tolower((unsigned char)name[i]);
		json_object_set_new(o, name, known_json(fs, &f));
	}
}

json_t *context_json(const uint8_t *p, size_t len)
{
	bool is_sa = context_is_sa(p, len);
	struct context_policy policy;
	struct context_sa sa = {};
	struct field_error why;
	struct fields fs;
	char text[160];
	json_t *o;
	int ret;

	ret = is_sa ? context_sa_info(p, len, &sa, &why) :
		      context_policy_info(p, len, &policy, &why);
	if (ret)
		return json_pack("{s:s}", "error",
				 context_error_str(&why, text, sizeof(text)));
	fields_read(p, len, is_sa ? CONTEXT_IS_SA : CONTEXT_IS_POLICY, &fs, &why);
	o = is_sa ? sa_json(&sa) : json_pack("{s:s}", "name", context_policy_name(&policy));
	if (o)
		put_fields(o, &fs);
	return o;
}

static void print_value(FILE *out, const json_t *v)
{
	const char *key, *gap = "";
	const json_t *member;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach((json_t *)v, key, member) {
			fprintf(out, "%s%s ", gap, key);
			print_value(out, member);
			gap = " ";
		}
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, member) {
			fputs(i ? "; " : "", out);
			print_value(out, member);
		}
	} else if (json_is_string(v)) {
		fputs(json_string_value(v), out);
	} else if (json_is_integer(v)) {
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	} else {
		fputs(json_is_true(v) ? "yes" : "no", out);
	}
}

static void print_heading(FILE *out, const json_t *o)
{
	const json_t *name = json_object_get(o, "name");
	const json_t *error = json_object_get(o, "error");

	if (name)
		print_value(out, name);
	if (name && error)
		fputs(": ", out);
	if (error)
		print_value(out, error);
	if (!name && !error)
		fprintf(out, "%s %s > %s",
			json_string_value(json_object_get(o, "proto")),
			json_string_value(json_object_get(o, "src")),
			json_string_value(json_object_get(o, "dst")));
	fputc('\n', out);
}

static bool is_in_heading(const char *key)
{
	return !strcmp(key, "name") || !strcmp(key, "error") ||
	       !strcmp(key, "proto") || !strcmp(key, "src") ||
	       !strcmp(key, "dst");
}

void context_print(FILE *out, const json_t *o)
{
	const char *key;
	const json_t *v;

	print_heading(out, o);
	json_object_foreach((json_t *)o, key, v) {
		if (is_in_heading(key))
			continue;
		fprintf(out, "    %-10s ", key);
		print_value(out, v);
		fputc('\n', out);
	}
}

void context_print_next(FILE *out, const json_t *o, bool json, size_t n)
{
	if (json) {
		fputs(n ? ",\n " : "\n ", out);
		json_dumpf(o, out, JSON_COMPACT);
	} else {
		if (n)
			fputc('\n', out);
		context_print(out, o);
	}
}
