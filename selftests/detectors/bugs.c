// SPDX-License-Identifier: GPL-2.0
/*
 * In: the name of a bug, written to /sys/module/xfrmsync/parameters/bug.
 * Out: that bug, committed by the module's own code on its own objects.
 * Process context. Only detectors.sh builds it in: never part of a module that is shipped.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "dirty.h"
#include "pernet.h"
#include "table.h"
#include "window.h"

static struct xfrmsync_net *here(void)
{
	return xfrmsync_net(&init_net);
}

/* Says only that all of this was reached. */
static void none(void)
{
}

static void use_after_free(void)
{
	struct xfrmsync_sa *sa = kzalloc(sizeof(*sa), GFP_KERNEL);

	if (!sa)
		return;
	sa->ns = here();
	kfree(sa);
	xfrmsync_dirty_mark(sa);
}

static void out_of_bounds(void)
{
	struct xfrmsync_window w = { .size = 128, .ring = true };

	w.bmp = kcalloc(xfrmsync_window_words(w.size) - 1, sizeof(*w.bmp), GFP_KERNEL);
	if (w.bmp)
		xfrmsync_window_merge(&w, &w);
	kfree(w.bmp);
}

static void lock_order(void)
{
	struct xfrmsync_net *ns = here();

	mutex_lock(&ns->role_mutex);
	mutex_lock(&ns->pull_mutex);
	mutex_unlock(&ns->pull_mutex);
	mutex_unlock(&ns->role_mutex);

	mutex_lock(&ns->pull_mutex);
	mutex_lock(&ns->role_mutex);
	mutex_unlock(&ns->role_mutex);
	mutex_unlock(&ns->pull_mutex);
}

static void no_rcu(void)
{
	static struct xfrm_state nobody;

	xfrmsync_table_find(&nobody);
}

static void atomic_sleep(void)
{
	struct xfrmsync_net *ns = here();

	xa_lock_bh(&ns->sas);
	xfrmsync_dirty_stop(ns);
	xa_unlock_bh(&ns->sas);
}

static void which_cpu(void)
{
	int cpu = smp_processor_id();

	OPTIMIZER_HIDE_VAR(cpu);
}

/* Not with kmalloc()'s own address left on the stack: kmemleak looks there too. */
static noinline void leak(void)
{
	struct xfrmsync_sa *sa;
	int i;

	for (i = 0; i < 10; i++) {
		sa = kzalloc(sizeof(*sa), GFP_KERNEL);
		if (sa)
			sa->ns = here();
		OPTIMIZER_HIDE_VAR(sa);
	}
}

static void refcount(void)
{
	static struct xfrmsync_sa sa;

	refcount_set(&sa.refs, 0);
	xfrmsync_sa_put(&sa);
}

static void list(void)
{
	struct list_head head, item;

	INIT_LIST_HEAD(&head);
	list_add(&item, &head);
	head.next = &head;
	list_del(&item);
}

static void idle(struct work_struct *work)
{
}

static void free_active(void)
{
	struct delayed_work *work = kzalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return;
	INIT_DELAYED_WORK(work, idle);
	schedule_delayed_work(work, 600 * HZ);
	kfree(work);
}

static void shift(void)
{
	unsigned int bits = 40;

	OPTIMIZER_HIDE_VAR(bits);
	here()->next_index += (1U << bits) & 0;
}

static void array_index(void)
{
	static struct xfrmsync_sa sa;
	unsigned int slot = ARRAY_SIZE(sa.next) + 1;	/* the end has an address */

	OPTIMIZER_HIDE_VAR(slot);
	RCU_INIT_POINTER(sa.next[slot], NULL);
}

static u64 raced;

static int race(void *unused)
{
	while (!kthread_should_stop()) {
		raced++;
		cond_resched();
	}
	return 0;
}

static void unlocked(void)
{
	struct task_struct *task[2];
	int i;

	for (i = 0; i < ARRAY_SIZE(task); i++)
		task[i] = kthread_run(race, NULL, "xfrmsync-race");
	msleep(10000);
	for (i = 0; i < ARRAY_SIZE(task); i++)
		if (!IS_ERR(task[i]))
			kthread_stop(task[i]);
}

static const struct {
	const char *name;
	void (*commit)(void);
} bugs[] = {
	{ "none", none },
	{ "use-after-free", use_after_free },
	{ "out-of-bounds", out_of_bounds },
	{ "lock-order", lock_order },
	{ "no-rcu", no_rcu },
	{ "atomic-sleep", atomic_sleep },
	{ "preemptible", which_cpu },
	{ "leak", leak },
	{ "refcount", refcount },
	{ "list", list },
	{ "free-active", free_active },
	{ "shift", shift },
	{ "array-index", array_index },
	{ "data-race", unlocked },
};

static int bug_set(const char *name, const struct kernel_param *param)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!sysfs_streq(name, bugs[i].name))
			continue;
		bugs[i].commit();
		return 0;
	}
	return -EINVAL;
}

static const struct kernel_param_ops bug_ops = { .set = bug_set };
module_param_cb(bug, &bug_ops, NULL, 0200);
MODULE_PARM_DESC(bug, "commits a bug");
