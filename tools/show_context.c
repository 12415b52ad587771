// SPDX-License-Identifier: GPL-2.0
/*
 * In: SAs of the kernel, or a file that save wrote.
 * Out: their contexts and the policies that use them, printed without keys.
 * Asks the kernel; the daemon need not run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "bindings.h"
#include "context.h"
#include "context_file.h"
#include "context_print.h"
#include "genl.h"
#include "ike_saved.h"
#include "pmtu.h"
#include "show_context.h"
#include "xfrm.h"

struct shown {
	const struct cmd_common *common;
	const struct sa_select *select;
	struct bindings list;		/* of the kernel's SAs */
	struct context_sa *sa;		/* those that were printed */
	size_t n, room, printed, failed;
	bool sorted;			/* by reqid, for the policies */
	bool ike_alone;
};

static void print_one(struct shown *s, json_t *o)
{
	if (!o)
		return;
	context_print_next(stdout, o, s->common->json, s->printed++);
	s->failed += !!json_object_get(o, "error");
	json_decref(o);
}

/* Remembered, for the policies. */
static int remember(struct shown *s, const struct context_sa *sa)
{
	size_t room = s->room ? 2 * s->room : 64;
	struct context_sa *more;

	if (s->n == s->room) {
		more = reallocarray(s->sa, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->sa = more;
		s->room = room;
	}
	s->sa[s->n++] = *sa;
	return 0;
}

/* What moves with each packet, and stands beside the context. */
static void put_counters(json_t *o, const struct record *rec)
{
	static const char *const names[] = {
		"oseq", "seq", "bytes", "packets", "add_time", "use_time",
		"last_used", "replay_window_errors", "replay_errors",
		"integrity_errors",
	};
	json_t *all = record_json(rec), *some = json_object();
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		json_object_set(some, names[i], json_object_get(all, names[i]));
	json_object_set_new(o, "counters", some);
	json_decref(all);
}

/* stopped: NULL, or of a file: nothing moved it after it was saved. */
static int print_sa(struct shown *s, const uint8_t *p, size_t len,
		    const struct record *rec, const bool *stopped)
{
	struct context_sa sa;
	struct record r = {};
	json_t *o;

	if (!context_sa_info(p, len, &sa, NULL)) {
		r.id = sa.id;
		memcpy(r.src, sa.src, 16);
		r.reqid = sa.reqid;
		if (!sa_select_match(s->select, &r))
			return 0;
		if (remember(s, &sa))
			return -ENOMEM;
	}
	o = context_json(p, len);
	if (o && !json_object_get(o, "error")) {
		put_counters(o, rec);
		if (stopped)
			json_object_set_new(o, "stopped", json_boolean(*stopped));
	}
	print_one(s, o);
	return 0;
}

static int print_policy(const uint8_t *p, size_t len, void *data)
{
	struct shown *s = data;
	struct context_policy pol;

	if (s->n && !s->sorted)
		qsort(s->sa, s->n, sizeof(*s->sa), context_sa_order);
	s->sorted = true;
	/* One that cannot be read is told, too. */
	if (context_policy_info(p, len, &pol, NULL) ||
	    context_policy_uses_any(&pol, s->sa, s->n))
		print_one(s, context_json(p, len));
	return 0;
}

/* ---- the kernel's ---- */

static int keep(const struct record *r, void *data)
{
	struct shown *s = data;

	if (!sa_select_match(s->select, r) || r->flags & XFRMSYNC_RECORD_F_LARVAL)
		return 0;
	return bindings_add(&s->list, r);
}

static int print_kernel(struct shown *s, struct xfrm *x, struct pmtu *pmtu)
{
	struct context_sa info;
	struct buf ctx = {};
	char name[160];
	size_t i;
	int ret = 0, err;

	for (i = 0; i < s->list.n && !ret; i++) {
		err = xfrm_get_sa(x, &s->list.rec[i].id, &ctx);
		if (!err && !context_sa_info(ctx.data, ctx.len, &info, NULL))
			pmtu_put(pmtu, &info, &ctx);
		if (!err) {
			ret = print_sa(s, ctx.data, ctx.len, &s->list.rec[i],
				       NULL);
		} else if (err != -ESRCH) {
			/* That one is gone meanwhile; this one is not to be had. */
			cmd_warn(s->common, "%s: %s",
				 sa_id_str(&s->list.rec[i].id, name, sizeof(name)),
				 x->error);
			s->failed++;
		}
		buf_clear(&ctx);
	}
	buf_free(&ctx);
	return ret ? ret : xfrm_dump_policies(x, print_policy, s);
}

static int show_kernel(struct shown *s)
{
	struct pmtu pmtu;
	struct xfrm x;
	struct genl g;
	int ret;

	if (genl_open(&g))
		return cmd_fail(s->common, "%s", g.error);
	ret = genl_dump(&g, keep, s);
	if (ret)
		cmd_fail(s->common, "the module's list of SAs: %s", g.error);
	genl_close(&g);
	if (ret)
		return CMD_FAILED;
	ret = xfrm_open(&x);
	if (ret)
		return cmd_fail(s->common, "XFRM netlink: %s", strerror(-ret));
	if (pmtu_open(&pmtu))
		cmd_warn(s->common, "no routes to ask for: path MTUs are not shown");
	ret = print_kernel(s, &x, &pmtu);
	if (ret)
		cmd_fail(s->common, "XFRM netlink: %s", x.error);
	pmtu_close(&pmtu);
	xfrm_close(&x);
	bindings_free(&s->list);
	return ret ? CMD_FAILED : CMD_OK;
}

/* ---- a file's ---- */

/* One that ended is there for its Child SAs, which are named with who has them now. */
static int print_ike(struct shown *s, const struct context_entry *e)
{
	struct ike_saved *saved = calloc(1, sizeof(*saved));
	struct field_error why;
	char text[160];
	int ret;

	if (!saved)
		return -ENOMEM;
	ret = ike_saved_get(e->context, e->context_len, saved, &why);
	if (ret == -EBADMSG || ret == -EOPNOTSUPP)
		print_one(s, json_pack("{s:s}", "error",
				       ike_context_error_str(&why, text,
							     sizeof(text))));
	else if (!ret && !(e->flags & CONTEXT_ENTRY_ENDED))
		print_one(s, ike_context_json(&saved->ctx));
	ike_saved_exit(saved);
	free(saved);
	return ret == -ENOMEM ? ret : 0;
}

static int print_entry(struct shown *s, const struct context_entry *e)
{
	bool stopped = e->flags & CONTEXT_ENTRY_STOPPED;

	/* Selectors are of SAs. */
	if (e->kind == CONTEXT_ENTRY_IKE)
		return sa_select_is_all(s->select) ? print_ike(s, e) : 0;
	if (s->ike_alone)
		return 0;
	return e->kind == CONTEXT_ENTRY_SA ?
	       print_sa(s, e->context, e->context_len, &e->rec, &stopped) :
	       print_policy(e->context, e->context_len, s);
}

static int show_file(struct shown *s, const char *path, const char *key_file)
{
	struct context_file f;
	struct secret key = {};
	struct context_entry e;
	struct rd r = {};
	int ret, failed = 0;
	char err[512];

	ret = cmd_key(s->common, key_file, &key);
	if (ret < 0)
		return CMD_FAILED;
	/* To look at one that is not sealed does no harm. */
	ret = context_file_read(&f, path, ret ? &key : NULL, true, err,
				sizeof(err));
	sodium_memzero(&key, sizeof(key));
	if (ret)
		return cmd_fail(s->common, "%s", err);
	while (!failed && (ret = context_file_next(&f, &r, time(NULL), &e))) {
		if (ret > 0)
			failed = print_entry(s, &e);
		else if (!s->ike_alone || e.kind == CONTEXT_ENTRY_IKE)
			print_one(s, json_pack("{s:s}", "error",
					       "a malformed entry of the file"));
	}
	context_file_free(&f);
	return failed ? cmd_fail(s->common, "%s", strerror(-failed)) : CMD_OK;
}

static int show_all(struct shown *s, const char *file, const char *key_file)
{
	int ret;

	secret_protect();
	if (s->common->json)
		putchar('[');
	ret = file ? show_file(s, file, key_file) : show_kernel(s);
	if (s->common->json)
		puts(s->printed ? "\n]" : "]");
	free(s->sa);
	return ret ? ret : s->failed ? CMD_FAILED : CMD_OK;
}

int cmd_show_context(const struct cmd_common *common,
		     const struct sa_select *select, const char *file,
		     const char *key_file)
{
	struct shown s = { .common = common, .select = select };

	return show_all(&s, file, key_file);
}

int cmd_show_ike_file(const struct cmd_common *common, const char *file,
		      const char *key_file)
{
	static const struct sa_select all;
	struct shown s = { .common = common, .select = &all, .ike_alone = true };

	return show_all(&s, file, key_file);
}
