// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs that ask a device of this kind for its offload, crypto or packet.
 * Out: each is taken; what is sent through the device is counted, and gone.
 * A NIC of the tests': ip link add NAME type xsoffload.
 */
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <net/rtnetlink.h>
#include <net/xfrm.h>

static int __maybe_unused state_add(struct xfrm_state *x,
				    struct netlink_ext_ack *extack)
{
	return 0;
}

/* Until 6.1, which knows crypto offload alone. */
static int __maybe_unused state_add_6_1(struct xfrm_state *x)
{
	return 0;
}

static void state_delete(struct xfrm_state *x)
{
}

static bool offload_ok(struct sk_buff *skb, struct xfrm_state *x)
{
	return true;
}

static void advance_esn(struct xfrm_state *x)
{
}

static const struct xfrmdev_ops offload_ops = {
	.xdo_dev_state_add =
		_Generic(((struct xfrmdev_ops *)NULL)->xdo_dev_state_add,
			 int (*)(struct xfrm_state *): state_add_6_1,
			 default: state_add),
	.xdo_dev_state_delete = state_delete,
	.xdo_dev_offload_ok = offload_ok,
	.xdo_dev_state_advance_esn = advance_esn,
};

static netdev_tx_t xmit(struct sk_buff *skb, struct net_device *dev)
{
	dev_sw_netstats_tx_add(dev, 1, skb->len);
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static void get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	dev_fetch_sw_netstats(stats, dev->tstats);
}

static int dev_init(struct net_device *dev)
{
	dev->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	return dev->tstats ? 0 : -ENOMEM;
}

static void dev_uninit(struct net_device *dev)
{
	free_percpu(dev->tstats);
}

static const struct net_device_ops netdev_ops = {
	.ndo_init = dev_init,
	.ndo_uninit = dev_uninit,
	.ndo_start_xmit = xmit,
	.ndo_get_stats64 = get_stats64,
};

static void setup(struct net_device *dev)
{
	ether_setup(dev);
	eth_hw_addr_random(dev);
	dev->netdev_ops = &netdev_ops;
	dev->xfrmdev_ops = &offload_ops;
	dev->features |= NETIF_F_HW_ESP;
	dev->hw_enc_features |= NETIF_F_HW_ESP;
	dev->flags |= IFF_NOARP;
	dev->needs_free_netdev = true;
}

static struct rtnl_link_ops link_ops __read_mostly = {
	.kind = "xsoffload",
	.setup = setup,
};

static int __init offload_init(void)
{
	return rtnl_link_register(&link_ops);
}

static void __exit offload_exit(void)
{
	rtnl_link_unregister(&link_ops);
}

module_init(offload_init);
module_exit(offload_exit);
MODULE_DESCRIPTION("a NIC that takes every SA, for tests");
MODULE_LICENSE("GPL");
