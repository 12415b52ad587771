// SPDX-License-Identifier: GPL-2.0
/*
 * In: the type of a message of XFRM netlink (the first byte), and its payload.
 * Out: the context of an SA or a policy; what that is told to a kernel as has the same
 *      context. The SA that an event names.
 * libFuzzer's harness: the kernel's attributes.
 */
#include <assert.h>
#include <stdlib.h>

/* For its events, which come by a socket else. */
#include "../xfrm.c"

#include "check_context.h"
#include "context_print.h"
#include "fuzz.h"

static FILE *nowhere;

static void check(const struct buf *b)
{
	json_t *o = context_json(b->data, b->len);

	assert(o);
	context_print(nowhere, o);
	json_decref(o);
	check_context(b->data, b->len);
}

static void heard(int type, const struct sa_id *id, void *data)
{
	char text[96];

	(void)data;
	assert(!id == (type == XFRM_MSG_FLUSHSA));
	if (id)
		assert(sa_id_str(id, text, sizeof(text))[0]);
}

static void take(const struct nlmsghdr *nlh)
{
	unsigned int policies = 0;
	struct buf b = {};

	read_event(nlh, heard, NULL, &policies);
	if (nlh->nlmsg_type == XFRM_MSG_NEWSA && !context_from_sa(nlh, &b))
		check(&b);
	if (nlh->nlmsg_type == XFRM_MSG_NEWPOLICY && !context_from_policy(nlh, &b))
		check(&b);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr *nlh;

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	if (!size)
		return 0;
	/* No longer than it is, so that a step beyond is seen; netlink pads to four. */
	nlh = calloc(1, NLMSG_ALIGN(NLMSG_HDRLEN + size - 1));
	assert(nlh && nowhere);
	*nlh = (struct nlmsghdr){
		.nlmsg_len = NLMSG_HDRLEN + size - 1,
		.nlmsg_type = XFRM_MSG_BASE + data[0] % (XFRM_NR_MSGTYPES + 1),
	};
	memcpy(mnl_nlmsg_get_payload(nlh), data + 1, size - 1);
	take(nlh);
	free(nlh);
	return 0;
}
