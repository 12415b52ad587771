/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: the whole of a small file.
 * Out: the file on disk, all of it or as it was before, whatever dies.
 * Blocks on the disk.
 */
#ifndef XFRMSYNC_TOOLS_DURABLE_H
#define XFRMSYNC_TOOLS_DURABLE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * durable_write - write a file anew; a link of that name is replaced, not followed
 * Return: 0; -errno: of the folder, the file or the disk (ENOSPC), -EEXIST: a device
 * or a folder stands there. The old one stays, unless the folder alone could not
 * be written through: then it is not known which one is there after a crash.
 */
int durable_write(const char *path, const void *p, size_t len, mode_t mode);

#endif
