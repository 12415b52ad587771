// SPDX-License-Identifier: GPL-2.0
/*
 * In: a file of contexts, as save writes it.
 * Out: SAs and policies in this namespace's kernel, each SA with its policies
 *      or not at all; a line for each that was refused.
 * Asks the kernel; the daemon need not run.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "bindings.h"
#include "cmd.h"
#include "conflict.h"
#include "context.h"
#include "context_file.h"
#include "genl.h"
#include "map.h"
#include "pmtu.h"
#include "sa_select.h"
#include "xfrm.h"

static const char help[] =
	"Usage: xfrmsync load [OPTIONS] FILE\n\n"
	"The SAs of a file that save wrote, and the policies that use them, into the\n"
	"kernel of this network namespace. An SA that was not held when it was saved is\n"
	"refused: its numbers may have been used since. What is there already goes on;\n"
	"what save held here is let go. Load a file in one place, once.\n\n"
	"      --on-conflict WHAT  where another SA has the SPI here: deny (default) refuses\n"
	"                     the file's, renegotiate has the tunnel rekeyed by what of it\n"
	"                     could be loaded, new-spi gives an inbound one a free SPI\n"
	"      --force-unsafe take also SAs that went on when they were saved\n"
	"      --plain        take a file that is not sealed\n"
	"      --key FILE     the cluster's key (key_file of the configuration)\n"
	"      --map OLD=NEW  the file's gateway has address OLD, this one NEW\n"
	SA_SELECT_HELP
	CMD_COMMON_HELP;

#define DAEMON_TIMEOUT_MS 5000
#define PATH_TRIES 10

enum { OPT_FORCE = SA_OPT_OWN, OPT_PLAIN, OPT_KEY, OPT_CONFLICT, OPT_MAP };

static const struct option options[] = {
	CMD_LONG,
	SA_SELECT_LONG,
	{ "on-conflict", required_argument, NULL, OPT_CONFLICT },
	{ "force-unsafe", no_argument, NULL, OPT_FORCE },
	{ "plain", no_argument, NULL, OPT_PLAIN },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "map", required_argument, NULL, OPT_MAP },
	{ NULL, 0, NULL, 0 },
};

struct policy {
	const uint8_t *context;	/* in the file's body */
	size_t len;
	struct context_policy info;
	char *refused;		/* why its context is; NULL: it is not */
	bool here;		/* in the kernel, as the file has it */
	bool added;		/* for the SA that is loaded just now */
};

/* A policy has one for each reqid that its templates ask for. */
struct by_reqid {
	uint32_t reqid;		/* 0: any */
	struct policy *policy;
};

/* An SA of the file that another one keeps out. */
struct clash {
	struct context_sa sa, way;
};

struct load {
	struct cmd_common common;
	struct sa_select select;
	bool force, plain;
	enum conf_on_conflict on_conflict;
	const char *key_file;
	struct map map;		/* the file's addresses to this node's */
	struct sa_id *name;	/* of all SAs behind the map, sorted */
	size_t n_names;
	struct genl g;
	bool has_module;
	struct xfrm x;
	struct context_file file;
	uint64_t now;
	struct policy *policy;
	struct by_reqid *index;
	size_t n_policies, n_index, loaded, present, policies_loaded, failed;
	size_t unreadable;		/* policies that any SA may need */
	struct context_sa *in;		/* of the file, in the kernel now */
	struct clash *clash;		/* to be renegotiated */
	size_t n_in, n_clashes;
	json_t *errors, *renegotiate, *new_spi, *not_kept;
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

static bool is_meant(const struct load *l, struct context_entry *e,
		     const struct context_sa *info)
{
	e->rec.id = info->id;
	memcpy(e->rec.src, info->src, 16);
	e->rec.reqid = info->reqid;
	return sa_select_match(&l->select, &e->rec);
}

/* The file is in memory, and this is a place in it. */
static uint8_t *writable(struct load *l, const uint8_t *p)
{
	return l->file.body.data + (p - l->file.body.data);
}

/* What it has beyond its mandatory fields, and nothing here keeps; now: the kernel's. */
static void note_lost(struct load *l, const char *name, const uint8_t *p,
		      size_t len, const uint8_t *now, size_t now_len)
{
	char fields[300];

	if (!context_lost(p, len, now, now_len, true, fields, sizeof(fields)))
		return;
	cmd_warn(&l->common, "%s: loaded without what is not known here: %s",
		 name, fields);
	json_array_append_new(l->not_kept, json_pack("{s:s, s:s}", "name", name,
						     "fields", fields));
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
	if (pol->refused) {
		snprintf(l->x.error, sizeof(l->x.error), "%s", pol->refused);
		return -EBADMSG;
	}
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
			snprintf(why, size, "%s: %s", context_policy_name(&pol->info), l->x.error);
	}
	return ret;
}

struct look {
	struct load *l;
	const struct policy *pol;
};

static int look_at_lost(const uint8_t *p, size_t len, void *data)
{
	const struct look *look = data;

	note_lost(look->l, context_policy_name(&look->pol->info), look->pol->context,
		  look->pol->len, p, len);
	return 0;
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
		} else if (pol->added) {
			struct look look = { l, pol };

			xfrm_get_policy(&l->x, pol->context, pol->len,
					look_at_lost, &look);
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

/* ---- the map ---- */

/* The names that the SAs which are meant will have. */
static int list_names(struct load *l)
{
	struct context_entry e;
	struct context_sa info;
	struct rd r = {};
	int ret;

	if (!l->map.n)
		return 0;
	l->name = calloc((size_t)l->file.sas + 1, sizeof(*l->name));
	if (!l->name)
		return -1;
	while ((ret = context_file_next(&l->file, &r, l->now, &e))) {
		if (ret < 0 || e.kind != CONTEXT_ENTRY_SA ||
		    context_sa_info(e.context, e.context_len, &info, NULL) ||
		    !is_meant(l, &e, &info))
			continue;
		map_id(&l->map, &info.id);
		l->name[l->n_names++] = info.id;
	}
	qsort(l->name, l->n_names, sizeof(*l->name), sa_id_order);
	return 0;
}

static bool is_shared(const struct load *l, const struct sa_id *id)
{
	const struct sa_id *at = bsearch(id, l->name, l->n_names, sizeof(*id),
					 sa_id_order);

	return at && ((at > l->name && !sa_id_order(at - 1, id)) ||
		      (at + 1 < l->name + l->n_names && !sa_id_order(at + 1, id)));
}

/* In place, so that the file's bytes have this node's names from here on. */
static void map_entry(struct load *l, const struct context_entry *e)
{
	map_context(&l->map, writable(l, e->context), e->context_len);
}

/* NULL, and the entry has its name here; or why it cannot be. */
static const char *map_sa(struct load *l, const struct context_entry *e,
			  struct context_sa *info)
{
	struct sa_id id = info->id;

	map_id(&l->map, &id);
	if (is_shared(l, &id))
		return "another SA of the file gets the same name by the map: load one of them, by --dst or --spi";
	if (map_joins(&l->map, id.family, info->src, info->id.dst))
		return "the map takes both its ends for one address";
	map_entry(l, e);
	return context_sa_info(e->context, e->context_len, info, NULL) ?
	       "it is malformed behind the map" : NULL;
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

/* Another SA, with other keys, is what the kernel has there. */
static bool is_taken(struct load *l, const struct context_sa *info,
		     const struct context_entry *e, struct context_sa *way)
{
	struct buf ctx = {};
	bool taken = false;
	int ret = xfrm_look_up_sa(&l->x, &info->id, &ctx);

	if (!ret)
		ret = context_sa_info(ctx.data, ctx.len, way, NULL);
	/* Or its interface is gone. */
	if (!ret || ret == -ENODEV)
		taken = !context_same_keys(ctx.data, ctx.len, e->context,
					   e->context_len);
	buf_free(&ctx);
	return taken;
}

/* What is wrong with the SA that is here, or NULL: it goes on. */
static const char *why_not_here(struct load *l, const struct context_sa *info,
				const struct context_entry *e)
{
	struct record k;

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

static void note_loaded(struct load *l, const char *name,
			const struct context_sa *sa, const struct context_entry *e)
{
	struct buf now = {};

	l->in[l->n_in++] = *sa;
	l->loaded++;
	if (!xfrm_get_sa(&l->x, &sa->id, &now))
		note_lost(l, name, e->context, e->context_len, now.data, now.len);
	buf_free(&now);
}

/*
 * The module takes the number that an SA is made with for one that was sent. Where a
 * takeover had put the old one, it was not; and the next lease has to know, as no
 * receiver bridges more than 2^31 from the last number that it saw.
 */
static void tell_sent(struct load *l, const char *name,
		      const struct context_sa *sa, const struct context_entry *e)
{
	struct genl_result res = {};
	struct record k;
	int ret;

	if (!l->has_module || e->sent >= e->rec.oseq)
		return;
	ret = genl_get(&l->g, &sa->id, &k);
	/* By the cookie alone: a daemon may give it its tag just now. */
	k.tag = 0;
	k.lease_end = 0;
	k.given_end = 0;
	k.keep_flags = true;
	k.has_sent = true;
	k.sent = e->sent;
	k.oseq = e->rec.oseq;
	if (!ret)
		ret = genl_bind(&l->g, &k, 1, &res);
	if (ret || res.reason)
		cmd_warn(&l->common, "%s: that its last numbers were never sent cannot be told to the module: %s",
			 name, ret ? l->g.error : genl_reason_str(res.reason));
}

/* Made by somebody else: its keys are those of the file, its mode or reqid are not. */
static bool is_other(struct load *l, const struct context_sa *info,
		     const struct context_entry *e)
{
	struct buf ctx = {};
	bool other;

	other = xfrm_get_sa(&l->x, &info->id, &ctx) ||
		!context_same_parameters(ctx.data, ctx.len, e->context,
					 e->context_len);
	buf_free(&ctx);
	return other;
}

/* It is there already. */
static int existing(struct load *l, const char *name,
		    const struct context_sa *info, const struct context_entry *e)
{
	const char *why = is_other(l, info, e) ?
		"it is here with its keys, and with other parameters: delete it first" :
		why_not_here(l, info, e);

	if (why)
		return failed(l, name, why);
	l->in[l->n_in++] = *info;
	l->present++;
	return 0;
}

/* ---- another SA has the SPI ---- */

static int taken(struct load *l, const char *name, const struct context_sa *way,
		 const char *advice)
{
	char text[500], by[320];
	size_t n;

	snprintf(text, sizeof(text), "another SA has this SPI here (%s): %s",
		 conflict_sa_str(way, by, sizeof(by)), advice);
	failed(l, name, text);
	n = json_array_size(l->errors);
	json_object_set_new(json_array_get(l->errors, n - 1), "in_the_way",
			    conflict_sa_json(way));
	return -1;
}

static void policies_follow(struct load *l, const struct context_sa *from,
			    uint32_t reqid, uint32_t spi)
{
	struct policy *pol;
	size_t i;

	for (i = first_of(l, reqid); i < l->n_index; i++) {
		pol = l->index[i].policy;
		if (l->index[i].reqid != reqid)
			break;
		if (!context_policy_set_spi(writable(l, pol->context), pol->len,
					    from, spi))
			continue;
		context_policy_info(pol->context, pol->len, &pol->info, NULL);
		if (pol->here &&
		    xfrm_add_policy(&l->x, pol->context, pol->len, true))
			cmd_warn(&l->common, "%s: its template still names the SPI: %s",
				 context_policy_name(&pol->info), l->x.error);
	}
}

/* In the file's contexts; what of them is in the kernel already follows. */
static void set_spi(struct load *l, struct context_entry *e,
		    struct context_sa *sa, uint32_t spi)
{
	context_set_spi(writable(l, e->context), e->context_len, spi);
	policies_follow(l, sa, sa->reqid, spi);
	if (sa->reqid)
		policies_follow(l, sa, 0, spi);
	sa->id.spi = spi;
	e->rec.id.spi = spi;
}

/* One of the file that has yet to come; its name is the other node's until then. */
static bool is_in_file(struct load *l, const struct context_sa *sa, uint32_t spi)
{
	struct context_entry e;
	struct context_sa other;
	struct rd r = {};
	int ret;

	while ((ret = context_file_next(&l->file, &r, l->now, &e))) {
		if (ret < 0 || e.kind != CONTEXT_ENTRY_SA ||
		    context_sa_info(e.context, e.context_len, &other, NULL))
			continue;
		map_id(&l->map, &other.id);
		if (other.id.spi == spi && other.id.proto == sa->id.proto &&
		    !memcmp(other.id.dst, sa->id.dst, 16))
			return true;
	}
	return false;
}

struct twin {
	const struct context_sa *sa;
	struct buf copy;
	uint32_t spi;
};

/* Stops at an SA that has all but the SPI. */
static int find_twin(const uint8_t *p, size_t len, void *data)
{
	struct twin *t = data;
	struct context_sa other;

	if (context_sa_info(p, len, &other, NULL) ||
	    other.id.proto != t->sa->id.proto ||
	    memcmp(other.id.dst, t->sa->id.dst, 16))
		return 0;
	context_set_spi(t->copy.data, t->copy.len, other.id.spi);
	if (context_same_keys(p, len, t->copy.data, t->copy.len))
		t->spi = other.id.spi;
	return 0;
}

/* The file was loaded before, and the SA got another SPI then; 0: it was not. */
static uint32_t spi_of_before(struct load *l, const struct context_entry *e,
			      const struct context_sa *sa)
{
	struct twin t = { .sa = sa };

	buf_put(&t.copy, e->context, e->context_len);
	if (!t.copy.bad)
		xfrm_dump_sas(&l->x, find_twin, &t);
	buf_free(&t.copy);
	return t.spi;
}

/* A key manager has to tell the peer: on stdout, and to whoever monitors. */
static void tell_new_spi(struct load *l, const struct context_sa *from,
			 const struct context_sa *sa)
{
	json_t *o = conflict_new_spi_json(from, sa), *req;
	int err;

	json_array_append(l->new_spi, o);
	req = json_pack("{s:s, s:o}", "cmd", "event", "event", o);
	json_decref(cmd_ask(&l->common, req, DAEMON_TIMEOUT_MS, &err));
	json_decref(req);
}

/* 0; -EEXIST: somebody took it meanwhile; -1, said. */
static int load_as(struct load *l, const char *name, struct context_entry *e,
		   struct context_sa *sa, uint32_t spi)
{
	uint32_t before = sa->id.spi;
	char text[500];
	int ret;

	set_spi(l, e, sa, spi);
	ret = put_policies(l, sa, text, sizeof(text));
	if (ret) {
		failed(l, name, text);
		ret = -1;
	} else {
		ret = xfrm_add_sa(&l->x, e->context, e->context_len, &e->rec);
		if (ret && ret != -EEXIST)
			ret = failed(l, name, l->x.error);
	}
	if (!ret) {
		tell_sent(l, name, sa, e);
		return 0;
	}
	settle_policies(l, sa, false);
	set_spi(l, e, sa, before);
	return ret;
}

static bool is_inbound(const struct load *l, const struct context_sa *sa)
{
	struct conflict_uses uses = {};
	size_t i;

	for (i = 0; i < l->n_policies; i++)
		conflict_note_policy(&uses, &l->policy[i].info, sa);
	return conflict_is_inbound(sa, &uses);
}

static int load_elsewhere(struct load *l, const char *name,
			  struct context_entry *e, struct context_sa *sa,
			  const struct context_sa *way)
{
	const struct conf *conf = cmd_conf(&l->common);
	const struct context_sa from = *sa;
	const struct spi_range any = {};
	struct spi_search s;
	char text[500];
	uint32_t spi;
	int ret;

	if (!is_inbound(l, sa))
		return taken(l, name, way, "an SA that is not known to be inbound gets no other one");
	spi = spi_of_before(l, e, sa);
	if (spi) {
		set_spi(l, e, sa, spi);
		ret = put_policies(l, sa, text, sizeof(text));
		return ret ? failed(l, name, text) : existing(l, name, sa, e);
	}
	spi_search_begin(&s, conf ? &conf->spi_range : &any, sa->id.proto);
	while (conflict_free_spi(&l->x, sa, &s, &spi)) {
		if (is_in_file(l, sa, spi))
			continue;
		ret = load_as(l, name, e, sa, spi);
		if (ret == -EEXIST)
			continue;
		if (!ret) {
			note_loaded(l, name, sa, e);
			tell_new_spi(l, &from, sa);
		}
		return ret;
	}
	return taken(l, name, way, "no other one is free");
}

static int in_conflict(struct load *l, const char *name, struct context_entry *e,
		       struct context_sa *sa, const struct context_sa *way)
{
	if (l->on_conflict == CONF_CONFLICT_NEW_SPI)
		return load_elsewhere(l, name, e, sa, way);
	if (l->on_conflict == CONF_CONFLICT_RENEGOTIATE) {
		l->clash[l->n_clashes++] = (struct clash){ *sa, *way };
		return taken(l, name, way, "to be renegotiated");
	}
	return taken(l, name, way, "delete it, or see --on-conflict");
}

/* What of the same tunnel is here is rekeyed at once, and the other one with it. */
static void renegotiate(struct load *l, const struct clash *c)
{
	json_t *o = conflict_sa_json(&c->sa), *asked = json_array();
	char name[160];
	size_t i;

	for (i = 0; i < l->n_in; i++) {
		if (!conflict_is_other_way(&l->in[i], &c->sa))
			continue;
		sa_id_str(&l->in[i].id, name, sizeof(name));
		if (xfrm_expire_sa(&l->x, &l->in[i].id))
			cmd_warn(&l->common, "%s: no soft expiry: %s", name,
				 l->x.error);
		else
			json_array_append_new(asked, json_string(name));
	}
	json_object_set_new(o, "in_the_way", conflict_sa_json(&c->way));
	json_object_set_new(o, "soft_expired", asked);
	json_array_append_new(l->renegotiate, o);
}

/* ---- the paths ---- */

/* It is in the kernel's hands for a moment. */
static int tell_path(struct pmtu *p, const struct context_sa *sa)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int tries = PATH_TRIES, ret;

	while ((ret = pmtu_tell(p, sa, sa->pmtu)) == PMTU_NOT_YET && --tries)
		nanosleep(&pause, NULL);
	return ret;
}

/* An SA is loaded all the same: what is too big for its path is found out again. */
static void tell_paths(struct load *l)
{
	size_t i, unused = 0;
	struct pmtu p;
	int ret, why = 0;

	if (pmtu_open(&p)) {
		cmd_warn(&l->common, "no routes to ask for: path MTUs are not loaded");
		return;
	}
	for (i = 0; i < l->n_in; i++) {
		if (!l->in[i].pmtu ||
		    !pmtu_is_first(&p, &l->in[i], l->in[i].pmtu))
			continue;
		ret = tell_path(&p, &l->in[i]);
		if (ret == PMTU_APPLIED || ret == PMTU_NOT_NEEDED)
			continue;
		unused++;
		why = ret;
	}
	if (unused)
		cmd_warn(&l->common, "%zu path MTUs are not in use here: %s", unused,
			 pmtu_why(why));
	pmtu_close(&p);
}

/* A record that no such SA has. */
static bool is_impossible(const struct context_sa *info, const struct record *rec)
{
	uint32_t words = info->large ? info->bmp_words : 1;

	return (!info->esn && (rec->oseq >> 32 || rec->seq >> 32)) ||
	       (rec->bmp_words && rec->bmp_words != words);
}

static int put_sa(struct load *l, const char *name, struct context_entry *e,
		  struct context_sa *info)
{
	struct context_sa way;
	int ret;

	ret = xfrm_add_sa(&l->x, e->context, e->context_len, &e->rec);
	if (!ret) {
		tell_sent(l, name, info, e);
		note_loaded(l, name, info, e);
		return 0;
	}
	if (ret != -EEXIST)
		return failed(l, name, l->x.error);
	/* One that came meanwhile. */
	if (is_taken(l, info, e, &way))
		return taken(l, name, &way, "it came just now: try again");
	return existing(l, name, info, e);
}

static int load_sa(struct load *l, struct context_entry *e)
{
	struct context_sa info, way;
	struct field_error why;
	char name[160], text[500];
	const char *bad;
	int ret;

	if (context_sa_info(e->context, e->context_len, &info, &why)) {
		context_error_str(&why, text, sizeof(text));
		return failed(l, info.id.family ? sa_id_str(&info.id, name, sizeof(name)) :
			      "an SA without a name", text);
	}
	sa_id_str(&info.id, name, sizeof(name));
	if (!is_meant(l, e, &info))
		return 0;
	if (l->map.n && (bad = map_sa(l, e, &info)))
		return failed(l, name, bad);
	e->rec.id = info.id;
	memcpy(e->rec.src, info.src, 16);
	if (!(e->flags & CONTEXT_ENTRY_STOPPED) && !l->force)
		return failed(l, name, "it went on when it was saved, so numbers could be sent, or accepted, twice: save --stop, or --force-unsafe");
	/* It may be this SA's, and what it is for would leave in clear. */
	if (l->unreadable && !l->force)
		return failed(l, name, "a policy of the file cannot be read, and may be the one that it needs: --force-unsafe");
	if (is_impossible(&info, &e->rec))
		return failed(l, name, "its record is not of such an SA");
	/* A policy without its SA lets nothing out; the SA is used at once. */
	if (is_taken(l, &info, e, &way))
		ret = in_conflict(l, name, e, &info, &way);
	else if (put_policies(l, &info, text, sizeof(text)))
		ret = failed(l, name, text);
	else
		ret = put_sa(l, name, e, &info);
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

/* One that is refused is listed as well: the SAs that it uses are not loaded without. */
static int list_policy(struct load *l, const struct context_entry *e)
{
	struct policy *pol = &l->policy[l->n_policies];
	struct field_error why;
	char text[160];

	map_entry(l, e);
	pol->context = e->context;
	pol->len = e->context_len;
	if (context_policy_info(e->context, e->context_len, &pol->info, &why)) {
		context_error_str(&why, text, sizeof(text));
		failed(l, context_policy_name(&pol->info), text);
		l->unreadable += pol->info.unreadable;
		pol->refused = strdup(text);
		if (!pol->refused)
			return -1;
	}
	l->n_policies++;
	index_policy(l, pol);
	return 0;
}

static int list_policies(struct load *l)
{
	size_t room = (size_t)l->file.policies + 1;
	struct context_entry e;
	struct rd r = {};
	int ret;

	l->policy = calloc(room, sizeof(*l->policy));
	l->index = calloc(room * CONTEXT_TEMPLATES_MAX, sizeof(*l->index));
	if (!l->policy || !l->index)
		return -1;
	while ((ret = context_file_next(&l->file, &r, l->now, &e))) {
		if (e.kind != CONTEXT_ENTRY_POLICY)
			continue;
		if (ret < 0)
			l->unreadable++;
		else if (list_policy(l, &e))
			return -1;
	}
	if (l->n_index)
		qsort(l->index, l->n_index, sizeof(*l->index), order);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct policy *x = *(struct policy *const *)a;
	const struct policy *y = *(struct policy *const *)b;

	return context_key_cmp(x->info.key, x->info.key_len, y->info.key,
			       y->info.key_len);
}

static int refuse_joined(struct load *l, struct policy *pol)
{
	static const char why[] = "another policy of the file gets the same name by the map";

	if (pol->refused)
		return 0;
	failed(l, context_policy_name(&pol->info), why);
	pol->refused = strdup(why);
	return pol->refused ? 0 : -1;
}

/* The kernel has room for one of a name. Without a map the file has one of each. */
static int refuse_all_joined(struct load *l)
{
	struct policy **list;
	size_t i, n = l->n_policies;
	int ret = 0;

	if (!l->map.n || n < 2)
		return 0;
	list = calloc(n, sizeof(struct policy *));
	if (!list)
		return -1;
	for (i = 0; i < n; i++)
		list[i] = &l->policy[i];
	qsort(list, n, sizeof(*list), by_key);
	for (i = 0; i + 1 < n && !ret; i++) {
		if (!by_key(&list[i], &list[i + 1]))
			ret = refuse_joined(l, list[i]) ||
			      refuse_joined(l, list[i + 1]) ? -1 : 0;
	}
	free(list);
	return ret;
}

/* Nothing ends it between an SA and its policies. */
static void load_whole_sa(struct load *l, struct context_entry *e)
{
	sigset_t set, before;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &before);
	load_sa(l, e);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Named by its context, where that can be read behind a record that is not. */
static void malformed(struct load *l, const struct context_entry *e)
{
	struct context_sa info;
	char name[160];

	if (e->kind == CONTEXT_ENTRY_POLICY)
		failed(l, "a policy", "its entry of the file is malformed");
	else if (e->kind == CONTEXT_ENTRY_IKE)
		failed(l, "an IKE SA", "its entry of the file is malformed");
	else if (e->context && !context_sa_info(e->context, e->context_len, &info, NULL))
		failed(l, sa_id_str(&info.id, name, sizeof(name)),
		       "its record is malformed");
	else
		failed(l, "an SA without a name", "its entry of the file is malformed");
}

static void free_policies(struct load *l)
{
	size_t i;

	for (i = 0; l->policy && i < l->n_policies; i++)
		free(l->policy[i].refused);
	free(l->policy);
}

static int load_all(struct load *l)
{
	size_t room = (size_t)l->file.sas + 1, i;
	struct context_entry e;
	struct rd r = {};
	int ret;

	l->in = calloc(room, sizeof(*l->in));
	l->clash = calloc(room, sizeof(*l->clash));
	if (!l->in || !l->clash || list_names(l) || list_policies(l) ||
	    refuse_all_joined(l))
		return cmd_fail(&l->common, "out of memory");
	while ((ret = context_file_next(&l->file, &r, l->now, &e))) {
		if (ret < 0)
			malformed(l, &e);
		else if (e.kind == CONTEXT_ENTRY_SA)
			load_whole_sa(l, &e);
	}
	for (i = 0; i < l->n_clashes; i++)
		renegotiate(l, &l->clash[i]);
	tell_paths(l);
	return CMD_OK;
}

static void print_list(const char *what, const json_t *list)
{
	const json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		printf("%s ", what);
		conflict_print(stdout, o);
	}
}

static int report(struct load *l)
{
	if (l->common.json)
		cmd_print_json(json_pack("{s:I, s:I, s:I, s:O, s:O, s:O, s:O, s:I}",
					 "loaded", (json_int_t)l->loaded,
					 "present", (json_int_t)l->present,
					 "policies", (json_int_t)l->policies_loaded,
					 "failed", l->errors,
					 "renegotiate", l->renegotiate,
					 "new_spi", l->new_spi,
					 "not_kept", l->not_kept,
					 "ike_not_loaded", (json_int_t)l->file.ike_sas), 0);
	else
		printf("%zu SAs loaded, %zu were here, %zu policies\n",
		       l->loaded, l->present, l->policies_loaded);
	if (!l->common.json) {
		print_list("renegotiate", l->renegotiate);
		print_list("new-spi", l->new_spi);
	}
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

/* A file of a peer has the names that what it sends has. */
static void take_peer_map(struct load *l)
{
	const struct conf *c = cmd_conf(&l->common);
	int place = c ? conf_peer_place(c, l->file.node) : -1;

	if (!l->map.n && place >= 0)
		l->map = c->peer[place].map;
}

static int load(struct load *l, const struct secret *key)
{
	char err[512];
	int ret;

	if (context_file_read(&l->file, l->common.operand, key, l->plain, err,
			      sizeof(err)))
		return cmd_fail(&l->common, "%s", err);
	if (l->file.ike_sas)
		cmd_warn(&l->common, "%" PRIu32 " IKE SAs of the file are not loaded: this version shows them alone (show --ike --file), and the peers make new ones",
			 l->file.ike_sas);
	take_peer_map(l);
	l->now = time(NULL);
	ret = open_kernel(l);
	if (!ret) {
		l->errors = json_array();
		l->renegotiate = json_array();
		l->new_spi = json_array();
		l->not_kept = json_array();
		ret = load_all(l);
		if (!ret && !l->loaded && !l->present && !l->failed)
			ret = cmd_fail(&l->common, "no SA of %s is meant",
				       l->common.operand);
		else if (!ret)
			ret = report(l);
		json_decref(l->errors);
		json_decref(l->renegotiate);
		json_decref(l->new_spi);
		json_decref(l->not_kept);
		free(l->in);
		free(l->clash);
		free_policies(l);
		free(l->index);
		free(l->name);
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
	const char *bad;
	int c, ret;

	while ((c = cmd_option(&l.common, argc, argv, CMD_SHORT, options)) != -1) {
		if (c == OPT_FORCE)
			l.force = true;
		else if (c == OPT_PLAIN)
			l.plain = true;
		else if (c == OPT_KEY)
			l.key_file = optarg;
		else if (c == OPT_CONFLICT &&
			 conf_on_conflict_parse(optarg, &l.on_conflict))
			continue;
		else if (c == OPT_MAP && !(bad = map_add(&l.map, optarg)))
			continue;
		else if (c == OPT_MAP)
			return cmd_usage(&l.common, "--map %s: %s", optarg, bad);
		else if (c == OPT_CONFLICT ||
			 !sa_select_option(&l.select, c, optarg))
			return cmd_bad_value(&l.common, argv);
	}
	if (l.common.exit_code >= 0)
		return l.common.exit_code;
	secret_protect();
	ret = cmd_key(&l.common, l.key_file, &key);
	ret = ret < 0 ? CMD_FAILED : load(&l, ret ? &key : NULL);
	sodium_memzero(&key, sizeof(key));
	return ret;
}
