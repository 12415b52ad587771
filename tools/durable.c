// SPDX-License-Identifier: GPL-2.0
/*
 * In: the whole of a small file.
 * Out: the file on disk, all of it or as it was before, whatever dies.
 * Blocks on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "durable.h"

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= n;
	}
	return fsync(fd) ? -errno : 0;
}

static int write_in(int dirfd, const char *name, const void *p, size_t len,
		    mode_t mode)
{
	char tmp[NAME_MAX + 1];
	struct stat st;
	int fd, ret;

	if (snprintf(tmp, sizeof(tmp), ".%s.tmp", name) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	/* A link is replaced, and a file; not a device or a folder. */
	if (!fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) &&
	    !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return -EEXIST;
	/* What a crash left, or somebody else laid there. */
	unlinkat(dirfd, tmp, 0);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		    mode);
	if (fd < 0)
		return -errno;
	ret = write_all(fd, p, len);
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && renameat(dirfd, tmp, dirfd, name))
		ret = -errno;
	if (!ret && fsync(dirfd))
		ret = -errno;
	if (ret)
		unlinkat(dirfd, tmp, 0);
	return ret;
}

int durable_write(const char *path, const void *p, size_t len, mode_t mode)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char dir[PATH_MAX] = ".";
	int dirfd, ret;

	if (slash == path)
		strcpy(dir, "/");
	else if (slash && snprintf(dir, sizeof(dir), "%.*s",
				   (int)(slash - path), path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -errno;
	ret = write_in(dirfd, name, p, len, mode);
	close(dirfd);
	return ret;
}
