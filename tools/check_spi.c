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

/* What charon hands out, is the node's. ret: what strongswan_spi_range said. */
static void check_charon(struct check *c, const struct spi_range *own,
			 const char *name, const struct spi_range *charon, int ret)
{
	char a[32], b[32];

	spi_range_str(own, a, sizeof(a));
	spi_range_str(charon, b, sizeof(b));
	if (ret == -ENOENT && spi_range_is_set(own))
		check_say(c, CHECK_OK, "spi_range", "%s; strongswan.conf was not found: nothing to compare it with", a);
	else if (ret == -ENOENT)
		check_say(c, CHECK_OK, "spi_range", "none, and strongswan.conf was not found");
	else if (ret < 0)
		check_say(c, CHECK_WARN, "spi_range", "strongswan.conf: %s", strerror(-ret));
	else if (!spi_range_is_set(own))
		check_say(c, CHECK_WARN, "spi_range", "none, and %s's is %s%s: on several nodes it hands out the same SPIs\nspi_range in [node], %s.spi_min and spi_max in strongswan.conf: another range on each node",
			  name, b, ret ? "" : ", its default", name);
	else if (!spi_range_within(charon, own))
		check_say(c, CHECK_FAIL, "spi_range", "%s, but %s's is %s%s\n%s.spi_min and spi_max in strongswan.conf: within spi_range",
			  a, name, b,
			  ret == 2 ? "" : ret ? ", in part its default" : ", its default",
			  name);
	else
		check_say(c, CHECK_OK, "spi_range", "%s, %s's %s is within", a,
			  name, b);
}

void check_spi(struct check *c, const struct conf *conf)
{
	const struct spi_range *own = &conf->spi_range;
	struct spi_range one, other;
	int ret;

	ret = strongswan_spi_range(NULL, "charon", &one);
	check_charon(c, own, "charon", &one, ret);
	/* Which of the two runs is not known: both have to be right. */
	ret = strongswan_spi_range(NULL, "charon-systemd", &other);
	if (ret >= 0 && (one.min != other.min || one.max != other.max))
		check_charon(c, own, "charon-systemd", &other, ret);
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
