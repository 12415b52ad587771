// SPDX-License-Identifier: GPL-2.0
/*
 * In: a file of contexts, as save writes it.
 * Out: SAs and policies in this namespace's kernel, each SA with its policies
 *      or not at all; a line for each that was refused.
 * Asks the kernel; the daemon need not run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "bindings.h"
#include "cmd.h"
#include "context.h"
#include "context_file.h"
#include "genl.h"
#include "sa_select.h"
#include "xfrm.h"

static const char help[] =
	"Usage: xfrmsync load [OPTIONS] FILE\n\n"
	"The SAs of a file that save wrote, and the policies that use them, into the\n"
	"kernel of this network namespace. An SA that was not held when it was saved is\n"
	"refused: its numbers may have been used since. What is there already goes on;\n"
	"what save held here is let go. Load a file in one place, once.\n\n"
	"      --force-unsafe take also SAs that went on when they were saved\n"
	"      --key FILE     the cluster's key (key_file of the configuration)\n"
	SA_SELECT_HELP
	CMD_COMMON_HELP;

enum { OPT_FORCE = SA_OPT_OWN, OPT_KEY };

static const struct option options[] = {
	CMD_LONG,
	SA_SELECT_LONG,
	{ "force-unsafe", no_argument, NULL, OPT_FORCE },
	{ "key", required_argument, NULL, OPT_KEY },
	{ NULL, 0, NULL, 0 },
};

struct policy {
	const uint8_t *context;	/* in the file's body */
	size_t len;
	uint32_t reqid;		/* of its first template */
	bool here;		/* in the kernel, as the file has it */
	bool added;		/* for the SA that is loaded just now */
};

struct load {
	struct cmd_common common;
	struct sa_select select;
	bool force;
	const char *key_file;
	struct genl g;
	bool has_module;
	struct xfrm x;
	struct context_file file;
	uint64_t now;
	struct policy *policy;
	size_t n_policies, loaded, present, policies_loaded, failed;
	json_t *errors;
};

/* One context that is refused; the others go on. */
static int failed(struct load *l, const char *name, const char *why)
{
	l->failed++;
	cmd_warn(&l->common, "%s: not loaded: %s", name, why);
	json_array_append_new(l->errors, json_pack("{s:s, s:s}", "name", name,
						   "error", why));
	return -1;
}

/* ---- policies ---- */

static int is_same(const uint8_t *p, size_t len, void *data)
{
	struct policy *pol = data;

	pol->here = len == pol->len && !memcmp(p, pol->context, len);
	return 0;
}

/* 0: it is in the kernel; else why not, in x.error. */
static int put_policy(struct load *l, struct policy *pol)
{
	int ret;

	if (pol->here)
		return 0;
	ret = xfrm_add_policy(&l->x, pol->context, pol->len, false);
	if (!ret) {
		pol->here = true;
		pol->added = true;
		return 0;
	}
	if (ret != -EEXIST)
		return ret;
	ret = xfrm_get_policy(&l->x, pol->context, pol->len, is_same, pol);
	if (!ret && !pol->here) {
		snprintf(l->x.error, sizeof(l->x.error),
			 "another policy of this name is here");
		ret = -EEXIST;
	}
	return ret;
}

static int by_reqid(const void *a, const void *b)
{
	const struct policy *x = a, *y = b;

	return x->reqid < y->reqid ? -1 : x->reqid > y->reqid;
}

/* Where those of that reqid begin. */
static size_t first_of(const struct load *l, uint32_t reqid)
{
	size_t low = 0, high = l->n_policies, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (l->policy[mid].reqid < reqid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Those of one reqid that use the SA, until one fails. */
static int put_of(struct load *l, const struct context_sa *sa, uint32_t reqid,
		  char *why, size_t size)
{
	struct context_policy info;
	struct policy *pol;
	size_t i;
	int ret = 0;

	for (i = first_of(l, reqid); i < l->n_policies && !ret; i++) {
		pol = &l->policy[i];
		if (pol->reqid != reqid)
			break;
		if (!context_policy_uses(pol->context, pol->len, sa))
			continue;
		ret = put_policy(l, pol);
		if (ret) {
			context_policy_info(pol->context, pol->len, &info, NULL);
			snprintf(why, size, "%s: %s", info.name, l->x.error);
		}
	}
	return ret;
}

/* What was added for this SA stays, or goes with it. */
static void settle_of(struct load *l, uint32_t reqid, bool stays)
{
	struct policy *pol;
	size_t i;

	for (i = first_of(l, reqid); i < l->n_policies; i++) {
		pol = &l->policy[i];
		if (pol->reqid != reqid)
			break;
		if (pol->added && !stays) {
			xfrm_delete_policy(&l->x, pol->context, pol->len);
			pol->here = false;
		}
		l->policies_loaded += pol->added && stays;
		pol->added = false;
	}
}

/* All that use the SA, or none. A policy without a reqid takes an SA of any. */
static int put_policies(struct load *l, const struct context_sa *sa,
			char *why, size_t size)
{
	int ret;

	ret = put_of(l, sa, sa->reqid, why, size);
	if (!ret && sa->reqid)
		ret = put_of(l, sa, 0, why, size);
	settle_of(l, sa->reqid, !ret);
	if (sa->reqid)
		settle_of(l, 0, !ret);
	return ret;
}

/* ---- SAs ---- */

/* Save held it in this kernel, and nothing moved it since. */
static bool is_held(const struct record *k, const struct context_entry *e)
{
	return k->flags & XFRMSYNC_RECORD_F_FENCED &&
	       e->flags & CONTEXT_ENTRY_STOPPED && k->oseq == e->rec.oseq &&
	       k->seq == e->rec.seq;
}

static int let_go(struct load *l, const struct context_sa *info,
		  const struct context_entry *e)
{
	struct bindings one = {};
	struct record k;
	int ret = 0;

	if (!l->has_module || genl_get(&l->g, &info->id, &k) || !is_held(&k, e))
		return 0;
	k.flags &= ~XFRMSYNC_RECORD_F_FENCED;
	if (bindings_add(&one, &k) ||
	    bindings_put(&l->g, &one, "cannot be let go"))
		ret = -1;
	bindings_free(&one);
	return ret;
}

/* The kernel has an SA of this name. */
static int existing(struct load *l, const char *name,
		    const struct context_sa *info, const struct context_entry *e)
{
	struct buf ctx = {};
	char why[500];
	bool same;
	int ret;

	ret = xfrm_get_sa(&l->x, &info->id, &ctx);
	same = !ret && context_same_keys(ctx.data, ctx.len, e->context,
					 e->context_len);
	buf_free(&ctx);
	if (ret)
		return failed(l, name, l->x.error);
	if (!same)
		return failed(l, name, "another SA has this SPI here: delete it, or have the peer renegotiate");
	if (put_policies(l, info, why, sizeof(why)))
		return failed(l, name, why);
	if (let_go(l, info, e))
		return failed(l, name, "it is here, held, and cannot be let go");
	l->present++;
	return 0;
}

static int load_sa(struct load *l, struct context_entry *e)
{
	struct field_error why;
	struct context_sa info;
	char name[160], text[500];
	int ret;

	if (context_sa_info(e->context, e->context_len, &info, &why)) {
		context_error_str(&why, text, sizeof(text));
		return failed(l, info.id.family ? sa_id_str(&info.id, name, sizeof(name)) :
			      "an SA without a name", text);
	}
	sa_id_str(&info.id, name, sizeof(name));
	e->rec.id = info.id;
	memcpy(e->rec.src, info.src, 16);
	e->rec.reqid = info.reqid;
	if (!sa_select_match(&l->select, &e->rec))
		return 0;
	if (!(e->flags & CONTEXT_ENTRY_STOPPED) && !l->force)
		return failed(l, name, "it went on when it was saved, so numbers could be sent, or accepted, twice: save --stop, or --force-unsafe");
	ret = xfrm_add_sa(&l->x, e->context, e->context_len, &e->rec);
	if (ret == -EEXIST)
		return existing(l, name, &info, e);
	if (ret)
		return failed(l, name, l->x.error);
	if (put_policies(l, &info, text, sizeof(text))) {
		xfrm_delete_sa(&l->x, &info.id);
		return failed(l, name, text);
	}
	l->loaded++;
	return 0;
}

/* By reqid: an SA finds its own. */
static int list_policies(struct load *l)
{
	struct context_policy info;
	struct context_entry e;
	struct field_error why;
	struct rd r = {};
	char text[160];
	int ret;

	l->policy = calloc(l->file.policies + 1, sizeof(*l->policy));
	if (!l->policy)
		return -1;
	while ((ret = context_file_next(&l->file, &r, l->now, &e))) {
		if (ret < 0 || e.kind != CONTEXT_ENTRY_POLICY)
			continue;
		if (context_policy_info(e.context, e.context_len, &info, &why))
			failed(l, "a policy",
			       context_error_str(&why, text, sizeof(text)));
		else if (l->n_policies < l->file.policies)
			l->policy[l->n_policies++] = (struct policy){
				.context = e.context, .len = e.context_len,
				.reqid = info.reqid,
			};
	}
	if (l->n_policies)
		qsort(l->policy, l->n_policies, sizeof(*l->policy), by_reqid);
	return 0;
}

static int load_all(struct load *l)
{
	struct context_entry e;
	struct rd r = {};
	int ret;

	if (list_policies(l))
		return cmd_fail(&l->common, "out of memory");
	while ((ret = context_file_next(&l->file, &r, l->now, &e))) {
		if (ret < 0)
			failed(l, "an entry of the file", "it is malformed");
		else if (e.kind == CONTEXT_ENTRY_SA)
			load_sa(l, &e);
	}
	return CMD_OK;
}

static int report(struct load *l)
{
	if (l->common.json)
		cmd_print_json(json_pack("{s:I, s:I, s:I, s:O}",
					 "loaded", (json_int_t)l->loaded,
					 "present", (json_int_t)l->present,
					 "policies", (json_int_t)l->policies_loaded,
					 "failed", l->errors), 0);
	else
		printf("%zu SAs loaded, %zu were here, %zu policies\n",
		       l->loaded, l->present, l->policies_loaded);
	return l->failed ? CMD_FAILED : CMD_OK;
}

/* Without the module SAs can be loaded all the same; nobody follows them. */
static int open_kernel(struct load *l)
{
	struct genl_status st = {};
	int ret;

	l->has_module = !genl_open(&l->g);
	if (l->has_module && genl_status_get(&l->g, &st))
		return cmd_fail(&l->common, "%s", l->g.error);
	if (st.role == XFRMSYNC_ROLE_STANDBY)
		return cmd_fail(&l->common, "this node is standby: load the file on the active");
	ret = xfrm_open(&l->x);
	return ret ? cmd_fail(&l->common, "XFRM netlink: %s", strerror(-ret)) :
	       CMD_OK;
}

static int load(struct load *l, const struct secret *key)
{
	char err[512];
	int ret;

	if (context_file_read(&l->file, l->common.operand, key, err, sizeof(err)))
		return cmd_fail(&l->common, "%s", err);
	l->now = time(NULL);
	ret = open_kernel(l);
	if (!ret) {
		l->errors = json_array();
		ret = load_all(l);
		if (!ret)
			ret = report(l);
		json_decref(l->errors);
		free(l->policy);
		xfrm_close(&l->x);
	}
	if (l->has_module)
		genl_close(&l->g);
	context_file_free(&l->file);
	return ret;
}

int cmd_load_main(int argc, char **argv)
{
	struct load l = { .common = { .verb = "load", .help = help, .wants = "FILE" } };
	struct secret key = {};
	int c, ret;

	while ((c = cmd_option(&l.common, argc, argv, CMD_SHORT, options)) != -1) {
		if (c == OPT_FORCE)
			l.force = true;
		else if (c == OPT_KEY)
			l.key_file = optarg;
		else if (!sa_select_option(&l.select, c, optarg))
			return cmd_usage(&l.common, "%s is no value for %s",
					 optarg, argv[optind - 2]);
	}
	if (l.common.exit_code >= 0)
		return l.common.exit_code;
	secret_protect();
	ret = cmd_key(&l.common, l.key_file, &key);
	ret = ret < 0 ? CMD_FAILED : load(&l, ret ? &key : NULL);
	sodium_memzero(&key, sizeof(key));
	return ret;
}
