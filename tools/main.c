// SPDX-License-Identifier: GPL-2.0
/*
 * In: the command line.
 * Out: the verb's exit code: 0, 1 (refused or failed), 2 (usage).
 * The whole command line is on this screen.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "cmd.h"
#include "json_memory.h"

static const struct {
	const char *verb;
	int (*main)(int argc, char **argv);
	const char *does;
} verbs[] = {
	{ "show", cmd_show_main, "the SAs that the module follows: numbers, windows, leases, lag" },
	{ "monitor", cmd_monitor_main, "the live stream of records, a line each" },
	{ "status", cmd_status_main, "role, epoch, readiness, peers, lag and losses" },
	{ "run", cmd_run_main, "the daemon: relay between nodes" },
	{ "save", cmd_save_main, "contexts of SAs, with keys and policies, into a sealed file" },
	{ "load", cmd_load_main, "contexts from such a file into the kernel" },
	{ "migrate", cmd_migrate_main, "SAs and policies to another outer address" },
	{ "takeover", cmd_takeover_main, "become active" },
	{ "standby", cmd_standby_main, "step down" },
	{ "check", cmd_check_main, "what would keep a takeover from working here" },
};

static void usage(FILE *to)
{
	size_t i;

	fprintf(to, "Usage: xfrmsync VERB [OPTIONS]\n\n"
		"Stateful failover for Linux IPsec gateways.\n\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %-10s %s\n", verbs[i].verb, verbs[i].does);
	fprintf(to, "\n'xfrmsync VERB --help' lists a verb's options; see also xfrmsync(8).\n");
}

int main(int argc, char **argv)
{
	size_t i;

	if (sodium_init() < 0) {
		fprintf(stderr, "xfrmsync: no source of random numbers\n");
		return CMD_FAILED;
	}
	json_memory_init();
	if (argc < 2) {
		usage(stderr);
		return CMD_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help") ||
	    !strcmp(argv[1], "help")) {
		usage(stdout);
		return cmd_finish(CMD_OK);
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		printf("xfrmsync %s\n", VERSION);
		return cmd_finish(CMD_OK);
	}
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[1], verbs[i].verb))
			return cmd_finish(verbs[i].main(argc - 1, argv + 1));
	fprintf(stderr, "xfrmsync: %s is not a verb\nTry 'xfrmsync --help'.\n",
		argv[1]);
	return CMD_USAGE;
}
