// SPDX-License-Identifier: GPL-2.0
/*
 * In: children with root's rights, which give them up.
 * Out: what they can do after it, and what becomes of them if they try.
 * Host only; as root.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include <cmocka.h>

#include "owned.h"
#include "privileges.h"

#define NO_FILTER 77		/* exit codes of a child */
#define NO_DROP 78

/* Runs in a child that has given up everything: 0, or its exit code. */
typedef int (*deed)(void);

static int status_of(enum privileges_who who, deed what)
{
	struct rlimit none = {};
	int status, ret;
	pid_t pid;

	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		if (privileges_drop(who))
			_exit(NO_DROP);
		ret = privileges_filter(who);
		if (ret)
			_exit(ret == -EOPNOTSUPP ? NO_FILTER : NO_DROP);
		_exit(what());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void may(enum privileges_who who, deed what)
{
	int status = status_of(who, what);

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void dies_of(enum privileges_who who, deed what)
{
	int status = status_of(who, what);

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER)
		skip();
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- capabilities ---- */

/* The value of a line of /proc/self/status, in hex where it is in hex. */
static uint64_t status_line(const char *name)
{
	unsigned long long value = ~0ULL;
	char line[300];
	FILE *f = fopen("/proc/self/status", "re");
	size_t len = strlen(name);

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && line[len] == ':') {
			sscanf(line + len + 1, "%llx", &value);
			break;
		}
	}
	if (f)
		fclose(f);
	return value;
}

#define BIT(n) (1ULL << (n))
#define OF_DAEMON (BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_IPC_LOCK))
#define OF_HELPER (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW))
#define OF_UNIT (OF_DAEMON | OF_HELPER)

static int has_two(enum privileges_who who, uint64_t wanted)
{
	uint64_t had = status_line("CapPrm");

	/* Something to lose, and something to keep. */
	if (!(had & ~wanted) || !(had & wanted))
		return 1;
	if (privileges_drop(who))
		return 2;
	if (status_line("CapEff") != (wanted & had) ||
	    status_line("CapPrm") != (wanted & had))
		return 3;
	if (status_line("CapBnd") & ~wanted)
		return 4;
	if (status_line("CapInh") || status_line("CapAmb"))
		return 5;
	return status_line("NoNewPrivs") == 1 ? 0 : 6;
}

static int daemon_has_two(void)
{
	return has_two(PRIVILEGES_DAEMON, OF_DAEMON);
}

static int helper_has_two(void)
{
	return has_two(PRIVILEGES_HELPER, OF_HELPER);
}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .permitted = caps, .effective = caps },
		{ .permitted = caps >> 32, .effective = caps >> 32 },
	};

	return syscall(SYS_capset, &head, data);
}

/* As under systemd's unit: few there are, and the bounding set cannot be shrunk. */
static int has_few(void)
{
	if (set_caps(OF_UNIT & status_line("CapPrm")))
		return 1;
	if (privileges_drop(PRIVILEGES_DAEMON))
		return 2;
	return !(status_line("CapEff") & ~OF_DAEMON) &&
	       !(status_line("CapPrm") & ~OF_DAEMON) ? 0 : 3;
}

/* Who has no more, and no capset() either. */
static int has_no_more(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	uint64_t caps = OF_DAEMON & status_line("CapPrm");
	int cap;

	for (cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!(OF_DAEMON & BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	if (set_caps(caps) || !f ||
	    seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(capset), 0) ||
	    seccomp_load(f))
		return 1;
	seccomp_release(f);
	if (privileges_drop(PRIVILEGES_DAEMON) || status_line("CapEff") != caps)
		return 2;
	return status_line("NoNewPrivs") == 1 ? 0 : 3;
}

static void exits_well(deed what)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(what());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_capabilities(void **state)
{
	(void)state;
	exits_well(daemon_has_two);
	exits_well(helper_has_two);
	exits_well(has_few);
	exits_well(has_no_more);
}

/* ---- what the daemon does ---- */

static int is_filtered(void)
{
	return status_line("Seccomp") == 2 && status_line("NoNewPrivs") == 1 ? 0 : 1;
}

static int open_sockets(void)
{
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	size_t i;
	int fd;

	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		fd = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return 1 + i;
		close(fd);
	}
	return 0;
}

static int write_file(void)
{
	char path[60], to[70];
	int fd;

	snprintf(path, sizeof(path), "/tmp/xfrmsync-privileges-%d", getpid());
	snprintf(to, sizeof(to), "%s.to", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) || close(fd))
		return 1;
	/* As durable.c makes it. */
	return renameat(AT_FDCWD, path, AT_FDCWD, to) || unlink(to) ? 2 : 0;
}

static int map_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ))
		return 1;
	/* A library of the resolver's, its code */
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? 2 : 0;
}

/* A file may have so many bytes, as if the disk had. */
#define ROOM 64

static int give_up_on_little_disk(void)
{
	struct rlimit room = { .rlim_cur = ROOM, .rlim_max = ROOM };
	int ret;

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &room) || privileges_drop(PRIVILEGES_DAEMON))
		return -1;
	ret = privileges_filter(PRIVILEGES_DAEMON);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

/* What the disk took a part of is taken back: what comes after it is not lost behind it. */
static int note_policies(void)
{
	static const uint8_t fits[20] = { 1 }, too_long[60] = { 2 }, later[30] = { 3 };
	char dir[60], path[80], control[80];
	static struct owned o;
	int ret = 0;

	snprintf(dir, sizeof(dir), "/tmp/xfrmsync-owned-%d", getpid());
	snprintf(path, sizeof(path), "%s/policies", dir);
	snprintf(control, sizeof(control), "%s/control", dir);
	if (give_up_on_little_disk() || mkdir(dir, 0700))
		return 1;
	owned_load(&o, control);
	owned_add(&o, fits, sizeof(fits));
	owned_write(&o);
	owned_add(&o, too_long, sizeof(too_long));
	owned_write(&o);
	owned_add(&o, later, sizeof(later));
	owned_free(&o);
	owned_load(&o, control);
	if (!owned_has(&o, fits, sizeof(fits)) || !owned_has(&o, later, sizeof(later)))
		ret = 2;
	else if (owned_has(&o, too_long, sizeof(too_long)))
		ret = 3;
	owned_free(&o);
	return unlink(path) || unlinkat(AT_FDCWD, dir, AT_REMOVEDIR) ? 4 : ret;
}

static void test_full_disk(void **state)
{
	(void)state;
	exits_well(note_policies);
}

/* As a reload does: files, the services of nsswitch.conf, sockets. */
static int resolve(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *ai = NULL;

	if (getaddrinfo("localhost", "4797", &hints, &ai))
		return 1;
	freeaddrinfo(ai);
	return 0;
}

static void test_its_own(void **state)
{
	(void)state;
	may(PRIVILEGES_DAEMON, is_filtered);
	may(PRIVILEGES_DAEMON, open_sockets);
	may(PRIVILEGES_DAEMON, write_file);
	may(PRIVILEGES_DAEMON, map_memory);
	may(PRIVILEGES_DAEMON, resolve);
}

/* ---- what it does not ---- */

/* As if the kernel had not got it; a capability, or none, has no say in it. */
#define NO_SUCH(call) ((call) == -1 && errno == ENOSYS)

static int other_sockets(void)
{
	if (!NO_SUCH(socket(AF_PACKET, SOCK_RAW, 0)))
		return 1;
	if (!NO_SUCH(socket(AF_ALG, SOCK_SEQPACKET, 0)))
		return 2;
	return NO_SUCH(socket(AF_VSOCK, SOCK_STREAM, 0)) ? 0 : 3;
}

static int raw_sockets(void)
{
	if (socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP) >= 0 ||
	    errno != EPERM)
		return 1;
	return socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6) < 0 &&
	       errno == EPERM ? 0 : 2;
}

static int other_files(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 1;
	if (!NO_SUCH(syscall(SYS_open_by_handle_at, fd, NULL, O_RDONLY)))
		return 2;
	if (!NO_SUCH(syscall(SYS_fchmod, fd, 0666)) ||
	    !NO_SUCH(syscall(SYS_fchown, fd, 0, 0)))
		return 3;
	if (!NO_SUCH(syscall(SYS_linkat, AT_FDCWD, "a", AT_FDCWD, "b", 0)) ||
	    !NO_SUCH(syscall(SYS_symlinkat, "a", AT_FDCWD, "b")) ||
	    !NO_SUCH(syscall(SYS_mknodat, AT_FDCWD, "a", 0666, 0)))
		return 4;
	/* A byte into the terminal that it may have been started from. */
	if (!NO_SUCH(ioctl(fd, TIOCSTI, "x")))
		return 5;
	return NO_SUCH(syscall(SYS_io_uring_setup, 1, NULL)) &&
	       NO_SUCH(syscall(SYS_memfd_create, "x", 0)) ? 0 : 6;
}

static int other_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || !NO_SUCH(mprotect(p, 4096, PROT_READ | PROT_EXEC)))
		return 1;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	       errno == ENOSYS ? 0 : 2;
}

static int other_processes(void)
{
	if (!NO_SUCH(fork()) || !NO_SUCH(kill(getppid(), 0)))
		return 1;
	if (!NO_SUCH(syscall(SYS_tgkill, getppid(), getppid(), 0)))
		return 2;
	if (!NO_SUCH(syscall(SYS_setuid, 0)) || !NO_SUCH(syscall(SYS_pidfd_open, 1, 0)))
		return 3;
	/* A filter cannot be taken back, nor core dumps allowed again. */
	if (!NO_SUCH(prctl(PR_SET_DUMPABLE, 1)) ||
	    !NO_SUCH(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, NULL)))
		return 4;
	return NO_SUCH(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)) &&
	       NO_SUCH(syscall(SYS_keyctl, 0, 0)) ? 0 : 5;
}

static void test_refused(void **state)
{
	(void)state;
	may(PRIVILEGES_DAEMON, other_sockets);
	may(PRIVILEGES_DAEMON, raw_sockets);
	may(PRIVILEGES_DAEMON, other_files);
	may(PRIVILEGES_DAEMON, other_memory);
	may(PRIVILEGES_DAEMON, other_processes);
}

static int run_program(void)
{
	execl("/bin/true", "true", NULL);
	return 0;
}

static int trace_parent(void)
{
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
	return 0;
}

static int read_parent(void)
{
	syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
	return 0;
}

static int mount_something(void)
{
	mount("none", "/nowhere", "tmpfs", 0, NULL);
	return 0;
}

static int change_root(void)
{
	return chroot("/nowhere") ? 0 : 1;
}

static int leave_namespace(void)
{
	syscall(SYS_unshare, 0);
	return 0;
}

static int enter_namespace(void)
{
	syscall(SYS_setns, -1, 0);
	return 0;
}

static int load_module(void)
{
	syscall(SYS_finit_module, -1, "", 0);
	return 0;
}

static int load_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
	return 0;
}

/* Any 32-bit program's way in: another table of calls, of which there is no list. */
#ifdef __x86_64__
static int other_table(void)
{
	long ret = 20;		/* getpid() there */

	__asm__ volatile("int $0x80" : "+a"(ret) : : "memory", "r8", "r9", "r10", "r11");
	return ret > 0 ? 1 : 0;
}
#endif

static void test_deadly(void **state)
{
	(void)state;
	dies_of(PRIVILEGES_DAEMON, run_program);
	dies_of(PRIVILEGES_DAEMON, trace_parent);
	dies_of(PRIVILEGES_DAEMON, read_parent);
	dies_of(PRIVILEGES_DAEMON, mount_something);
	dies_of(PRIVILEGES_DAEMON, change_root);
	dies_of(PRIVILEGES_DAEMON, leave_namespace);
	dies_of(PRIVILEGES_DAEMON, enter_namespace);
	dies_of(PRIVILEGES_DAEMON, load_module);
	dies_of(PRIVILEGES_DAEMON, load_bpf);
}

static void test_other_table(void **state)
{
	(void)state;
#ifdef __x86_64__
	int status = status_of(PRIVILEGES_DAEMON, other_table);

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER)
		skip();
	/* Where the kernel has no such table it is SIGSEGV. */
	assert_true(WIFSIGNALED(status));
#else
	skip();
#endif
}

/* It still dies of a bug as it would: its own abort() is none of others' signals. */
static int give_up(void)
{
	signal(SIGABRT, SIG_DFL);
	raise(SIGABRT);
	return 0;
}

static void test_abort(void **state)
{
	int status = status_of(PRIVILEGES_DAEMON, give_up);

	(void)state;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER)
		skip();
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- the helper ---- */

/* As too_big.c does. */
static int send_raw(void)
{
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	return fd < 0 ? 1 : close(fd);
}

static int other_calls(void)
{
	char c;

	/* Neither files, nor other programs' sockets, nor time, nor memory. */
	if (!NO_SUCH(open("/dev/null", O_RDONLY | O_CLOEXEC)) ||
	    !NO_SUCH(syscall(SYS_read, 0, &c, 0)))
		return 1;
	if (!NO_SUCH(socket(AF_UNIX, SOCK_STREAM, 0)) ||
	    !NO_SUCH(socket(AF_NETLINK, SOCK_RAW, 0)) ||
	    !NO_SUCH(socket(AF_PACKET, SOCK_RAW, 0)))
		return 2;
	if (!NO_SUCH(fork()) || !NO_SUCH(kill(getppid(), 0)) ||
	    !NO_SUCH(prctl(PR_SET_DUMPABLE, 1)))
		return 3;
	return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED && errno == ENOSYS ? 0 : 4;
}

static void test_helper(void **state)
{
	(void)state;
	may(PRIVILEGES_HELPER, send_raw);
	may(PRIVILEGES_HELPER, other_calls);
	dies_of(PRIVILEGES_HELPER, run_program);
	dies_of(PRIVILEGES_HELPER, trace_parent);
	dies_of(PRIVILEGES_HELPER, enter_namespace);
	dies_of(PRIVILEGES_HELPER, load_bpf);
}

static int set_up(void **state)
{
	(void)state;
	return geteuid() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_its_own),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_deadly),
		cmocka_unit_test(test_other_table),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_helper),
	};

	return cmocka_run_group_tests_name("privileges", tests, set_up, NULL);
}
