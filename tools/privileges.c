// SPDX-License-Identifier: GPL-2.0
/*
 * In: a process with root's rights, which has opened what only they can open.
 * Out: the same process, with what it goes on to need.
 * The daemon, once, before it hears its first peer, and its helper (privops.c) before
 * it makes its first request; nothing of it can be undone.
 *
 * No child is started after it: nothing here runs another program, and the forks
 * (privops.c, scratch.c) are made at the start.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privileges.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- capabilities ---- */

#define KEPT 2

static const unsigned int kept[][KEPT] = {
	[PRIVILEGES_DAEMON] = {
		CAP_NET_BIND_SERVICE,	/* the port may change by a reload */
		CAP_IPC_LOCK,		/* what is allocated later is locked as well */
	},
	[PRIVILEGES_HELPER] = {
		CAP_NET_ADMIN,		/* both netlinks, a socket's own policy */
		CAP_NET_RAW,		/* too_big.c, ike_packet.c */
	},
};

static bool is_kept(enum privileges_who who, unsigned int cap)
{
	size_t i;

	for (i = 0; i < KEPT; i++) {
		if (kept[who][i] == cap)
			return true;
	}
	return false;
}

static bool has_others(enum privileges_who who, bool in_bounding_set)
{
	unsigned int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (capng_have_capability(CAPNG_INHERITABLE, cap) ||
		    (!is_kept(who, cap) &&
		     (capng_have_capability(CAPNG_PERMITTED, cap) ||
		      (in_bounding_set &&
		       capng_have_capability(CAPNG_BOUNDING_SET, cap)))))
			return true;
	}
	return false;
}

int privileges_drop(enum privileges_who who)
{
	bool has[KEPT];
	bool bounded;
	size_t i;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (capng_get_caps_process())
		return -EPERM;
	for (i = 0; i < KEPT; i++)
		has[i] = capng_have_capability(CAPNG_PERMITTED, kept[who][i]);
	/* Who may not shrink the bounding set was given a small one, or runs nothing
	 * that it would be asked for.
	 */
	bounded = !capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	/* Who was started with no more may have no capset() to give up the rest. */
	if (!has_others(who, !bounded))
		return 0;
	capng_clear(CAPNG_SELECT_ALL);
	for (i = 0; i < KEPT; i++) {
		if (has[i] && capng_update(CAPNG_ADD, CAPNG_EFFECTIVE |
					   CAPNG_PERMITTED |
					   CAPNG_BOUNDING_SET, kept[who][i]))
			return -EINVAL;
	}
	if (capng_apply(bounded ? CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT :
				  CAPNG_SELECT_ALL))
		return -EPERM;
	return 0;
}

/* ---- system calls ---- */

/* A sanitizer looks at its own process by clone() and ptrace(). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Nothing in here has ever a reason for one of these: whoever makes it is not us.
 * The kernel goes on without a daemon, up to the ends of the leases.
 */
static const int deadly[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat),
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(unshare), SCMP_SYS(setns),
	SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(bpf),
};

static const int of_daemon[] = {
	/* files: state, configuration, keys at a reload; what getaddrinfo() reads,
	 * the libraries of its services among it; fcntl() is below
	 */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64),
	SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(lseek),
	SCMP_SYS(openat), SCMP_SYS(close),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
	SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
	SCMP_SYS(flock), SCMP_SYS(fsync), SCMP_SYS(umask),
	SCMP_SYS(ftruncate),	/* of what a full disk took a part of only (owned.c) */
	SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(renameat), SCMP_SYS(renameat2),

	/* sockets; socket() itself is below */
	SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
	SCMP_SYS(connect), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(poll), SCMP_SYS(ppoll),

	/* the loop, and time */
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(signalfd4), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(restart_syscall),

	/* memory; mmap() and mprotect() are below */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),

	/* the process itself, and its end */
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
	SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(sysinfo),
	SCMP_SYS(getrandom), SCMP_SYS(futex), SCMP_SYS(sched_yield),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(wait4),	/* for the helper, which has ended */
};

static const int of_helper[] = {
	/* a request and its answer; the socket that came with it */
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(close),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),

	/* too_big.c, ike_packet.c, and route.c on a socket that is open; socket() itself
	 * is below
	 */
	SCMP_SYS(bind), SCMP_SYS(getsockname),

	/* its end, by abort() as well */
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(writev),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
};

static const int families[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK };
#define FAMILIES_OF_HELPER 2

static const unsigned long ioctls[] = {
	TCGETS,			/* is it a terminal? */
	FIONREAD,		/* of the resolver */
	SIOCGIFINDEX, SIOCGIFNAME, SIOCGIFMTU,
};

/* Not F_SETOWN and F_SETSIG: by these uid 0 sends any signal to any process of root's, as
 * by kill(). What is used is the first six: by us, libsodium, libc and its services of
 * names, which may take a lock as well.
 */
static const int fcntls[] = {
	F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL,
	F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
	F_ADD_SEALS, F_GET_SEALS,
};

static int allow(scmp_filter_ctx f, int call, struct scmp_arg_cmp arg)
{
	return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, call, 1, &arg);
}

/* Either written to or run: code comes from files alone. */
static int allow_memory(scmp_filter_ctx f)
{
	const scmp_datum_t both = PROT_WRITE | PROT_EXEC;
	int ret;

#ifdef __s390__
	/* Its arguments are in memory, where no filter sees them. */
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0) ?:
	       allow(f, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
#endif
	ret = allow(f, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, both, 0));
	if (!ret)
		ret = allow(f, SCMP_SYS(mmap),
			    SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_WRITE));
	if (!ret)
		ret = allow(f, SCMP_SYS(mmap),
			    SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_EXEC));
	if (!ret)
		ret = allow(f, SCMP_SYS(mprotect),
			    SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return ret;
}

static int allow_all(scmp_filter_ctx f, const int *calls, size_t n)
{
	int ret = 0;

	while (!ret && n--)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, *calls++, 0);
	return ret;
}

static int allow_sockets(scmp_filter_ctx f, size_t n)
{
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < n; i++)
		ret = allow(f, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, families[i], 0));
	return ret;
}

static int add_daemon(scmp_filter_ctx f)
{
	size_t i;
	int ret;

	ret = allow_all(f, of_daemon, ARRAY_SIZE(of_daemon)) ?:
	      allow_sockets(f, ARRAY_SIZE(families));
	for (i = 0; !ret && i < ARRAY_SIZE(ioctls); i++)
		ret = allow(f, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0));
	for (i = 0; !ret && i < ARRAY_SIZE(fcntls); i++)
		ret = allow(f, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, fcntls[i], 0));
	return ret ?: allow_memory(f);
}

static int add_helper(scmp_filter_ctx f)
{
	return allow_all(f, of_helper, ARRAY_SIZE(of_helper)) ?:
	       allow_sockets(f, FAMILIES_OF_HELPER);
}

static int add_rules(scmp_filter_ctx f, enum privileges_who who)
{
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_SIZE(deadly); i++)
		ret = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	if (!ret)
		ret = who == PRIVILEGES_DAEMON ? add_daemon(f) : add_helper(f);
	/* abort(), which makes an end of a process that is no longer itself */
	if (!ret)
		ret = allow(f, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, getpid(), 0));
	return ret;
}

/*
 * What is not on the list fails as on a kernel that has not got it. A library of a
 * later version that tries a newer call goes on by the older one then: with EPERM it
 * gives up, and killed for it all nodes would be gone at once, by an upgrade. It
 * loses nothing, since the call is refused in any case.
 */
int privileges_filter(enum privileges_who who)
{
	scmp_filter_ctx f;
	int ret;

	if (SANITIZED || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return -EOPNOTSUPP;
	f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (!f)
		return -ENOMEM;
	/* Older kernels do without: it is the rules that count. */
	seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1);
	seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	ret = add_rules(f, who);
	if (!ret)
		ret = seccomp_load(f);
	seccomp_release(f);
	return ret;
}
