// SPDX-License-Identifier: GPL-2.0
/*
 * In: options that every verb takes.
 * Out: the configuration, a connection to the daemon, lines on stderr.
 * One verb a process.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "control.h"
#include "json_memory.h"

__attribute__((format(printf, 2, 0)))
static void say(const struct cmd_common *o, const char *fmt, va_list ap)
{
	fprintf(stderr, "xfrmsync %s: ", o->verb);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int cmd_fail(const struct cmd_common *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(o, fmt, ap);
	va_end(ap);
	return CMD_FAILED;
}

int cmd_usage(const struct cmd_common *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(o, fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try 'xfrmsync %s --help'.\n", o->verb);
	return CMD_USAGE;
}

void cmd_warn(const struct cmd_common *o, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(o, fmt, ap);
	va_end(ap);
}

int cmd_bad_value(const struct cmd_common *o, char *const *argv)
{
	const char *option = argv[optind - 1];
	size_t len = strlen(option);

	/* In a word of its own, or behind the option in one with it. */
	if (optarg == option) {
		option = argv[optind - 2];
		len = strlen(option);
	} else if (optarg > option && optarg <= option + len) {
		len = optarg - option;
		len -= option[len - 1] == '=';
	}
	return cmd_usage(o, "%s is no value for %.*s", optarg, (int)len, option);
}

static int stop(struct cmd_common *o, int exit_code)
{
	o->exit_code = exit_code;
	return -1;
}

int cmd_option(struct cmd_common *o, int argc, char **argv, const char *shorts,
	       const struct option *longs)
{
	int c;

	o->exit_code = -1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->conf_file = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case CMD_OPT_SOCKET:
			o->socket = optarg;
			break;
		case 'h':
			fputs(o->help, stdout);
			return stop(o, CMD_OK);
		case ':':
			return stop(o, cmd_usage(o, "%s needs a value", argv[optind - 1]));
		case '?':
			return stop(o, cmd_usage(o, "%s is not an option of this verb, or takes no value",
						 argv[optind - 1]));
		default:
			return c;
		}
	}
	if (o->wants && optind < argc)
		o->operand = argv[optind++];
	if (o->wants && !o->operand)
		return stop(o, cmd_usage(o, "%s is missing", o->wants));
	if (optind < argc)
		return stop(o, cmd_usage(o, "%s is too much", argv[optind]));
	return -1;
}

bool cmd_number(const char *text, uint64_t max, uint64_t *value)
{
	bool hex = !strncasecmp(text, "0x", 2);
	const char *digits = hex ? text + 2 : text;
	unsigned long long n;
	char *end;

	/* strtoull() takes signs and blanks. */
	if (!*digits || strspn(digits, hex ? "0123456789abcdefABCDEF" :
					     "0123456789") != strlen(digits))
		return false;
	errno = 0;
	n = strtoull(digits, &end, hex ? 16 : 10);
	if (errno || n > max)
		return false;
	*value = n;
	return true;
}

static const char *conf_file(const struct cmd_common *o)
{
	return o->conf_file ? o->conf_file : CONF_DEFAULT_FILE;
}

/* Why the configuration was refused; "" where it was not. */
static char conf_error[512];

const struct conf *cmd_conf(const struct cmd_common *o)
{
	static struct conf conf;
	static bool tried, loaded;

	if (tried)
		return loaded ? &conf : NULL;
	tried = true;
	if (!o->conf_file && access(CONF_DEFAULT_FILE, F_OK))
		return NULL;
	loaded = !conf_load(&conf, conf_file(o), conf_error, sizeof(conf_error));
	return loaded ? &conf : NULL;
}

const char *cmd_conf_refused(void)
{
	return conf_error[0] ? conf_error : NULL;
}

bool cmd_need_conf(const struct cmd_common *o, struct conf *c)
{
	char err[512];

	if (!conf_load(c, conf_file(o), err, sizeof(err)))
		return true;
	cmd_fail(o, "%s", err);
	return false;
}

int cmd_key(const struct cmd_common *o, const char *file, struct secret *key)
{
	const struct conf *c = file ? NULL : cmd_conf(o);
	char err[512];

	if (!file && cmd_conf_refused()) {
		cmd_fail(o, "%s", cmd_conf_refused());
		return -1;
	}
	if (!file && (!c || !c->key_file[0]))
		return 0;
	if (!secret_read(file ? file : c->key_file, key, err, sizeof(err)))
		return 1;
	cmd_fail(o, "%s", err);
	return -1;
}

int cmd_daemon(const struct cmd_common *o)
{
	const struct conf *c = o->socket ? NULL : cmd_conf(o);

	int fd;

	fd = control_connect(o->socket ? o->socket :
			     c ? c->socket : CONF_DEFAULT_SOCKET);
	if (fd >= 0 && cmd_conf_refused())
		cmd_warn(o, "%s; the daemon runs with an older one", conf_error);
	return fd;
}

bool cmd_no_daemon(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED;
}

json_t *cmd_ask(const struct cmd_common *o, const json_t *req, int timeout_ms,
		int *err)
{
	json_t *obj = NULL;
	int fd;

	fd = cmd_daemon(o);
	if (fd < 0) {
		*err = fd;
		return NULL;
	}
	*err = control_send(fd, req);
	while (!*err) {
		obj = control_recv(fd, timeout_ms);
		if (!obj)
			*err = -errno;
		else if (json_object_get(obj, "done"))
			break;
		json_decref(obj);
		obj = NULL;
	}
	close(fd);
	if (obj)
		json_object_del(obj, "done");
	return obj;
}

void cmd_print_json(json_t *o, size_t flags)
{
	char *text = json_dumps(o, flags);

	if (text)
		puts(text);
	fflush(stdout);
	free(text);
	json_decref(o);
}

int cmd_finish(int exit_code)
{
	if (exit_code != CMD_OK)
		return exit_code;
	if (json_memory_lost()) {
		fprintf(stderr, "xfrmsync: out of memory: what was printed is not all\n");
		return CMD_FAILED;
	}
	if (fflush(stdout) || ferror(stdout)) {
		perror("xfrmsync: standard output");
		return CMD_FAILED;
	}
	return CMD_OK;
}
