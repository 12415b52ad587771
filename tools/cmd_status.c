// SPDX-License-Identifier: GPL-2.0
/*
 * In: the daemon's status; the module's, where no daemon runs.
 * Out: role, epoch, readiness and why not, peers, lag, losses.
 * One question, one answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "conflict.h"
#include "genl.h"
#include "print.h"

#define TIMEOUT_MS 5000

static const char help[] =
	"Usage: xfrmsync status [OPTIONS]\n\n"
	"Role, epoch, readiness and why not, capture method, peers, lag and losses. Without\n"
	"the daemon: the kernel's part.\n\n"
	CMD_COMMON_HELP;

static const struct option options[] = { CMD_LONG, { NULL, 0, NULL, 0 } };

static void set_int(json_t *o, const char *name, uint64_t v)
{
	json_object_set_new(o, name, json_integer((json_int_t)v));
}

static json_t *counters(struct genl *g)
{
	json_t *o = json_object();
	struct genl_stats stats;
	int i;

	if (genl_stats_get(g, &stats))
		return o;
	for (i = 1; i <= XFRMSYNC_A_STATS_MAX; i++)
		if (genl_stats_names[i])
			set_int(o, genl_stats_names[i], stats.value[i]);
	return o;
}

/* What the daemon does not tell, and all of it where there is no daemon. */
static void add_kernel(json_t *o, struct genl *g, const struct genl_status *st)
{
	json_t *kernel = counters(g);

	set_int(o, "dirty", st->dirty);
	set_int(o, "parked", st->parked);
	set_int(o, "reader", st->reader);
	set_int(o, "version", st->version);
	set_int(o, "watchdog_ms", st->watchdog_ms);
	json_object_set_new(o, "fence", json_string(genl_fence_str(st->fence)));
	if (json_object_get(o, "daemon"))
		goto out;
	json_object_set_new(o, "daemon", json_false());
	json_object_set_new(o, "role", json_string(genl_role_str(st->role)));
	set_int(o, "epoch", st->epoch);
	set_int(o, "epoch_node", st->node);
	json_object_set_new(o, "ready", json_false());
	json_object_set_new(o, "reasons",
			    json_pack("[s]", "the daemon is not running: systemctl start xfrmsync"));
	json_object_set_new(o, "capture",
			    json_string(genl_capture_str(st->capture)));
	set_int(o, "sas", st->sas);
	json_object_set_new(o, "peers", json_array());
out:
	if (!json_object_get(o, "kernel"))
		json_object_set(o, "kernel", kernel);
	json_decref(kernel);
}

static uint64_t num(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

#define UNSAFE_SHOWN 10

static void print_unsafe(const struct print *p, const json_t *o)
{
	const json_t *list = json_object_get(o, "unsafe"), *sa;
	uint64_t total = num(o, "unsafe_total");
	size_t i;

	json_array_foreach(list, i, sa) {
		if (i == UNSAFE_SHOWN)
			break;
		fprintf(p->out, "  not safe: %s: %s\n", text(sa, "sa"),
			text(sa, "why"));
	}
	if (total > i)
		fprintf(p->out, "  not safe: %" PRIu64 " more\n", total - i);
}

/* They send nothing. */
static void print_stopped(const struct print *p, const json_t *o)
{
	if (num(o, "stopped"))
		fprintf(p->out, "  stopped: %" PRIu64 " SAs are at the end of their lease, until the standbys acknowledge another one or they are rekeyed\n",
			num(o, "stopped"));
}

/* A strict guard delivers none of these; without it they are delivered. A standby
 * says what it was told.
 */
static void print_exposed(const struct print *p, const json_t *o)
{
	const json_t *peer;
	size_t i;

	if (num(o, "exposed") && !strcmp(text(o, "role"), "standby"))
		fprintf(p->out, "  exposed: %" PRIu64 " SAs, by the active's last word, had accepted packets that this node did not know of\n",
			num(o, "exposed"));
	else if (num(o, "exposed") && strcmp(text(o, "guard"), "strict"))
		fprintf(p->out, "  exposed: %" PRIu64 " SAs have accepted packets that no standby knows of yet: after a crash now they could be replayed\n",
			num(o, "exposed"));
	json_array_foreach(json_object_get(o, "peers"), i, peer) {
		if (num(peer, "holds"))
			fprintf(p->out, "  held: %" PRIu64 " SAs deliver nothing new until %s has acknowledged what they accepted (%s)\n",
				num(peer, "holds"), text(peer, "name"),
				text(peer, "state"));
	}
}

static void print_left(const struct print *p, const json_t *o)
{
	const json_t *peer;
	size_t i;

	json_array_foreach(json_object_get(o, "peers"), i, peer) {
		if (!strcmp(text(peer, "state"), "left"))
			fprintf(p->out, "  left: %s is away for too long: %" PRIu64 " SAs are not renewed without it (%" PRIu64 " soft-expired): bring it back, or rekey them\n",
				text(peer, "name"), num(peer, "leases_held"),
				num(peer, "soft_expired"));
	}
}

static void print_conflicts(const struct print *p, const json_t *o)
{
	const json_t *sa;
	size_t i;

	json_array_foreach(json_object_get(o, "conflict"), i, sa) {
		if (i == UNSAFE_SHOWN)
			break;
		fputs("  in conflict: ", p->out);
		conflict_print(p->out, sa);
	}
	json_array_foreach(json_object_get(o, "new_spi"), i, sa) {
		fputs("  new-spi ", p->out);
		conflict_print(p->out, sa);
	}
	json_array_foreach(json_object_get(o, "lacking"), i, sa)
		fprintf(p->out, "  not known to this kernel: %s: used without\n",
			json_string_value(sa));
}

/* What the peers say that their kernels pass over. */
static void print_lacking(const struct print *p, const json_t *o)
{
	const json_t *peer, *what;
	size_t i, k;

	json_array_foreach(json_object_get(o, "peers"), i, peer) {
		json_array_foreach(json_object_get(peer, "lacking"), k, what)
			fprintf(p->out, "  not known to the kernel of %s: %s: used without there\n",
				text(peer, "name"), json_string_value(what));
	}
}

static void print_overlaps(const struct print *p, const json_t *o)
{
	const json_t *what;
	size_t i;

	json_array_foreach(json_object_get(o, "spi_overlaps"), i, what)
		fprintf(p->out, "  spi_range: %s: give each node another one\n",
			json_string_value(what));
}

static void print_head(const struct print *p, const json_t *o)
{
	bool ready = json_is_true(json_object_get(o, "ready"));
	bool daemon = json_is_true(json_object_get(o, "daemon"));
	const char *role = text(o, "role");
	const json_t *why;
	size_t i;

	if (text(o, "node")[0])
		fprintf(p->out, "%s: ", text(o, "node"));
	print_begin(p, PRINT_BOLD);
	fputs(role, p->out);
	print_end(p, PRINT_BOLD);
	fputs(", ", p->out);
	print_begin(p, ready ? PRINT_GREEN : PRINT_YELLOW);
	fputs(ready ? "ready" : "not ready", p->out);
	print_end(p, ready ? PRINT_GREEN : PRINT_YELLOW);
	fprintf(p->out, ", epoch %" PRIu64 " of node %" PRIu64 "%s\n",
		num(o, "epoch"), num(o, "epoch_node"),
		daemon ? "" : ", no daemon");
	json_array_foreach(json_object_get(o, "reasons"), i, why)
		fprintf(p->out, "  because %s\n", json_string_value(why));
	print_unsafe(p, o);
	print_stopped(p, o);
	print_exposed(p, o);
	print_left(p, o);
	print_conflicts(p, o);
	print_lacking(p, o);
	print_overlaps(p, o);
	fprintf(p->out, "%" PRIu64 " SAs followed by %s", num(o, "sas"),
		text(o, "capture"));
	if (daemon)
		fprintf(p->out, ", %" PRIu64 " managed with %" PRIu64 " policies",
			num(o, "managed"), num(o, "policies"));
	fprintf(p->out, ", %" PRIu64 " changes untold, %" PRIu64 " records wait for their SA\n",
		num(o, "dirty"), num(o, "parked"));
	if (!strcmp(text(o, "fence"), genl_fence_str(XFRMSYNC_FENCE_SAS)))
		fputs("netfilter has no room for the fence's hooks: SAs are stopped one by one, until it has\n",
		      p->out);
	if (num(o, "watchdog_ms"))
		fprintf(p->out, "the watchdog waits %" PRIu64 " ms for the daemon of an active\n",
			num(o, "watchdog_ms"));
}

enum { COL_NAME, COL_ROLE, COL_STATE, COL_ADDRESS, COL_SAS, COL_PACKETS,
	COL_MS, COL_FAILURE, N_COLS };

/* The cells point into the JSON object or, figures, into buf. */
static void peer_row(const json_t *peer, char **row, char (*buf)[32])
{
	row[COL_NAME] = (char *)text(peer, "name");
	row[COL_ROLE] = (char *)text(peer, "role");
	row[COL_STATE] = (char *)text(peer, "state");
	row[COL_ADDRESS] = (char *)text(peer, "address");
	row[COL_FAILURE] = (char *)text(peer, "last_failure");
	snprintf(buf[0], sizeof(buf[0]), "%" PRIu64, num(peer, "sas"));
	snprintf(buf[1], sizeof(buf[1]), "%" PRIu64, num(peer, "lag_packets"));
	snprintf(buf[2], sizeof(buf[2]), "%" PRIu64 " ms", num(peer, "lag_ms"));
	row[COL_SAS] = buf[0];
	row[COL_PACKETS] = buf[1];
	row[COL_MS] = buf[2];
}

static enum print_colour peer_colour(const json_t *peer)
{
	const char *state = text(peer, "state");

	return !strcmp(state, "synced") ? PRINT_PLAIN :
	       !strcmp(state, "disconnected") || !strcmp(state, "left") ? PRINT_RED : PRINT_YELLOW;
}

static void print_peers(const struct print *p, const json_t *peers)
{
	static const char *const heads[N_COLS] = {
		"PEER", "ROLE", "STATE", "ADDRESS", "SAS", "LAG PACKETS",
		"LAG TIME", "LAST FAILURE",
	};
	static const bool right[N_COLS] = {
		[COL_SAS] = true, [COL_PACKETS] = true, [COL_MS] = true,
	};
	char *cells[(CONF_MAX_PEERS + 1) * N_COLS];
	enum print_colour colours[CONF_MAX_PEERS + 1];
	char buf[CONF_MAX_PEERS][3][32];
	const json_t *peer;
	size_t i, n = json_array_size(peers);

	if (!n || n > CONF_MAX_PEERS)
		return;
	for (i = 0; i < N_COLS; i++)
		cells[i] = (char *)heads[i];
	json_array_foreach(peers, i, peer) {
		peer_row(peer, cells + (i + 1) * N_COLS, buf[i]);
		colours[i + 1] = peer_colour(peer);
	}
	fputc('\n', p->out);
	print_cells(p, cells, n + 1, N_COLS, right, colours);
}

/* Counters that count something, a few in a line. */
static void print_counters(const struct print *p, const char *head, json_t *o)
{
	size_t width = 0, room = 96;
	const char *name;
	json_t *v;

	json_object_foreach(o, name, v) {
		char item[80];
		size_t len;

		if (!json_integer_value(v))
			continue;
		snprintf(item, sizeof(item), "%s %lld", name,
			 (long long)json_integer_value(v));
		len = strlen(item) + 2;
		if (!width)
			fprintf(p->out, "\n%-8s", head);
		else if (width + len > room)
			fprintf(p->out, "\n%-8s", "");
		width = !width || width + len > room ? 8 + len : width + len;
		fprintf(p->out, "  %s", item);
	}
	if (width)
		fputc('\n', p->out);
}

/* Nothing without [ike]. */
static void print_ike(const struct print *p, json_t *o)
{
	uint64_t waiting = num(o, "waiting");

	if (!o)
		return;
	fprintf(p->out, "\nike       charon is %s; %llu IKE SAs with %llu Child SAs are kept",
		json_string_value(json_object_get(o, "charon")),
		(unsigned long long)num(o, "ike_sas"),
		(unsigned long long)num(o, "child_sas"));
	if (waiting)
		fprintf(p->out, "; %llu IKE SAs are not in it",
			(unsigned long long)waiting);
	fputc('\n', p->out);
}

static void print_status(json_t *o)
{
	struct print p;

	print_init(&p);
	print_head(&p, o);
	print_peers(&p, json_object_get(o, "peers"));
	print_ike(&p, json_object_get(o, "ike"));
	print_counters(&p, "losses", json_object_get(o, "losses"));
	print_counters(&p, "kernel", json_object_get(o, "kernel"));
}

static int output(const struct cmd_common *c, json_t *o)
{
	if (c->json) {
		cmd_print_json(o, JSON_INDENT(2));
	} else {
		print_status(o);
		json_decref(o);
	}
	return CMD_OK;
}

/* NULL where there is no daemon; *exit_code is set where that is a failure. */
static json_t *from_daemon(const struct cmd_common *c, int *exit_code)
{
	json_t *req = json_pack("{s:s}", "cmd", "status"), *o;
	const char *why;
	int err = 0;

	o = cmd_ask(c, req, TIMEOUT_MS, &err);
	json_decref(req);
	*exit_code = CMD_OK;
	if (!o && cmd_no_daemon(err) && cmd_conf_refused())
		cmd_warn(c, "%s; no daemon at %s", cmd_conf_refused(),
			 CONF_DEFAULT_SOCKET);
	if (!o && !cmd_no_daemon(err))
		cmd_warn(c, "the daemon does not answer (%s); this is the kernel's part",
			 strerror(-err));
	why = json_string_value(json_object_get(o, "error"));
	if (why) {
		*exit_code = cmd_fail(c, "the daemon refused: %s", why);
		json_decref(o);
		return NULL;
	}
	if (o)
		json_object_set_new(o, "daemon", json_true());
	return o;
}

int cmd_status_main(int argc, char **argv)
{
	struct cmd_common c = { .verb = "status", .help = help };
	struct genl_status st;
	struct genl g;
	int code;
	json_t *o;

	while (cmd_option(&c, argc, argv, CMD_SHORT, options) != -1)
		;
	if (c.exit_code >= 0)
		return c.exit_code;
	o = from_daemon(&c, &code);
	if (code)
		return code;
	if (!genl_open(&g)) {
		if (!genl_status_get(&g, &st)) {
			o = o ? o : json_object();
			add_kernel(o, &g, &st);
		}
		genl_close(&g);
	}
	return o ? output(&c, o) : cmd_fail(&c, "%s", g.error);
}
