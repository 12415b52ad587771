// SPDX-License-Identifier: GPL-2.0
/*
 * In: the SAs of this namespace that were asked for, and their policies.
 * Out: a file of their contexts and records, sealed with the cluster's key.
 * Asks the kernel; the daemon need not run.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "bindings.h"
#include "cmd.h"
#include "context.h"
#include "context_file.h"
#include "control.h"
#include "genl.h"
#include "json_memory.h"
#include "pmtu.h"
#include "sa_select.h"
#include "xfrm.h"

static const char help[] =
	"Usage: xfrmsync save [OPTIONS] FILE\n\n"
	"The contexts of SAs, with keys, counters, windows and the policies that use\n"
	"them, into a file that is sealed with the cluster's key. An SA that goes on\n"
	"is used beyond what the file says: load refuses it, unless --stop held it.\n\n"
	"      --stop         hold the SAs first, both ways, and leave them held\n"
	"      --key FILE     the cluster's key (key_file of the configuration)\n"
	"      --plain        do not seal; SAs with keys are refused\n"
	"      --force        with --plain: write keys in clear\n"
	"      --ike          the IKE SAs that the daemon keeps, too; load does not make them\n"
	SA_SELECT_HELP
	CMD_COMMON_HELP;

enum { OPT_STOP = SA_OPT_OWN, OPT_KEY, OPT_PLAIN, OPT_FORCE, OPT_IKE };

static const struct option options[] = {
	CMD_LONG,
	SA_SELECT_LONG,
	{ "stop", no_argument, NULL, OPT_STOP },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "plain", no_argument, NULL, OPT_PLAIN },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "ike", no_argument, NULL, OPT_IKE },
	{ NULL, 0, NULL, 0 },
};

struct save {
	struct cmd_common common;
	struct sa_select select;
	bool stop, plain, force, ike;
	const char *key_file;
	struct secret key;
	struct genl g;
	struct xfrm x;
	struct pmtu pmtu;
	struct bindings held;		/* that this verb stopped; by cookie */
	bool *saved;			/* beside held */
	struct bindings list;		/* that are saved */
	struct context_sa *info;	/* beside the list; by reqid */
	struct context_policy *gone;	/* whose interface is */
	size_t n_info, n_gone, stopped, failed;
	struct context_file file;
	json_t *errors;
};

/* One SA or policy that is not in the file. */
static void failed(struct save *s, const char *name, const char *why)
{
	s->failed++;
	cmd_warn(&s->common, "%s: not saved: %s", name, why);
	json_array_append_new(s->errors, json_pack("{s:s, s:s}", "name", name,
						   "error", why));
}

/* ---- which, and held ---- */

static int keep_unheld(const struct record *r, void *data)
{
	struct save *s = data;
	struct record other = *r;

	if (!sa_select_match(&s->select, r) ||
	    r->flags & (XFRMSYNC_RECORD_F_LARVAL | XFRMSYNC_RECORD_F_FENCED))
		return 0;
	other.flags |= XFRMSYNC_RECORD_F_FENCED;
	return bindings_add(&s->held, &other);
}

static int keep(const struct record *r, void *data)
{
	struct save *s = data;

	if (!sa_select_match(&s->select, r) || r->flags & XFRMSYNC_RECORD_F_LARVAL)
		return 0;
	return bindings_add(&s->list, r);
}

/* As context_sa_order() has it. */
static int order(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->reqid != y->reqid)
		return x->reqid < y->reqid ? -1 : 1;
	return memcmp(x->id.dst, y->id.dst, sizeof(x->id.dst));
}

static int by_cookie(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int hold(struct save *s)
{
	if (genl_dump(&s->g, keep_unheld, s))
		return cmd_fail(&s->common, "the module's list of SAs: %s", s->g.error);
	if (bindings_put(&s->g, &s->held, "cannot be held"))
		return cmd_fail(&s->common, "the SAs cannot be held: %s",
				s->g.error[0] ? s->g.error : "see above");
	if (s->held.n)
		qsort(s->held.rec, s->held.n, sizeof(*s->held.rec), by_cookie);
	s->saved = calloc(s->held.n + 1, sizeof(*s->saved));
	return s->saved ? CMD_OK : cmd_fail(&s->common, "out of memory");
}

/* Those that are not in the file; all, where there is none. */
static void let_go(struct save *s, bool all)
{
	struct bindings list = {};
	struct record other;
	size_t i;
	int ret = 0;

	for (i = 0; i < s->held.n && !ret; i++) {
		if (!all && s->saved[i])
			continue;
		other = s->held.rec[i];
		other.flags &= ~XFRMSYNC_RECORD_F_FENCED;
		ret = bindings_add(&list, &other);
	}
	if (ret || bindings_put(&s->g, &list, "cannot be let go"))
		cmd_warn(&s->common, "SAs stay held: takeover --force-unsafe lets them go");
	bindings_free(&list);
}

/* Held by us, not before: what was fenced as unsafe says nothing of its numbers. */
static bool *held_by_us(const struct save *s, const struct record *r)
{
	const struct record *found;

	if (!(r->flags & XFRMSYNC_RECORD_F_FENCED) || !s->held.n)
		return NULL;
	found = bsearch(r, s->held.rec, s->held.n, sizeof(*r), by_cookie);
	return found ? &s->saved[found - s->held.rec] : NULL;
}

/* ---- policies that cannot be saved ---- */

static int keep_gone(const uint8_t *p, size_t len, void *data)
{
	struct context_policy pol, *more;
	struct save *s = data;

	if (context_policy_info(p, len, &pol, NULL) != -ENODEV)
		return 0;
	more = reallocarray(s->gone, s->n_gone + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->gone = more;
	s->gone[s->n_gone++] = pol;
	return 0;
}

static int list_gone(struct save *s)
{
	int ret;

	do {
		s->n_gone = 0;
		ret = xfrm_dump_policies(&s->x, keep_gone, s);
	} while (ret == -EINTR);
	return ret;
}

/* An SA is not saved without its policies. */
static const struct context_policy *lacks(const struct save *s,
					  const struct context_sa *info)
{
	size_t i;

	for (i = 0; i < s->n_gone; i++) {
		if (context_policy_uses(&s->gone[i], info))
			return &s->gone[i];
	}
	return NULL;
}

/* ---- into the file ---- */

/* What stands in the way of saving it, or NULL. */
static const char *why_not(struct save *s, const struct record *r,
			   const struct buf *ctx, struct context_sa *info,
			   char *text, size_t size)
{
	const struct context_policy *pol;
	struct field_error why;
	struct record now;

	if (context_sa_info(ctx->data, ctx->len, info, &why))
		return context_error_str(&why, text, size);
	pol = lacks(s, info);
	if (pol) {
		snprintf(text, size, "%s is for an interface that is gone: delete it",
			 context_policy_name(pol));
		return text;
	}
	if (s->plain && !s->force && context_has_keys(ctx->data, ctx->len))
		return "it has keys, and the file is not sealed: leave --plain out, or --force";
	/* The record is of this life of the SA, and its keys are. */
	if (genl_get(&s->g, &r->id, &now) || now.cookie != r->cookie)
		return "it was replaced meanwhile";
	return NULL;
}

static void save_sa(struct save *s, const struct record *r)
{
	struct context_sa *info = &s->info[s->n_info];
	bool *held = held_by_us(s, r);
	struct buf ctx = {};
	char name[160], text[240];
	const char *why = NULL;
	int ret;

	sa_id_str(&r->id, name, sizeof(name));
	ret = xfrm_get_sa(&s->x, &r->id, &ctx);
	if (ret == -ESRCH)
		goto out;		/* gone meanwhile */
	why = ret ? s->x.error : why_not(s, r, &ctx, info, text, sizeof(text));
	if (why) {
		failed(s, name, why);
		goto out;
	}
	pmtu_put(&s->pmtu, info, &ctx);
	context_file_put_sa(&s->file, r, r->has_sent ? r->sent : r->oseq,
			    held ? CONTEXT_ENTRY_STOPPED : 0, ctx.data, ctx.len);
	s->n_info++;
	if (held) {
		*held = true;
		s->stopped++;
	}
out:
	buf_free(&ctx);
}

static int save_policy(const uint8_t *p, size_t len, void *data)
{
	struct save *s = data;
	struct context_policy pol;

	if (!context_policy_info(p, len, &pol, NULL) &&
	    context_policy_uses_any(&pol, s->info, s->n_info))
		context_file_put_policy(&s->file, p, len);
	return 0;
}

static int save_policies(struct save *s)
{
	size_t before = s->file.body.len;
	int ret;

	do {
		s->file.body.len = before;
		s->file.policies = 0;
		ret = xfrm_dump_policies(&s->x, save_policy, s);
	} while (ret == -EINTR);
	return ret;
}

/* ---- the daemon's IKE SAs ---- */

#define DAEMON_TIMEOUT_MS 5000

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static void save_ike_sa(struct save *s, const json_t *o)
{
	const char *text = text_of(o, "entry");
	size_t room = strlen(text), len = 0;
	uint8_t *entry;

	if (json_object_get(o, "error")) {
		failed(s, text_of(o, "sa"), text_of(o, "error"));
		return;
	}
	entry = malloc(room + 1);
	if (entry && !sodium_base642bin(entry, room, text, room, NULL, &len, NULL,
					sodium_base64_VARIANT_ORIGINAL))
		context_file_put_ike(&s->file, json_is_true(json_object_get(o, "ended")) ?
				     CONTEXT_ENTRY_ENDED : 0, entry, len);
	else
		failed(s, "an IKE SA", entry ? "the daemon does not tell it whole" :
					       "out of memory");
	if (entry)
		sodium_memzero(entry, room + 1);
	free(entry);
}

/* The daemon alone has them. */
static int save_ike(struct save *s)
{
	json_t *req = json_pack("{s:s}", "cmd", "ike_entries"), *o;
	int fd = cmd_daemon(&s->common), ret;
	bool done = false;

	ret = fd < 0 ? fd : control_send(fd, req);
	json_decref(req);
	while (!ret && !done) {
		o = control_recv(fd, DAEMON_TIMEOUT_MS);
		if (!o) {
			ret = -errno;
			break;
		}
		done = json_object_get(o, "done");
		if (!done)
			save_ike_sa(s, o);
		else if (json_object_get(o, "error"))
			ret = cmd_fail(&s->common, "IKE SAs: %s", text_of(o, "error"));
		json_decref(o);
	}
	if (fd >= 0)
		close(fd);
	if (ret >= 0)
		return ret;
	return cmd_fail(&s->common, "IKE SAs: %s", cmd_no_daemon(ret) ?
			"no daemon runs: they are in its memory alone" :
			strerror(-ret));
}

static int save_all(struct save *s)
{
	size_t i;
	int ret;

	if (genl_dump(&s->g, keep, s))
		return cmd_fail(&s->common, "the module's list of SAs: %s", s->g.error);
	if (s->list.n)
		qsort(s->list.rec, s->list.n, sizeof(*s->list.rec), order);
	s->info = calloc(s->list.n + 1, sizeof(*s->info));
	if (!s->info)
		return cmd_fail(&s->common, "out of memory");
	s->file.saved_at = time(NULL);
	gethostname(s->file.node, sizeof(s->file.node) - 1);
	if (cmd_conf(&s->common))
		memcpy(s->file.node, cmd_conf(&s->common)->node_name,
		       sizeof(s->file.node));
	context_file_begin(&s->file);
	if (list_gone(s))
		return cmd_fail(&s->common, "the kernel's list of policies: %s",
				s->x.error);
	for (i = 0; i < s->list.n; i++)
		save_sa(s, &s->list.rec[i]);
	ret = save_policies(s);
	if (ret)
		return cmd_fail(&s->common, "the kernel's list of policies: %s",
				s->x.error);
	if (s->ike && save_ike(s))
		return CMD_FAILED;
	if (!s->n_info && !s->file.ike_sas)
		return cmd_fail(&s->common, "no SA to save: %s is not written",
				s->common.operand);
	ret = context_file_write(&s->file, s->common.operand,
				 s->plain ? NULL : &s->key);
	if (ret)
		return cmd_fail(&s->common, "%s: %s", s->common.operand,
				strerror(-ret));
	return CMD_OK;
}

static int report(struct save *s)
{
	size_t live = s->n_info - s->stopped;

	if (live)
		cmd_warn(&s->common, "%zu SAs go on, or were fenced before: load refuses them without --force-unsafe; see --stop",
			 live);
	if (s->common.json)
		cmd_print_json(json_pack("{s:I, s:I, s:I, s:I, s:O}",
					 "sas", (json_int_t)s->file.sas,
					 "stopped", (json_int_t)s->stopped,
					 "policies", (json_int_t)s->file.policies,
					 "ike_sas", (json_int_t)s->file.ike_sas,
					 "failed", s->errors), 0);
	else
		printf("%" PRIu32 " SAs (%zu held), %" PRIu32 " policies\n",
		       s->file.sas, s->stopped, s->file.policies);
	if (s->ike && !s->common.json)
		printf("%" PRIu32 " IKE SAs\n", s->file.ike_sas);
	return s->failed ? CMD_FAILED : CMD_OK;
}

static int open_kernel(struct save *s)
{
	struct genl_status st = {};
	int ret;

	if (genl_open(&s->g))
		return cmd_fail(&s->common, "%s", s->g.error);
	if (genl_status_get(&s->g, &st)) {
		ret = cmd_fail(&s->common, "%s", s->g.error);
		goto close;
	}
	/* It holds them already, and the active goes on. */
	if (s->stop && st.role == XFRMSYNC_ROLE_STANDBY) {
		ret = cmd_fail(&s->common, "this node is standby, the active uses the SAs: save --stop there");
		goto close;
	}
	ret = xfrm_open(&s->x);
	if (!ret && pmtu_open(&s->pmtu))
		cmd_warn(&s->common, "no routes to ask for: path MTUs are not saved");
	if (!ret)
		return CMD_OK;
	ret = cmd_fail(&s->common, "XFRM netlink: %s", strerror(-ret));
close:
	genl_close(&s->g);
	return ret;
}

static int save(struct save *s)
{
	sigset_t set, before;
	int ret;

	ret = open_kernel(s);
	if (ret)
		return ret;
	s->errors = json_array();
	/* Held SAs are let go, or are in the file: nothing ends it in between. */
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &before);
	if (s->stop)
		ret = hold(s);
	if (!ret)
		ret = save_all(s);
	let_go(s, ret);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (!ret)
		ret = report(s);
	json_decref(s->errors);
	context_file_free(&s->file);
	bindings_free(&s->held);
	bindings_free(&s->list);
	free(s->saved);
	free(s->info);
	free(s->gone);
	pmtu_close(&s->pmtu);
	xfrm_close(&s->x);
	genl_close(&s->g);
	return ret;
}

static int find_key(struct save *s)
{
	int ret;

	if (s->plain)
		return CMD_OK;
	ret = cmd_key(&s->common, s->key_file, &s->key);
	if (ret > 0)
		return CMD_OK;
	return ret ? CMD_FAILED :
	       cmd_fail(&s->common, "no key to seal the file with: key_file in [cluster], or --key; or --plain");
}

int cmd_save_main(int argc, char **argv)
{
	struct save s = { .common = { .verb = "save", .help = help, .wants = "FILE" } };
	int c, ret;

	while ((c = cmd_option(&s.common, argc, argv, CMD_SHORT, options)) != -1) {
		if (c == OPT_STOP)
			s.stop = true;
		else if (c == OPT_KEY)
			s.key_file = optarg;
		else if (c == OPT_PLAIN)
			s.plain = true;
		else if (c == OPT_FORCE)
			s.force = true;
		else if (c == OPT_IKE)
			s.ike = true;
		else if (!sa_select_option(&s.select, c, optarg))
			return cmd_bad_value(&s.common, argv);
	}
	if (s.common.exit_code >= 0)
		return s.common.exit_code;
	if (s.plain && s.key_file)
		return cmd_usage(&s.common, "--plain beside --key: one of both");
	if (s.plain && s.ike)
		return cmd_usage(&s.common, "--plain beside --ike: IKE SAs are in sealed files alone, with --force as well");
	if (s.ike && !sa_select_is_all(&s.select))
		return cmd_usage(&s.common, "--ike beside a selector, which is of SAs: all of them, or none");
	secret_protect();
	if (s.ike)
		json_memory_wipe();
	ret = find_key(&s);
	if (!ret)
		ret = save(&s);
	sodium_memzero(&s.key, sizeof(s.key));
	return ret;
}
