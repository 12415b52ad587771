// SPDX-License-Identifier: GPL-2.0
/*
 * In: this machine, its kernel, the configuration, the daemon.
 * Out: a line for each finding: ok, warn or fail, with what to do.
 * Looks only. Exit code 1 where a takeover would not work.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/capability.h>

#include "check.h"
#include "cmd.h"
#include "control.h"
#include "print.h"
#include "state.h"

#define TIMEOUT_MS 5000
#define MODPROBE_FILE "/etc/modprobe.d/xfrmsync-role.conf"

static const char help[] =
	"Usage: xfrmsync check [OPTIONS]\n\n"
	"What in this machine, kernel and configuration would keep a takeover from working.\n"
	"Exit code 1 if something would; warnings alone give 0.\n\n"
	CMD_COMMON_HELP;

static const struct option options[] = { CMD_LONG, { NULL, 0, NULL, 0 } };

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static const char *const words[] = {
	[CHECK_OK] = "ok", [CHECK_WARN] = "warn", [CHECK_FAIL] = "fail",
};

void check_say(struct check *c, enum check_result result, const char *what,
	       const char *fmt, ...)
{
	char text[1024], *hint;
	va_list ap;
	json_t *o;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	hint = strchr(text, '\n');
	if (hint)
		*hint++ = '\0';
	c->failed += result == CHECK_FAIL;
	c->warned += result == CHECK_WARN;
	o = json_pack("{s:s, s:s, s:s}", "check", what, "result", words[result],
		      "text", text);
	if (hint)
		json_object_set_new(o, "hint", json_string(hint));
	json_array_append_new(c->list, o);
}

static void name(struct check *c, const char *list, json_t *what)
{
	json_t *o = json_array_get(c->list, json_array_size(c->list) - 1);

	if (!json_object_get(o, list))
		json_object_set_new(o, list, json_array());
	json_array_append_new(json_object_get(o, list), what);
}

void check_name_sa(struct check *c, const char *sa, const char *why)
{
	json_t *o = json_pack("{s:s}", "sa", sa);

	if (why)
		json_object_set_new(o, "why", json_string(why));
	name(c, "sas", o);
}

void check_name_policy(struct check *c, const char *policy)
{
	name(c, "policies", json_string(policy));
}

static bool has_net_admin(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(f);
	return caps >> CAP_NET_ADMIN & 1;
}

static bool check_rights(struct check *c)
{
	if (geteuid() || !has_net_admin()) {
		check_say(c, CHECK_FAIL, "rights", "not root with CAP_NET_ADMIN: most cannot be looked at\nrun it as root");
		return false;
	}
	check_say(c, CHECK_OK, "rights", "root");
	return true;
}

static bool check_module(struct check *c, struct genl *g, struct genl_status *st)
{
	int err = genl_open(g);

	if (err == -ENOENT) {
		check_say(c, CHECK_FAIL, "module", "not loaded\nmodprobe xfrmsync");
		return false;
	}
	if (!err) {
		err = genl_status_get(g, st);
		if (err)
			genl_close(g);
	}
	if (err) {
		check_say(c, CHECK_FAIL, "module", "does not answer: %s", g->error);
		return false;
	}
	if (st->version == XFRMSYNC_VERSION)
		check_say(c, CHECK_OK, "module", "loaded, interface version %u, %u SAs followed",
			  st->version, st->sas);
	else
		check_say(c, CHECK_FAIL, "module", "its interface has version %u, this tool %u\ninstall both from one release",
			  st->version, XFRMSYNC_VERSION);
	return true;
}

static void check_role(struct check *c, const struct genl_status *st)
{
	if (st->role == XFRMSYNC_ROLE_NONE)
		check_say(c, CHECK_WARN, "role", "none\nstart the daemon, or: xfrmsync standby");
	else
		check_say(c, CHECK_OK, "role", "%s, epoch %llu of node %u",
			  genl_role_str(st->role), (unsigned long long)st->epoch,
			  st->node);
	if (st->role == XFRMSYNC_ROLE_ACTIVE && !st->reader)
		check_say(c, CHECK_FAIL, "reader", "nobody reads the module's stream: no standby hears of this node's SAs\nsystemctl start xfrmsync");
}

static void check_state(struct check *c, const struct conf *conf,
			const struct genl_status *st)
{
	struct state s;
	int err = state_load(conf->state_dir, &s);
	struct stat dir;

	/* The daemon makes it where it is missing. */
	if (!stat(conf->state_dir, &dir) &&
	    (access(conf->state_dir, W_OK | X_OK) || dir.st_uid ||
	     dir.st_mode & 022))
		check_say(c, CHECK_FAIL, "state_dir", "%s: %s\na takeover stores its epoch there: chown root, chmod 700",
			  conf->state_dir, access(conf->state_dir, W_OK | X_OK) ?
			  strerror(errno) : "others than root can write there");
	if (err == -ENOENT) {
		check_say(c, CHECK_WARN, "stored role", "none yet in %s", conf->state_dir);
		return;
	}
	if (err) {
		check_say(c, CHECK_FAIL, "stored role", "%s/state: %s\nmend it; the epoch must not go back",
			  conf->state_dir, err == -EINVAL ? "damaged" : strerror(-err));
		return;
	}
	if (st && state_epoch_cmp(s.epoch, s.node, st->epoch, st->node) < 0)
		check_say(c, CHECK_WARN, "stored role", "epoch %llu, behind the kernel's %llu\nstart the daemon: it stores what it hears",
			  (unsigned long long)s.epoch, (unsigned long long)st->epoch);
	else
		check_say(c, CHECK_OK, "stored role", "%s, epoch %llu",
			  genl_role_str(s.role), (unsigned long long)s.epoch);
	if (s.role != XFRMSYNC_ROLE_NONE && access(MODPROBE_FILE, R_OK) &&
	    !strcmp(conf->state_dir, CONF_DEFAULT_STATE_DIR))
		check_say(c, CHECK_WARN, "stored role", MODPROBE_FILE " is missing: after a reboot no role is in force until the daemon starts\nxfrmsync standby, or takeover, writes it");
}

/* An active waits in the kernel for signs of life, if it was told to. */
static void check_watchdog(struct check *c, const struct conf *conf,
			   const struct genl_status *st)
{
	if (st->role == XFRMSYNC_ROLE_ACTIVE &&
	    st->watchdog_ms != conf->watchdog_ms)
		check_say(c, CHECK_WARN, "watchdog", "%u ms in the configuration, %u ms in force\nsystemctl start xfrmsync, or reload it",
			  conf->watchdog_ms, st->watchdog_ms);
	else if (conf->watchdog_ms)
		check_say(c, CHECK_OK, "watchdog", "%u ms, with a sign of life each %u ms",
			  conf->watchdog_ms, conf->heartbeat_ms);
	else
		check_say(c, CHECK_OK, "watchdog", "off: while its daemon hangs an active carries on to the ends of its leases");
}

/* Under the last reason, each SA with its own. */
static void name_unsafe(struct check *c, const struct cmd_common *common)
{
	json_t *req = json_pack("{s:s}", "cmd", "unsafe"), *o;
	int fd = cmd_daemon(common);
	bool done = false;

	if (fd >= 0 && !control_send(fd, req)) {
		while (!done && (o = control_recv(fd, TIMEOUT_MS))) {
			done = json_object_get(o, "done");
			if (!done)
				check_name_sa(c, text_of(o, "sa"), text_of(o, "why"));
			json_decref(o);
		}
	}
	if (!done)
		check_say(c, CHECK_WARN, "ready", "the daemon does not name all of its SAs\nask once more");
	if (fd >= 0)
		close(fd);
	json_decref(req);
}

static void check_ready(struct check *c, const struct cmd_common *common,
			const json_t *o)
{
	const char *role = json_string_value(json_object_get(o, "role"));
	const json_t *why;
	size_t i;

	if (json_is_true(json_object_get(o, "ready")))
		check_say(c, CHECK_OK, "ready", "the %s is ready", role ? role : "node");
	json_array_foreach(json_object_get(o, "reasons"), i, why)
		check_say(c, CHECK_FAIL, "ready", "%s", json_string_value(why));
	if (i)
		name_unsafe(c, common);
}

static void check_daemon(struct check *c, const struct cmd_common *common,
			 const struct conf *conf)
{
	json_t *req = json_pack("{s:s}", "cmd", "status"), *o;
	int err = 0;

	o = cmd_ask(common, req, TIMEOUT_MS, &err);
	json_decref(req);
	if (!o) {
		check_say(c, CHECK_FAIL, "daemon", "%s: nothing is synchronized\nsystemctl start xfrmsync",
			  cmd_no_daemon(err) ? "does not run" : strerror(-err));
		return;
	}
	check_say(c, CHECK_OK, "daemon", "runs");
	check_spi_peers(c, conf, o);
	check_ready(c, common, o);
	json_decref(o);
}

/* err: why there is none that can be used, or empty. */
static void check_conf(struct check *c, const char *file,
		       const struct conf *conf, const char *err)
{
	if (*err)
		check_say(c, CHECK_FAIL, "configuration", "%s\nsee xfrmsync.conf(5)", err);
	else
		check_say(c, CHECK_OK, "configuration", "%s: node %u, %s", file,
			  conf->node_id, conf->node_name);
}

static void check_all(struct check *c, const struct cmd_common *common)
{
	const char *file = common->conf_file ? common->conf_file : CONF_DEFAULT_FILE;
	/* Without a configuration all SAs count. */
	const struct conf_filter all = {}, *filter = &all;
	bool root = check_rights(c), module = false;
	struct genl_status st;
	char err[512] = "";
	struct conf conf;
	struct genl g;

	if (conf_load(&conf, file, err, sizeof(err)))
		snprintf(err + strlen(err), sizeof(err) - strlen(err), "%s",
			 *err ? "" : "cannot be read");
	else
		filter = &conf.filter;
	check_kernel_config(c);
	if (root)
		module = check_module(c, &g, &st);
	if (module) {
		check_kernel_capture(c, &g, &st, filter);
		check_role(c, &st);
		genl_close(&g);
	}
	check_kernel_algorithms(c);
	if (root)
		check_kernel_xfrm(c, filter);
	check_conf(c, file, &conf, err);
	if (!*err) {
		check_state(c, &conf, module ? &st : NULL);
		if (module)
			check_watchdog(c, &conf, &st);
		check_tls(c, &conf);
		check_spi(c, &conf);
		if (root)
			check_ike(c, &conf);
		check_peers(c, &conf);
		check_daemon(c, common, &conf);
	}
	check_say(c, CHECK_OK, "clock", "not needed: leases and ages do not go by it (certificates do)");
}

#define NAMED 8		/* of each kind; JSON has all */

static void print_more(const struct print *p, size_t n, const char *what)
{
	if (n > NAMED)
		fprintf(p->out, "%23sand %zu more %s: xfrmsync check --json\n", "",
			n - NAMED, what);
}

static void print_names(const struct print *p, const json_t *o)
{
	const json_t *sas = json_object_get(o, "sas");
	const json_t *policies = json_object_get(o, "policies"), *v;
	size_t i;

	json_array_foreach(policies, i, v) {
		if (i < NAMED)
			fprintf(p->out, "%23s%s\n", "", json_string_value(v));
	}
	print_more(p, json_array_size(policies), "policies");
	json_array_foreach(sas, i, v) {
		if (i < NAMED)
			fprintf(p->out, "%23s%s%s%s\n", "", text_of(v, "sa"),
				json_object_get(v, "why") ? ": " : "",
				text_of(v, "why"));
	}
	print_more(p, json_array_size(sas), "SAs");
}

static void print_finding(const struct print *p, const json_t *o)
{
	const char *result = json_string_value(json_object_get(o, "result"));
	const char *hint = json_string_value(json_object_get(o, "hint"));
	enum print_colour colour = *result == 'o' ? PRINT_GREEN :
				   *result == 'w' ? PRINT_YELLOW : PRINT_RED;

	print_begin(p, colour);
	fprintf(p->out, "%-4s", result);
	print_end(p, colour);
	fprintf(p->out, "  %-15s %s\n", json_string_value(json_object_get(o, "check")),
		json_string_value(json_object_get(o, "text")));
	print_names(p, o);
	if (hint)
		fprintf(p->out, "%23s-> %s\n", "", hint);
}

static void output(const struct check *c, bool json)
{
	struct print p;
	const json_t *o;
	size_t i;

	if (json) {
		cmd_print_json(json_pack("{s:b, s:i, s:i, s:O}", "ok", !c->failed,
					 "failed", c->failed, "warned", c->warned,
					 "checks", c->list), JSON_INDENT(2));
		return;
	}
	print_init(&p);
	json_array_foreach(c->list, i, o)
		print_finding(&p, o);
	if (c->failed)
		printf("%u of %zu would keep a takeover from working\n", c->failed,
		       json_array_size(c->list));
	else
		printf("a takeover can work%s\n", c->warned ? "; see the warnings" : "");
}

int cmd_check_main(int argc, char **argv)
{
	struct cmd_common common = { .verb = "check", .help = help };
	struct check c = { 0 };

	while (cmd_option(&common, argc, argv, CMD_SHORT, options) != -1)
		;
	if (common.exit_code >= 0)
		return common.exit_code;
	c.list = json_array();
	check_all(&c, &common);
	output(&c, common.json);
	json_decref(c.list);
	return c.failed ? CMD_FAILED : CMD_OK;
}
