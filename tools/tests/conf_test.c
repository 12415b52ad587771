// SPDX-License-Identifier: GPL-2.0
/*
 * In: configuration files, right and wrong.
 * Out: their values; or a refusal that names the line.
 * Host only, as root (files have to belong to root); in a folder of its own.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf.h"

static char dir[] = "/tmp/xfrmsync-conf-XXXXXX";
static char file[64];

/* In the folder; %s in a configuration stands for the folder. */
static void write_file(const char *name, const char *text, size_t len, mode_t mode)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* Every % stands for the folder. */
static void write_conf(const char *text)
{
	char buf[8192];
	size_t n = 0;

	for (; *text; text++) {
		assert_true(n + sizeof(dir) < sizeof(buf));
		if (*text == '%')
			n += sprintf(buf + n, "%s", dir);
		else
			buf[n++] = *text;
	}
	write_file("conf", buf, n, 0644);
}

static int setup(void **state)
{
	(void)state;
	umask(022);
	if (geteuid() || !mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/conf", dir);
	write_file("ca", "x", 1, 0644);
	write_file("cert", "x", 1, 0644);
	write_file("key", "x", 1, 0600);
	write_file("open", "x", 1, 0640);
	write_file("writable", "x", 1, 0666);
	write_file("foreign", "x", 1, 0600);
	if (chdir(dir) || chown("foreign", 1, 0) || symlink("key", "link") ||
	    mkdir("folder", 0700))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	char cmd[100];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void test_defaults(void **state)
{
	char err[256] = "", host[64] = "";
	struct conf c;

	(void)state;
	write_conf("[node]\nid = 1\n");
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	gethostname(host, sizeof(host) - 1);
	assert_string_equal(c.file, file);
	assert_int_equal(c.node_id, 1);
	assert_string_equal(c.node_name, host);
	assert_string_equal(c.state_dir, CONF_DEFAULT_STATE_DIR);
	assert_string_equal(c.socket, CONF_DEFAULT_SOCKET);
	assert_string_equal(c.listen_address, "");
	assert_int_equal(c.listen_port, CONF_DEFAULT_PORT);
	assert_string_equal(c.tls_psk_identity, "xfrmsync");
	assert_int_equal(c.n_peers, 0);
	assert_int_equal(c.interval_us, 1000);
	assert_int_equal(c.heartbeat_ms, 1000);
	assert_int_equal(c.dead_ms, 5000);
	assert_int_equal(c.answer_ms, 500);
	assert_int_equal(c.leave_ms, 0);
	assert_int_equal(c.watchdog_ms, 0);
	assert_int_equal(c.lease.esn_log2, 30);
	assert_int_equal(c.lease.log2, 24);
	assert_int_equal(c.lease.exhausted, CONF_EXHAUSTED_STOP);
	assert_int_equal(c.on_conflict, CONF_CONFLICT_DENY);
	assert_int_equal(c.unsupported, CONF_UNSUPPORTED_REFUSE);
	assert_int_equal(c.spi_range.max, 0);
	assert_int_equal(c.guard, CONF_GUARD_AVAILABLE);
	assert_int_equal(c.guard_min, 0);
	assert_int_equal(c.guard_max, 4096);
	assert_int_equal(c.guard_max_rate, 100000);
	assert_int_equal(c.guard_rekey, CONF_GUARD_REKEY_EXPOSED);
	assert_false(c.ike);
	write_conf("[node]\nid = 1\n[sync]\nguard = strict\n");
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	assert_int_equal(c.guard, CONF_GUARD_STRICT);
	assert_int_equal(c.guard_min, 32);
	write_conf("[node]\nid = 1\n[sync]\nguard = strict\nguard_max = 9\n");
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	assert_int_equal(c.guard_min, 9);
}

static void test_ike(void **state)
{
	struct conf c, other;
	char err[256] = "";

	(void)state;
	write_conf("[node]\nid = 1\n[filter]\n[ike]\n");
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	assert_true(c.ike);
	assert_int_equal(ntohl(c.ike_local.s_addr), 0x7f000001);
	assert_int_equal(ntohl(c.ike_remote.s_addr), 0x7f000002);
	assert_int_equal(c.ike_version, 3);
	assert_true(c.ike_control);
	assert_false(c.ike_key_log);
	assert_string_equal(c.vici, CONF_DEFAULT_VICI);
	write_conf("[node]\nid = 1\n[ike]\nha_local = 127.1.2.3\nha_remote = 127.0.0.1\n"
		   "ha_version = 5\ncontrol = no\nvici = /v\nkey_log = yes\n");
	assert_int_equal(conf_load(&other, file, err, sizeof(err)), 0);
	assert_int_equal(ntohl(other.ike_local.s_addr), 0x7f010203);
	assert_int_equal(ntohl(other.ike_remote.s_addr), 0x7f000001);
	assert_int_equal(other.ike_version, 5);
	assert_false(other.ike_control);
	assert_true(other.ike_key_log);
	assert_string_equal(other.vici, "/v");
	assert_true(conf_ike_same(&c, &c));
	assert_false(conf_ike_same(&c, &other));
	/* A reload takes it. */
	other = c;
	other.ike_key_log = true;
	assert_true(conf_ike_same(&c, &other));
}

/* Of test_everything. */
static void check_peers(const struct conf *c)
{
	assert_int_equal(c->n_peers, 2);
	assert_string_equal(c->peer[0].name, "gw-b");
	assert_int_equal(c->peer[0].port, CONF_DEFAULT_PORT);
	assert_string_equal(c->peer[1].name, "gw-c");
	assert_int_equal(c->peer[1].port, 65535);
	assert_int_equal(c->peer[0].leave_ms, 0);
	assert_int_equal(c->peer[1].leave_ms, 22);
	assert_int_equal(c->peer[0].map.n, 0);
	assert_int_equal(c->peer[1].map.n, 3);
	assert_int_equal(c->peer[1].map.pair[1].to[3], 4);
	assert_int_equal(c->peer[1].map.pair[2].family, AF_INET6);
}

static void test_everything(void **state)
{
	char err[256] = "";
	struct conf c;

	(void)state;
	write_conf("# comment\n; comment\n\n"
		   "[node] ; comment\n  id = 4294967295\n\tname=gw-a ; comment\n"
		   "state_dir = /s\nsocket = /r/s\nspi_range = 0x100-512\n"
		   "[listen]\naddress = 2001:db8::1\nport = 1\n"
		   "[tls]\nca = %/ca\ncert = %/cert\nkey = %/key\n"
		   "[peer gw-b]\naddress = gw-b.example\nleave_after_ms = 0\n"
		   "[peer  gw-c]\naddress = fe80::1\nport = 65535\n"
		   "map = 192.0.2.1=192.0.2.2, 192.0.2.3=192.0.2.4\nmap = fd00::1=fd00::2\n"
		   "[filter]\nreqid = 1, 0x2 3\nreqid = 4\nif_id = 42\n"
		   "mark = 0x10/0xf0, 7\naddress = 10.0.0.0/8, 2001:db8::/33 192.0.2.1\n"
		   "[sync]\ninterval_ms = 0.25\nheartbeat_ms = 10\ndead_ms = 20\n"
		   "leave_after_ms = 22\nwatchdog_ms = 21\nlease_esn_log2 = 4\nlease_log2 = 30\n"
		   "lease_exhausted = continue\non_conflict = new-spi\n"
		   "unsupported = renegotiate\n"
		   "guard = off\nguard_min = 1\nguard_max = 2\nguard_max_rate = 0\n"
		   "guard_rekey = all");
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	assert_int_equal(c.node_id, UINT32_MAX);
	assert_int_equal(c.on_conflict, CONF_CONFLICT_NEW_SPI);
	assert_int_equal(c.unsupported, CONF_UNSUPPORTED_RENEGOTIATE);
	assert_int_equal(c.spi_range.min, 0x100);
	assert_int_equal(c.spi_range.max, 0x200);
	assert_int_equal(c.guard, CONF_GUARD_OFF);
	assert_int_equal(c.guard_min, 1);
	assert_int_equal(c.guard_max, 2);
	assert_int_equal(c.guard_max_rate, 0);
	assert_int_equal(c.guard_rekey, CONF_GUARD_REKEY_ALL);
	assert_string_equal(c.node_name, "gw-a");
	assert_string_equal(c.state_dir, "/s");
	assert_string_equal(c.socket, "/r/s");
	assert_string_equal(c.listen_address, "2001:db8::1");
	assert_int_equal(c.listen_port, 1);
	check_peers(&c);
	assert_int_equal(c.filter.n_reqid, 4);
	assert_int_equal(c.filter.reqid[1], 2);
	assert_int_equal(c.filter.reqid[3], 4);
	assert_int_equal(c.filter.n_if_id, 1);
	assert_int_equal(c.filter.n_mark, 2);
	assert_int_equal(c.filter.mark[0].mask, 0xf0);
	assert_int_equal(c.filter.mark[1].mask, UINT32_MAX);
	assert_int_equal(c.filter.n_address, 3);
	assert_int_equal(c.filter.address[1].len, 33);
	assert_int_equal(c.filter.address[2].len, 32);
	assert_int_equal(c.interval_us, 250);
	assert_int_equal(c.dead_ms, 20);
	assert_int_equal(c.watchdog_ms, 21);
	assert_int_equal(c.lease.esn_log2, 4);
	assert_int_equal(c.lease.exhausted, CONF_EXHAUSTED_CONTINUE);
}

#define NODE "[node]\nid = 1\nname = a\n"		/* lines 1 to 3 */
#define CERTS "ca = %/ca\ncert = %/cert\nkey = %/key\n"
#define TEN "aaaaaaaaaa"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
	const char *text;
	unsigned int line;
	const char *reason;
} refused[] = {
	{ "", 0, "[node] needs an id" },
	{ "id = 1\n", 1, "before any [section]" },
	{ "[node]\nname = a\n", 1, "[node] needs an id" },
	{ "[node]\nid = 0\n", 2, "a number from 1" },
	{ "[node]\nid = 4294967296\n", 2, "a number from 1" },
	{ "[node]\nid = -1\n", 2, "a number from 1" },
	{ "[node]\nid = 1x\n", 2, "a number from 1" },
	{ "[node]\nid = +1\n", 2, "a number from 1" },
	{ "[node]\nid =\n", 2, "a number from 1" },
	{ "[node]\nid = 0x\n", 2, "a number from 1" },
	{ "[node]\nid = 1\nid = 2\n", 3, "stands twice, first in line 2" },
	{ "[node]\n\n# x\nid = 1\ncolour = red\n", 5, "unknown key colour in [node]" },
	{ "[nodes]\nid = 1\n", 1, "unknown section [nodes]" },
	{ NODE "[node]\n", 4, "stands twice, first in line 1" },
	{ NODE "[nosuch]\n", 4, "unknown section [nosuch]" },
	{ NODE "[sync\n", 4, "']' is missing" },
	{ NODE "[sync] x\n", 4, "text behind" },
	{ NODE "[peer " TEN TEN TEN TEN TEN "]\n", 4, "longer than" },
	{ NODE "nonsense\n", 4, "neither [section] nor KEY = VALUE" },
	{ NODE "socket = " HUNDRED HUNDRED "\n", 4, "the line is longer" },
	{ NODE "socket = /" HUNDRED TEN "\n", 4, "longer than 107 bytes" },
	{ NODE "socket = run/s\n", 4, "an absolute path" },
	{ NODE "socket =\n", 4, "is empty" },
	{ NODE "state_dir = x\n", 4, "an absolute path" },
	{ "[node]\nid = 1\nname = a b\n", 3, "only letters" },
	{ "[node]\nid = 1\nname = " HUNDRED "\n", 3, "longer than 63" },
	{ NODE "[listen]\nport = 0\n", 5, "from 1 to 65535" },
	{ NODE "[listen]\nport = 65536\n", 5, "from 1 to 65535" },
	{ NODE "[listen]\naddress = a/b\n", 5, "only letters" },
	{ NODE "[peer]\n", 4, "needs a name" },
	{ NODE "[peer a/b]\n", 4, "only letters" },
	{ NODE "[lease]\n", 4, "[lease] needs a name" },
	{ NODE "[lease a/b]\n", 4, "only letters" },
	{ NODE "[leases b]\n", 4, "unknown section" },
	{ NODE "[lease b]\n[lease c]\n[lease b]\n", 6, "[lease b] stands twice, first in line 4" },
	{ NODE "[lease b]\nlog2 = 5\nlog2 = 6\n", 6, "log2 stands twice, first in line 5" },
	{ NODE "[lease b]\nesn_log2 = 31\n", 5, "from 4 to 30" },
	{ NODE "[lease b]\nexhausted = 1\n", 5, "stop or continue" },
	{ NODE "[lease b]\nlease_log2 = 5\n", 5, "unknown key lease_log2 in [lease]" },
	{ NODE "[lease b]\naddress = 10.0.0.1/8\n", 5, "bits are set behind" },
	{ NODE "[peer b]\n", 4, "[peer b] has no address" },
	{ NODE "[peer b]\n[peer c]\naddress = c\n", 4, "[peer b] has no address" },
	{ NODE "[peer b]\naddress = b\naddress = c\n", 6, "stands twice, first in line 5" },
	{ NODE "[peer b]\naddress = b\n[peer b]\naddress = c\n", 6, "[peer b] stands twice" },
	{ NODE "[tls]\n" CERTS "[peer a]\naddress = b\n", 8, "this node's own name" },
	{ NODE "[peer b]\naddress = b\n", 4, "peers need [tls]" },
	{ NODE "[tls]\n[peer b]\naddress = b\n", 4, "peers need [tls]" },
	{ NODE "[tls]\nca = %/ca\n", 4, "needs all of ca, cert and key" },
	{ NODE "[tls]\nca = %/ca\nkey = %/key\n", 4, "needs all of ca, cert and key" },
	{ NODE "[tls]\n" CERTS "psk_file = %/key\n", 8, "one of both" },
	{ NODE "[tls]\npsk_identity = x\n", 5, "psk_identity without" },
	{ NODE "[tls]\npsk_file = %/nosuch\n", 5, "No such file" },
	{ NODE "[tls]\npsk_file = %/open\n", 5, "chmod 600" },
	{ NODE "[tls]\npsk_file = %/writable\n", 5, "chmod 600" },
	{ NODE "[tls]\npsk_file = %/foreign\n", 5, "does not belong to root" },
	{ NODE "[tls]\npsk_file = %/link\n", 5, "is a symbolic link" },
	{ NODE "[tls]\npsk_file = %/folder\n", 5, "not a regular file" },
	{ NODE "[tls]\npsk_file = /dev/null\n", 5, "not a regular file" },
	{ NODE "[tls]\nca = %/ca\ncert = %/cert\nkey = %/open\n", 7, "chmod 600" },
	{ NODE "[tls]\nca = %/ca\ncert = %/cert\nkey = %/link\n", 7, "is a symbolic link" },
	{ NODE "[tls]\nca = %/writable\ncert = %/cert\nkey = %/key\n", 5, "chmod go-w" },
	{ NODE "[tls]\nca = %/ca\ncert = %/foreign\nkey = %/key\n", 6, "does not belong to root" },
	{ NODE "[peer b]\nmap = 192.0.2.1\n", 5, "map = 192.0.2.1: OLD=NEW is wanted" },
	{ NODE "[peer b]\nmap = 192.0.2.1=\n", 5, "OLD=NEW is wanted" },
	{ NODE "[peer b]\nmap = 192.0.2.1=host\n", 5, "OLD=NEW is wanted" },
	{ NODE "[peer b]\nmap = 192.0.2.0/24=192.0.3.0/24\n", 5, "OLD=NEW is wanted" },
	{ NODE "[peer b]\nmap = 192.0.2.1=fd00::1\n", 5, "one of them is IPv4" },
	{ NODE "[peer b]\nmap = fd00::1=fd00:0::1\n", 5, "both are the same" },
	{ NODE "[peer b]\nmap = 192.0.2.1=192.0.2.2 192.0.2.1=192.0.2.3\n", 5,
	  "has a new one already" },
	{ NODE "[peer b]\nmap = ,\n", 5, "is empty" },
	{ NODE "[filter]\nreqid = x\n", 5, "a number from 0" },
	{ NODE "[filter]\nreqid = ,\n", 5, "is empty" },
	{ NODE "[filter]\nreqid = 1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2\n"
	  "reqid = 1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2\nreqid = 1\n",
	  7, "more than 64" },
	{ NODE "[filter]\nif_id = 4294967296\n", 5, "a number from 0" },
	{ NODE "[filter]\nmark = 1/\n", 5, "VALUE or VALUE/MASK" },
	{ NODE "[filter]\nmark = 2/1\n", 5, "outside of its mask" },
	{ NODE "[filter]\naddress = 10.0.0.1/33\n", 5, "ADDRESS/LENGTH" },
	{ NODE "[filter]\naddress = ::/129\n", 5, "ADDRESS/LENGTH" },
	{ NODE "[filter]\naddress = host\n", 5, "ADDRESS/LENGTH" },
	{ NODE "[filter]\naddress = 10.0.0.1/8\n", 5, "write 10.0.0.0/8" },
	{ NODE "[sync]\ninterval_ms = 0.05\n", 5, "from 0.1 to 10000" },
	{ NODE "[sync]\ninterval_ms = 10001\n", 5, "from 0.1 to 10000" },
	{ NODE "[sync]\ninterval_ms = 1.\n", 5, "milliseconds" },
	{ NODE "[sync]\ninterval_ms = .5\n", 5, "milliseconds" },
	{ NODE "[sync]\ninterval_ms = 1.0001\n", 5, "milliseconds" },
	{ NODE "[sync]\ninterval_ms = 4294967296\n", 5, "milliseconds" },
	{ NODE "[sync]\nheartbeat_ms = 9\n", 5, "from 10" },
	{ NODE "[sync]\nheartbeat_ms = 1000\ndead_ms = 1999\n", 6, "at least twice" },
	{ NODE "[sync]\nheartbeat_ms = 100\ndead_ms = 900\ndrain_ms = 91\n", 7, "ten times drain_ms" },
	{ NODE "[sync]\nheartbeat_ms = 60000\n", 5, "at least twice" },
	{ NODE "[sync]\nwatchdog_ms = 2000\n", 5, "more than twice heartbeat_ms (1000)" },
	{ NODE "[sync]\nwatchdog_ms = 3600001\n", 5, "from 0 to 3600000" },
	{ NODE "[sync]\nleave_after_ms = 2592000001\n", 5, "from 0 to 2592000000" },
	{ NODE "[peer b]\naddress = x\nleave_after_ms = -1\n", 6, "leave_after_ms" },
	{ NODE "[sync]\nlease_esn_log2 = 31\n", 5, "from 4 to 30" },
	{ NODE "[sync]\nlease_log2 = 3\n", 5, "from 4 to 30" },
	{ NODE "[sync]\nlease_exhausted = go on\n", 5, "stop or continue" },
	{ NODE "[sync]\nlease_log2 = 256\n", 5, "from 4 to 30" },
	{ NODE "[sync]\non_conflict = yes\n", 5, "deny, renegotiate or new-spi" },
	{ NODE "[sync]\nunsupported = yes\n", 5, "refuse or renegotiate" },
	{ "[node]\nid = 1\nspi_range = 1-2\n", 3, "SPIs from 0x100 on" },
	{ "[node]\nid = 1\nspi_range = 0x200-0x100\n", 3, "MIN-MAX is wanted" },
	{ NODE "[sync]\nguard = on\n", 5, "off, available or strict" },
	{ NODE "[sync]\nguard = strict\nguard_min = 0\n", 6, "nothing would be delivered" },
	{ NODE "[sync]\nguard_min = 9\nguard_max = 8\n", 5, "larger than guard_max" },
	{ NODE "[sync]\nguard_max = 0\n", 5, "from 1 to" },
	{ NODE "[sync]\nguard_rekey = none\n", 5, "exposed, all or no" },
	{ NODE "[ike]\nha_local = 192.0.2.1\n", 5, "127.0.0.0/8 is wanted" },
	{ NODE "[ike]\nha_remote = ::1\n", 5, "127.0.0.0/8 is wanted" },
	{ NODE "[ike]\nha_remote = 127.0.0.1\n", 4, "are the same" },
	{ NODE "[ike]\n[filter]\nreqid = 7\n", 5, "[filter] and [ike]" },
	{ NODE "[ike]\n[filter]\nif_id = 7\n", 5, "[filter] and [ike]" },
	{ NODE "[filter]\nmark = 7\n[ike]\n", 4, "[filter] and [ike]" },
	{ NODE "[filter]\naddress = 192.0.2.1\n[ike]\n", 4, "[filter] and [ike]" },
	{ NODE "[ike]\n[sync]\non_conflict = new-spi\n", 5, "new-spi and [ike]" },
	{ NODE "[ike]\nha_version = 2\n", 5, "from 3 to 5" },
	{ NODE "[ike]\ncontrol = maybe\n", 5, "yes or no" },
	{ NODE "[ike]\nkey_log = 1\n", 5, "yes or no" },
	{ NODE "[ike]\nvici = charon.vici\n", 5, "absolute path" },
};

static void test_refused(void **state)
{
	char err[512], want[160];
	struct conf c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		memset(&c, 0x5a, sizeof(c));
		write_conf(refused[i].text);
		snprintf(want, sizeof(want), "%s:%u: ", file, refused[i].line);
		err[0] = '\0';
		if (conf_load(&c, file, err, sizeof(err)) != -1)
			fail_msg("taken: %s", refused[i].text);
		if (strncmp(err, want, strlen(want)) || !strstr(err, refused[i].reason) ||
		    strchr(err, '\n'))
			fail_msg("\"%s\" instead of %s ... %s", err, want, refused[i].reason);
		/* The caller's configuration stands. */
		assert_int_equal(c.node_id, 0x5a5a5a5a);
	}
}

static void test_too_many_peers(void **state)
{
	char text[2048] = NODE, err[256];
	struct conf c;
	size_t n;
	int i;

	(void)state;
	for (i = 0; i <= CONF_MAX_PEERS; i++) {
		n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "[peer p%d]\naddress = x\n", i);
	}
	write_conf(text);
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), -1);
	assert_non_null(strstr(err, ":36: more than 16 peers"));
}

static void test_too_many_leases(void **state)
{
	char text[4096] = NODE, err[256] = "";
	struct conf c;
	int i, n;

	(void)state;
	for (i = 0; i < CONF_MAX_LEASES; i++) {
		n = strlen(text);
		snprintf(text + n, sizeof(text) - n, "[lease l%d]\nlog2 = 9\n", i);
	}
	write_conf(text);
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	assert_int_equal(c.n_leases, CONF_MAX_LEASES);
	n = strlen(text);
	snprintf(text + n, sizeof(text) - n, "[lease more]\n");
	write_conf(text);
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "more than 16 [lease] sections"));
}

static void test_zero_byte(void **state)
{
	static const char text[] = "[node]\nid = 1\0\n";
	char err[256];
	struct conf c;

	(void)state;
	write_file("conf", text, sizeof(text) - 1, 0644);
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), -1);
	assert_non_null(strstr(err, ":2: a zero byte"));
}

static void test_file_itself(void **state)
{
	char err[256];
	struct conf c;

	(void)state;
	write_file("conf", NODE, strlen(NODE), 0664);
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "may be written by others"));
	write_file("conf", NODE, strlen(NODE), 0644);
	assert_int_equal(chown(file, 1, 0), 0);
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "may be written by others"));
	assert_int_equal(conf_load(&c, dir, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "not a regular file"));
	assert_int_equal(conf_load(&c, "/nonexistent", err, sizeof(err)), -1);
	assert_non_null(strstr(err, "/nonexistent: No such file"));
	/* A short buffer is cut, not overrun. */
	assert_int_equal(conf_load(&c, "/nonexistent", err, 5), -1);
	assert_string_equal(err, "/non");
}

struct sa {
	uint16_t family;
	const char *src, *dst;
	uint32_t reqid, if_id, mark, mask;
};

static bool matches(const char *filter, struct sa sa)
{
	uint8_t src[16] = { 0 }, dst[16] = { 0 };
	char text[512], err[256];
	struct conf c;

	snprintf(text, sizeof(text), NODE "[filter]\n%s", filter);
	write_conf(text);
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	assert_int_equal(inet_pton(sa.family, sa.src, src), 1);
	assert_int_equal(inet_pton(sa.family, sa.dst, dst), 1);
	return conf_filter_match(&c.filter, sa.family, src, dst, sa.reqid,
				 sa.if_id, sa.mark, sa.mask);
}

static void test_filter(void **state)
{
	const struct sa v4 = { AF_INET, "10.1.2.3", "192.0.2.1", 7, 9, 0x12, 0xff };
	const struct sa v6 = { AF_INET6, "2001:db8::1", "2001:db8:8000::1", 0, 0, 0, 0 };

	(void)state;
	assert_true(matches("", v4));
	assert_true(matches("reqid = 1, 7\n", v4));
	assert_false(matches("reqid = 1, 8\n", v4));
	assert_true(matches("if_id = 9\n", v4));
	assert_false(matches("if_id = 0\n", v4));
	assert_true(matches("if_id = 0\n", v6));
	assert_true(matches("mark = 0x12\n", v4));
	assert_true(matches("mark = 0x10/0xf0\n", v4));
	assert_false(matches("mark = 0x11\n", v4));
	assert_true(matches("mark = 0\n", v6));
	assert_true(matches("address = 10.0.0.0/8\n", v4));
	assert_true(matches("address = 192.0.2.1\n", v4));
	assert_true(matches("address = 10.1.2.0/23\n", v4));
	assert_false(matches("address = 10.1.2.0/31\n", v4));
	assert_true(matches("address = 0.0.0.0/0\n", v4));
	assert_false(matches("address = ::/0\n", v4));
	assert_true(matches("address = 2001:db8:8000::/33\n", v6));
	assert_false(matches("address = 2001:db8:4000::/34\n", v6));
	/* Each list has to match. */
	assert_true(matches("reqid = 7\naddress = 10.0.0.0/8\n", v4));
	assert_false(matches("reqid = 8\naddress = 10.0.0.0/8\n", v4));
	assert_false(matches("reqid = 7\naddress = 11.0.0.0/8\n", v4));
}

/* ESN size, size, continue: as one number to compare. */
static unsigned int lease_of(const struct conf *c, struct sa sa)
{
	const struct conf_lease *l;
	uint8_t src[16] = {}, dst[16] = {};

	inet_pton(sa.family, sa.src, src);
	inet_pton(sa.family, sa.dst, dst);
	l = conf_lease_of(c, sa.family, src, dst, sa.reqid, sa.if_id, sa.mark,
			  sa.mask);
	return l->esn_log2 * 1000 + l->log2 * 10 +
	       (l->exhausted == CONF_EXHAUSTED_CONTINUE);
}

static void test_leases(void **state)
{
	const struct sa v4 = { AF_INET, "10.1.2.3", "192.0.2.1", 7, 9, 0x12, 0xff };
	const struct sa v6 = { AF_INET6, "2001:db8::1", "2001:db8:8000::1", 8, 0, 0, 0 };
	struct sa other = { AF_INET, "10.1.2.3", "192.0.2.1", 1, 0, 0, 0 };
	char err[256] = "";
	struct conf c;

	(void)state;
	/* What a section does not say is [sync]'s, wherever that stands. */
	write_conf(NODE "[filter]\nreqid = 5\n"
		   "[lease one]\nreqid = 7\nesn_log2 = 10\n"
		   "[lease two]\naddress = 10.0.0.0/8\nlog2 = 11\nexhausted = stop\n"
		   "reqid = 1, 7\n"
		   "[lease three]\naddress = ::/0\nexhausted = continue\n"
		   "esn_log2 = 12\nlog2 = 13\n"
		   "[sync]\nlease_esn_log2 = 20\nlease_log2 = 21\n"
		   "lease_exhausted = continue\n");
	assert_int_equal(conf_load(&c, file, err, sizeof(err)), 0);
	assert_int_equal(c.n_leases, 3);
	assert_string_equal(c.leases[1].name, "two");
	assert_int_equal(c.leases[1].filter.n_reqid, 2);
	/* The filter's list is another one. */
	assert_int_equal(c.filter.n_reqid, 1);
	/* The first that matches. */
	assert_int_equal(lease_of(&c, v4), 10211);
	assert_int_equal(lease_of(&c, other), 20110);
	assert_int_equal(lease_of(&c, v6), 12131);
	other.reqid = 2;
	assert_int_equal(lease_of(&c, other), 20211);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_ike),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many_peers),
		cmocka_unit_test(test_too_many_leases),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_file_itself),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_leases),
	};

	return cmocka_run_group_tests_name("conf", tests, setup, teardown);
}
