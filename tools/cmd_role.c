// SPDX-License-Identifier: GPL-2.0
/*
 * In: takeover and standby, of an operator or of keepalived.
 * Out: the role changed: by the daemon; in the kernel directly where none runs.
 * Returns when the role is in force, or refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/xfrmsync.h>

#include "bindings.h"
#include "cmd.h"
#include "daemon.h"
#include "genl.h"
#include "plan.h"
#include "state.h"

#define DEFAULT_TIMEOUT_S 10

static const char takeover_help[] =
	"Usage: xfrmsync takeover [OPTIONS]\n\n"
	"Become active: planned if the active answers, else as after a crash.\n\n"
	"      --force-unsafe  use also SAs whose counters may be behind what was sent, which\n"
	"                      are fenced otherwise: their numbers may be sent twice. On an\n"
	"                      active node: use those that its takeover fenced\n"
	"      --dry-run       say what would happen to each SA, change nothing; exit 1 if\n"
	"                      this node is not ready\n"
	"      --timeout S     give up waiting for the daemon after so many seconds (10)\n"
	CMD_COMMON_HELP;

static const char standby_help[] =
	"Usage: xfrmsync standby [OPTIONS]\n\n"
	"Step down: another node is, or becomes, active.\n\n"
	"      --dry-run       say what would happen, change nothing\n"
	"      --timeout S     give up waiting for the daemon after so many seconds (10)\n"
	CMD_COMMON_HELP;

enum { OPT_FORCE = CMD_OWN, OPT_DRY_RUN, OPT_TIMEOUT };

static const struct option takeover_options[] = {
	CMD_LONG,
	{ "force-unsafe", no_argument, NULL, OPT_FORCE },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ NULL, 0, NULL, 0 },
};

static const struct option standby_options[] = {
	CMD_LONG,
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ NULL, 0, NULL, 0 },
};

struct change {
	struct cmd_common common;
	uint32_t role;		/* that is wanted */
	bool force, dry_run;
	bool fenced;		/* the kernel is standby, whatever may fail from here on */
	uint64_t timeout_s;
	struct timespec since;
	const struct conf_filter *filter;	/* of the managed SAs */
	bool outdated;		/* another was active since they were raised */
	struct bindings unsafe;	/* managed SAs that no restore has raised */
	struct bindings limits;	/* inbound ones that others have, too (strict) */
	struct bindings windows;	/* of these, with nothing open */
	bool is_own;		/* nobody was active after this node */
	bool plans;		/* a dry run: what becomes of each SA */
	bool holds;		/* strict, and others may be behind this node */
	struct plan plan;
};

static double elapsed_ms(const struct change *c)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - c->since.tv_sec) * 1e3 +
	       (now.tv_nsec - c->since.tv_nsec) / 1e6;
}

/* A sentence about what was done, or would be; takes the reference. */
static int report(const struct change *c, json_t *o, const char *what)
{
	double ms = elapsed_ms(c);
	const json_t *why;
	size_t i;

	if (c->common.json) {
		json_object_set_new(o, "dry_run", json_boolean(c->dry_run));
		json_object_set_new(o, "ms", json_real(ms));
		cmd_print_json(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		return CMD_OK;
	}
	if (c->dry_run)
		printf("would %s\n", what);
	else
		printf("%s, in %.1f ms\n", what, ms);
	json_array_foreach(json_object_get(o, "reasons"), i, why)
		printf("  not ready: %s\n", json_string_value(why));
	if (c->dry_run)
		plan_print(stdout, o);
	json_decref(o);
	return CMD_OK;
}

/* What the daemon answered; takes the reference. */
static int daemon_answer(const struct change *c, json_t *o)
{
	const char *error = json_string_value(json_object_get(o, "error"));
	const char *what = json_string_value(json_object_get(o, c->dry_run ?
							    "would" : "text"));
	int code = json_integer_value(json_object_get(o, "exit"));
	char word[256];

	if (error) {
		cmd_fail(&c->common, "%s", error);
		if (c->common.json)
			report(c, json_incref(o), "");
		json_decref(o);
		return code ? code : CMD_FAILED;
	}
	if (c->dry_run && c->role == XFRMSYNC_ROLE_STANDBY) {
		what = json_string_value(json_object_get(o, "role"));
		snprintf(word, sizeof(word), "step down; the role is %s", what ? what : "unknown");
		json_object_del(o, "reasons");
	} else {
		snprintf(word, sizeof(word), "%s", what ? what : genl_role_str(c->role));
		if (c->dry_run && json_is_false(json_object_get(o, "ready")) && !c->force)
			code = CMD_FAILED;
	}
	report(c, o, word);
	return code;
}

/* A standby that is asked to step down has nothing to prove: its status tells. */
static json_t *request(const struct change *c)
{
	if (c->dry_run && c->role == XFRMSYNC_ROLE_STANDBY)
		return json_pack("{s:s}", "cmd", "status");
	return json_pack("{s:s, s:b, s:b}", "cmd", c->common.verb,
			 "force_unsafe", c->force, "dry_run", c->dry_run);
}

static int keep_unsafe(const struct record *r, void *data)
{
	struct change *c = data;

	if (!ready_why_not_raised(r, c->outdated) || !ready_is_managed(c->filter, r))
		return 0;
	return bindings_fence(&c->unsafe, r, true);
}

static int keep_untold(const struct record *r, void *data)
{
	return r->flags & XFRMSYNC_RECORD_F_UNTOLD ?
	       bindings_fence(data, r, false) : 0;
}

static int keep_fenced(const struct record *r, void *data)
{
	return r->flags & XFRMSYNC_RECORD_F_FENCED ?
	       bindings_fence(data, r, false) : 0;
}

/* No active can have told what came; or the operator knows better, also of what a
 * takeover has fenced.
 */
static int let_go(struct change *c, struct genl *g)
{
	struct bindings list = {};
	int ret = 0;

	if (!c->dry_run && (genl_dump(g, c->force ? keep_fenced : keep_untold, &list) ||
			    bindings_put(g, &list, "cannot be let go")))
		ret = cmd_fail(&c->common, "SAs that are fenced cannot be let go: %s",
			       g->error);
	bindings_free(&list);
	return ret;
}

/* Nobody was active after this node, in this boot: its counters are the newest. */
static bool is_owner(const struct conf *conf, const struct state *s)
{
	char boot_id[40];

	state_boot_id(boot_id, sizeof(boot_id));
	return s->node == conf->node_id && !strcmp(boot_id, s->boot_id) &&
	       !s->handed[0];
}

/*
 * Whoever takes over from this node next may do so with what it was told while this
 * one was active before, or, of several peers, with what the active told it: not
 * known to cover what this one would deliver.
 */
static bool is_behind(const struct conf *conf, const struct state *s)
{
	return conf->guard == CONF_GUARD_STRICT &&
	       (s->node == conf->node_id || conf->n_peers > 1);
}

/* Inbound, as far as is known, and another node may have it. */
static bool may_hold(const struct record *r)
{
	return r->window && r->dir != XFRMSYNC_DIR_OUT &&
	       r->flags & XFRMSYNC_RECORD_F_SHARED;
}

/* What a daemon would say, too, as far as it is known without one. */
static int plan_one(const struct record *r, void *data)
{
	struct change *c = data;
	struct plan_sa sa = {
		.jump = plan_jump(r), .held = c->holds && may_hold(r),
		.guard_unknown = !c->is_own && !plan_is_not_led(r),
	};

	if (!ready_is_managed(c->filter, r))
		return 0;
	/* What is its own and untold is let go. */
	if (!c->is_own || (r->flags & XFRMSYNC_RECORD_F_FENCED &&
			   !(r->flags & XFRMSYNC_RECORD_F_UNTOLD)))
		sa.why = ready_why_not_raised(r, c->outdated);
	plan_add(&c->plan, &r->id, &sa);
	return 0;
}

/* Fences what is not safe to use, as the daemon would. */
static int fence_unsafe(struct change *c, const struct conf *conf,
			struct genl *g, const struct state *s)
{
	if (c->role != XFRMSYNC_ROLE_ACTIVE)
		return CMD_OK;
	c->outdated = s->outdated;
	c->is_own = !s->epoch || is_owner(conf, s);
	c->holds = is_behind(conf, s);
	if (c->plans && genl_dump(g, plan_one, c))
		return cmd_fail(&c->common, "the module's SAs: %s", g->error);
	if (c->force || c->is_own)
		return let_go(c, g);
	if (genl_dump(g, keep_unsafe, c) ||
	    (!c->dry_run && bindings_put(g, &c->unsafe, "cannot be fenced")))
		return cmd_fail(&c->common, "%zu SAs that are not safe cannot be fenced (%s): mend it, or --force-unsafe",
				c->unsafe.n, g->error);
	if (c->unsafe.n)
		cmd_warn(&c->common, "%zu SAs have no counters of the active, so numbers could be sent, or accepted, twice: %s",
			 c->unsafe.n, c->dry_run ? "they would be fenced until they are rekeyed" :
			 "fenced until they are rekeyed");
	return CMD_OK;
}

/* How far they cover it, only a daemon learns: until then it delivers nothing. Not
 * even what comes late, as its highest number may lie above its last limit.
 */
static int keep_limit(const struct record *r, void *data)
{
	struct record limit = {
		.id = r->id, .tag = r->tag, .cookie = r->cookie, .keep_flags = true,
		.set_guard = true, .guard_end = 1,	/* 0 is none */
	};
	struct change *c = data;

	if (!ready_is_managed(c->filter, r) || !may_hold(r))
		return 0;
	/* What it was given to may have delivered what came late. */
	return (c->is_own ? 0 : bindings_fill(&c->windows, r)) ?:
	       bindings_add(&c->limits, &limit);
}

/* Strict, before the role changes: limits, as the daemon would bind them. */
static int hold_inbound(struct change *c, const struct conf *conf,
			struct genl *g, const struct state *s,
			const struct genl_status *st)
{
	int ret;

	if (c->role != XFRMSYNC_ROLE_ACTIVE || !is_behind(conf, s))
		return CMD_OK;
	ret = genl_dump(g, keep_limit, c);
	if (!ret && !c->dry_run)
		ret = bindings_merge(g, st->epoch, st->node, &c->windows);
	if (!ret && !c->dry_run)
		ret = bindings_put(g, &c->limits, "cannot be given a limit");
	if (ret)
		return cmd_fail(&c->common, "SAs cannot be given the limits of a strict guard: %s",
				g->error);
	if (c->limits.n)
		cmd_warn(&c->common, "%zu inbound SAs %s nothing (guard = strict) until a daemon runs here, and the other nodes cover what comes",
			 c->limits.n, c->dry_run ? "would deliver" : "deliver");
	return CMD_OK;
}

/*
 * The epoch for the new role: one more than any known for an active, the newest
 * known for a standby, which must not be ahead of the active that it follows.
 */
static void next_epoch(const struct change *c, const struct conf *conf,
		       struct state *s)
{
	bool again = is_owner(conf, s);

	if (c->role == XFRMSYNC_ROLE_ACTIVE) {
		/* It told its peer nothing yet, if it was not active before; of
		 * several, one may have less than this node.
		 */
		s->strict = conf->guard == CONF_GUARD_STRICT &&
			    !is_behind(conf, s);
		/* Whom it gave all to may have taken the next one. */
		s->epoch += 1 + !!s->handed[0];
		s->node = conf->node_id;
		s->requested = false;
		state_count_in(s, again);
	}
	s->role = c->role;
}

/* Down: the fence first, whatever the disk says, in the epoch that is in force. */
static int fence_first(struct change *c, struct genl *g, const struct genl_status *st)
{
	if (c->role != XFRMSYNC_ROLE_STANDBY || c->dry_run ||
	    st->role == XFRMSYNC_ROLE_STANDBY)
		return CMD_OK;
	if (genl_role_set(g, c->role, st->epoch, st->node, 0, NULL))
		return cmd_fail(&c->common, "the module refused: %s", g->error);
	c->fenced = true;
	return CMD_OK;
}

static const char *outcome(const struct change *c)
{
	return c->fenced ? "standby in the kernel all the same, until a takeover" :
			   "the role is as it was";
}

/* Up: stored before it is used; taken back where the kernel refuses it. */
static int set_role(struct change *c, const struct conf *conf,
		    struct genl *g, struct genl_status *st)
{
	struct state old, s;
	int err;

	err = fence_first(c, g, st);
	if (err)
		return err;
	err = state_load(conf->state_dir, &old);
	if (err && err != -ENOENT)
		return cmd_fail(&c->common, "%s/state: %s (%s); the epoch must not go back: mend it, or remove it if the other nodes are down",
				conf->state_dir, err == -EINVAL ? "damaged" : strerror(-err),
				outcome(c));
	s = old;
	/* Whoever died in the middle had still to fence what is not safe. */
	if (state_is_unfinished(&s, st->role, st->epoch, st->node))
		s.boot_id[0] = '\0';
	/* Without its limits, whatever was active here is not the newest for sure. */
	state_live_on(&s, st->life);
	/* Restores and other tools move the kernel's on. */
	state_catch_up(&s, st->epoch, st->node, conf->node_id);
	c->filter = &conf->filter;
	err = fence_unsafe(c, conf, g, &s);
	if (!err)
		err = hold_inbound(c, conf, g, &s, st);
	if (err)
		return err;
	next_epoch(c, conf, &s);
	if (c->dry_run) {
		st->epoch = s.epoch;
		st->node = s.node;
		return CMD_OK;
	}
	err = state_store(conf->state_dir, &s);
	if (err)
		return cmd_fail(&c->common, "%s/state cannot be written (%s): %s",
				conf->state_dir, strerror(-err), outcome(c));
	if (genl_role_set(g, c->role, s.epoch, s.node, 0, st)) {
		if (!c->fenced)
			state_store(conf->state_dir, &old);
		return cmd_fail(&c->common, "the module refused: %s", g->error);
	}
	/* Not before: one that dies in between has still to fence what is unsafe, and
	 * to close what it gave.
	 */
	if (c->role == XFRMSYNC_ROLE_ACTIVE && (s.outdated || s.handed[0])) {
		s.outdated = false;
		s.handed[0] = '\0';
		state_store(conf->state_dir, &s);
	}
	return CMD_OK;
}

/* A takeover is on disk that the next daemon would go on with. */
static bool goes_on(const struct conf *conf, const struct genl_status *st)
{
	struct state s;

	return !state_load(conf->state_dir, &s) &&
	       state_is_unfinished(&s, st->role, st->epoch, st->node);
}

/* The module's records do not tell it. */
static json_t *not_known(void)
{
	return json_pack("[s, s, s]",
			 "without the daemon, what an active said of an SA: whether it, or a policy that uses it, is safe, and whether it was exposed",
			 "without the daemon, by how much a guard leads a window, unless something below it was not seen",
			 "without the daemon, whether an active would hand over: these are the numbers of a crash");
}

/* What was done, or would be; exit code 1 where that would leave SAs fenced. */
static int say_done(const struct change *c, const struct genl_status *st,
		    const char *what)
{
	size_t unsafe = c->plans ? c->plan.unsafe : c->unsafe.n;
	json_t *o;
	int ret;

	o = json_pack("{s:s, s:I, s:I, s:b, s:I}", "role",
		      genl_role_str(c->dry_run ? st->role : c->role), "epoch",
		      (json_int_t)st->epoch, "epoch_node", (json_int_t)st->node,
		      "daemon", 0, "unsafe", (json_int_t)unsafe);
	if (c->plans) {
		plan_put(&c->plan, o);
		json_object_set_new(o, "not_known", not_known());
	}
	ret = report(c, o, what);
	return c->plans && unsafe && !c->force ? CMD_FAILED : ret;
}

static int change_directly(struct change *c, const struct conf *conf,
			   struct genl *g)
{
	struct genl_status st;
	char what[160];
	int ret;

	if (genl_status_get(g, &st))
		return cmd_fail(&c->common, "the module's status: %s", g->error);
	if (st.role == c->role && !goes_on(conf, &st)) {
		snprintf(what, sizeof(what), "%s already %s, epoch %" PRIu64,
			 c->dry_run ? "change nothing:" : "is", genl_role_str(st.role),
			 st.epoch);
		ret = c->force && c->role == XFRMSYNC_ROLE_ACTIVE ? let_go(c, g) : CMD_OK;
		if (ret)
			return ret;
	} else {
		ret = set_role(c, conf, g, &st);
		if (ret)
			return ret;
		snprintf(what, sizeof(what), "%s %s without the daemon, epoch %" PRIu64 " of node %" PRIu32,
			 c->dry_run ? "become" : "became", genl_role_str(c->role),
			 st.epoch, st.node);
	}
	return say_done(c, &st, what);
}

/* Not even the lock can be had there. */
static int fence_alone(struct change *c, const struct conf *conf,
		       struct genl *g, int err)
{
	struct genl_status st;
	int ret;

	if (genl_status_get(g, &st))
		return cmd_fail(&c->common, "the module's status: %s", g->error);
	ret = fence_first(c, g, &st);
	return ret ?: cmd_fail(&c->common, "%s: %s: %s", conf->state_dir,
			       strerror(-err), outcome(c));
}

/* -EBUSY: a daemon has just started. Else an exit code. */
static int without_daemon(struct change *c)
{
	struct conf conf;
	struct genl g;
	int ret, lock;

	/* The node's id and where its epoch stands: nothing to guess. */
	if (!cmd_need_conf(&c->common, &conf))
		return CMD_FAILED;
	lock = state_lock(conf.state_dir);
	if (lock == -EBUSY)
		return -EBUSY;
	if (genl_open(&g)) {
		ret = cmd_fail(&c->common, "%s", g.error);
		goto unlock;
	}
	if (c->dry_run && c->role == XFRMSYNC_ROLE_ACTIVE)
		c->plans = true;
	plan_init(&c->plan, c->force);
	ret = lock < 0 ? fence_alone(c, &conf, &g, lock) :
			 change_directly(c, &conf, &g);
	bindings_free(&c->unsafe);
	bindings_free(&c->limits);
	bindings_free(&c->windows);
	plan_free(&c->plan);
	genl_close(&g);
unlock:
	if (lock >= 0)
		close(lock);
	return ret;
}

static json_t *ask_daemon(const struct change *c, int *err)
{
	json_t *req = request(c), *o;

	o = cmd_ask(&c->common, req, c->timeout_s * 1000, err);
	json_decref(req);
	return o;
}

static int change(struct change *c)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int err = 0, ret = -EBUSY;
	json_t *o;

	clock_gettime(CLOCK_MONOTONIC, &c->since);
	do {
		o = ask_daemon(c, &err);
		if (o)
			return daemon_answer(c, o);
		if (!cmd_no_daemon(err))
			break;
		ret = without_daemon(c);
		if (ret != -EBUSY)
			return ret;
		nanosleep(&pause, NULL);
	} while (elapsed_ms(c) < c->timeout_s * 1e3);
	if (err == -EACCES)
		return cmd_fail(&c->common, "the daemon's socket: %s: it hears root alone",
				strerror(-err));
	return cmd_fail(&c->common, "the daemon did not answer (%s): 'xfrmsync status' tells the role",
			err == -ENODATA ? "it closed the connection" : strerror(-err));
}

static int run(struct change *c, int argc, char **argv,
	       const struct option *options)
{
	int opt;

	while ((opt = cmd_option(&c->common, argc, argv, CMD_SHORT, options)) != -1) {
		if (opt == OPT_FORCE)
			c->force = true;
		else if (opt == OPT_DRY_RUN)
			c->dry_run = true;
		else if (!cmd_number(optarg, 3600, &c->timeout_s) || !c->timeout_s)
			return cmd_usage(&c->common, "--timeout wants seconds from 1 to 3600, not %s",
					 optarg);
	}
	return c->common.exit_code >= 0 ? c->common.exit_code : change(c);
}

int cmd_takeover_main(int argc, char **argv)
{
	struct change c = {
		.common = { .verb = "takeover", .help = takeover_help },
		.role = XFRMSYNC_ROLE_ACTIVE,
		.timeout_s = DEFAULT_TIMEOUT_S,
	};

	return run(&c, argc, argv, takeover_options);
}

int cmd_standby_main(int argc, char **argv)
{
	struct change c = {
		.common = { .verb = "standby", .help = standby_help },
		.role = XFRMSYNC_ROLE_STANDBY,
		.timeout_s = DEFAULT_TIMEOUT_S,
	};

	return run(&c, argc, argv, standby_options);
}
