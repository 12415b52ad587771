/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: strongswan.conf, with the files that it includes.
 * Out: the range that charon takes its SPIs from, or charon-systemd.
 * Reads files; of all settings the two that it wants, and no others.
 */
#ifndef XFRMSYNC_TOOLS_STRONGSWAN_H
#define XFRMSYNC_TOOLS_STRONGSWAN_H

#include "spi.h"

#define STRONGSWAN_CONF "/etc/strongswan.conf"

/*
 * strongswan_spi_range - spi_min and spi_max of the daemon's section, else of charon's
 * @file: NULL: $STRONGSWAN_CONF, or the default one
 * @daemon: "charon", or "charon-systemd", whose section goes before charon's
 * @r: charon's own range where a setting is missing
 * Return: how many of the two are set, 0 to 2; -errno of the file (-ENOENT).
 */
int strongswan_spi_range(const char *file, const char *daemon,
			 struct spi_range *r);

#endif
