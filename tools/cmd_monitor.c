// SPDX-License-Identifier: GPL-2.0
/*
 * In: the module's stream of records, or the daemon's copy of it.
 * Out: a line for each, as text or as JSON.
 * Runs until interrupted. The module has one reader: while the daemon is it,
 * the records come from there.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd.h"
#include "conflict.h"
#include "control.h"
#include "genl.h"
#include "print.h"

static const char help[] =
	"Usage: xfrmsync monitor [OPTIONS]\n\n"
	"The live stream of records, a line each; first all SAs as they are now. While\n"
	"the daemon runs it gives what it reads (changes only). Without it this verb is\n"
	"the module's reader itself, and a daemon cannot start to read meanwhile.\n\n"
	"  -n, --count N      end after N records\n"
	CMD_COMMON_HELP;

static const struct option options[] = {
	CMD_LONG,
	{ "count", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

struct monitor {
	struct cmd_common common;
	struct print print;
	uint64_t count;		/* 0: without end */
	uint64_t printed;
	uint32_t interval_us;
};

static bool is_full(const struct monitor *m)
{
	return m->count && m->printed >= m->count;
}

static void print_text(struct monitor *m, const struct record *r)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	print_line(&m->print, r, &now);
}

/* A pull has to be taken to its end, so that what is above the count is dropped. */
static int on_record(const struct record *r, void *data)
{
	struct monitor *m = data;

	if (is_full(m))
		return 0;
	m->printed++;
	if (m->common.json)
		cmd_print_json(record_json(r), JSON_COMPACT);
	else
		print_text(m, r);
	return 0;
}

/* Wait for the wake-up; then let more changes gather. 0 or -errno. */
static int wait_dirty(struct monitor *m, struct genl *g)
{
	bool dirty = false, resync = false, role = false;
	struct pollfd p = { .fd = genl_fd(g), .events = POLLIN };
	int err;

	while (!dirty && !resync) {
		if (!genl_pending(g) && poll(&p, 1, -1) < 0 && errno != EINTR)
			return -errno;
		err = genl_read_events(g, &dirty, &resync, &role);
		if (err == -ENOBUFS)
			dirty = true;
		else if (err && err != -EAGAIN)
			return err;
	}
	usleep(m->interval_us);
	return resync ? genl_subscribe(g, NULL) : 0;
}

static int follow_module(struct monitor *m, struct genl *g)
{
	int err;

	do {
		err = genl_pull(g, on_record, m);
		fflush(stdout);
		if (!err && !is_full(m) && !ferror(stdout))
			err = wait_dirty(m, g);
	} while (!err && !is_full(m) && !ferror(stdout));
	genl_unsubscribe(g);
	return err ? cmd_fail(&m->common, "the module's stream ended: %s", g->error) :
		     CMD_OK;
}

static void on_object(struct monitor *m, json_t *o)
{
	const char *event = json_string_value(json_object_get(o, "event"));
	json_t *lost = json_object_get(o, "lost");
	struct record r;

	if (lost)
		cmd_warn(&m->common, "%lld records were left out: this verb was read too slowly",
			 (long long)json_integer_value(lost));
	if (!event && record_from_json(o, &r))
		return;
	m->printed++;
	if (m->common.json) {
		cmd_print_json(json_incref(o), JSON_COMPACT);
	} else if (event) {
		printf("%s ", event);
		conflict_print(stdout, o);
	} else {
		print_text(m, &r);
	}
	fflush(stdout);
}

static int follow_daemon(struct monitor *m, int fd)
{
	json_t *req = json_pack("{s:s}", "cmd", "monitor"), *o;
	int err = control_send(fd, req);
	const char *why;

	json_decref(req);
	while (!err && !is_full(m) && !ferror(stdout)) {
		o = control_recv(fd, -1);
		if (!o) {
			err = -errno;
			break;
		}
		why = json_string_value(json_object_get(o, "error"));
		if (why)
			err = cmd_fail(&m->common, "the daemon refused: %s", why);
		else
			on_object(m, o);
		json_decref(o);
	}
	if (err < 0)
		return cmd_fail(&m->common, "the daemon went away: %s",
				err == -ENODATA ? "it closed the connection" :
						  strerror(-err));
	return err ? CMD_FAILED : CMD_OK;
}

static int read_module(struct monitor *m)
{
	struct genl g;
	int err, ret;

	if (genl_open(&g))
		return cmd_fail(&m->common, "%s", g.error);
	err = genl_subscribe(&g, NULL);
	if (err == -EBUSY)
		ret = cmd_fail(&m->common, "another process reads the module's stream, and no daemon answers; where is its socket? (--socket PATH)");
	else if (err)
		ret = cmd_fail(&m->common, "the module's stream: %s", g.error);
	else
		ret = follow_module(m, &g);
	genl_close(&g);
	return ret;
}

static int monitor(struct monitor *m)
{
	const struct conf *conf;
	int fd, ret;

	print_init(&m->print);
	fd = cmd_daemon(&m->common);
	if (fd >= 0) {
		ret = follow_daemon(m, fd);
		close(fd);
		return ret;
	}
	if (!cmd_no_daemon(fd))
		return cmd_fail(&m->common, "the daemon's socket: %s", strerror(-fd));
	conf = cmd_conf(&m->common);
	if (cmd_conf_refused())
		cmd_warn(&m->common, "%s; no daemon at %s", cmd_conf_refused(),
			 CONF_DEFAULT_SOCKET);
	m->interval_us = conf ? conf->interval_us : 1000;
	return read_module(m);
}

int cmd_monitor_main(int argc, char **argv)
{
	struct monitor m = { .common = { .verb = "monitor", .help = help } };

	while (cmd_option(&m.common, argc, argv, CMD_SHORT "n:", options) != -1)
		if (!cmd_number(optarg, UINT64_MAX, &m.count) || !m.count)
			return cmd_usage(&m.common, "--count wants a number above 0, not %s",
					 optarg);
	if (m.common.exit_code >= 0)
		return m.common.exit_code;
	return monitor(&m);
}
