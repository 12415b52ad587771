// SPDX-License-Identifier: GPL-2.0
/*
 * In: what a takeover would do with each SA, and what is known of it.
 * Out: the answer of a dry run: each SA and the sum, as JSON and for people.
 * Pure; with the daemon and without it.
 */
#include <linux/xfrmsync.h>

#include "plan.h"

void plan_init(struct plan *p, bool force)
{
	*p = (struct plan){ .sas = json_array(), .force = force };
}

void plan_free(struct plan *p)
{
	json_decref(p->sas);
	p->sas = NULL;
}

static json_t *number(bool known, uint64_t n)
{
	return known ? json_integer((json_int_t)n) : json_null();
}

void plan_add(struct plan *p, const struct sa_id *id, const struct plan_sa *sa)
{
	bool fenced = sa->why && !p->force;
	const char *why = fenced ? NULL : sa->rekey_why;
	bool rekey = fenced || sa->rekey || why, held = sa->held && !fenced;
	/* How long it is fenced, or held, is up to others. */
	bool known = !fenced && !held && !sa->guard_unknown;
	char name[128];
	json_t *o;

	o = json_pack("{s:s, s:b, s:s, s:b, s:b, s:I, s:o, s:o}",
		      "sa", sa_id_str(id, name, sizeof(name)), "safe", !sa->why,
		      "action", fenced ? "fence, and ask for a rekey" :
				rekey ? "use, and ask for a rekey" : "use",
		      "rekey", rekey, "held", held, "jump", (json_int_t)sa->jump,
		      "guard", number(!sa->guard_unknown, sa->guard),
		      "predicted_loss", number(known, sa->guard));
	if (sa->why)
		json_object_set_new(o, "why", json_string(sa->why));
	if (why)
		json_object_set_new(o, "rekey_why", json_string(why));
	json_array_append_new(p->sas, o);
	p->safe += !sa->why;
	p->unsafe += !!sa->why;
	p->rekeyed += rekey;
	p->exposed += !!why;
	p->held += held;
	p->unpredicted += !known;
	p->loss += known ? sa->guard : 0;
}

void plan_put(const struct plan *p, json_t *answer)
{
	json_object_set(answer, "sas", p->sas);
	json_object_set_new(answer, "safe", json_integer(p->safe));
	json_object_set_new(answer, "unsafe", json_integer(p->unsafe));
	json_object_set_new(answer, "rekeyed", json_integer(p->rekeyed));
	json_object_set_new(answer, "exposed", json_integer(p->exposed));
	json_object_set_new(answer, "held", json_integer(p->held));
	json_object_set_new(answer, "predicted_loss", json_integer(p->loss));
	json_object_set_new(answer, "unpredicted", json_integer(p->unpredicted));
}

/* ---- for people ---- */

static void print_number(FILE *out, const json_t *sa, const char *key,
			 const char *word)
{
	const json_t *n = json_object_get(sa, key);

	if (json_is_integer(n))
		fprintf(out, ", %s %" JSON_INTEGER_FORMAT, word,
			json_integer_value(n));
	else
		fprintf(out, ", %s not known", word);
}

static void print_sa(FILE *out, const json_t *sa)
{
	const char *why = json_string_value(json_object_get(sa, "rekey_why"));

	if (!why)
		why = json_string_value(json_object_get(sa, "why"));
	fprintf(out, "  %s: %s%s%s", json_string_value(json_object_get(sa, "sa")),
		json_string_value(json_object_get(sa, "action")),
		why ? " because " : "", why ? why : "");
	if (json_is_true(json_object_get(sa, "held")))
		fputs(", held until the other nodes cover what it accepts", out);
	print_number(out, sa, "jump", "jump");
	print_number(out, sa, "guard", "guard");
	print_number(out, sa, "predicted_loss", "predicted loss");
	fputc('\n', out);
}

static json_int_t sum_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

void plan_print(FILE *out, const json_t *answer)
{
	const json_t *sas = json_object_get(answer, "sas"), *v;
	size_t i;

	json_array_foreach(sas, i, v)
		print_sa(out, v);
	if (!i)
		return;
	fprintf(out, "  in sum: %" JSON_INTEGER_FORMAT " SAs are safe, %" JSON_INTEGER_FORMAT " not; %" JSON_INTEGER_FORMAT " to be rekeyed",
		sum_of(answer, "safe"), sum_of(answer, "unsafe"),
		sum_of(answer, "rekeyed"));
	if (sum_of(answer, "exposed"))
		fprintf(out, " (%" JSON_INTEGER_FORMAT " for what the active may have accepted last)",
			sum_of(answer, "exposed"));
	fprintf(out, ", %" JSON_INTEGER_FORMAT " held; predicted loss %" JSON_INTEGER_FORMAT " packets of the peers at most",
		sum_of(answer, "held"), sum_of(answer, "predicted_loss"));
	if (sum_of(answer, "unpredicted"))
		fprintf(out, ", that of %" JSON_INTEGER_FORMAT " SAs not known",
			sum_of(answer, "unpredicted"));
	fputc('\n', out);
	json_array_foreach(json_object_get(answer, "not_known"), i, v)
		fprintf(out, "  not known: %s\n", json_string_value(v));
}

/* ---- by the module's record ---- */

uint64_t plan_jump(const struct record *k)
{
	if (k->dir == XFRMSYNC_DIR_IN || !k->has_sent || k->oseq <= k->sent)
		return 0;
	return k->oseq - k->sent;
}

/* A guard takes all numbers below it for seen, so a gap says that there is none. */
bool plan_is_not_led(const struct record *k)
{
	uint64_t i, span;

	if (k->dir == XFRMSYNC_DIR_OUT || !k->window || !k->seq || !k->tag)
		return true;
	span = k->window < k->bmp_words * 32 ? k->window : k->bmp_words * 32;
	for (i = 0; i < span && i < k->seq; i++) {
		if (!record_has_seen(k, k->seq - i))
			return true;
	}
	return false;
}
