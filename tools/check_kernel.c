// SPDX-License-Identifier: GPL-2.0
/*
 * In: the kernel's options, sysctls, algorithms, policies and SAs.
 * Out: findings about them.
 * Looks only. An algorithm that is asked for may be loaded as a module by it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/if_alg.h>

#include "check.h"
#include "daemon.h"
#include "secret.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The options of the running kernel, wherever its maker put them. */
static FILE *open_config(bool *piped)
{
	static const char *const places[] = {
		"/boot/config-%s", "/lib/modules/%s/config", "/lib/modules/%s/build/.config",
	};
	struct utsname u;
	char path[256];
	FILE *f = NULL;
	size_t i;

	*piped = !access("/proc/config.gz", R_OK);
	if (*piped)
		return popen("exec gzip -dc /proc/config.gz 2>/dev/null", "re");
	uname(&u);
	for (i = 0; i < ARRAY_SIZE(places) && !f; i++) {
		const char *rest = strstr(places[i], "%s");

		snprintf(path, sizeof(path), "%.*s%s%s", (int)(rest - places[i]),
			 places[i], u.release, rest + 2);
		f = fopen(path, "re");
	}
	return f;
}

static struct {
	const char *option;
	enum check_result without;
	const char *why;
	bool found;
} wanted[] = {
	{ "CONFIG_XFRM_USER", CHECK_FAIL, "SAs cannot be read or written", false },
	{ "CONFIG_INET_ESP", CHECK_WARN, "no ESP over IPv4", false },
	{ "CONFIG_INET6_ESP", CHECK_WARN, "no ESP over IPv6", false },
	{ "CONFIG_FUNCTION_TRACER", CHECK_WARN, "changes of SAs cannot be noticed by ftrace", false },
	{ "CONFIG_DYNAMIC_FTRACE", CHECK_WARN, "changes of SAs cannot be noticed by ftrace", false },
	{ "CONFIG_XFRM_MIGRATE", CHECK_WARN, "xfrmsync migrate cannot move SAs to another address", false },
};

static void find_options(FILE *f)
{
	char line[512];
	size_t i, n;

	while (fgets(line, sizeof(line), f))
		for (i = 0; i < ARRAY_SIZE(wanted); i++) {
			n = strlen(wanted[i].option);
			if (!strncmp(line, wanted[i].option, n) && line[n] == '=' &&
			    (line[n + 1] == 'y' || line[n + 1] == 'm'))
				wanted[i].found = true;
		}
}

void check_kernel_config(struct check *c)
{
	bool piped, all = true;
	FILE *f;
	size_t i;

	f = open_config(&piped);
	if (!f) {
		check_say(c, CHECK_WARN, "kernel options",
			  "cannot be read (/proc/config.gz, /boot/config-...)");
		return;
	}
	find_options(f);
	if (piped)
		pclose(f);
	else
		fclose(f);
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (wanted[i].found)
			continue;
		all = false;
		check_say(c, wanted[i].without, "kernel options",
			  "%s is off: %s\nuse a kernel that has it", wanted[i].option,
			  wanted[i].why);
	}
	if (all)
		check_say(c, CHECK_OK, "kernel options", "all that are needed are there");
}

/* 0 or 1; -1 where that file is not there. */
static int setting(const char *path)
{
	FILE *f = fopen(path, "re");
	int v = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

/* True: changes are noticed in the packet path. */
static bool has_hook(struct check *c, const struct genl_status *st)
{
	const char *method = genl_capture_str(st->capture);

	if (st->capture == XFRMSYNC_CAPTURE_KPROBE &&
	    !setting("/sys/kernel/debug/kprobes/enabled")) {
		check_say(c, CHECK_FAIL, "capture",
			  "kprobe, but kprobes are switched off: no change of an SA is noticed\necho 1 >/sys/kernel/debug/kprobes/enabled");
		return false;
	}
	if ((st->capture == XFRMSYNC_CAPTURE_FTRACE ||
	     st->capture == XFRMSYNC_CAPTURE_KPROBE) &&
	    !setting("/proc/sys/kernel/ftrace_enabled")) {
		check_say(c, CHECK_FAIL, "capture",
			  "%s, but kernel.ftrace_enabled is 0: no change of an SA is noticed\nsysctl kernel.ftrace_enabled=1",
			  method);
		return false;
	}
	switch (st->capture) {
	case XFRMSYNC_CAPTURE_FTRACE:
		check_say(c, CHECK_OK, "capture", "ftrace");
		return true;
	case XFRMSYNC_CAPTURE_KPROBE:
		check_say(c, CHECK_WARN, "capture",
			  "kprobe: about four times as dear for each packet as ftrace\nload the module with capture=ftrace to see why not");
		return true;
	case XFRMSYNC_CAPTURE_SCAN:
		check_say(c, CHECK_WARN, "capture",
			  "scan: changes are seen late, and nothing limits what is sent meanwhile\nload the module with capture=ftrace to see why not");
		return false;
	default:
		check_say(c, CHECK_FAIL, "capture",
			  "%s: no change of an SA is noticed\nsee the kernel's log", method);
		return false;
	}
}

struct unhooked {
	struct check *c;
	const struct conf_filter *filter;
};

static int name_unhooked(const struct record *r, void *data)
{
	struct unhooked *u = data;
	char name[128];

	if (ready_is_managed(u->filter, r))
		check_name_sa(u->c, sa_id_str(&r->id, name, sizeof(name)),
			      READY_NO_HOOK);
	return 0;
}

void check_kernel_capture(struct check *c, struct genl *g,
			  const struct genl_status *st,
			  const struct conf_filter *filter)
{
	struct unhooked u = { .c = c, .filter = filter };

	if (!has_hook(c, st) && genl_dump(g, name_unhooked, &u))
		check_say(c, CHECK_WARN, "capture", "the module's SAs cannot be listed: %s",
			  g->error);
}

/* 0 when the kernel has it, -ENOENT, or another -errno: it cannot be asked. */
static int has_algorithm(const char *type, const char *name)
{
	struct sockaddr_alg sa = { .salg_family = AF_ALG };
	int fd, err = 0;

	snprintf((char *)sa.salg_type, sizeof(sa.salg_type), "%s", type);
	snprintf((char *)sa.salg_name, sizeof(sa.salg_name), "%s", name);
	fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		err = -errno;
	close(fd);
	return err;
}

void check_kernel_algorithms(struct check *c)
{
	static const struct {
		const char *type, *name;
	} usual[] = {
		{ "aead", "rfc4106(gcm(aes))" },
		{ "aead", "rfc7539esp(chacha20,poly1305)" },
		{ "aead", "authenc(hmac(sha256),cbc(aes))" },
		{ "hash", "hmac(sha256)" },
	};
	char missing[256] = "";
	size_t i, n = 0;
	int err;

	/* Something that is in every kernel shows whether asking works. */
	if (has_algorithm("hash", "sha256")) {
		check_say(c, CHECK_WARN, "algorithms",
			  "the kernel cannot be asked for them (no AF_ALG)");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(usual); i++) {
		err = has_algorithm(usual[i].type, usual[i].name);
		if (err && n < sizeof(missing))
			n += snprintf(missing + n, sizeof(missing) - n, "%s%s",
				      n ? ", " : "", usual[i].name);
	}
	if (n)
		check_say(c, CHECK_WARN, "algorithms",
			  "not in this kernel: %s; SAs of a peer that use them cannot be taken over\nload their modules, or do not use them",
			  missing);
	else
		check_say(c, CHECK_OK, "algorithms", "the usual ones of ESP are there");
}

/* What XFRM has, as contexts tell it: no keys. */
struct look {
	const struct conf_filter *filter;
	struct context_policy *pol;	/* with a template of level use */
	size_t n_pol, room_pol;
	/* that one of these spares, a NIC numbers, or XFRM forgets marks of */
	struct context_sa *sa;
	size_t n_sa, room_sa;
	struct named {
		struct sa_id id;
		bool managed;
	} *name;			/* of all SAs; look_hidden(): of those that are hidden */
	size_t n_name, room_name;
};

static void look_free(struct look *l)
{
	free(l->pol);
	free(l->sa);
	free(l->name);
	*l = (struct look){ .filter = l->filter };
}

static void *one_more(void *list, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return list;
	list = reallocarray(list, *room ? 2 * *room : 16, size);
	if (list)
		*room = *room ? 2 * *room : 16;
	return list;
}

static int look_policy(const uint8_t *p, size_t len, void *data)
{
	struct context_policy pol, *more;
	struct look *l = data;

	/* One that is not understood tells its templates, if they can be read. */
	context_policy_info(p, len, &pol, NULL);
	if (!pol.optional)
		return 0;
	more = one_more(l->pol, l->n_pol, &l->room_pol, sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->pol = more;
	l->pol[l->n_pol++] = pol;
	return 0;
}

static bool is_spared(const struct look *l, const struct context_sa *sa)
{
	size_t i;

	for (i = 0; i < l->n_pol; i++) {
		if (context_policy_spares(&l->pol[i], sa))
			return true;
	}
	return false;
}

/*
 * XFRM's ring has a number at (low half of number - 1) % size, so where the size
 * does not divide 2^32 the places jump when the low half wraps, and the marks of
 * before are looked for where they are not. The small state is shifted: no places.
 */
static bool forgets(const struct context_sa *sa)
{
	return sa->large && sa->dir != XFRMSYNC_DIR_OUT &&
	       sa->window & (sa->window - 1);
}

static int keep_name(struct look *l, const struct context_sa *sa, bool managed)
{
	struct named *more = one_more(l->name, l->n_name, &l->room_name,
				      sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->name = more;
	l->name[l->n_name++] = (struct named){ sa->id, managed };
	return 0;
}

static int look_sa(const uint8_t *p, size_t len, void *data)
{
	struct context_sa sa = {}, *more;
	struct look *l = data;
	int ret = context_sa_info(p, len, &sa, NULL);
	bool managed;

	/* Of one whose selector's interface is gone all is known. */
	if (ret && ret != -ENODEV)
		return 0;
	managed = conf_filter_match(l->filter, sa.id.family, sa.src, sa.id.dst,
				    sa.reqid, sa.if_id, sa.id.mark,
				    sa.id.mark_mask);
	ret = keep_name(l, &sa, managed);
	if (ret || !managed ||
	    (!sa.packet_offload && !forgets(&sa) && !is_spared(l, &sa)))
		return ret;
	more = one_more(l->sa, l->n_sa, &l->room_sa, sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->sa = more;
	l->sa[l->n_sa++] = sa;
	return 0;
}

/* But for the mark, which is what may overlap. */
static int by_place(const void *a, const void *b)
{
	const struct sa_id *x = &((const struct named *)a)->id;
	const struct sa_id *y = &((const struct named *)b)->id;

	if (x->spi != y->spi)
		return x->spi < y->spi ? -1 : 1;
	if (x->proto != y->proto)
		return x->proto - y->proto;
	if (x->family != y->family)
		return x->family - y->family;
	return memcmp(x->dst, y->dst, sizeof(x->dst));
}

/* Leaves those of the cluster's whose question another SA answers. */
static void look_hidden(struct look *l, struct xfrm *x)
{
	struct buf ctx = {};
	size_t i, n = 0;
	bool alone;

	if (l->n_name)
		qsort(l->name, l->n_name, sizeof(*l->name), by_place);
	for (i = 0; i < l->n_name; i++) {
		alone = (!i || by_place(&l->name[i - 1], &l->name[i])) &&
			(i + 1 == l->n_name ||
			 by_place(&l->name[i], &l->name[i + 1]));
		l->name[i].managed = !alone && l->name[i].managed &&
				     xfrm_get_sa(x, &l->name[i].id, &ctx) == -EEXIST;
		buf_free(&ctx);
	}
	for (i = 0; i < l->n_name; i++) {
		if (l->name[i].managed)
			l->name[n++] = l->name[i];
	}
	l->n_name = n;
}

#define TRIES 5		/* what is dumped may change meanwhile */

static int look(struct look *l)
{
	int tries = TRIES, ret;
	struct xfrm x;

	ret = xfrm_open(&x);
	if (ret)
		return ret;
	do {
		look_free(l);
		ret = xfrm_dump_policies(&x, look_policy, l);
		ret = ret ?: xfrm_dump_sas(&x, look_sa, l);
	} while (ret == -EINTR && --tries);
	look_hidden(l, &x);
	xfrm_close(&x);
	return ret;
}

static void say_hidden(struct check *c, const struct look *l)
{
	char name[128];
	size_t i;

	if (!l->n_name)
		return;
	check_say(c, CHECK_WARN, "marks",
		  "%zu SAs that the kernel does not find by their own names: they are not taken over\nuse marks that do not overlap, or another SPI",
		  l->n_name);
	for (i = 0; i < l->n_name; i++)
		check_name_sa(c, sa_id_str(&l->name[i].id, name, sizeof(name)),
			      XFRM_HIDDEN);
}

static void say_optional(struct check *c, const struct look *l)
{
	char name[128];
	size_t i;

	check_say(c, CHECK_WARN, "policies",
		  "%zu with an optional template (level use): where their SA is stopped, plaintext leaves\nuse level required",
		  l->n_pol);
	for (i = 0; i < l->n_pol; i++)
		check_name_policy(c, context_policy_name(&l->pol[i]));
	for (i = 0; i < l->n_sa; i++) {
		if (is_spared(l, &l->sa[i]))
			check_name_sa(c, sa_id_str(&l->sa[i].id, name, sizeof(name)),
				      READY_OPTIONAL);
	}
}

static void say_offload(struct check *c, const struct look *l)
{
	char name[128];
	size_t i, n = 0;

	for (i = 0; i < l->n_sa; i++)
		n += l->sa[i].packet_offload;
	if (!n)
		return;
	check_say(c, CHECK_WARN, "offload",
		  "%zu SAs with packet offload: the kernel does not see their numbers, they are not taken over\nuse crypto offload, or none",
		  n);
	for (i = 0; i < l->n_sa; i++) {
		if (l->sa[i].packet_offload)
			check_name_sa(c, sa_id_str(&l->sa[i].id, name, sizeof(name)),
				      READY_PACKET_OFFLOAD);
	}
}

static void say_windows(struct check *c, const struct look *l)
{
	char name[128], why[64];
	size_t i, n = 0;

	for (i = 0; i < l->n_sa; i++)
		n += forgets(&l->sa[i]);
	if (!n)
		return;
	check_say(c, CHECK_WARN, "windows",
		  "%zu SAs with a replay window whose size does not divide 2^32: the kernel forgets what it has seen when the low half of a number wraps, and at the first one\nuse a power of two: 32, 64, 128 ... 4096",
		  n);
	for (i = 0; i < l->n_sa; i++) {
		if (!forgets(&l->sa[i]))
			continue;
		snprintf(why, sizeof(why), "its window is %u", l->sa[i].window);
		check_name_sa(c, sa_id_str(&l->sa[i].id, name, sizeof(name)), why);
	}
}

/*
 * What cannot be fenced on this node, so that it cannot be taken over safely; and
 * what XFRM's own windows do not hold.
 */
void check_kernel_xfrm(struct check *c, const struct conf_filter *filter)
{
	struct look l = { .filter = filter };
	int ret;

	secret_protect();	/* keys pass through */
	ret = look(&l);
	if (ret)
		check_say(c, CHECK_WARN, "policies", "cannot be read: %s", strerror(-ret));
	if (l.n_pol)
		say_optional(c, &l);
	else if (!ret)
		check_say(c, CHECK_OK, "policies", "none lets plaintext out where its SA is stopped");
	say_offload(c, &l);
	say_hidden(c, &l);
	say_windows(c, &l);
	look_free(&l);
}
