// SPDX-License-Identifier: GPL-2.0
/*
 * In: the ranges of SPIs of this node, its key manager, and its peers.
 * Out: findings: can two nodes hand out the same SPI.
 * Reads files, and what the daemon knows of its peers.
 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "strongswan.h"

/* What charon hands out, is the node's. */
static void check_charon(struct check *c, const struct spi_range *own)
{
	char a[32], b[32];
	struct spi_range charon;
	int ret = strongswan_spi_range(NULL, &charon);

	spi_range_str(own, a, sizeof(a));
	spi_range_str(&charon, b, sizeof(b));
	if (ret == -ENOENT && spi_range_is_set(own))
		check_say(c, CHECK_OK, "spi_range", "%s; strongswan.conf was not found: nothing to compare it with", a);
	else if (ret == -ENOENT)
		check_say(c, CHECK_OK, "spi_range", "none, and strongswan.conf was not found");
	else if (ret < 0)
		check_say(c, CHECK_WARN, "spi_range", "strongswan.conf: %s", strerror(-ret));
	else if (!spi_range_is_set(own))
		check_say(c, CHECK_WARN, "spi_range", "none, and charon's is %s%s: on several nodes it hands out the same SPIs\nspi_range in [node], charon.spi_min and spi_max in strongswan.conf: another range on each node",
			  b, ret ? "" : ", its default");
	else if (!spi_range_within(&charon, own))
		check_say(c, CHECK_FAIL, "spi_range", "%s, but charon's is %s%s\ncharon.spi_min and spi_max in strongswan.conf: within spi_range",
			  a, b, ret == 2 ? "" : ret ? ", in part its default" : ", its default");
	else
		check_say(c, CHECK_OK, "spi_range", "%s, charon's %s is within", a, b);
}

void check_spi(struct check *c, const struct conf *conf)
{
	check_charon(c, &conf->spi_range);
}

void check_spi_peers(struct check *c, const struct conf *conf,
		     const json_t *status)
{
	const json_t *peer, *text;
	const char *name;
	size_t i;

	json_array_foreach(json_object_get(status, "spi_overlaps"), i, text)
		check_say(c, CHECK_FAIL, "spi_range", "%s\nanother spi_range on each node",
			  json_string_value(text));
	json_array_foreach(json_object_get(status, "peers"), i, peer) {
		name = json_string_value(json_object_get(peer, "name"));
		if (spi_range_is_set(&conf->spi_range) &&
		    json_integer_value(json_object_get(peer, "node")) &&
		    !json_object_get(peer, "spi_range"))
			check_say(c, CHECK_WARN, "spi_range", "%s does not say its own\nspi_range in [node] there",
				  name ? name : "a peer");
	}
}
