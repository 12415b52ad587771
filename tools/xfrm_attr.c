// SPDX-License-Identifier: GPL-2.0
/*
 * In: messages of XFRM netlink, and what shall be in one.
 * Out: their attributes; messages that never go past their buffer.
 * Pure; the bytes may hold keys.
 */
#include <errno.h>
#include <string.h>

#include "xfrm_attr.h"

int xfrm_attrs_parse(const struct nlmsghdr *nlh, size_t body,
		     struct xfrm_attrs *a)
{
	const struct nlattr *attr;

	memset(a, 0, sizeof(*a));
	if (mnl_nlmsg_get_payload_len(nlh) < body)
		return -EBADMSG;
	mnl_attr_for_each(attr, nlh, body) {
		if (mnl_attr_get_type(attr) <= XFRM_ATTR_MAX)
			a->tb[mnl_attr_get_type(attr)] = attr;
	}
	return 0;
}

const void *xfrm_attr_data(const struct xfrm_attrs *a, int type, size_t len)
{
	const struct nlattr *attr = a->tb[type];

	if (!attr || mnl_attr_get_payload_len(attr) < len)
		return NULL;
	return mnl_attr_get_payload(attr);
}

size_t xfrm_attr_len(const struct xfrm_attrs *a, int type)
{
	return mnl_attr_get_payload_len(a->tb[type]);
}

uint32_t xfrm_attr_u32(const struct xfrm_attrs *a, int type)
{
	const void *p = xfrm_attr_data(a, type, 4);
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

bool xfrm_attr_is_known(int type)
{
	switch (type) {
	case XFRMA_ALG_AUTH ... XFRMA_ENCAP:
	case XFRMA_TMPL:
	case XFRMA_SA:
	case XFRMA_POLICY:
	case XFRMA_SEC_CTX ... XFRMA_ETIMER_THRESH:
	case XFRMA_SRCADDR:
	case XFRMA_COADDR:
	case XFRMA_LASTUSED:
	case XFRMA_POLICY_TYPE:
	case XFRMA_ALG_AEAD:
	case XFRMA_ALG_AUTH_TRUNC:
	case XFRMA_MARK:
	case XFRMA_TFCPAD:
	case XFRMA_REPLAY_ESN_VAL:
	case XFRMA_SA_EXTRA_FLAGS:
	case XFRMA_PAD:
	case XFRMA_OFFLOAD_DEV ... XFRMA_MTIMER_THRESH:
	case XFRM_ATTR_SA_DIR:
	case XFRM_ATTR_NAT_KEEPALIVE:
	case XFRM_ATTR_SA_PCPU:
		return true;
	default:
		return false;
	}
}

void *xfrm_msg_body(struct xfrm_msg *m, size_t len)
{
	if (m->nlh->nlmsg_len + MNL_ALIGN(len) > m->room) {
		m->full = true;
		return NULL;
	}
	return memset(mnl_nlmsg_put_extra_header(m->nlh, len), 0, len);
}

void *xfrm_msg_attr(struct xfrm_msg *m, uint16_t type, size_t len)
{
	struct nlattr *attr = mnl_nlmsg_get_payload_tail(m->nlh);
	size_t need = MNL_ALIGN(MNL_ATTR_HDRLEN + len);

	if (m->full || MNL_ALIGN(m->nlh->nlmsg_len) + need > m->room) {
		m->full = true;
		return NULL;
	}
	memset(attr, 0, need);
	attr->nla_type = type;
	attr->nla_len = MNL_ATTR_HDRLEN + len;
	m->nlh->nlmsg_len = MNL_ALIGN(m->nlh->nlmsg_len) + need;
	return mnl_attr_get_payload(attr);
}

void xfrm_msg_put(struct xfrm_msg *m, uint16_t type, const void *p, size_t len)
{
	void *to = xfrm_msg_attr(m, type, len);

	if (to)
		memcpy(to, p, len);
}

void xfrm_msg_u32(struct xfrm_msg *m, uint16_t type, uint32_t v)
{
	xfrm_msg_put(m, type, &v, sizeof(v));
}
