// SPDX-License-Identifier: GPL-2.0
/*
 * In: network namespaces as they come and go.
 * Out: struct xfrmsync_net, all that the module knows of one of them.
 * Process context, under pernet_ops_rwsem.
 */
#include <linux/netdevice.h>
#include <net/net_namespace.h>

#include "dirty.h"
#include "fence.h"
#include "lifecycle.h"
#include "expire.h"
#include "pernet.h"
#include "role.h"

unsigned int xfrmsync_net_id;

static int __net_init net_init(struct net *net)
{
	struct xfrmsync_net *ns = xfrmsync_net(net);
	int err;

	ns->net = net;
	err = xfrmsync_park_init(ns);
	if (err)
		return err;
	xfrmsync_fence_net_init(ns);
	xfrmsync_dirty_init(ns);
	xfrmsync_expire_net_init(ns);
	xfrmsync_lifecycle_net_init(ns);
	xfrmsync_role_net_init(ns);
	return 0;
}

/* First there is no reader, then no SA is followed any more, then nothing is
 * marked, then nothing is fenced, then all is freed.
 */
static void __net_exit net_exit(struct net *net)
{
	struct xfrmsync_net *ns = xfrmsync_net(net);

	xfrmsync_dirty_stop(ns);
	xfrmsync_lifecycle_net_exit(ns);
	xfrmsync_dirty_exit(ns);
	xfrmsync_expire_net_exit(ns);
	xfrmsync_role_net_exit(ns);
	xfrmsync_fence_net_exit(ns);
	xfrmsync_park_exit(ns);
}

static struct pernet_operations pernet_ops = {
	.init = net_init,
	.exit = net_exit,
	.id = &xfrmsync_net_id,
	.size = sizeof(struct xfrmsync_net),
};

int xfrmsync_pernet_init(void)
{
	return register_pernet_subsys(&pernet_ops);
}

void xfrmsync_pernet_exit(void)
{
	unregister_pernet_subsys(&pernet_ops);
	synchronize_net();	/* a hook that was taken away may still run */
}
