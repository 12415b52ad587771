/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what stands behind the verb on the command line.
 * Out: an exit code; the verbs, and the options that all of them have.
 * One verb a process.
 */
#ifndef XFRMSYNC_TOOLS_CMD_H
#define XFRMSYNC_TOOLS_CMD_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

#include "conf.h"
#include "secret.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum {
	CMD_OK = 0,
	CMD_FAILED = 1,		/* refused or failed; one line on stderr */
	CMD_USAGE = 2,
};

int cmd_show_main(int argc, char **argv);
int cmd_monitor_main(int argc, char **argv);
int cmd_status_main(int argc, char **argv);
int cmd_run_main(int argc, char **argv);
int cmd_save_main(int argc, char **argv);
int cmd_load_main(int argc, char **argv);
int cmd_migrate_main(int argc, char **argv);
int cmd_takeover_main(int argc, char **argv);
int cmd_standby_main(int argc, char **argv);
int cmd_check_main(int argc, char **argv);

/* Options that every verb takes. */
struct cmd_common {
	const char *verb;
	const char *help;	/* printed for -h and --help */
	const char *conf_file;	/* NULL: the default one, where it exists */
	const char *socket;	/* NULL: the configuration's */
	const char *wants;	/* what stands behind the options, once: "FILE" */
	const char *operand;	/* that */
	bool json;
	int exit_code;		/* where cmd_option() ended the options */
};

/* Values of long options without a letter; those of a verb begin at CMD_OWN. */
enum { CMD_OPT_SOCKET = 256, CMD_OWN };

/* The colon tells a missing value from an unknown option. */
#define CMD_SHORT ":c:jh"
#define CMD_LONG \
	{ "conf", required_argument, NULL, 'c' }, \
	{ "json", no_argument, NULL, 'j' }, \
	{ "help", no_argument, NULL, 'h' }, \
	{ "socket", required_argument, NULL, CMD_OPT_SOCKET }

#define CMD_COMMON_HELP \
	"  -c, --conf FILE    configuration (" CONF_DEFAULT_FILE ")\n" \
	"      --socket PATH  the daemon's control socket\n" \
	"  -j, --json         for machines\n" \
	"  -h, --help         this text\n"

/*
 * cmd_option - next option of the verb's own
 * Return: its value; -1 at the end, where o->exit_code is -1 if the verb has to
 * go on, else the exit code to leave with (help was printed, or usage is wrong).
 */
int cmd_option(struct cmd_common *o, int argc, char **argv, const char *shorts,
	       const struct option *longs);

/* One line on stderr: "xfrmsync VERB: ...". Returns CMD_FAILED. */
int cmd_fail(const struct cmd_common *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for a wrong command line. Returns CMD_USAGE. */
int cmd_usage(const struct cmd_common *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The option that getopt_long() just gave wants another value. Returns CMD_USAGE. */
int cmd_bad_value(const struct cmd_common *o, char *const *argv);
/* A warning; the verb goes on. */
void cmd_warn(const struct cmd_common *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A number from 0x... or decimal text; false where it is none or above max. */
bool cmd_number(const char *text, uint64_t max, uint64_t *value);

/*
 * The configuration, read once; NULL where none is there. One that is refused
 * counts as none: what runs already does not depend on it.
 */
const struct conf *cmd_conf(const struct cmd_common *o);
/* Why cmd_conf() refused it, or NULL. */
const char *cmd_conf_refused(void);
/* The same for what cannot do without: false where there is none; said on stderr. */
bool cmd_need_conf(const struct cmd_common *o, struct conf *c);

/*
 * A connection to the daemon, or -errno as control_connect(). Where one is made
 * though the configuration is refused, that is warned of.
 */
int cmd_daemon(const struct cmd_common *o);
/*
 * cmd_key - the cluster's key
 * @file: of --key; NULL: key_file of the configuration
 * Return: 1; 0 where there is none; -1, said on stderr, where it is refused.
 */
int cmd_key(const struct cmd_common *o, const char *file, struct secret *key);

/* True when that errno says that no daemon runs. */
bool cmd_no_daemon(int err);

/*
 * cmd_ask - one request to the daemon, one reply
 * Return: a new reference to the last object of the reply, with "done" taken
 * out and the ones before it left out; NULL with *err: -errno.
 */
json_t *cmd_ask(const struct cmd_common *o, const json_t *req, int timeout_ms,
		int *err);

/* The exit code of a verb that ended with this one: what it printed may not be all. */
int cmd_finish(int exit_code);

/* The object and a newline to stdout, in one write; takes the reference. */
void cmd_print_json(json_t *o, size_t flags);

#endif
