// SPDX-License-Identifier: GPL-2.0
/*
 * In: file descriptors and points in time.
 * Out: calls, one after the other, in one thread (epoll and one timerfd).
 * The daemon's main loop; a few hundred of each at most.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

#define ROUND 32

uint64_t loop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int loop_init(struct loop *l)
{
	struct epoll_event ev = { .events = EPOLLIN };

	memset(l, 0, sizeof(*l));
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	l->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->epfd < 0 || l->timerfd < 0 ||
	    epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->timerfd, &ev))
		return -errno;
	return 0;
}

static void free_dead(struct loop *l)
{
	while (l->n_dead)
		free(l->dead[--l->n_dead]);
}

void loop_exit(struct loop *l)
{
	free_dead(l);
	close(l->epfd);
	close(l->timerfd);
}

int loop_add(struct loop *l, struct loop_fd *f, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	f->fd = fd;
	return 0;
}

void loop_mod(struct loop *l, struct loop_fd *f, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = f };

	if (f->fd >= 0)
		epoll_ctl(l->epfd, EPOLL_CTL_MOD, f->fd, &ev);
}

void loop_del(struct loop *l, struct loop_fd *f)
{
	if (f->fd >= 0)
		epoll_ctl(l->epfd, EPOLL_CTL_DEL, f->fd, NULL);
	f->fd = -1;
}

static void rearm(struct loop *l)
{
	struct itimerspec it = {};
	struct loop_timer *t;
	uint64_t first = 0;

	for (t = l->timers; t; t = t->next) {
		if (t->at_ns && (!first || t->at_ns < first))
			first = t->at_ns;
	}
	it.it_value.tv_sec = first / 1000000000ULL;
	it.it_value.tv_nsec = first % 1000000000ULL;
	timerfd_settime(l->timerfd, TFD_TIMER_ABSTIME, &it, NULL);
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t in_ns)
{
	t->at_ns = loop_now_ns() + in_ns;
	if (!t->listed) {
		t->next = l->timers;
		l->timers = t;
		t->listed = true;
	}
}

void loop_timer_stop(struct loop_timer *t)
{
	t->at_ns = 0;
}

void loop_timer_forget(struct loop *l, struct loop_timer *t)
{
	struct loop_timer **at = &l->timers;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	t->listed = false;
	t->at_ns = 0;
}

void loop_free_later(struct loop *l, void *p)
{
	/* Full only when 64 connections end in one round: leak, not crash. */
	if (l->n_dead < (int)(sizeof(l->dead) / sizeof(l->dead[0])))
		l->dead[l->n_dead++] = p;
}

static void run_timers(struct loop *l)
{
	uint64_t now = loop_now_ns();
	struct loop_timer *t;

again:
	for (t = l->timers; t; t = t->next) {
		if (!t->at_ns || t->at_ns > now)
			continue;
		t->at_ns = 0;
		t->cb(t);
		if (l->stop)
			return;
		/* The list may be another one now. */
		goto again;
	}
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[ROUND];
	uint64_t ticks;
	int i, n;

	while (!l->stop) {
		rearm(l);
		n = epoll_wait(l->epfd, ev, ROUND, -1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Nothing more is done by who stops it. */
		for (i = 0; i < n && !l->stop; i++) {
			struct loop_fd *f = ev[i].data.ptr;

			if (!f) {
				while (read(l->timerfd, &ticks, sizeof(ticks)) > 0)
					;
			} else if (f->fd >= 0) {
				f->cb(f, ev[i].events);
			}
		}
		if (!l->stop)
			run_timers(l);
		free_dead(l);
	}
	return 0;
}
