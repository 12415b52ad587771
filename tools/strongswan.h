/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: strongswan.conf, with the files that it includes.
 * Out: the range that charon takes its SPIs from.
 * Reads files; of all settings the two that it wants, and no others.
 */
#ifndef XFRMSYNC_TOOLS_STRONGSWAN_H
#define XFRMSYNC_TOOLS_STRONGSWAN_H

#include "spi.h"

#define STRONGSWAN_CONF "/etc/strongswan.conf"

/*
 * strongswan_spi_range - charon.spi_min and charon.spi_max
 * @file: NULL: $STRONGSWAN_CONF, or the default one
 * @r: charon's own range where a setting is missing
 * Return: how many of the two are set, 0 to 2; -errno of the file (-ENOENT).
 */
int strongswan_spi_range(const char *file, struct spi_range *r);

#endif
