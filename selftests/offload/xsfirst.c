// SPDX-License-Identifier: GPL-2.0
/*
 * In: AH over IPv6, before XFRM's own handlers see it.
 * Out: it goes on to them: what counts is the place, which another module wants.
 * Not the first of those that it wants: what it had before has to be undone.
 */
#include <linux/module.h>
#include <net/xfrm.h>

static int pass(struct sk_buff *skb)
{
	return -EINVAL;
}

static int pass_encap(struct sk_buff *skb, int nexthdr, __be32 spi,
		      int encap_type)
{
	return -EINVAL;
}

static int pass_taken_off(struct sk_buff *skb, int err)
{
	return 1;
}

static int pass_error(struct sk_buff *skb, struct inet6_skb_parm *opt, u8 type,
		      u8 code, int offset, __be32 info)
{
	return -ENOENT;
}

static struct xfrm6_protocol first = {
	.handler = pass,
	.input_handler = pass_encap,
	.cb_handler = pass_taken_off,
	.err_handler = pass_error,
	.priority = 200,
};

static int __init first_init(void)
{
	return xfrm6_protocol_register(&first, IPPROTO_AH);
}

static void __exit first_exit(void)
{
	xfrm6_protocol_deregister(&first, IPPROTO_AH);
}

module_init(first_init);
module_exit(first_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The first handler of AH over IPv6, for tests");
