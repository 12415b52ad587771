// SPDX-License-Identifier: GPL-2.0
/*
 * In: takeovers, hand-overs and resumptions; a kernel and a disk that fail, and daemons
 * that die, at each step.
 * Out: what is on disk when the role changes, and who hears of it in which order.
 * Host only, in a folder of its own; the kernel and the peers are in here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define SELF 1
#define PEER 2
#define START 1000	/* where this node stands, as a standby */
#define FINAL 100	/* where the active ended */

static char dir[] = "/tmp/xfrmsync-role-XXXXXX";
static struct daemon d;
static struct cache_entry *e;

/* ---- the kernel, and the peer ---- */

static int role_fails, restore_fails, store_fails, status_fails, roles_set;
static struct genl_status kernel;
static struct state at_flip;		/* on disk when the role was set */
static uint64_t oseq;			/* the SA's, in the kernel */
static uint64_t oseq_given_back;	/* ... when the peer was told to go on */
static bool given_back, asked, asked_on_disk, comes;
static uint32_t drained_ms;
static uint32_t role_set;
static bool knows_no_drain;
static int answer;

int __wrap_genl_role_set(struct genl *g, uint32_t role, uint64_t epoch,
			 uint32_t node, uint32_t drain_ms,
			 struct genl_status *out);
int __wrap_genl_status_get(struct genl *g, struct genl_status *out);
int __wrap_genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
			const struct record *r, size_t n,
			struct genl_result *res);
int __real_state_store(const char *path, struct state *s);
int __wrap_state_store(const char *path, struct state *s);
int __wrap_source_start(struct daemon *x);
void __wrap_pmtu_taken_over(struct daemon *x);
void __wrap_run_xfrm_events(struct daemon *x);
void __wrap_apply_finish(struct daemon *x);
void __wrap_peer_handover_say(struct peer *p, uint32_t result);
void __wrap_peer_send_simple(struct peer *p, uint8_t type);
bool __wrap_watchdog_has_fired(struct daemon *x);

static bool damaged;	/* the disk, until it is written */

int __wrap_genl_role_set(struct genl *g, uint32_t role, uint64_t epoch,
			 uint32_t node, uint32_t drain_ms,
			 struct genl_status *out)
{
	(void)g;
	drained_ms = drain_ms;
	role_set = role;
	(void)epoch;
	(void)node;
	(void)out;
	roles_set++;
	assert_int_equal(state_load(dir, &at_flip), damaged ? -EINVAL : 0);
	if (knows_no_drain && drain_ms)
		return -EINVAL;
	return role_fails ? -EBUSY : 0;
}

int __wrap_genl_status_get(struct genl *g, struct genl_status *out)
{
	(void)g;
	*out = kernel;
	return status_fails;
}

int __wrap_state_store(const char *path, struct state *s)
{
	return store_fails ? -ENOSPC : __real_state_store(path, s);
}

int __wrap_genl_restore(struct genl *g, uint64_t epoch, uint32_t node,
			const struct record *r, size_t n,
			struct genl_result *res)
{
	size_t i;

	(void)g;
	(void)epoch;
	(void)node;
	/* Lowered once, and then it fails: as a whole, or of each. */
	if (restore_fails < 0 && !r[0].has_expect)
		return restore_fails;
	for (i = 0; i < n; i++) {
		if (restore_fails && !r[i].has_expect) {
			res[i].reason = restore_fails;
			continue;
		}
		oseq = r[i].oseq;
		res[i].reason = XFRMSYNC_REASON_OK;
	}
	return 0;
}

int __wrap_source_start(struct daemon *x)
{
	(void)x;
	return 0;
}

void __wrap_pmtu_taken_over(struct daemon *x)
{
	(void)x;
}

void __wrap_run_xfrm_events(struct daemon *x)
{
	(void)x;
}

/* What was refused stays so. */
void __wrap_apply_finish(struct daemon *x)
{
	(void)x;
}

bool __wrap_watchdog_has_fired(struct daemon *x)
{
	(void)x;
	return false;
}

void __wrap_peer_handover_say(struct peer *p, uint32_t result)
{
	(void)p;
	comes |= result == WIRE_HANDOVER_COMING;
	if (result != WIRE_HANDOVER_REFUSED)
		return;
	given_back = true;
	oseq_given_back = oseq;
}

void __wrap_peer_send_simple(struct peer *p, uint8_t type)
{
	struct state s;

	(void)p;
	if (type != WIRE_HANDOVER_REQUEST)
		return;
	asked = true;
	asked_on_disk = !state_load(dir, &s) && s.requested;
}

/* ---- a standby of two nodes, with one SA ---- */

static void done(struct daemon *x, int code, const char *text)
{
	(void)x;
	(void)text;
	answer = code;
}

static int setup(void **state)
{
	struct context_sa info = {
		.id = { .family = AF_INET, .proto = 50, .spi = 1 },
		.esn = true, .window = 32, .bmp_words = 1, .large = true,
	};

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/xfrmsync-role-XXXXXX");
	memset(&d, 0, sizeof(d));
	if (!mkdtemp(dir) || loop_init(&d.loop) || cache_init(&d.cache))
		return -1;
	snprintf(d.conf.state_dir, sizeof(d.conf.state_dir), "%s", dir);
	d.conf.node_id = SELF;
	d.conf.guard = CONF_GUARD_AVAILABLE;
	d.conf.lease.esn_log2 = 8;
	d.conf.n_peers = 1;
	snprintf(d.conf.peer[0].name, sizeof(d.conf.peer[0].name), "b");
	d.n_peers = 1;
	d.peer[0].d = &d;
	snprintf(d.peer[0].name, sizeof(d.peer[0].name), "b");
	d.peer[0].node_id = PEER;
	d.st = (struct state){
		.epoch = 5, .node = PEER, .role = XFRMSYNC_ROLE_STANDBY,
	};
	d.same_boot = true;
	d.synced = true;
	d.takeover_done = done;
	e = cache_add(&d.cache, &info, (void *)"key", 3, 7);
	if (!e || state_store(dir, &d.st))
		return -1;
	e->tag = 9;
	e->applied = CACHE_APPLIED;
	d.applied[CACHE_APPLIED]++;
	e->lease_end = START;
	e->wrote = START;
	oseq = START;
	role_fails = 0;
	restore_fails = 0;
	store_fails = 0;
	status_fails = 0;
	roles_set = 0;
	memset(&kernel, 0, sizeof(kernel));
	given_back = false;
	asked = false;
	answer = -1;
	memset(&at_flip, 0, sizeof(at_flip));
	return 0;
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	apply_exit(&d);
	cache_exit(&d.cache);
	loop_exit(&d.loop);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static struct state on_disk(void)
{
	struct state s;

	assert_int_equal(state_load(dir, &s), 0);
	return s;
}

/* Nothing can be stored. */
static void disk_is_full(bool full)
{
	static char kept[] = "/tmp/xfrmsync-role-XXXXXX.kept";

	snprintf(kept, sizeof(kept), "%s.kept", dir);
	if (full) {
		assert_int_equal(rename(dir, kept), 0);
		assert_int_equal(symlink("/dev/null/none", dir), 0);
		return;
	}
	assert_int_equal(unlink(dir), 0);
	assert_int_equal(rename(kept, dir), 0);
}

/* ---- to whom it gave, and what it has not closed ---- */

static void gave(void)
{
	d.st.node = SELF;
	snprintf(d.st.handed, sizeof(d.st.handed), "b");
	d.handed_to = &d.peer[0];
	d.handed_id = PEER;
	d.handed_own = 0;
	d.handed_lost = true;
	assert_int_equal(state_store(dir, &d.st), 0);
}

/* A daemon that dies before the SAs are fenced leaves the word to the next one. */
static void test_handed_until_in_force(void **state)
{
	(void)state;
	gave();
	d.st.outdated = true;
	role_finish(&d, "alone", false);
	assert_int_equal(answer, 0);
	assert_int_equal(at_flip.role, XFRMSYNC_ROLE_ACTIVE);
	assert_int_equal(at_flip.epoch, 7);
	assert_string_equal(at_flip.handed, "b");
	assert_true(at_flip.outdated);
	assert_string_equal(on_disk().handed, "");
	assert_false(on_disk().outdated);
	assert_int_equal(on_disk().role, XFRMSYNC_ROLE_ACTIVE);
	assert_string_equal(d.st.handed, "");
}

static void test_handed_kept(void **state)
{
	(void)state;
	gave();
	role_fails = 1;
	role_finish(&d, "alone", false);
	assert_int_equal(answer, 1);
	assert_string_equal(on_disk().handed, "b");
	assert_int_equal(on_disk().role, XFRMSYNC_ROLE_STANDBY);
	assert_int_equal(on_disk().epoch, 5);
	assert_string_equal(d.st.handed, "b");
}

/* ---- whom it asked ---- */

static void test_asked_is_on_disk(void **state)
{
	(void)state;
	handover_ask(&d, &d.peer[0]);
	assert_true(asked);
	assert_true(asked_on_disk);
	assert_true(d.handover_wait);
}

static void test_not_asked(void **state)
{
	(void)state;
	disk_is_full(true);
	handover_ask(&d, &d.peer[0]);
	disk_is_full(false);
	assert_false(asked);
	assert_false(d.handover_wait);
	assert_int_equal(answer, 1);
	assert_false(d.st.requested);
}

/* An active that died has no range of its own; one that was asked may have. */
static void test_has_its_own_range(void **state)
{
	(void)state;
	role_finish(&d, "alone", false);
	assert_int_equal(answer, 0);
	assert_false(e->mark[0].lease.offered);
}

static void test_has_its_own_range_asked(void **state)
{
	(void)state;
	handover_ask(&d, &d.peer[0]);
	/* The daemon after it knows that by the disk alone. */
	d.handover_wait = false;
	d.handover_from = NULL;
	d.st = on_disk();
	role_finish(&d, "alone", false);
	assert_int_equal(answer, 0);
	assert_true(e->mark[0].lease.offered);
	assert_false(on_disk().requested);
}

/*
 * The number came, its link was replaced, and the active went on: it is asked once more,
 * and the next hand-over may name fewer SAs.
 */
static void test_asked_again_forgets(void **state)
{
	struct peer *p = &d.peer[0];

	(void)state;
	handover_ask(&d, p);
	e->final = FINAL;
	e->final_lease = START;
	e->has_final = true;
	handover_link_replaced(&d, p);
	asked = false;
	p->role = XFRMSYNC_ROLE_ACTIVE;
	p->epoch = d.st.epoch + 1;
	p->epoch_node = PEER;
	role_heard(&d, p);
	assert_true(asked);
	assert_true(d.handover_wait);
	assert_false(e->has_final);
	/* Filled anew. */
	d.synced = true;
	d.st.outdated = false;
	handover_answer(&d, p, WIRE_HANDOVER_DONE);
	assert_int_equal(answer, 0);
	assert_int_equal(on_disk().epoch, 7);
	assert_int_equal(oseq, START);
}

/* ---- who is asked ---- */

/* That it comes leaves first: what follows takes its time. */
static void test_says_that_it_comes(void **state)
{
	(void)state;
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	d.conf.drain_ms = 7;
	comes = false;
	roles_set = 0;
	handover_request(&d, &d.peer[0], d.st.epoch, d.st.node);
	assert_true(comes);
	assert_int_equal(roles_set, 0);
	role_fails = 1;		/* what comes then is not of interest here */
	d.give_timer.cb(&d.give_timer);
	assert_int_equal(roles_set, 1);
	assert_int_equal(drained_ms, 7);
}

/* A module of before drain_ms: fenced all the same, and at once. */
static void test_old_module(void **state)
{
	(void)state;
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	d.conf.drain_ms = 7;
	handover_request(&d, &d.peer[0], d.st.epoch, d.st.node);
	knows_no_drain = true;
	d.give_timer.cb(&d.give_timer);
	knows_no_drain = false;
	assert_int_equal(roles_set, 2);
	assert_int_equal(role_set, XFRMSYNC_ROLE_STANDBY);
	assert_int_equal(drained_ms, 0);
	assert_false(role_is_active(&d));
}

static void test_gone_before_it_comes(void **state)
{
	(void)state;
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	roles_set = 0;
	handover_request(&d, &d.peer[0], d.st.epoch, d.st.node);
	handover_peer_down(&d, &d.peer[0]);
	d.give_timer.cb(&d.give_timer);
	assert_int_equal(roles_set, 0);
	assert_true(role_is_active(&d));
}

/* Who was told meanwhile to be the active stays it. */
static void test_told_before_it_comes(void **state)
{
	(void)state;
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	roles_set = 0;
	handover_request(&d, &d.peer[0], d.st.epoch, d.st.node);
	d.st.epoch += 2;
	d.give_timer.cb(&d.give_timer);
	assert_int_equal(roles_set, 0);
	assert_true(role_is_active(&d));
}

/* ---- exact numbers that are not in force ---- */

static void exact(void)
{
	d.handover_from = &d.peer[0];
	e->final = FINAL;
	e->final_lease = START;
	e->has_final = true;
	role_fails = 1;
	role_finish(&d, "handed over", true);
	assert_int_equal(answer, 1);
	assert_int_equal(at_flip.role, XFRMSYNC_ROLE_ACTIVE);
}

static void test_raised_then_given_back(void **state)
{
	(void)state;
	exact();
	assert_true(given_back);
	assert_int_equal(oseq_given_back, START);
	assert_int_equal(on_disk().role, XFRMSYNC_ROLE_STANDBY);
}

/* What stands at the exact number is the other one's as soon as it hears. */
static void test_not_raised_not_given_back(void **state)
{
	(void)state;
	restore_fails = XFRMSYNC_REASON_NO_SA;
	exact();
	assert_int_equal(oseq, FINAL);
	assert_false(given_back);
	assert_int_equal(on_disk().role, XFRMSYNC_ROLE_ACTIVE);
	assert_int_equal(on_disk().epoch, 6);
}

/* Nor by a HELLO of the epoch before, on a new link: the giver would go on by that. */
static void test_not_given_back_by_hello(void **state)
{
	(void)state;
	restore_fails = XFRMSYNC_REASON_NO_SA;
	exact();
	assert_int_equal(d.st.epoch, 6);
	assert_int_equal(d.st.node, SELF);
	assert_false(role_is_active(&d));
	assert_true(d.loop.stop);
	assert_int_equal(d.exit_code, 1);
	/* Nothing is restored by the new epoch: it would stand in the kernel. */
	assert_int_equal(d.repair_timer.at_ns, 0);
	assert_int_equal(d.n_batch, 0);
	/* The next daemon goes on with it. */
	restore_fails = 0;
	role_fails = 0;
	memset(&d.st, 0, sizeof(d.st));
	kernel = (struct genl_status){
		.role = XFRMSYNC_ROLE_STANDBY, .epoch = 5, .node = PEER,
	};
	assert_int_equal(role_init(&d), 0);
	assert_true(d.unfinished);
	assert_int_equal(d.st.epoch, 6);
}

static void test_given_back_goes_on(void **state)
{
	(void)state;
	exact();
	assert_int_equal(d.st.epoch, 5);
	assert_false(d.loop.stop);
}

/* However it fails: the SA counts as failed then, which is not as raised. */
static void test_failed_not_given_back(void **state)
{
	(void)state;
	restore_fails = XFRMSYNC_REASON_MEMORY;
	exact();
	assert_int_equal(oseq, FINAL);
	assert_false(given_back);
}

static void test_refused_not_given_back(void **state)
{
	(void)state;
	restore_fails = -ENOBUFS;
	exact();
	assert_int_equal(oseq, FINAL);
	assert_false(given_back);
}

/* ---- stored, and never in force ---- */

static void died_in_the_middle(void)
{
	d.st.role = XFRMSYNC_ROLE_ACTIVE;
	d.st.epoch = 6;
	d.st.node = SELF;
	d.st.life = 3;
	assert_int_equal(state_store(dir, &d.st), 0);
	memset(&d.st, 0, sizeof(d.st));
	kernel = (struct genl_status){
		.role = XFRMSYNC_ROLE_STANDBY, .epoch = 5, .node = PEER, .life = 3,
	};
}

/* Once the kernel has that epoch, nothing but the disk tells the next daemon. */
static void test_unfinished_is_on_disk(void **state)
{
	(void)state;
	died_in_the_middle();
	store_fails = 1;
	assert_int_not_equal(role_init(&d), 0);
	assert_int_equal(roles_set, 0);
	store_fails = 0;
	memset(&d.st, 0, sizeof(d.st));
	assert_int_equal(role_init(&d), 0);
	assert_int_equal(at_flip.role, XFRMSYNC_ROLE_STANDBY);
	assert_string_equal(at_flip.boot_id, "-");
	assert_false(role_is_owner(&d));
}

/* Strict: it may have told its peers something in its time before. */
static void test_unfinished_is_again(void **state)
{
	(void)state;
	died_in_the_middle();
	d.conf.guard = CONF_GUARD_STRICT;
	assert_int_equal(role_init(&d), 0);
	role_finish(&d, "alone", false);
	assert_int_equal(answer, 0);
	assert_true(d.again);
	assert_false(on_disk().strict);
}

/* Nor does the daemon after that one know what was told in its time before. */
static void test_unfinished_twice_is_again(void **state)
{
	(void)state;
	died_in_the_middle();
	d.conf.guard = CONF_GUARD_STRICT;
	assert_int_equal(role_init(&d), 0);
	memset(&d.st, 0, sizeof(d.st));
	d.unfinished = d.was_unfinished = d.same_boot = d.taken_here = false;
	kernel.epoch = 6;
	kernel.node = SELF;
	assert_int_equal(role_init(&d), 0);
	role_finish(&d, "alone", false);
	assert_int_equal(answer, 0);
	assert_true(d.again);
	assert_false(on_disk().strict);
}

/* Not as one that never had a role: what a boot script made may have been used. */
static void test_damaged(void **state)
{
	char path[128];
	FILE *f;

	(void)state;
	memset(&d.st, 0, sizeof(d.st));
	d.st.node = SELF;
	d.st.epoch = 5;
	assert_int_equal(state_store(dir, &d.st), 0);
	snprintf(path, sizeof(path), "%s/state", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("xfrmsync-state 1\nepoch", f);
	fclose(f);
	memset(&d.st, 0, sizeof(d.st));
	kernel = (struct genl_status){ .role = XFRMSYNC_ROLE_NONE, .life = 3 };
	damaged = true;
	assert_int_equal(role_init(&d), 0);
	damaged = false;
	assert_int_not_equal(d.st.epoch, 0);
	assert_false(role_is_owner(&d));
	assert_true(on_disk().outdated);
}

/* ---- what the module tells ---- */

/* It has no memory to say what it is now: that is no reason to end. */
static void test_look_without_memory(void **state)
{
	(void)state;
	kernel = (struct genl_status){
		.role = XFRMSYNC_ROLE_STANDBY, .epoch = 5, .node = PEER,
	};
	status_fails = -ENOMEM;
	role_look(&d);
	assert_false(d.loop.stop);
	assert_true(d.look_timer.at_ns);
	status_fails = -ENOBUFS;
	d.look_timer.cb(&d.look_timer);
	assert_false(d.loop.stop);
	assert_true(d.look_timer.at_ns);
	status_fails = 0;
	d.look_timer.cb(&d.look_timer);
	assert_false(d.loop.stop);
	assert_false(d.look_timer.at_ns);
}

/* What it was told of then is not forgotten. */
static void test_look_again(void **state)
{
	(void)state;
	kernel = (struct genl_status){
		.role = XFRMSYNC_ROLE_ACTIVE, .epoch = 6, .node = PEER,
	};
	status_fails = -ENOMEM;
	role_look(&d);
	assert_false(d.loop.stop);
	status_fails = 0;
	d.look_timer.cb(&d.look_timer);
	assert_true(d.loop.stop);
	assert_int_equal(d.exit_code, 1);
}

static void test_look_in_vain(void **state)
{
	(void)state;
	status_fails = -ENOENT;
	role_look(&d);
	assert_true(d.loop.stop);
	assert_int_equal(d.exit_code, 1);
}

/* ---- active again ---- */

/* Who was given to has not taken it. */
static void comes_back_to_a_full_disk(void)
{
	gave();
	d.peer[0].role = XFRMSYNC_ROLE_STANDBY;
	disk_is_full(true);
	handover_heard(&d, &d.peer[0], 0);
}

static void test_resumes_later(void **state)
{
	(void)state;
	comes_back_to_a_full_disk();
	assert_false(role_is_active(&d));
	assert_true(d.resume_timer.at_ns);
	d.resume_timer.cb(&d.resume_timer);
	assert_false(role_is_active(&d));
	disk_is_full(false);
	d.resume_timer.cb(&d.resume_timer);
	assert_true(role_is_active(&d));
	assert_int_equal(on_disk().epoch, 6);
}

/* Somebody else was it meanwhile. */
static void test_resumes_no_more(void **state)
{
	(void)state;
	comes_back_to_a_full_disk();
	disk_is_full(false);
	d.handed_to = NULL;
	d.resume_timer.cb(&d.resume_timer);
	assert_false(role_is_active(&d));
}

/* What it took and used, another node of that name does not know. */
static void test_resumes_not_for_another(void **state)
{
	(void)state;
	gave();
	d.peer[0].role = XFRMSYNC_ROLE_STANDBY;
	d.peer[0].node_id = PEER + 1;
	handover_heard(&d, &d.peer[0], 0);
	assert_false(role_is_active(&d));
	d.peer[0].node_id = PEER;
	handover_heard(&d, &d.peer[0], 0);
	assert_false(role_is_active(&d));
}

/* Nor does this one, if it has lost when it was active. */
static void test_resumes_not_for_a_lost_disk(void **state)
{
	(void)state;
	gave();
	d.handed_own = 3;
	d.peer[0].role = XFRMSYNC_ROLE_STANDBY;
	d.peer[0].own = 0;
	handover_heard(&d, &d.peer[0], 0);
	assert_false(role_is_active(&d));
}

/* The operator's word is the later one. */
static void test_resumes_not_if_told(void **state)
{
	(void)state;
	comes_back_to_a_full_disk();
	disk_is_full(false);
	assert_true(d.resume_timer.at_ns);
	assert_int_equal(role_standby(&d, "told so"), 0);
	assert_false(d.resume_timer.at_ns);
	/* Nor when the other one says once more that it did not take it. */
	handover_heard(&d, &d.peer[0], 0);
	assert_false(role_is_active(&d));
}

/* It stands at the exact numbers, not past them. */
static void test_resumed_in_vain(void **state)
{
	(void)state;
	gave();
	d.peer[0].role = XFRMSYNC_ROLE_STANDBY;
	role_fails = 1;
	handover_heard(&d, &d.peer[0], 0);
	assert_false(role_is_active(&d));
	role_fails = 0;
	d.peer[0].role = XFRMSYNC_ROLE_ACTIVE;
	d.peer[0].epoch = d.st.epoch + 1;
	d.peer[0].epoch_node = PEER;
	d.peer[0].node_id = PEER;
	role_heard(&d, &d.peer[0]);
	assert_true(d.st.outdated);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_look_without_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_look_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_look_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handed_until_in_force, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handed_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_is_on_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_has_its_own_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_has_its_own_range_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked_again_forgets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_says_that_it_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_module, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone_before_it_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told_before_it_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raised_then_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_raised_not_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_given_back_by_hello, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_back_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_not_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_not_given_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_is_on_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_is_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_twice_is_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumes_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumes_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumes_not_for_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumes_not_for_a_lost_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumes_not_if_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resumed_in_vain, setup, teardown),
	};

	return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
