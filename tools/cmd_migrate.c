// SPDX-License-Identifier: GPL-2.0
/*
 * In: a gateway's old outer address, and its new one.
 * Out: what was moved; a line for each that was not.
 * Asks the daemon, or the kernel where none runs.
 */
#include <signal.h>
#include <string.h>

#include "cmd.h"
#include "migrate.h"

#define TIMEOUT_MS 120000

static const char help[] =
	"Usage: xfrmsync migrate [OPTIONS] OLD=NEW\n\n"
	"This gateway, or its peer, has another outer address from now on: the SAs in\n"
	"this kernel that have the old one, and their policies, get the new one. Each\n"
	"goes on at its number; none is used meanwhile. What would make two SAs one is\n"
	"refused before anything is moved.\n\n"
	CMD_COMMON_HELP;

static const struct option options[] = {
	CMD_LONG,
	{ NULL, 0, NULL, 0 },
};

static int report(const struct cmd_common *o, json_t *r)
{
	json_t *list = json_object_get(r, "failed"), *one;
	const char *error = json_string_value(json_object_get(r, "error"));
	size_t i;

	json_array_foreach(list, i, one)
		cmd_warn(o, "%s: %s",
			 json_string_value(json_object_get(one, "name")),
			 json_string_value(json_object_get(one, "error")));
	if (error)
		return cmd_fail(o, "%s", error);
	if (o->json)
		cmd_print_json(json_incref(r), 0);
	else
		printf("%lld SAs moved, %lld policies\n",
		       json_integer_value(json_object_get(r, "moved")),
		       json_integer_value(json_object_get(r, "policies")));
	return json_array_size(list) ? CMD_FAILED : CMD_OK;
}

static json_t *run_here(struct migrate *m)
{
	sigset_t set, before;
	int ret;

	m->failed = json_array();
	/* What is stopped goes on: nothing ends it in between. */
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &before);
	ret = migrate_run(m);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return json_pack("{s:o, s:s}", "failed", m->failed, "error",
				 m->error);
	return json_pack("{s:I, s:I, s:o}", "moved", (json_int_t)m->moved,
			 "policies", (json_int_t)m->policies, "failed",
			 m->failed);
}

static int without_daemon(const struct cmd_common *o, const struct map *map)
{
	struct genl_status st = {};
	struct genl g = {};
	struct xfrm x = {};
	struct migrate m = { .map = *map, .g = &g, .x = &x };
	json_t *r;
	int ret;

	if (genl_open(&g))
		return cmd_fail(o, "%s", g.error);
	if (genl_status_get(&g, &st)) {
		ret = cmd_fail(o, "%s", g.error);
	} else if (st.role == XFRMSYNC_ROLE_STANDBY) {
		ret = cmd_fail(o, "this node is standby: its SAs follow the active's, by map of [peer]");
	} else if ((ret = xfrm_open(&x))) {
		ret = cmd_fail(o, "XFRM netlink: %s", strerror(-ret));
	} else {
		r = run_here(&m);
		ret = report(o, r);
		json_decref(r);
		xfrm_close(&x);
	}
	genl_close(&g);
	return ret;
}

int cmd_migrate_main(int argc, char **argv)
{
	struct cmd_common o = { .verb = "migrate", .help = help, .wants = "OLD=NEW" };
	struct map map = {};
	const char *bad;
	json_t *req, *r;
	int err, ret;

	while (cmd_option(&o, argc, argv, CMD_SHORT, options) != -1)
		;
	if (o.exit_code >= 0)
		return o.exit_code;
	bad = map_add(&map, o.operand);
	if (bad)
		return cmd_usage(&o, "%s: %s", o.operand, bad);
	secret_protect();
	req = json_pack("{s:s, s:s}", "cmd", "migrate", "map", o.operand);
	r = cmd_ask(&o, req, TIMEOUT_MS, &err);
	json_decref(req);
	if (r) {
		ret = report(&o, r);
		json_decref(r);
	} else if (cmd_no_daemon(err)) {
		ret = without_daemon(&o, &map);
	} else {
		ret = cmd_fail(&o, "the daemon did not answer: %s", strerror(-err));
	}
	return ret;
}
