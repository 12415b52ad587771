/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: /etc/xfrmsync/xfrmsync.conf (INI).
 * Out: struct conf, checked; or one line with file, line and reason.
 * Runs at start and at SIGHUP.
 */
#ifndef XFRMSYNC_TOOLS_CONF_H
#define XFRMSYNC_TOOLS_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <netinet/in.h>

#include "map.h"
#include "spi.h"

#define CONF_DEFAULT_FILE "/etc/xfrmsync/xfrmsync.conf"
#define CONF_DEFAULT_SOCKET "/run/xfrmsync/xfrmsync.sock"
#define CONF_DEFAULT_STATE_DIR "/var/lib/xfrmsync"
#define CONF_DEFAULT_PORT 4797
#define CONF_MAX_PEERS 16
#define CONF_MAX_FILTER 64
#define CONF_MAX_LEASES 16
#define CONF_DEFAULT_VICI "/run/charon.vici"

struct conf_peer {
	char name[64];		/* [peer NAME]; the CN or SAN of its certificate */
	char address[256];	/* host or address */
	uint16_t port;		/* host order */
	uint32_t leave_ms;	/* key leave_after_ms; default [sync]'s */
	struct map map;		/* its addresses to this node's */
};

/* A prefix, with the address in network order. */
struct conf_prefix {
	uint16_t family;
	uint8_t addr[16];
	uint8_t len;
};

struct conf_mark {
	uint32_t value, mask;
};

/* An SA is managed when each non-empty list matches. */
struct conf_filter {
	uint32_t reqid[CONF_MAX_FILTER];
	size_t n_reqid;
	uint32_t if_id[CONF_MAX_FILTER];
	size_t n_if_id;
	struct conf_mark mark[CONF_MAX_FILTER];
	size_t n_mark;
	struct conf_prefix address[CONF_MAX_FILTER];	/* src or dst of the SA */
	size_t n_address;
};

/* At the end of a lease. */
enum conf_exhausted { CONF_EXHAUSTED_STOP = 1, CONF_EXHAUSTED_CONTINUE };

/* Leases of an SA. While a section is read, 0 is what it does not say. */
struct conf_lease {
	uint8_t esn_log2;	/* default 30 */
	uint8_t log2;		/* default 24 */
	uint8_t exhausted;	/* enum conf_exhausted; default stop */
};

/* [lease NAME]: for SAs that its filter lets through. */
struct conf_lease_section {
	char name[64];
	struct conf_filter filter;
	struct conf_lease lease;
};

/* An SA whose SPI is in use here by another one. */
enum conf_on_conflict {
	CONF_CONFLICT_DENY,		/* is not installed */
	CONF_CONFLICT_RENEGOTIATE,	/* the same; what belongs to it is rekeyed */
	CONF_CONFLICT_NEW_SPI,		/* gets another one, if it is inbound */
};

/* An SA of a kind that this node's kernel does not support. */
enum conf_unsupported {
	CONF_UNSUPPORTED_REFUSE,	/* is not installed */
	CONF_UNSUPPORTED_RENEGOTIATE,	/* the same; what belongs to it is rekeyed */
};

/* Inbound packets that no standby is known to cover. */
enum conf_guard {
	CONF_GUARD_OFF,		/* none is */
	CONF_GUARD_AVAILABLE,	/* are delivered, and counted */
	CONF_GUARD_STRICT,	/* are not delivered */
};

/* The SAs that are rekeyed after a crash takeover, as they can have accepted more. */
enum conf_guard_rekey {
	CONF_GUARD_REKEY_EXPOSED,	/* that the active said so of last */
	CONF_GUARD_REKEY_ALL,		/* that have accepted anything */
	CONF_GUARD_REKEY_NO,		/* none */
};

struct conf {
	char file[256];
	/* [node] */
	uint32_t node_id;	/* 1.., breaks ties of epochs */
	char node_name[64];
	char state_dir[256];
	char socket[108];
	struct spi_range spi_range;	/* that this node's SPIs are of; default none */
	/* [listen] */
	char listen_address[256];	/* empty: all */
	uint16_t listen_port;
	/* [tls]: either ca+cert+key or psk_file (hex or raw, 32 to 64 bytes) */
	char tls_ca[256], tls_cert[256], tls_key[256];
	char tls_psk_file[256];
	char tls_psk_identity[64];	/* default: "xfrmsync" */
	/* [cluster] */
	char key_file[256];	/* seals contexts outside of this node; empty: none */
	/* [peer NAME], several */
	struct conf_peer peer[CONF_MAX_PEERS];
	size_t n_peers;
	/* [filter] */
	struct conf_filter filter;
	/* [sync] */
	uint32_t interval_us;	/* coalescing; key interval_ms, default 1 */
	uint32_t heartbeat_ms;	/* default 1000 */
	uint32_t answer_ms;	/* for an active to say that it hands over; default 500 */
	uint32_t dead_ms;	/* peer silent that long: link is dropped; default 5000 */
	uint32_t leave_ms;	/* key leave_after_ms; default 0: never */
	uint32_t drain_ms;	/* before a hand-over: crypto was silent so long; default 2 */
	uint32_t watchdog_ms;	/* the module waits for us that long; default 0: for ever */
	struct conf_lease lease;	/* keys lease_esn_log2, lease_log2, lease_exhausted */
	/* [lease NAME], several: the first that matches, else [sync] */
	struct conf_lease_section leases[CONF_MAX_LEASES];
	size_t n_leases;
	enum conf_on_conflict on_conflict;	/* default deny */
	enum conf_unsupported unsupported;	/* default refuse */
	enum conf_guard guard;	/* default available */
	uint32_t guard_min;	/* packets; default 0, strict: 32 */
	uint32_t guard_max;	/* packets; default 4096 */
	uint32_t guard_max_rate;	/* packets per second, 0: any; default 100000 */
	enum conf_guard_rekey guard_rekey;	/* default exposed */
	/* [ike]: strongSwan's charon on this node, with its ha plugin */
	bool ike;			/* there is such a section */
	struct in_addr ike_local;	/* its 'local'; key ha_local, default 127.0.0.1 */
	struct in_addr ike_remote;	/* its 'remote', ours; ha_remote, 127.0.0.2 */
	uint8_t ike_version;		/* of its protocol; key ha_version, default 3 */
	bool ike_control;		/* its segment follows our role; key control */
	bool ike_key_log;		/* show --keys is answered; key key_log, default no */
	char vici[108];			/* its socket; default CONF_DEFAULT_VICI */
};

/*
 * conf_load - read and check a configuration file
 * Return: 0, or -1 with one line "FILE:LINE: reason" in err. Refuses unknown
 * sections and keys, values out of range, a file that others than root may
 * write, and key files (tls_key, tls_psk_file) that group or others may read,
 * that are symlinks or not regular files, or that do not belong to root.
 */
int conf_load(struct conf *c, const char *file, char *err, size_t errlen);

const char *conf_guard_str(enum conf_guard guard);
const char *conf_on_conflict_str(enum conf_on_conflict what);
/* False: there is no such word. */
bool conf_on_conflict_parse(const char *word, enum conf_on_conflict *what);

/* Both have the same [ike], or none. */
bool conf_ike_same(const struct conf *a, const struct conf *b);

/* The place of a peer in a configuration, which may change with the next; or -1. */
int conf_peer_place(const struct conf *c, const char *name);

/* True when an SA with these properties is managed; addresses as in record.h. */
bool conf_filter_match(const struct conf_filter *f, uint16_t family,
		       const uint8_t *src, const uint8_t *dst, uint32_t reqid,
		       uint32_t if_id, uint32_t mark, uint32_t mark_mask);

/* Of such an SA: of the first [lease NAME] that matches, else of [sync]. */
const struct conf_lease *conf_lease_of(const struct conf *c, uint16_t family,
				       const uint8_t *src, const uint8_t *dst,
				       uint32_t reqid, uint32_t if_id,
				       uint32_t mark, uint32_t mark_mask);

#endif
