// SPDX-License-Identifier: GPL-2.0
/*
 * In: a configuration file.
 * Out: a configuration that keeps its own rules, or a line that says why not.
 * libFuzzer's harness: the configuration.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "fuzz.h"

static char path[64];
static int fd = -1;

static void spill(const uint8_t *data, size_t size)
{
	if (fd < 0) {
		fd = memfd_create("conf", MFD_CLOEXEC);
		assert(fd >= 0 && !fchmod(fd, 0600));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	assert(!ftruncate(fd, size));
	assert(pwrite(fd, data, size, 0) == (ssize_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t addr[16] = { 192, 0, 2, 1 };
	static struct conf c;
	char err[300] = "";
	size_t i;

	spill(data, size);
	if (conf_load(&c, path, err, sizeof(err))) {
		assert(err[0]);
		return 0;
	}
	assert(c.node_id && c.n_peers <= CONF_MAX_PEERS);
	assert(c.dead_ms >= 2 * c.heartbeat_ms && c.guard_min <= c.guard_max);
	for (i = 0; i < c.n_peers; i++)
		assert(c.peer[i].name[0] && strcmp(c.peer[i].name, c.node_name));
	assert(conf_lease_of(&c, AF_INET, addr, addr, 1, 2, 3, 4)->exhausted);
	conf_filter_match(&c.filter, AF_INET6, addr, addr, 1, 2, 3, 4);
	return 0;
}
