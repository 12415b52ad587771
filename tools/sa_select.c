// SPDX-License-Identifier: GPL-2.0
/*
 * In: options that name SAs, the same for every verb that takes them.
 * Out: which records are meant.
 * One verb a process.
 */
#include <arpa/inet.h>
#include <string.h>

#include "sa_select.h"

static bool parse_address(const char *text, struct sa_address *a)
{
	a->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(a->family, text, a->addr) == 1;
}

static bool parse_family(const char *text, uint16_t *family)
{
	*family = !strcmp(text, "inet6") ? AF_INET6 : AF_INET;
	return *family == AF_INET6 || !strcmp(text, "inet");
}

static bool parse_proto(const char *text, uint8_t *proto)
{
	*proto = !strcmp(text, "ah") ? IPPROTO_AH :
		 !strcmp(text, "comp") ? IPPROTO_COMP : IPPROTO_ESP;
	return *proto != IPPROTO_ESP || !strcmp(text, "esp");
}

bool sa_select_option(struct sa_select *s, int option, const char *value)
{
	uint64_t v = 0;
	bool ok = true;

	switch (option) {
	case SA_OPT_FAMILY:
		return parse_family(value, &s->family);
	case SA_OPT_PROTO:
		return parse_proto(value, &s->proto);
	case SA_OPT_SRC:
		return parse_address(value, &s->src);
	case SA_OPT_DST:
		return parse_address(value, &s->dst);
	case SA_OPT_SPI:
		ok = cmd_number(value, UINT32_MAX, &v);
		s->spi = htonl(v);
		s->has_spi = true;
		break;
	case SA_OPT_REQID:
		ok = cmd_number(value, UINT32_MAX, &v);
		s->reqid = v;
		s->has_reqid = true;
		break;
	}
	return ok;
}

static bool is_address(const struct sa_address *a, uint16_t family,
		       const uint8_t *addr)
{
	return !a->family || (a->family == family &&
			      !memcmp(a->addr, addr, sizeof(a->addr)));
}

bool sa_select_is_all(const struct sa_select *s)
{
	return !s->family && !s->proto && !s->src.family && !s->dst.family &&
	       !s->has_spi && !s->has_reqid;
}

bool sa_select_match(const struct sa_select *s, const struct record *r)
{
	return (!s->family || s->family == r->id.family) &&
	       (!s->proto || s->proto == r->id.proto) &&
	       (!s->has_spi || s->spi == r->id.spi) &&
	       (!s->has_reqid || s->reqid == r->reqid) &&
	       is_address(&s->src, r->id.family, r->src) &&
	       is_address(&s->dst, r->id.family, r->id.dst);
}
