// SPDX-License-Identifier: GPL-2.0
/*
 * In: what the daemon says of the IKE SAs that it keeps.
 * Out: their contexts, printed without keys; or their keys, for Wireshark.
 * Asks the daemon. Keys are wiped, and go to where they were asked for alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "context_print.h"
#include "control.h"
#include "durable.h"
#include "ike_keylog.h"
#include "json_memory.h"
#include "secret.h"
#include "show_ike.h"

#define TIMEOUT_MS 5000

struct shown {
	const struct cmd_common *common;
	size_t printed, failed;
	/* of keys */
	const char *dir;
	struct buf ike, esp;
	size_t ike_sas, directions;
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* Each object but the last one of the answer. Exit code. */
static int ask_each(struct shown *s, const char *cmd,
		    void (*fn)(struct shown *s, const json_t *o))
{
	json_t *req = json_pack("{s:s}", "cmd", cmd), *o = NULL;
	int fd = cmd_daemon(s->common), ret;
	bool done = false;

	ret = fd < 0 ? fd : control_send(fd, req);
	json_decref(req);
	while (!ret && !done) {
		o = control_recv(fd, TIMEOUT_MS);
		if (!o) {
			ret = -errno;
			break;
		}
		done = json_object_get(o, "done");
		if (!done)
			fn(s, o);
		else if (json_object_get(o, "error"))
			ret = cmd_fail(s->common, "%s", text_of(o, "error"));
		json_decref(o);
	}
	if (fd >= 0)
		close(fd);
	if (ret >= 0)
		return ret;
	return cmd_fail(s->common, "%s", cmd_no_daemon(ret) ?
			"no daemon runs: IKE SAs are in its memory alone" :
			strerror(-ret));
}

/* ---- contexts ---- */

static void print_one(struct shown *s, const json_t *o)
{
	context_print_next(stdout, o, s->common->json, s->printed++);
	s->failed += !!json_object_get(o, "error");
}

int cmd_show_ike(const struct cmd_common *common)
{
	struct shown s = { .common = common };
	int ret;

	if (common->json)
		putchar('[');
	ret = ask_each(&s, "ike", print_one);
	if (common->json)
		puts(s.printed ? "\n]" : "]");
	return ret ? ret : s.failed ? CMD_FAILED : CMD_OK;
}

/* ---- keys ---- */

static void keep_line(struct shown *s, const char *table, const char *line)
{
	bool esp = !strcmp(table, IKE_KEYLOG_ESP_FILE);
	struct buf *b = esp ? &s->esp : &s->ike;

	s->ike_sas += !esp;
	s->directions += esp;
	buf_put(b, line, strlen(line));
	buf_put(b, "\n", 1);
}

static void take_line(struct shown *s, const json_t *o)
{
	const char *table = text_of(o, "table"), *line = text_of(o, "line");

	if (json_object_get(o, "error")) {
		cmd_warn(s->common, "%s: %s", text_of(o, "sa"), text_of(o, "error"));
		s->failed++;
		return;
	}
	keep_line(s, table, s->dir ? line : "");
	if (s->dir)
		return;
	if (s->common->json) {
		fputs(s->printed++ ? ",\n " : "\n ", stdout);
		json_dumpf(o, stdout, JSON_COMPACT);
	} else {
		printf("uat:%s:", table);
		puts(line);
	}
}

static int write_table(const struct shown *s, const char *table,
		       const struct buf *b)
{
	char path[4096];
	int ret = -ENAMETOOLONG;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", s->dir, table) <
	    sizeof(path))
		ret = b->bad ? -ENOMEM : durable_write(path, b->data, b->len, 0600);
	return ret ? cmd_fail(s->common, "%s: %s", path, strerror(-ret)) : CMD_OK;
}

static int write_tables(const struct shown *s)
{
	int ret = write_table(s, IKE_KEYLOG_IKE_FILE, &s->ike);

	if (!ret)
		ret = write_table(s, IKE_KEYLOG_ESP_FILE, &s->esp);
	if (ret)
		return ret;
	if (s->common->json)
		cmd_print_json(json_pack("{s:s, s:I, s:I}", "dir", s->dir,
					 IKE_KEYLOG_IKE_FILE, (json_int_t)s->ike_sas,
					 IKE_KEYLOG_ESP_FILE,
					 (json_int_t)s->directions), 0);
	else
		printf("%zu IKE SAs in %s/" IKE_KEYLOG_IKE_FILE ", %zu SAs in %s/"
		       IKE_KEYLOG_ESP_FILE "\n",
		       s->ike_sas, s->dir, s->directions, s->dir);
	return CMD_OK;
}

int cmd_show_ike_keys(const struct cmd_common *common, const char *dir)
{
	struct shown s = { .common = common, .dir = dir };
	bool list = common->json && !dir;
	int ret;

	if (geteuid())
		return cmd_fail(common, "--keys: only root is told keys");
	secret_protect();
	json_memory_wipe();
	/* No copy of them stays in a buffer. */
	setvbuf(stdout, NULL, _IONBF, 0);
	if (list)
		putchar('[');
	ret = ask_each(&s, "ike_keys", take_line);
	if (list)
		puts(s.printed ? "\n]" : "]");
	if (!ret && dir)
		ret = write_tables(&s);
	buf_free(&s.ike);
	buf_free(&s.esp);
	return ret ? ret : s.failed ? CMD_FAILED : CMD_OK;
}
