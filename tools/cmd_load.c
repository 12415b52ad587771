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
	"      --plain        take a file that is not sealed\n"
	"      --key FILE     the cluster's key (key_file of the configuration)\n"
	SA_SELECT_HELP
	CMD_COMMON_HELP;

enum { OPT_FORCE = SA_OPT_OWN, OPT_PLAIN, OPT_KEY };

static const struct option options[] = {
	CMD_LONG,
	SA_SELECT_LONG,
	{ "force-unsafe", no_argument, NULL, OPT_FORCE },
	{ "plain", no_argument, NULL, OPT_PLAIN },
	{ "key", required_argument, NULL, OPT_KEY },
	{ NULL, 0, NULL, 0 },
};

struct policy {
	const uint8_t *context;	/* in the file's body */
	size_t len;
	struct context_policy info;
	bool here;		/* in the kernel, as the file has it */
	bool added;		/* for the SA that is loaded just now */
};

/* A policy has one for each reqid that its templates ask for. */
struct by_reqid {
	uint32_t reqid;		/* 0: any */
	struct policy *policy;
};

struct load {
	struct cmd_common common;
	struct sa_select select;
	bool force, plain;
	const char *key_file;
	struct genl g;
	bool has_module;
	struct xfrm x;
	struct context_file file;
	uint64_t now;
	struct policy *policy;
	struct by_reqid *index;
	size_t n_policies, n_index, loaded, present, policies_loaded, failed;
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

	pol->here = context_same_parameters(p, len, pol->context, pol->len);
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

static int order(const void *a, const void *b)
{
	const struct by_reqid *x = a, *y = b;

	return x->reqid < y->reqid ? -1 : x->reqid > y->reqid;
}

/* Where those of that reqid begin. */
static size_t first_of(const struct load *l, uint32_t reqid)
{
	size_t low = 0, high = l->n_index, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (l->index[mid].reqid < reqid)
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
	struct policy *pol;
	size_t i;
	int ret = 0;

	for (i = first_of(l, reqid); i < l->n_index && !ret; i++) {
		pol = l->index[i].policy;
		if (l->index[i].reqid != reqid)
			break;
		if (!context_policy_uses(&pol->info, sa))
			continue;
		ret = put_policy(l, pol);
		if (ret)
			snprintf(why, size, "%s: %s", pol->info.name, l->x.error);
	}
	return ret;
}

/* What was added for this SA stays, or goes with it. */
static void settle_of(struct load *l, uint32_t reqid, bool stays)
{
	struct policy *pol;
	size_t i;

	for (i = first_of(l, reqid); i < l->n_index; i++) {
		pol = l->index[i].policy;
		if (l->index[i].reqid != reqid)
			break;
		if (pol->added && !stays) {
			xfrm_delete_policy(&l->x, pol->context, pol->len);
			pol->here = false;
		}
		l->policies_loaded += pol->added && stays;
		pol->added = false;
	}
}

/* A policy without a reqid takes an SA of any. */
static int put_policies(struct load *l, const struct context_sa *sa,
			char *why, size_t size)
{
	int ret;

	ret = put_of(l, sa, sa->reqid, why, size);
	if (!ret && sa->reqid)
		ret = put_of(l, sa, 0, why, size);
	return ret;
}

static void settle_policies(struct load *l, const struct context_sa *sa,
			    bool stays)
{
	settle_of(l, sa->reqid, stays);
	if (sa->reqid)
		settle_of(l, 0, stays);
}

/* ---- SAs ---- */

/* Save held it in this kernel, and nothing moved it since. */
static bool is_held(const struct record *k, const struct context_entry *e)
{
	return e->flags & CONTEXT_ENTRY_STOPPED && k->oseq == e->rec.oseq &&
	       k->seq == e->rec.seq;
}

static int let_go(struct load *l, const struct record *k)
{
	struct bindings one = {};
	struct record other = *k;
	int ret;

	other.flags &= ~XFRMSYNC_RECORD_F_FENCED;
	ret = bindings_add(&one, &other);
	if (!ret)
		ret = bindings_put(&l->g, &one, "cannot be let go");
	bindings_free(&one);
	return ret;
}

/* What is wrong with the SA that is here, or NULL: it goes on. */
static const char *why_not_here(struct load *l, const struct context_sa *info,
				const struct context_entry *e)
{
	struct buf ctx = {};
	struct record k;
	bool same;
	int ret;

	ret = xfrm_get_sa(&l->x, &info->id, &ctx);
	same = !ret && context_same_keys(ctx.data, ctx.len, e->context,
					 e->context_len);
	buf_free(&ctx);
	if (ret)
		return l->x.error;
	if (!same)
		return "another SA has this SPI here: delete it, or have the peer renegotiate";
	if (!l->has_module || genl_get(&l->g, &info->id, &k))
		return "it is here already, and without the module nobody can tell where it stands";
	/* Made anew, by a boot script: its numbers were used before. */
	if (k.oseq < e->rec.oseq || k.seq < e->rec.seq)
		return "it is here, but behind the file: its numbers would be used twice; delete it first";
	if (!(k.flags & XFRMSYNC_RECORD_F_FENCED))
		return NULL;
	if (!is_held(&k, e))
		return "it is here, held, and not where the file says";
	return let_go(l, &k) ? "it is here, held, and cannot be let go" : NULL;
}

/* The kernel has an SA of this name. */
static int existing(struct load *l, const char *name,
		    const struct context_sa *info, const struct context_entry *e)
{
	const char *why = why_not_here(l, info, e);

	if (why)
		return failed(l, name, why);
	l->present++;
	return 0;
}

/* A record that no such SA has. */
static bool is_impossible(const struct context_sa *info, const struct record *rec)
{
	uint32_t words = info->large ? info->bmp_words : 1;

	return (!info->esn && (rec->oseq >> 32 || rec->seq >> 32)) ||
	       (rec->bmp_words && rec->bmp_words != words);
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
	if (is_impossible(&info, &e->rec))
		return failed(l, name, "its record is not of such an SA");
	/* A policy without its SA lets nothing out; the SA is used at once. */
	ret = put_policies(l, &info, text, sizeof(text));
	if (ret) {
		settle_policies(l, &info, false);
		return failed(l, name, text);
	}
	ret = xfrm_add_sa(&l->x, e->context, e->context_len, &e->rec);
	if (ret == -EEXIST)
		ret = existing(l, name, &info, e);
	else if (ret)
		ret = failed(l, name, l->x.error);
	else
		l->loaded++;
	settle_policies(l, &info, !ret);
	return ret;
}

/* Under each reqid once. */
static void index_policy(struct load *l, struct policy *pol)
{
	unsigned int i, k;

	for (i = 0; i < pol->info.templates; i++) {
		for (k = 0; k < i; k++) {
			if (pol->info.template[k].reqid ==
			    pol->info.template[i].reqid)
				break;
		}
		if (k == i)
			l->index[l->n_index++] = (struct by_reqid){
				.reqid = pol->info.template[i].reqid,
				.policy = pol,
			};
	}
}

static int list_policies(struct load *l)
{
	size_t room = (size_t)l->file.policies + 1;
	struct context_entry e;
	struct field_error why;
	struct policy *pol;
	struct rd r = {};
	char text[160];
	int ret;

	l->policy = calloc(room, sizeof(*l->policy));
	l->index = calloc(room * CONTEXT_TEMPLATES_MAX, sizeof(*l->index));
	if (!l->policy || !l->index)
		return -1;
	while ((ret = context_file_next(&l->file, &r, l->now, &e))) {
		if (ret < 0 || e.kind != CONTEXT_ENTRY_POLICY)
			continue;
		pol = &l->policy[l->n_policies];
		pol->context = e.context;
		pol->len = e.context_len;
		if (context_policy_info(e.context, e.context_len, &pol->info, &why)) {
			failed(l, "a policy",
			       context_error_str(&why, text, sizeof(text)));
			continue;
		}
		l->n_policies++;
		index_policy(l, pol);
	}
	if (l->n_index)
		qsort(l->index, l->n_index, sizeof(*l->index), order);
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

	ret = genl_open(&l->g);
	if (ret && ret != -ENOENT)
		return cmd_fail(&l->common, "%s", l->g.error);
	l->has_module = !ret;
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

	if (context_file_read(&l->file, l->common.operand, key, l->plain, err,
			      sizeof(err)))
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
		free(l->index);
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
		else if (c == OPT_PLAIN)
			l.plain = true;
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
