/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: messages of XFRM netlink, and what shall be in one.
 * Out: their attributes; messages that never go past their buffer.
 * Pure; the bytes may hold keys.
 */
#ifndef XFRMSYNC_TOOLS_XFRM_ATTR_H
#define XFRMSYNC_TOOLS_XFRM_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

/* Newer than Debian 12's headers; the numbers are the kernel's ABI. */
#define XFRM_ATTR_SA_DIR 33
#define XFRM_ATTR_NAT_KEEPALIVE 34
#define XFRM_ATTR_SA_PCPU 35
#define XFRM_ATTR_MAX 255

/* Nor do the first of Debian 12's have it. */
#ifndef XFRM_OFFLOAD_PACKET
#define XFRM_OFFLOAD_PACKET 4
#endif

struct xfrm_attrs {
	const struct nlattr *tb[XFRM_ATTR_MAX + 1];
};

/* @body: bytes of the fixed part. 0; -EBADMSG: it is cut. */
int xfrm_attrs_parse(const struct nlmsghdr *nlh, size_t body,
		     struct xfrm_attrs *a);
/* The attribute's payload, when it has at least len bytes; else NULL. */
const void *xfrm_attr_data(const struct xfrm_attrs *a, int type, size_t len);
size_t xfrm_attr_len(const struct xfrm_attrs *a, int type);	/* it is there */
uint32_t xfrm_attr_u32(const struct xfrm_attrs *a, int type);	/* or 0 */
/* True if contexts have a field for it, or it does not belong to one. */
bool xfrm_attr_is_known(int type);

/* A message that grows. Once something did not fit, full is set and stays. */
struct xfrm_msg {
	struct nlmsghdr *nlh;	/* header in place */
	size_t room;		/* bytes, in all */
	bool full;
};

void *xfrm_msg_body(struct xfrm_msg *m, size_t len);	/* zeroed; or NULL */
void *xfrm_msg_attr(struct xfrm_msg *m, uint16_t type, size_t len);	/* likewise */
void xfrm_msg_put(struct xfrm_msg *m, uint16_t type, const void *p, size_t len);
void xfrm_msg_u32(struct xfrm_msg *m, uint16_t type, uint32_t v);

#endif
