// SPDX-License-Identifier: GPL-2.0
/*
 * In: the configuration, signals.
 * Out: the daemon: kernel of the active -> peers -> kernel of the standby.
 * Starts all parts in order, runs the loop, and takes them down again.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/xfrm.h>
#include <sodium.h>

#include "cmd.h"
#include "daemon.h"
#include "log.h"
#include "privileges.h"
#include "privops.h"
#include "secret.h"

static void usage(FILE *f)
{
	fprintf(f,
		"Usage: xfrmsync run [-c FILE] [-f]\n"
		"\n"
		"The daemon: follows this node's SAs, tells the peers, and writes theirs into\n"
		"this kernel. Stays in the foreground and logs to stderr; SIGHUP reads the\n"
		"configuration again, SIGTERM ends it.\n"
		"\n"
		"  -c, --conf FILE     configuration (default " CONF_DEFAULT_FILE ")\n"
		"  -f, --foreground    accepted, and always so\n"
		"  -j, --json          the log as JSON objects, one a line\n"
		"  -h, --help          this text\n");
}

/* sd_notify(3), without its library. */
static void notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(sun.sun_path) ||
	    (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sun.sun_path, path, len);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (void *)&sun,
	       offsetof(struct sockaddr_un, sun_path) + len);
	close(fd);
}

static void notify_status(const struct daemon *d, const char *before)
{
	char text[200];

	snprintf(text, sizeof(text), "%sSTATUS=%s, epoch %llu, %zu SAs\n",
		 before, genl_role_str(d->st.role),
		 (unsigned long long)d->st.epoch, d->cache.n_entries);
	notify(text);
}

static void notify_reloading(void)
{
	struct timespec ts;
	char text[80];

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\n",
		 ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000);
	notify(text);
}

/* Keys pass through this memory. */
static void harden(void)
{
	int err = secret_protect();

	if (err)
		log_warn("cannot lock the memory (%s): keys may reach the swap",
			 strerror(-err));
	signal(SIGPIPE, SIG_IGN);
}

/* NULL: logged. */
static struct link_tls *tls_new(const struct conf *conf)
{
	struct link_tls *t = malloc(sizeof(*t));
	char err[400];

	if (t && !link_tls_init(t, conf, err, sizeof(err)))
		return t;
	log_err("%s", t ? err : "out of memory");
	free(t);
	return NULL;
}

static void tls_free(struct link_tls *t)
{
	if (!t)
		return;
	link_tls_exit(t);
	free(t);
}

static void heartbeat(struct loop_timer *t)
{
	struct daemon *d = t->data;

	watchdog_beat(d);
	source_heartbeat(d);
	peer_heartbeat(d);
	leave_look(d);
	notify_status(d, "");
	loop_timer_set(&d->loop, t, d->conf.heartbeat_ms * LOOP_MS);
}

static void sa_event(int type, const struct sa_id *id, void *data)
{
	struct daemon *d = data;

	if (role_is_active(d))
		source_sa_event(d, type, id);
	else
		apply_sa_event(d, type, id);
}

void run_xfrm_events(struct daemon *d)
{
	unsigned int policies = 0;
	int ret;

	ret = xfrm_read_events(&d->xfrm, sa_event, d, &policies);
	if (ret == -ENOBUFS) {
		d->events_lost++;
		log_warn("XFRM events were lost: looking at everything");
		policies = XFRM_POLICIES_CHANGED | XFRM_POLICIES_GONE;
		if (role_is_active(d))
			loop_timer_set(&d->loop, &d->resync_timer, 0);
		else
			apply_sa_event(d, XFRM_MSG_FLUSHSA, NULL);
		exempt_all(d);
	}
	if (role_is_active(d)) {
		if (policies & XFRM_POLICIES_CHANGED)
			source_policies_changed(d);
	} else if (policies & XFRM_POLICIES_GONE) {
		apply_policies_gone(d);
	}
}

static void xfrm_event(struct loop_fd *f, uint32_t events)
{
	(void)events;
	run_xfrm_events(f->data);
}

static void module_event(struct loop_fd *f, uint32_t events)
{
	bool dirty = false, resync = false, role = false;
	struct daemon *d = f->data;
	int ret;

	(void)events;
	ret = genl_read_events(&d->events, &dirty, &resync, &role);
	if (ret && ret != -EAGAIN && ret != -ENOBUFS)
		log_warn("the module's events end: %s", d->events.error);
	role_look(d);
}

/* What of another configuration can fail; the rest follows. 0, or logged. */
static int try_conf(struct daemon *d, const struct conf *next)
{
	struct link_tls *t = tls_new(next);
	int ret;

	if (!t)
		return -EINVAL;
	ret = cache_set_marks(&d->cache, next->n_peers);
	if (ret)
		log_err("out of memory");
	else
		ret = members_follow(d, next);
	if (ret) {
		tls_free(t);
		return ret;
	}
	tls_free(d->tls);
	d->tls = t;
	return 0;
}

#define RELOAD_PAUSE (50 * LOOP_MS)

/* Links are closed and come back with a full sync: simple, and always right. */
static void reload(struct daemon *d)
{
	struct conf next;
	char err[512];

	loop_timer_stop(&d->reload_timer);
	notify_reloading();
	if (conf_load(&next, d->conf.file, err, sizeof(err))) {
		log_err("%s: the old configuration stays", err);
		goto out;
	}
	if (strcmp(next.socket, d->conf.socket) ||
	    strcmp(next.state_dir, d->conf.state_dir) ||
	    next.node_id != d->conf.node_id || !conf_ike_same(&next, &d->conf)) {
		log_err("node id, socket, state directory and [ike] change by a restart only: the old configuration stays");
		goto out;
	}
	peer_exit(d);
	if (try_conf(d, &next)) {
		log_err("the old configuration stays");
	} else {
		lease_peers_changed(d, &next);
		inbound_peers_changed(d, &next);
		d->conf = next;
		role_guard_changed(d);
		watchdog_changed(d);
		exempt_all(d);
		log_info("configuration read again");
	}
	if (role_is_active(d)) {
		source_stop(d);
		source_filter(d);
		source_start(d);
	}
	if (peer_init(d)) {
		d->exit_code = 1;
		d->loop.stop = true;
	}
	handover_peers_changed(d);
out:
	notify_status(d, "READY=1\n");
}

/* A planned takeover ends first, one way or the other, on both sides. */
static void reload_after_takeover(struct loop_timer *t)
{
	struct daemon *d = t->data;

	if (d->handover_wait || d->asked_by || d->handover_to)
		loop_timer_set(&d->loop, t, RELOAD_PAUSE);
	else
		reload(d);
}

static void signal_event(struct loop_fd *f, uint32_t events)
{
	struct daemon *d = f->data;
	struct signalfd_siginfo si;

	(void)events;
	while (read(f->fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			reload_after_takeover(&d->reload_timer);
		else
			d->loop.stop = true;
	}
}

/* From the first moment on: what comes while it starts is heard when it runs. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static int watch_signals(struct daemon *d, struct loop_fd *f)
{
	sigset_t set;
	int fd, ret;

	d->reload_timer.cb = reload_after_takeover;
	d->reload_timer.data = d;
	block_signals(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	f->cb = signal_event;
	f->data = d;
	ret = loop_add(&d->loop, f, fd, EPOLLIN);
	if (ret)
		close(fd);
	return ret;
}

static int open_kernel(struct daemon *d)
{
	int ret;

	ret = genl_open(&d->req);
	if (!ret)
		ret = genl_open(&d->events);
	if (!ret)
		ret = genl_join_events(&d->events);
	if (ret == -ENOENT) {
		log_err("the module xfrmsync is not loaded: modprobe xfrmsync");
		return ret;
	}
	if (ret) {
		log_err("cannot reach the module: %s", strerror(-ret));
		return ret;
	}
	ret = xfrm_open(&d->xfrm);
	if (ret) {
		log_err("cannot open XFRM netlink: %s", strerror(-ret));
		return ret;
	}
	d->xfrm_io.cb = xfrm_event;
	d->xfrm_io.data = d;
	d->module_io.cb = module_event;
	d->module_io.data = d;
	ret = loop_add(&d->loop, &d->xfrm_io, xfrm_event_fd(&d->xfrm), EPOLLIN);
	if (!ret)
		ret = loop_add(&d->loop, &d->module_io, genl_fd(&d->events),
			       EPOLLIN);
	return ret;
}

/* Without it the kernel hears nothing more of what this daemon does. */
static void helper_ended(struct loop_fd *f, uint32_t events)
{
	struct daemon *d = f->data;
	char how[40];

	(void)events;
	privops_end_str(how, sizeof(how));
	log_err("the helper, which makes requests to the kernel, %s: stopping, start me again",
		how);
	loop_del(&d->loop, f);
	d->exit_code = 1;
	d->loop.stop = true;
}

/* Before any credential is read: it shall have none. 0, or logged. */
static int start_helper(void)
{
	struct genl g;
	char why[80];
	int ret;

	/* Where that fails open_kernel() says why. */
	if (genl_open(&g))
		g.family = 0;
	else
		genl_close(&g);
	ret = privops_start(g.family, why, sizeof(why));
	if (ret)
		log_err("cannot start the helper, which makes requests to the kernel: %s",
			why);
	return ret;
}

#define LOCK_TRIES 100

/* Before anything is looked at: nobody else decides from here on. */
static int lock_role(struct daemon *d)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int tries = LOCK_TRIES;

	/* A command holds it for a moment only. */
	while ((d->lock_fd = state_lock(d->conf.state_dir)) == -EBUSY && --tries)
		nanosleep(&pause, NULL);
	if (d->lock_fd == -EBUSY)
		log_err("%s: another daemon, or a command, uses it: stop it first, or use another state_dir",
			d->conf.state_dir);
	else if (d->lock_fd < 0)
		log_err("%s: %s", d->conf.state_dir, strerror(-d->lock_fd));
	return d->lock_fd < 0 ? d->lock_fd : 0;
}

static int watch_helper(struct daemon *d, struct loop_fd *helper)
{
	helper->cb = helper_ended;
	helper->data = d;
	return loop_add(&d->loop, helper, privops_fd(), EPOLLIN);
}

static int start(struct daemon *d, struct loop_fd *signals, struct loop_fd *helper)
{
	int ret;

	ret = start_helper();
	if (ret)
		return ret;
	/* A key, of which the helper has no copy. */
	randombytes_buf(d->tag_key, sizeof(d->tag_key));
	randombytes_buf(&d->instance, sizeof(d->instance));
	ret = lock_role(d);
	if (ret)
		return ret;
	ret = loop_init(&d->loop);
	if (!ret)
		ret = watch_signals(d, signals);
	if (!ret)
		ret = watch_helper(d, helper);
	if (!ret)
		ret = cache_init(&d->cache);
	if (!ret)
		ret = cache_set_marks(&d->cache, d->conf.n_peers);
	if (ret)
		log_err("cannot start: %s", strerror(-ret));
	if (!ret && !(d->tls = tls_new(&d->conf)))
		ret = -EINVAL;
	if (!ret)
		ret = open_kernel(d);
	if (!ret)
		ret = control_server_init(d);
	if (ret)
		return ret;
	apply_init(d);
	inbound_init(d);
	exposed_init(d);
	leave_init(d);
	exempt_all(d);
	ret = watchdog_start(d);
	if (!ret)
		ret = role_init(d);
	if (!ret)
		ret = ike_init(d);
	if (!ret)
		ret = peer_init(d);
	if (ret)
		return ret;
	handover_peers_changed(d);
	role_carry_on(d);
	d->heartbeat.cb = heartbeat;
	d->heartbeat.data = d;
	loop_timer_set(&d->loop, &d->heartbeat, d->conf.heartbeat_ms * LOOP_MS);
	return 0;
}

/* All is open, and no byte of a peer was read yet. */
static int drop_privileges(void)
{
	int ret = privops_seal();

	if (ret) {
		log_err("cannot tell the helper to serve no more network namespaces (%s): not started",
			strerror(-ret));
		return ret;
	}
	ret = privileges_drop(PRIVILEGES_DAEMON);
	if (ret) {
		log_err("cannot drop capabilities (%s): not started with all of root's",
			strerror(-ret));
		return ret;
	}
	ret = privileges_filter(PRIVILEGES_DAEMON);
	if (ret == -EOPNOTSUPP) {
		log_warn("no seccomp filter here (by kernel, or build): any system call may be made");
		return 0;
	}
	if (ret)
		log_err("cannot load the filter of system calls: %s", strerror(-ret));
	return ret;
}

static void stop(struct daemon *d)
{
	peer_exit(d);
	ike_exit(d);
	source_stop(d);
	control_server_exit(d);
	pmtu_follow_exit(d);
	apply_exit(d);
	xfrm_close(&d->xfrm);
	genl_close(&d->events);
	genl_close(&d->req);
	if (d->cache.by_id)
		cache_exit(&d->cache);
	tls_free(d->tls);
	loop_exit(&d->loop);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	sodium_memzero(d, sizeof(*d));
}

/* -1: go on, with what was asked for; else an exit code. */
static int parse(int argc, char **argv, const char **file)
{
	static const struct option options[] = {
		{ "conf", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:fjh", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			*file = optarg;
			break;
		case 'f':
			break;
		case 'j':
			log_as_json();
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}
	return -1;
}

/* From the configuration to the end. Returns the exit code. */
static int run(struct daemon *d)
{
	struct loop_fd signals = { .fd = -1 }, helper = { .fd = -1 };
	int ret, code;

	harden();
	d->listen_io.fd = -1;
	d->spare_fd = -1;
	d->lock_fd = -1;
	d->reader_io.fd = -1;
	d->owned.fd = -1;
	ret = start(d, &signals, &helper);
	if (!ret)
		ret = drop_privileges();
	if (!ret) {
		notify_status(d, "READY=1\n");
		ret = loop_run(&d->loop);
		log_info("stopping");
		notify("STOPPING=1\n");
	}
	code = ret ? 1 : d->exit_code;
	if (!code)
		watchdog_stop(d);
	stop(d);
	privops_stop();
	if (signals.fd >= 0)
		close(signals.fd);
	return code;
}

int cmd_run_main(int argc, char **argv)
{
	static struct daemon d;

	const char *file = CONF_DEFAULT_FILE;
	int code = parse(argc, argv, &file);
	char err[512];
	sigset_t set;

	if (code >= 0)
		return code;
	block_signals(&set);
	if (conf_load(&d.conf, file, err, sizeof(err))) {
		log_err("%s", err);
		return 1;
	}
	return run(&d);
}
