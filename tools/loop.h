/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: file descriptors and points in time.
 * Out: calls, one after the other, in one thread (epoll and one timerfd).
 * The daemon's main loop; a few hundred of each at most.
 */
#ifndef XFRMSYNC_TOOLS_LOOP_H
#define XFRMSYNC_TOOLS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#define LOOP_MS 1000000ULL	/* ns */

struct loop_fd {
	int fd;				/* -1: not watched */
	void (*cb)(struct loop_fd *f, uint32_t events);
	void *data;
};

struct loop_timer {
	uint64_t at_ns;			/* monotonic; 0: not armed */
	void (*cb)(struct loop_timer *t);
	void *data;
	struct loop_timer *next;
	bool listed;
};

struct loop {
	int epfd, timerfd;
	bool stop;
	struct loop_timer *timers;
	void *dead[64];			/* memory to free after the round */
	int n_dead;
};

int loop_init(struct loop *l);		/* 0 or -errno */
void loop_exit(struct loop *l);
/* f->cb and f->data are set by the caller; events as in epoll. 0 or -errno. */
int loop_add(struct loop *l, struct loop_fd *f, int fd, uint32_t events);
void loop_mod(struct loop *l, struct loop_fd *f, uint32_t events);
void loop_del(struct loop *l, struct loop_fd *f);	/* does not close */
/* Once, in so many ns; sets it anew where it is armed. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t in_ns);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_forget(struct loop *l, struct loop_timer *t);	/* before its memory goes */
/* free() at the end of the round: calls for it may still be due in this one. */
void loop_free_later(struct loop *l, void *p);
/* Runs until l->stop. 0 or -errno. */
int loop_run(struct loop *l);
uint64_t loop_now_ns(void);

#endif
