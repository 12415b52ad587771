// SPDX-License-Identifier: GPL-2.0
/*
 * In: the kernel's options, sysctls, algorithms, policies and SAs.
 * Out: findings about them.
 * Looks only. An algorithm that is asked for may be loaded as a module by it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/if_alg.h>
#include <linux/xfrm.h>

#include "check.h"
#include "xfrm_attr.h"

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

void check_kernel_capture(struct check *c, const struct genl_status *st)
{
	const char *method = genl_capture_str(st->capture);

	if (st->capture == XFRMSYNC_CAPTURE_KPROBE &&
	    !setting("/sys/kernel/debug/kprobes/enabled")) {
		check_say(c, CHECK_FAIL, "capture",
			  "kprobe, but kprobes are switched off: no change of an SA is noticed\necho 1 >/sys/kernel/debug/kprobes/enabled");
		return;
	}
	if ((st->capture == XFRMSYNC_CAPTURE_FTRACE ||
	     st->capture == XFRMSYNC_CAPTURE_KPROBE) &&
	    !setting("/proc/sys/kernel/ftrace_enabled")) {
		check_say(c, CHECK_FAIL, "capture",
			  "%s, but kernel.ftrace_enabled is 0: no change of an SA is noticed\nsysctl kernel.ftrace_enabled=1",
			  method);
		return;
	}
	switch (st->capture) {
	case XFRMSYNC_CAPTURE_FTRACE:
		check_say(c, CHECK_OK, "capture", "ftrace");
		break;
	case XFRMSYNC_CAPTURE_KPROBE:
		check_say(c, CHECK_WARN, "capture",
			  "kprobe: about four times as dear for each packet as ftrace\nload the module with capture=ftrace to see why not");
		break;
	case XFRMSYNC_CAPTURE_SCAN:
		check_say(c, CHECK_WARN, "capture",
			  "scan: changes are seen late, and nothing limits what is sent meanwhile\nload the module with capture=ftrace to see why not");
		break;
	default:
		check_say(c, CHECK_FAIL, "capture",
			  "%s: no change of an SA is noticed\nsee the kernel's log", method);
	}
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

struct xfrm_look {
	unsigned int optional;	/* policies with a template of level use */
	unsigned int offloaded;	/* SAs that the NIC encrypts and encapsulates */
	char which[80];		/* one of them */
};

static void found_offload(struct xfrm_look *l, const struct xfrm_usersa_info *sa)
{
	char dst[INET6_ADDRSTRLEN] = "?";

	inet_ntop(sa->family, &sa->id.daddr, dst, sizeof(dst));
	snprintf(l->which, sizeof(l->which), "%s spi 0x%08x", dst,
		 ntohl(sa->id.spi));
	l->offloaded++;
}

/* Keys pass through buf: the caller wipes it. */
static int look(const struct nlmsghdr *nlh, void *data)
{
	size_t head = nlh->nlmsg_type == XFRM_MSG_NEWPOLICY ?
		      sizeof(struct xfrm_userpolicy_info) :
		      sizeof(struct xfrm_usersa_info);
	const struct xfrm_user_offload *off;
	const struct xfrm_user_tmpl *t;
	struct xfrm_look *l = data;
	const struct nlattr *a;
	size_t i, n;

	mnl_attr_for_each(a, nlh, head) {
		if (mnl_attr_get_type(a) == XFRMA_OFFLOAD_DEV &&
		    nlh->nlmsg_type == XFRM_MSG_NEWSA &&
		    mnl_attr_get_payload_len(a) >= sizeof(*off)) {
			off = mnl_attr_get_payload(a);
			if (off->flags & XFRM_OFFLOAD_PACKET)
				found_offload(l, mnl_nlmsg_get_payload(nlh));
		}
		if (mnl_attr_get_type(a) != XFRMA_TMPL)
			continue;
		t = mnl_attr_get_payload(a);
		n = mnl_attr_get_payload_len(a) / sizeof(*t);
		for (i = 0; i < n && !t[i].optional; i++)
			;
		l->optional += i < n;
	}
	return MNL_CB_OK;
}

static int dump(struct mnl_socket *nl, uint16_t type, struct xfrm_look *l)
{
	static char buf[65536];

	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	unsigned int seq = time(NULL);
	ssize_t n;
	int ret;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -1;
	do {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		ret = n < 0 ? -1 : mnl_cb_run(buf, n, seq,
					      mnl_socket_get_portid(nl), look, l);
	} while (ret > 0);
	explicit_bzero(buf, sizeof(buf));
	return ret;
}

/* What cannot be fenced on this node, so that it cannot be taken over safely. */
void check_kernel_xfrm(struct check *c)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC);
	struct xfrm_look l = {};
	bool failed;

	failed = !nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) ||
		 dump(nl, XFRM_MSG_GETPOLICY, &l) || dump(nl, XFRM_MSG_GETSA, &l);
	if (failed)
		check_say(c, CHECK_WARN, "policies", "cannot be read: %s", strerror(errno));
	if (l.optional)
		check_say(c, CHECK_WARN, "policies",
			  "%u with an optional template (level use): where their SA is stopped, plaintext leaves\nuse level required",
			  l.optional);
	else if (!failed)
		check_say(c, CHECK_OK, "policies", "none lets plaintext out where its SA is stopped");
	if (l.offloaded)
		check_say(c, CHECK_WARN, "offload",
			  "%u SAs with packet offload: the kernel does not see their numbers, they are not taken over (%s%s)\nuse crypto offload, or none",
			  l.offloaded, l.which, l.offloaded > 1 ? ", ..." : "");
	if (nl)
		mnl_socket_close(nl);
}
