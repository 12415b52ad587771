/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: what one repeat took, by a clock that counts instructions (kselftest.sh -i).
 * Out: "MIN MEDIAN MAX" of them.
 * For the programs of the benches; each error ends the program with exit code 2.
 */
#ifndef XFRMSYNC_BENCH_MEASURE_H
#define XFRMSYNC_BENCH_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

#define MEASURE_MAX 64		/* repeats */

struct measure {
	unsigned int n;
	double cost[MEASURE_MAX];
};

void measure_die(const char *what);	/* with errno */
/* Sockets made from here on belong to that network namespace. */
void measure_enter(const char *ns);
/* Nothing but interrupts comes between. */
void measure_first(void);
uint64_t measure_now(void);		/* ns */
uint64_t measure_cpu(pid_t pid);	/* ns that the process ran; 0: this one */
pid_t measure_child(pid_t pid);		/* its first one; 0: it has none */
void measure_add(struct measure *m, double cost);
/* "WHAT: MIN MEDIAN MAX", without the first repeat where there are more. */
void measure_print(struct measure *m, const char *what);

#endif
