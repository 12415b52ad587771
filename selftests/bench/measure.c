// SPDX-License-Identifier: GPL-2.0
/*
 * In: what one repeat took, by a clock that counts instructions (kselftest.sh -i).
 * Out: "MIN MEDIAN MAX" of them.
 * For the programs of the benches; each error ends the program with exit code 2.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

void measure_die(const char *what)
{
	perror(what);
	exit(2);
}

void measure_enter(const char *ns)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		measure_die(path);
	close(fd);
}

void measure_first(void)
{
	struct sched_param first = { .sched_priority = 10 };

	if (sched_setscheduler(0, SCHED_FIFO, &first))
		measure_die("sched_setscheduler");
}

static uint64_t ns_of(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		measure_die("clock_gettime");
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

uint64_t measure_now(void)
{
	return ns_of(CLOCK_MONOTONIC);
}

uint64_t measure_cpu(pid_t pid)
{
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock)) {
		fprintf(stderr, "process %d is gone\n", pid);
		exit(2);
	}
	return ns_of(clock);
}

pid_t measure_child(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "r");
	if (!f)
		measure_die(path);
	if (fscanf(f, "%d", &child) != 1)
		child = 0;
	fclose(f);
	return child;
}

void measure_add(struct measure *m, double cost)
{
	if (m->n < MEASURE_MAX)
		m->cost[m->n++] = cost;
}

static int compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return d < 0 ? -1 : d > 0;
}

void measure_print(struct measure *m, const char *what)
{
	unsigned int from = m->n > 1, n = m->n - from;

	if (!m->n)
		return;
	qsort(m->cost + from, n, sizeof(*m->cost), compare);
	printf("%s: %.1f %.1f %.1f\n", what, m->cost[from],
	       m->cost[from + n / 2], m->cost[m->n - 1]);
}
