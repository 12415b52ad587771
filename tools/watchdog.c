// SPDX-License-Identifier: GPL-2.0
/*
 * In: the daemon's loop, as it goes round.
 * Out: signs of life to the module; where it missed them, its role is followed.
 * The daemon's loop.
 *
 * The module fences an active whose daemon is silent for watchdog_ms. An end in
 * order switches that off: a daemon that is replaced must not stop traffic. One
 * that failed leaves it on: it is started again in time, or the fence goes up.
 */
#include <string.h>

#include "daemon.h"
#include "log.h"

bool watchdog_has_fired(struct daemon *d)
{
	uint64_t before = d->watchdog_fired;
	struct genl_stats stats;

	if (genl_stats_get(&d->req, &stats))
		return false;
	d->watchdog_fired = stats.value[XFRMSYNC_A_STATS_WATCHDOG_FIRED];
	return d->watchdog_fired > before;
}

/* The module's status comes back. False: logged, once. */
static bool say(struct daemon *d, struct genl_status *st)
{
	int ret = genl_watchdog_set(&d->req, d->conf.watchdog_ms, st);

	d->alive_ns = loop_now_ns();
	if (ret && !d->alive_failed)
		log_err("the module's watchdog cannot be set: %s", d->req.error);
	d->alive_failed = ret;
	return !ret;
}

/* A daemon before this one may have left it on. */
int watchdog_start(struct daemon *d)
{
	struct genl_status st;
	int ret;

	watchdog_has_fired(d);
	ret = genl_watchdog_set(&d->req, d->conf.watchdog_ms, &st);
	if (ret)
		log_err("the module's watchdog cannot be set: %s", d->req.error);
	d->alive_ns = loop_now_ns();
	return ret;
}

void watchdog_changed(struct daemon *d)
{
	struct genl_status st;

	say(d, &st);
}

void watchdog_stop(struct daemon *d)
{
	struct genl_status st;

	if (d->conf.watchdog_ms && genl_watchdog_set(&d->req, 0, &st))
		log_warn("the module's watchdog cannot be switched off: %s",
			 d->req.error);
}

void watchdog_beat(struct daemon *d)
{
	struct genl_status st;

	if (d->conf.watchdog_ms && say(d, &st))
		role_follow(d, &st);
}

/* Work that goes on is life; what it holds must not be taken away meanwhile. */
void watchdog_alive(struct daemon *d)
{
	struct genl_status st;

	if (d->conf.watchdog_ms &&
	    loop_now_ns() - d->alive_ns > d->conf.heartbeat_ms * LOOP_MS)
		say(d, &st);
}

void watchdog_look(struct daemon *d)
{
	struct genl_status st;

	if (d->conf.watchdog_ms && role_is_active(d) &&
	    !genl_status_get(&d->req, &st))
		role_follow(d, &st);
}
