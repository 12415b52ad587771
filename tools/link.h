/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In: TCP connections and credentials.
 * Out: mutually authenticated TLS 1.3 channels that carry frames.
 * Non-blocking, in the daemon's loop; knows nothing of what frames mean.
 */
#ifndef XFRMSYNC_TOOLS_LINK_H
#define XFRMSYNC_TOOLS_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/ssl.h>

#include "buf.h"
#include "conf.h"
#include "loop.h"
#include "secret.h"
#include "wire.h"

/* Credentials, loaded; survives those who use it (reload makes another). */
struct link_tls {
	SSL_CTX *ctx;
	bool psk;
	struct secret psk_key;
	char psk_identity[64];
};

/* 0, or -1 with one line in err. */
int link_tls_init(struct link_tls *t, const struct conf *conf, char *err,
		  size_t errlen);
void link_tls_exit(struct link_tls *t);

struct link;

struct link_ops {
	/* The other side is authenticated; name: of its certificate, "" by PSK. */
	void (*up)(struct link *l);
	/* A whole frame; false ends the link. */
	bool (*frame)(struct link *l, const struct wire_header *h, struct rd *r);
	/* There is room to send: fill l->out, call nothing else of the link. */
	void (*fill)(struct link *l);
	/* All that had come was handled (a batch can be closed). */
	void (*idle)(struct link *l);
	/* It is over; the link goes after this. why: one line. */
	void (*down)(struct link *l, const char *why);
};

/* Fill stops above so many bytes: as TLS takes them at once, so that nothing is moved. */
#define LINK_OUT_ROOM (16 * 1024)
#define LINK_OUT_MAX (256 << 20)	/* answers that a peer does not take */

struct link {
	struct loop_fd io;
	struct loop *loop;
	struct loop_timer dead_timer;
	const struct link_ops *ops;
	void *data;			/* of the owner */
	SSL *ssl;
	bool connecting, up, outgoing, want_write, closing, gone;
	bool spoke;			/* a whole frame has come */
	char addr[80];			/* of the other side, for people */
	char name[64];			/* conf name it is authenticated as */
	struct buf in, out;
	uint64_t dead_ns, last_heard_ns;
	uint8_t peer_version;		/* of a refused one */
};

/*
 * link_new - take a connected, or connecting, socket
 * Takes the fd, also on failure. outgoing: we are TLS's client. Names of the
 * certificate are looked for in conf's peers. NULL: no memory.
 */
struct link *link_new(struct loop *loop, struct link_tls *t,
		      const struct conf *conf, int fd, bool outgoing,
		      const char *addr, const struct link_ops *ops, void *data);
/* Frames stand in l->out (or fill has some): send when it can be. */
void link_kick(struct link *l);
/* End it, orderly, as far as that goes without waiting; down is not called. */
void link_close(struct link *l);

#endif
