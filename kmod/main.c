// SPDX-License-Identifier: GPL-2.0
/*
 * In: insmod and rmmod.
 * Out: the parts of the module, brought up and torn down in order.
 * Process context.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>

#include "fence.h"
#include "hook.h"
#include "lifecycle.h"
#include "netlink.h"
#include "pernet.h"
#include "role.h"
#include "table.h"

static char *capture = "auto";
module_param(capture, charp, 0444);
MODULE_PARM_DESC(capture, "how changes are noticed: auto, ftrace, kprobe or scan");

static int __init xfrmsync_init(void)
{
	int err;

	err = xfrmsync_role_check_params();
	if (err)
		return err;
	err = xfrmsync_table_init();
	if (err)
		return err;
	err = xfrmsync_pernet_init();
	if (err)
		goto exit_table;
	/* Its handlers look at any namespace: all of them are there now. */
	err = xfrmsync_fence_init();
	if (err)
		goto exit_pernet;
	xfrmsync_role_apply_stored();
	err = xfrmsync_lifecycle_init();
	if (err)
		goto exit_fence;
	err = xfrmsync_hook_init(capture);
	if (err) {
		pr_err("parameter capture: \"%s\" does not work here\n",
		       capture);
		goto exit_lifecycle;
	}
	err = xfrmsync_netlink_init();
	if (err)
		goto exit_hook;
	return 0;

exit_hook:
	xfrmsync_hook_exit();
exit_lifecycle:
	xfrmsync_lifecycle_exit();
exit_fence:
	xfrmsync_fence_exit();
exit_pernet:
	xfrmsync_pernet_exit();
exit_table:
	xfrmsync_table_exit();
	return err;
}

/* Step by step: no request, no packet, no event, no namespace, no SA. */
static void __exit xfrmsync_exit(void)
{
	xfrmsync_netlink_exit();
	xfrmsync_hook_exit();
	xfrmsync_lifecycle_exit();
	/* No packet asks for a namespace that goes. */
	xfrmsync_fence_exit();
	xfrmsync_pernet_exit();
	xfrmsync_table_exit();
}

module_init(xfrmsync_init);
module_exit(xfrmsync_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Stateful failover of IPsec security associations");
MODULE_ALIAS_GENL_FAMILY("xfrmsync");
