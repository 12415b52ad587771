// SPDX-License-Identifier: GPL-2.0
/*
 * What a record costs on each part of its way, by a clock that counts instructions: from the
 * module to its reader, from a standby's daemon to its module, and through both daemons.
 *
 * usage: records [-n SAS] [-u USED] [-r REPEATS] VERB NS...
 *   pull A P         A's dirty set by its one reader, parsed, into its buffer
 *   dump A           all records, likewise
 *   restore B        the next record of each SA, which is there, in batches as the daemon's
 *   through A B P PID_A PID_B
 *                    what each daemon takes for a record, all it and its helper do ("active", "standby"), and
 *                    the bytes that A's link xs0 carries for it ("bytes"), where each SA has
 *                    sent or got one packet; how often it is told of that ("applied")
 *   sync A B PID_A PID_B
 *                    from when A's link xs0 comes up until all SAs are at B: "gives" what
 *                    A's takes, "takes" what B's, "sync" both
 *   idle A B PID_A PID_B
 *                    ten seconds in which nobody sends anything, and what is done in each:
 *                    by A's ("idles"), by B's ("waits"), how often any of them runs ("wakes");
 *                    how long all of it was
 *   -n SAS           (1000) half of them outbound, to 10.2.0.1 and after, by the policies of
 *                    each; the others come from P, to 10.1.0.1 and after
 *   -u USED          of which so many, here and there, have a packet (all)
 *
 * Prints "VERB: MIN MEDIAN MAX" of what each SA, or record, takes. The first repeat does not count.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "genl.h"
#include "measure.h"

#define PORT 9999
#define SIZE 100
#define RCVBUF (32 << 20)
#define BATCH 224		/* DAEMON_BATCH */
#define QUIET 100000		/* ns in a second: timers that have no SA to do with ... */
#define QUIET_SA 100		/* ... and those that look at each */
#define PATIENCE 600		/* s */
#define IDLE 10			/* s */
#define BEFORE_IDLE 30		/* s; what was before has come to its end */

static unsigned int sas = 1000, used, repeats = 6;

static struct genl *family(const char *ns)
{
	struct genl *g = calloc(1, sizeof(*g));

	measure_enter(ns);
	if (!g || genl_open(g)) {
		fprintf(stderr, "records: %s: %s\n", ns, g ? g->error : "");
		exit(2);
	}
	return g;
}

static void must(struct genl *g, int ret, const char *what)
{
	if (!ret)
		return;
	fprintf(stderr, "records: %s: %s\n", what, g->error);
	exit(2);
}

/* ---- one packet of each SA ---- */

static int tx[2], rx[2];

static int udp(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(PORT),
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), n = RCVBUF;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n, sizeof(n)))
		measure_die("socket");
	return fd;
}

static void traffic_open(const char *a, const char *p)
{
	measure_enter(p);
	tx[1] = rx[0] = udp();
	measure_enter(a);
	tx[0] = rx[1] = udp();
}

static unsigned int drain(int fd)
{
	static char buf[8192];
	unsigned int n = 0;

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		n++;
	if (errno != EAGAIN)
		measure_die("recv");
	return n;
}

static void traffic(void)
{
	static const char *const first[] = { "10.2.0.1", "10.1.0.1" };
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(PORT),
	};
	static char data[SIZE];
	unsigned int came = 0;

	for (unsigned int i = 0; i < used / 2; i++) {
		uint32_t which = (uint64_t)i * sas / used;

		for (int way = 0; way < 2; way++) {
			to.sin_addr.s_addr = htonl(ntohl(inet_addr(first[way])) + which);
			if (sendto(tx[way], data, sizeof(data), 0,
				   (struct sockaddr *)&to, sizeof(to)) < 0)
				measure_die("sendto");
		}
		/* What the other end does is done in its softirq, or just after. */
		if (i % 64 == 63) {
			usleep(1000);
			came += drain(rx[1]);
			drain(rx[0]);
		}
	}
	usleep(20000);
	came += drain(rx[1]);
	drain(rx[0]);
	if (came != used / 2) {
		fprintf(stderr, "records: %u of %u packets arrived\n", came, used / 2);
		exit(1);
	}
}

/* ---- the module and one process ---- */

struct reader {
	struct record *record;
	unsigned int n, max;
};

static int keep(const struct record *r, void *data)
{
	struct reader *to = data;

	if (to->record && to->n < to->max)
		to->record[to->n] = *r;
	to->n++;
	return 0;
}

static void reader_init(struct reader *to)
{
	to->max = 2 * sas + 16;
	to->record = calloc(to->max, sizeof(*to->record));
	if (!to->record)
		measure_die("calloc");
	/* Its pages are there. */
	memset(to->record, 1, to->max * sizeof(*to->record));
	to->n = 0;
}

static int pull(const char *a, const char *p)
{
	struct genl *g = family(a);
	struct measure m = { 0 };
	struct reader to = { 0 };

	traffic_open(a, p);
	must(g, genl_subscribe(g, NULL), "subscribe");
	must(g, genl_pull(g, keep, &to), "pull");
	for (unsigned int r = 0; r <= repeats; r++) {
		uint64_t start;

		traffic();
		to.n = 0;
		start = measure_now();
		must(g, genl_pull(g, keep, &to), "pull");
		measure_add(&m, (double)(measure_now() - start) / to.n);
		if (to.n != used) {
			fprintf(stderr, "records: %u records\n", to.n);
			return 1;
		}
	}
	measure_print(&m, "pull");
	return 0;
}

static int dump(const char *a)
{
	struct genl *g = family(a);
	struct measure m = { 0 };
	struct reader to = { 0 };

	for (unsigned int r = 0; r <= repeats; r++) {
		uint64_t start = measure_now();

		to.n = 0;
		must(g, genl_dump(g, keep, &to), "dump");
		measure_add(&m, (double)(measure_now() - start) / to.n);
	}
	measure_print(&m, "dump");
	return 0;
}

/* As apply.c composes them, of an SA that one packet came on, or left by. */
static void next(struct record *r)
{
	r->oseq++;
	r->seq++;
	memset(r->bmp, 0xff, r->bmp_words * sizeof(r->bmp[0]));
	r->bytes += SIZE;
	r->packets++;
	r->flags &= XFRMSYNC_RECORD_F_ESN | XFRMSYNC_RECORD_F_BMP;
	r->tag = 1;
	r->cookie = 0;
	r->has_sent = true;
	r->sent = r->oseq;
	r->restore_flags = XFRMSYNC_RESTORE_F_BIND | XFRMSYNC_RESTORE_F_NO_PARK |
			   XFRMSYNC_RESTORE_F_WINDOW_EXACT;
}

static int restore(const char *b)
{
	struct genl_result res[BATCH];
	struct genl *g = family(b);
	struct measure m = { 0 };
	struct genl_status st;
	struct reader to;

	reader_init(&to);
	must(g, genl_status_get(g, &st), "status");
	must(g, genl_dump(g, keep, &to), "dump");
	for (unsigned int r = 0; r <= repeats; r++) {
		uint64_t took = 0;

		for (unsigned int i = 0; i < to.n; i++)
			next(&to.record[i]);
		for (unsigned int i = 0, n; i < to.n; i += n) {
			uint64_t start = measure_now();

			n = to.n - i < BATCH ? to.n - i : BATCH;
			must(g, genl_restore(g, st.epoch, st.node,
					     to.record + i, n, res), "restore");
			took += measure_now() - start;
			for (unsigned int k = 0; k < n; k++) {
				if (!res[k].reason)
					continue;
				fprintf(stderr, "records: %s\n",
					genl_reason_str(res[k].reason));
				return 1;
			}
		}
		measure_add(&m, (double)took / to.n);
	}
	measure_print(&m, "restore");
	return 0;
}

/* ---- daemons ---- */

struct pair {
	pid_t pid[2], helper[2];
	struct genl *b;
	uint64_t cpu[2], applied, bytes;
	const char *a_ns;
};

/* What xs0 sent, of the namespace that this process is in. */
static uint64_t sent_bytes(const char *ns)
{
	FILE *f;
	char line[512];
	unsigned long long v[16], bytes = 0;

	measure_enter(ns);
	f = fopen("/proc/thread-self/net/dev", "r");
	if (!f)
		measure_die("/proc/thread-self/net/dev");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " xs0: %llu %llu %llu %llu %llu %llu %llu %llu %llu",
			   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7],
			   &v[8]) == 9)
			bytes = v[8];
	fclose(f);
	return bytes;
}

static uint64_t applied(struct genl *g)
{
	struct genl_stats stats;

	must(g, genl_stats_get(g, &stats), "stats");
	return stats.value[XFRMSYNC_A_STATS_APPLIED];
}

/* What it asks of the kernel is made by its helper (tools/privops.h), on its behalf. */
static uint64_t cpu_of(const struct pair *p, int who)
{
	return measure_cpu(p->pid[who]) + measure_cpu(p->helper[who]);
}

static void begin(struct pair *p)
{
	p->applied = applied(p->b);
	p->bytes = sent_bytes(p->a_ns);
	for (int i = 0; i < 2; i++)
		p->cpu[i] = cpu_of(p, i);
}

/* So many records are in B's kernel, and for two seconds nothing was to be done. */
static int settle(struct pair *p, unsigned int n)
{
	uint64_t was = 0, is;

	for (int s = 0, quiet = 0; s < PATIENCE; s++) {
		sleep(1);
		is = cpu_of(p, 0) + cpu_of(p, 1);
		quiet = is - was < QUIET + QUIET_SA * sas ? quiet + 1 : 0;
		was = is;
		if (quiet == 2 && applied(p->b) - p->applied >= n)
			return 0;
	}
	fprintf(stderr, "records: %llu of %u came\n",
		(unsigned long long)(applied(p->b) - p->applied), n);
	return -1;
}

static void pair_init(struct pair *p, const char *a, const char *b, char **pids)
{
	p->b = family(b);
	p->a_ns = a;
	for (int i = 0; i < 2; i++) {
		p->pid[i] = strtoul(pids[i], NULL, 10);
		p->helper[i] = measure_child(p->pid[i]);
		if (p->helper[i])
			continue;
		fprintf(stderr, "records: process %d has no helper\n", p->pid[i]);
		exit(2);
	}
}

static double took(const struct pair *p, int who)
{
	return cpu_of(p, who) - p->cpu[who];
}

static int through(const char *a, const char *b, const char *p, char **pids)
{
	struct measure active = { 0 }, standby = { 0 }, bytes = { 0 }, again = { 0 };
	struct pair pair;
	double n;

	pair_init(&pair, a, b, pids);
	traffic_open(a, p);
	for (unsigned int r = 0; r <= repeats; r++) {
		begin(&pair);
		traffic();
		if (settle(&pair, used))
			return 1;
		n = applied(pair.b) - pair.applied;
		measure_add(&active, took(&pair, 0) / n);
		measure_add(&standby, took(&pair, 1) / n);
		measure_add(&again, n / used);
		measure_add(&bytes, (sent_bytes(a) - pair.bytes) / n);
	}
	measure_print(&active, "active");
	measure_print(&standby, "standby");
	measure_print(&again, "applied");
	measure_print(&bytes, "bytes");
	return 0;
}

static int sync_all(const char *a, const char *b, char **pids)
{
	struct measure m = { 0 }, each[2] = { 0 };
	struct pair pair;
	char cmd[256];

	pair_init(&pair, a, b, pids);
	snprintf(cmd, sizeof(cmd), "ip -n %s link set xs0 up", a);
	/* A says that it is active, and reads its SAs after that. */
	begin(&pair);
	if (settle(&pair, 0))
		return 1;
	begin(&pair);
	if (system(cmd) || settle(&pair, sas))
		return 1;
	for (int i = 0; i < 2; i++) {
		measure_add(&each[i], took(&pair, i) / sas);
		measure_print(&each[i], i ? "takes" : "gives");
	}
	measure_add(&m, each[0].cost[0] + each[1].cost[0]);
	measure_print(&m, "sync");
	return 0;
}

/* How often a process got the processor. */
static uint64_t runs(pid_t pid)
{
	unsigned long long n, sum = 0;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	if (!f)
		measure_die(path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %llu", &n) == 1)
			sum += n;
	fclose(f);
	return sum;
}

static uint64_t runs_of(const struct pair *p)
{
	uint64_t n = 0;

	for (int i = 0; i < 2; i++)
		n += runs(p->pid[i]) + runs(p->helper[i]);
	return n;
}

static int idle(const char *a, const char *b, char **pids)
{
	struct measure m[2] = { 0 }, wakes = { 0 };
	struct pair pair;
	uint64_t n;

	pair_init(&pair, a, b, pids);
	sleep(BEFORE_IDLE);
	for (unsigned int r = 0; r <= repeats; r++) {
		begin(&pair);
		n = runs_of(&pair);
		sleep(IDLE);
		for (int i = 0; i < 2; i++)
			measure_add(&m[i], took(&pair, i) / IDLE);
		measure_add(&wakes, (double)(runs_of(&pair) - n) / IDLE);
	}
	measure_print(&m[0], "idles");
	measure_print(&m[1], "waits");
	measure_print(&wakes, "wakes");
	printf("seconds: %u\n", BEFORE_IDLE + IDLE * (repeats + 1));
	return 0;
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "n:u:r:")) != -1) {
		unsigned int n = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (opt == 'n' && n >= 2)
			sas = n;
		else if (opt == 'u' && n >= 2)
			used = n;
		else if (opt == 'r' && n)
			repeats = n;
		else
			goto usage;
	}
	argc -= optind;
	argv += optind;
	if (!used)
		used = sas;
	if (argc < 2 || used > sas)
		goto usage;
	setvbuf(stdout, NULL, _IONBF, 0);
	measure_first();
	if (!strcmp(argv[0], "pull") && argc == 3)
		return pull(argv[1], argv[2]);
	if (!strcmp(argv[0], "dump"))
		return dump(argv[1]);
	if (!strcmp(argv[0], "restore"))
		return restore(argv[1]);
	if (!strcmp(argv[0], "through") && argc == 6)
		return through(argv[1], argv[2], argv[3], argv + 4);
	if (!strcmp(argv[0], "sync") && argc == 5)
		return sync_all(argv[1], argv[2], argv + 3);
	if (!strcmp(argv[0], "idle") && argc == 5)
		return idle(argv[1], argv[2], argv + 3);
usage:
	fprintf(stderr, "records: see the comment in its source\n");
	return 2;
}
