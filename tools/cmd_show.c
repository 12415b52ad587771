// SPDX-License-Identifier: GPL-2.0
/*
 * In: the module's dump of this namespace's SAs; for JSON what the daemon adds.
 * Out: those that were asked for: a table, a block each, or JSON.
 * Asks the kernel; the daemon need not run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "control.h"
#include "genl.h"
#include "print.h"
#include "sa_select.h"
#include "show_context.h"
#include "show_ike.h"

#define TIMEOUT_MS 5000

static const char help[] =
	"Usage: xfrmsync show [OPTIONS]\n\n"
	"The SAs that the module follows in this network namespace.\n\n"
	"  -d, --details      a block each: window, lifetimes, errors\n"
	"      --context      what a takeover takes along: all parameters, and the\n"
	"                     policies; keys are told by their length\n"
	"      --file FILE    of a file that save wrote, not of the kernel\n"
	"      --key FILE     ... and the cluster's key (key_file of the configuration)\n"
	"      --ike          the IKE SAs that the daemon keeps, by [ike], or that are in the\n"
	"                     file; without keys\n"
	"      --keys[=DIR]   ... their keys and those of their Child SAs, for Wireshark: files\n"
	"                     of DIR; root's, and only with key_log = yes in [ike]\n"
	SA_SELECT_HELP
	CMD_COMMON_HELP;

enum { OPT_CONTEXT = SA_OPT_OWN, OPT_FILE, OPT_KEY, OPT_IKE, OPT_KEYS };

static const struct option options[] = {
	CMD_LONG,
	{ "context", no_argument, NULL, OPT_CONTEXT },
	{ "file", required_argument, NULL, OPT_FILE },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "ike", no_argument, NULL, OPT_IKE },
	{ "keys", optional_argument, NULL, OPT_KEYS },
	{ "details", no_argument, NULL, 'd' },
	SA_SELECT_LONG,
	{ NULL, 0, NULL, 0 },
};

/* Of the daemon's words on an SA, those that stand in the JSON. */
static const char *const words[] = {
	"guard", "guard_limit", "exposed", "held", "waits_for", "lag",
};

#define N_WORDS (sizeof(words) / sizeof(words[0]))

struct told {
	json_t *word[N_WORDS];	/* NULL: nothing was said */
};

struct show {
	struct cmd_common common;
	bool details, context, ike, keys;
	const char *file, *key_file, *keys_dir;
	struct sa_select select;
	struct record *list;
	struct told *told;	/* beside the list, or NULL */
	size_t n, size;
};

static int keep(const struct record *r, void *data)
{
	struct show *s = data;
	struct record *list;

	if (!sa_select_match(&s->select, r))
		return 0;
	if (s->n == s->size) {
		s->size = s->size ? 2 * s->size : 64;
		list = reallocarray(s->list, s->size, sizeof(*list));
		if (!list)
			return -ENOMEM;
		s->list = list;
	}
	s->list[s->n++] = *r;
	return 0;
}

/* Both directions of a tunnel stand together, and runs can be compared. */
static int order(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	int diff;

	if (x->reqid != y->reqid)
		return x->reqid < y->reqid ? -1 : 1;
	if (x->id.family != y->id.family)
		return x->id.family < y->id.family ? -1 : 1;
	diff = memcmp(x->id.dst, y->id.dst, sizeof(x->id.dst));
	if (!diff)
		diff = memcmp(&x->id.spi, &y->id.spi, sizeof(x->id.spi));
	if (!diff)
		diff = x->id.proto - y->id.proto;
	if (!diff)
		diff = x->id.mark < y->id.mark ? -1 : x->id.mark > y->id.mark;
	return diff;
}

static void take_told(struct told *t, const json_t *o)
{
	size_t i;

	for (i = 0; i < N_WORDS; i++)
		t->word[i] = json_incref(json_object_get(o, words[i]));
}

/* The list is sorted. Without a daemon there is nothing to add. */
static void ask_daemon(struct show *s)
{
	json_t *req = json_pack("{s:s}", "cmd", "show"), *o;
	int fd = cmd_daemon(&s->common);
	struct record key, *found;
	bool done = fd < 0;

	if (!done)
		s->told = calloc(s->n ? s->n : 1, sizeof(*s->told));
	if (!done && (!s->told || control_send(fd, req)))
		done = true;
	while (!done && (o = control_recv(fd, TIMEOUT_MS))) {
		done = json_is_true(json_object_get(o, "done"));
		found = done || record_from_json(o, &key) ? NULL :
			bsearch(&key, s->list, s->n, sizeof(key), order);
		if (found)
			take_told(&s->told[found - s->list], o);
		json_decref(o);
	}
	json_decref(req);
	if (fd >= 0)
		close(fd);
}

static void add_told(json_t *o, struct told *t)
{
	size_t i;

	for (i = 0; i < N_WORDS; i++) {
		if (t->word[i])
			json_object_set_new(o, words[i], t->word[i]);
	}
}

/* One at a time: a JSON tree of 100000 SAs would take half a gigabyte. */
static int print_json(const struct show *s)
{
	json_t *o;
	size_t i;
	int err = 0;

	putchar('[');
	for (i = 0; i < s->n && !err; i++) {
		fputs(i ? ",\n " : "\n ", stdout);
		o = record_json(&s->list[i]);
		if (o && s->told)
			add_told(o, &s->told[i]);
		err = o ? json_dumpf(o, stdout, JSON_COMPACT) : -1;
		json_decref(o);
	}
	puts(s->n ? "\n]" : "]");
	return err ? -ENOMEM : 0;
}

static int print_all(const struct show *s)
{
	struct print p;
	size_t i;

	if (s->common.json)
		return print_json(s);
	print_init(&p);
	if (!s->details)
		return s->n ? print_table(&p, s->list, s->n) : 0;
	for (i = 0; i < s->n; i++) {
		if (i)
			putchar('\n');
		print_details(&p, &s->list[i]);
	}
	return 0;
}

static int show(struct show *s)
{
	struct genl g;
	int err;

	if (genl_open(&g))
		return cmd_fail(&s->common, "%s", g.error);
	err = genl_dump(&g, keep, s);
	if (err)
		cmd_fail(&s->common, "the module's list of SAs: %s", g.error);
	genl_close(&g);
	if (err)
		return CMD_FAILED;
	if (s->n)
		qsort(s->list, s->n, sizeof(*s->list), order);
	if (s->common.json)
		ask_daemon(s);
	if (print_all(s))
		return cmd_fail(&s->common, "out of memory");
	return CMD_OK;
}

/* A selector is of SAs, and there is no other form. */
static int show_ike(const struct show *s)
{
	if (s->details || s->context || !sa_select_is_all(&s->select))
		return cmd_usage(&s->common, "--ike goes with --keys, or with --file and --key, and with nothing else");
	if (s->keys && (s->file || s->key_file))
		return cmd_usage(&s->common, "--keys are the daemon's, and not of a file");
	if (s->key_file && !s->file)
		return cmd_usage(&s->common, "--key goes with --file");
	if (s->file)
		return cmd_show_ike_file(&s->common, s->file, s->key_file);
	return s->keys ? cmd_show_ike_keys(&s->common, s->keys_dir) :
			 cmd_show_ike(&s->common);
}

int cmd_show_main(int argc, char **argv)
{
	struct show s = { .common = { .verb = "show", .help = help } };
	int c, ret;

	while ((c = cmd_option(&s.common, argc, argv, CMD_SHORT "d", options)) != -1)
		if (c == 'd')
			s.details = true;
		else if (c == OPT_CONTEXT)
			s.context = true;
		else if (c == OPT_FILE)
			s.file = optarg;
		else if (c == OPT_KEY)
			s.key_file = optarg;
		else if (c == OPT_IKE)
			s.ike = true;
		else if (c == OPT_KEYS) {
			s.keys = true;
			s.keys_dir = optarg;
		} else if (!sa_select_option(&s.select, c, optarg))
			return cmd_bad_value(&s.common, argv);
	if (s.common.exit_code >= 0)
		return s.common.exit_code;
	if (s.keys && !s.ike)
		return cmd_usage(&s.common, "--keys goes with --ike");
	if (s.ike)
		return show_ike(&s);
	if ((s.file || s.key_file) && !s.context)
		return cmd_usage(&s.common, "--file and --key go with --context, or --ike");
	if (s.context)
		return cmd_show_context(&s.common, &s.select, s.file, s.key_file);
	ret = show(&s);
	free(s.list);
	free(s.told);
	return ret;
}
