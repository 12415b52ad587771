// SPDX-License-Identifier: GPL-2.0
/*
 * In: TCP connections and credentials.
 * Out: mutually authenticated TLS 1.3 channels that carry frames.
 * Non-blocking, in the daemon's loop; knows nothing of what frames mean.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>

#include "link.h"

#define READ_CHUNK 16384
#define KEY_MAX 16384		/* bytes of PEM */
#define READ_ROUNDS 4		/* chunks in one call: heartbeats go out between */

/* TLS_AES_128_GCM_SHA256: the one that RFC 8446 gives a PSK without a hash */
static const unsigned char psk_cipher[] = { 0x13, 0x01 };

static int tls_data_index = -1;

static struct link_tls *tls_of(SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_data_index);
}

static SSL_SESSION *psk_session(SSL *ssl, const struct link_tls *t)
{
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, psk_cipher);
	SSL_SESSION *s = SSL_SESSION_new();

	if (!s || !cipher ||
	    !SSL_SESSION_set1_master_key(s, t->psk_key.key, t->psk_key.len) ||
	    !SSL_SESSION_set_cipher(s, cipher) ||
	    !SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION)) {
		SSL_SESSION_free(s);
		return NULL;
	}
	return s;
}

static int psk_use(SSL *ssl, const EVP_MD *md, const unsigned char **id,
		   size_t *idlen, SSL_SESSION **sess)
{
	struct link_tls *t = tls_of(ssl);

	*sess = NULL;
	/* A second ClientHello for another hash: the PSK is SHA-256's. */
	if (md && EVP_MD_get_type(md) != NID_sha256)
		return 1;
	*sess = psk_session(ssl, t);
	*id = (const unsigned char *)t->psk_identity;
	*idlen = strlen(t->psk_identity);
	return *sess ? 1 : 0;
}

static int psk_find(SSL *ssl, const unsigned char *id, size_t idlen,
		    SSL_SESSION **sess)
{
	struct link_tls *t = tls_of(ssl);

	*sess = NULL;
	if (idlen == strlen(t->psk_identity) &&
	    !memcmp(id, t->psk_identity, idlen))
		*sess = psk_session(ssl, t);
	return 1;
}

static int psk_load(struct link_tls *t, const struct conf *conf, char *err,
		    size_t errlen)
{
	if (secret_read(conf->tls_psk_file, &t->psk_key, err, errlen))
		return -1;
	t->psk = true;
	snprintf(t->psk_identity, sizeof(t->psk_identity), "%s",
		 conf->tls_psk_identity[0] ? conf->tls_psk_identity :
					     "xfrmsync");
	SSL_CTX_set_psk_use_session_callback(t->ctx, psk_use);
	SSL_CTX_set_psk_find_session_callback(t->ctx, psk_find);
	/* SHA-256 alone, the PSK's hash: a negotiated SHA-384 could not use it. */
	if (SSL_CTX_set_ciphersuites(t->ctx,
				     "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") != 1) {
		snprintf(err, errlen, "OpenSSL lacks TLS 1.3 with SHA-256");
		return -1;
	}
	return 0;
}

static void ssl_reason(char *err, size_t errlen)
{
	unsigned long e = ERR_peek_last_error();

	snprintf(err, errlen, "%s",
		 e ? ERR_reason_error_string(e) ?: "TLS error" :
		     "connection closed");
	ERR_clear_error();
}

/* As a file of the configuration: nobody is asked for a passphrase. */
static int no_passphrase(char *buf, int size, int writing, void *data)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)data;
	return -1;
}

static EVP_PKEY *key_parse(const uint8_t *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, len);
	EVP_PKEY *key = NULL;

	if (bio)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	return key;
}

/* The file that was found to be root's alone is the one that is read. 0; -1 with a
 * line in err; 1: OpenSSL's error.
 */
static int key_load(struct link_tls *t, const char *file, char *err,
		    size_t errlen)
{
	const char *why = "holds no private key in PEM";
	uint8_t pem[KEY_MAX];
	EVP_PKEY *key = NULL;
	ssize_t len;
	int fd, ret;

	fd = secret_open(file, err, errlen);
	if (fd < 0)
		return -1;
	len = secret_read_all(fd, pem, sizeof(pem));
	if (len < 0)
		why = strerror(errno);
	else
		key = key_parse(pem, len);
	close(fd);
	sodium_memzero(pem, sizeof(pem));
	if (!key) {
		if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_BAD_PASSWORD_READ)
			why = "wants a passphrase: store it without one";
		ERR_clear_error();
		snprintf(err, errlen, "%s: %s", file, why);
		return -1;
	}
	ret = SSL_CTX_use_PrivateKey(t->ctx, key) != 1 ||
	      SSL_CTX_check_private_key(t->ctx) != 1;
	EVP_PKEY_free(key);
	return ret;
}

static int cert_load(struct link_tls *t, const struct conf *conf, char *err,
		     size_t errlen)
{
	const char *file = conf->tls_ca;
	char why[128];
	int ret;

	if (SSL_CTX_load_verify_locations(t->ctx, conf->tls_ca, NULL) != 1)
		goto fail;
	file = conf->tls_cert;
	if (SSL_CTX_use_certificate_chain_file(t->ctx, conf->tls_cert) != 1)
		goto fail;
	file = conf->tls_key;
	ret = key_load(t, file, err, errlen);
	if (ret < 0)
		return -1;
	if (ret)
		goto fail;
	SSL_CTX_set_verify(t->ctx,
			   SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   NULL);
	return 0;
fail:
	ssl_reason(why, sizeof(why));
	snprintf(err, errlen, "%s: %s", file, why);
	return -1;
}

int link_tls_init(struct link_tls *t, const struct conf *conf, char *err,
		  size_t errlen)
{
	int ret;

	memset(t, 0, sizeof(*t));
	if (tls_data_index < 0)
		tls_data_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL,
							  NULL);
	t->ctx = SSL_CTX_new(TLS_method());
	if (!t->ctx) {
		ssl_reason(err, errlen);
		return -1;
	}
	SSL_CTX_set_ex_data(t->ctx, tls_data_index, t);
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(t->ctx, TLS1_3_VERSION);
	/* No resumption: each connection proves the key again. */
	SSL_CTX_set_num_tickets(t->ctx, 0);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_TICKET | SSL_OP_CLEANSE_PLAINTEXT |
				    SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	ret = conf->tls_psk_file[0] ? psk_load(t, conf, err, errlen) :
				      cert_load(t, conf, err, errlen);
	if (ret)
		link_tls_exit(t);
	return ret;
}

void link_tls_exit(struct link_tls *t)
{
	SSL_CTX_free(t->ctx);
	sodium_memzero(t, sizeof(*t));
}

/* The configured peer that the certificate speaks for. */
static bool cert_names_peer(struct link *l, const struct conf *conf)
{
	X509 *cert = SSL_get1_peer_certificate(l->ssl);
	size_t i;

	for (i = 0; cert && i < conf->n_peers; i++) {
		/* The CN counts only where there is no SAN (RFC 6125, 6.4.4). */
		if (X509_check_host(cert, conf->peer[i].name, 0,
				    X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1) {
			snprintf(l->name, sizeof(l->name), "%s",
				 conf->peer[i].name);
			break;
		}
	}
	X509_free(cert);
	return l->name[0];
}

static void link_destroy(struct link *l)
{
	int fd = l->io.fd;

	if (l->gone)
		return;
	l->gone = true;
	loop_del(l->loop, &l->io);
	loop_timer_forget(l->loop, &l->dead_timer);
	if (l->ssl)
		SSL_free(l->ssl);
	l->ssl = NULL;
	if (fd >= 0)
		close(fd);
	buf_free(&l->in);
	buf_free(&l->out);
	loop_free_later(l->loop, l);
}

static void fail(struct link *l, const char *why)
{
	if (l->gone || l->closing)
		return;
	l->closing = true;
	l->ops->down(l, why);
	link_destroy(l);
}

/* What OpenSSL says of a key that does not fit names everything but the key. */
static const char *psk_reason(const struct link *l, int reason)
{
	if (!tls_of(l->ssl)->psk || l->up)
		return NULL;
	switch (reason) {
	case SSL_R_BINDER_DOES_NOT_VERIFY:
		return "its pre-shared key is another one";
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_CIPHER:
		return "it does not know the pre-shared key, or has another psk_identity";
	case SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER:
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		return "it refuses our pre-shared key or psk_identity";
	default:
		return NULL;
	}
}

static void fail_ssl(struct link *l, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	int reason = ERR_GET_REASON(e);
	long verify = SSL_get_verify_result(l->ssl);
	char why[160], line[300];

	if (verify != X509_V_OK) {
		snprintf(why, sizeof(why), "its certificate is refused: %s",
			 X509_verify_cert_error_string(verify));
		ERR_clear_error();
	} else if (reason == SSL_R_WRONG_VERSION_NUMBER ||
		   reason == SSL_R_HTTP_REQUEST ||
		   reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
		   reason == SSL_R_BAD_RECORD_TYPE) {
		snprintf(why, sizeof(why), "it does not speak TLS");
		ERR_clear_error();
	} else if (psk_reason(l, reason)) {
		snprintf(why, sizeof(why), "%s", psk_reason(l, reason));
		ERR_clear_error();
	} else if (!e && errno) {
		snprintf(why, sizeof(why), "%s", strerror(errno));
	} else {
		ssl_reason(why, sizeof(why));
	}
	snprintf(line, sizeof(line), "%s: %s", what, why);
	fail(l, line);
}

static void watch(struct link *l)
{
	uint32_t events = EPOLLIN;

	if (l->connecting)
		events = EPOLLOUT;
	else if (l->want_write)
		events |= EPOLLOUT;
	loop_mod(l->loop, &l->io, events);
}

static const struct conf *conf_of(const struct link *l)
{
	return SSL_get_app_data(l->ssl);
}

/* True when the handshake is done. */
static bool handshake(struct link *l)
{
	int ret, err;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(l->ssl);
	if (ret != 1) {
		err = SSL_get_error(l->ssl, ret);
		l->want_write = err == SSL_ERROR_WANT_WRITE;
		if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE)
			fail_ssl(l, "TLS handshake failed");
		return false;
	}
	/* With a PSK there is no verification: resumption is the proof. */
	if (tls_of(l->ssl)->psk && !SSL_session_reused(l->ssl)) {
		fail(l, "TLS handshake failed: it does not know the pre-shared key");
		return false;
	}
	if (!tls_of(l->ssl)->psk && !cert_names_peer(l, conf_of(l))) {
		fail(l, "its certificate names no configured peer");
		return false;
	}
	l->up = true;
	l->last_heard_ns = loop_now_ns();
	l->want_write = false;
	l->ops->up(l);
	return !l->gone;
}

static bool parse_frames(struct link *l)
{
	struct wire_header h;
	size_t at = 0;
	char why[100];
	struct rd r;
	int ret = 0;

	while (!l->gone && !l->closing) {
		ret = wire_header_parse(l->in.data + at, l->in.len - at, &h);
		if (ret <= 0 || l->in.len - at < WIRE_HEADER + h.length)
			break;
		r.p = l->in.data + at + WIRE_HEADER;
		r.left = h.length;
		r.bad = false;
		at += WIRE_HEADER + h.length;
		l->spoke = true;
		l->last_heard_ns = loop_now_ns();
		if (!l->ops->frame(l, &h, &r)) {
			fail(l, "it sent a malformed frame");
			return false;
		}
	}
	if (l->gone || l->closing)
		return false;
	if (ret == -EPROTONOSUPPORT) {
		l->peer_version = h.version;
		snprintf(why, sizeof(why),
			 "it speaks protocol version %u, we speak %d: upgrade the older one",
			 h.version, WIRE_VERSION);
		fail(l, why);
		return false;
	}
	if (ret < 0) {
		fail(l, ret == -EMSGSIZE ? "it sent an oversized frame" :
			ret == -ERANGE ? "it says an epoch that cannot be" :
					 "it does not speak our protocol");
		return false;
	}
	if (at)
		buf_take(&l->in, at);
	return true;
}

static void do_read(struct link *l)
{
	int n, err, i;
	uint8_t *to;

	for (i = 0; i < READ_ROUNDS; i++) {
		to = buf_more(&l->in, READ_CHUNK);
		if (!to) {
			fail(l, "out of memory");
			return;
		}
		ERR_clear_error();
		errno = 0;
		n = SSL_read(l->ssl, to, READ_CHUNK);
		if (n <= 0) {
			err = SSL_get_error(l->ssl, n);
			if (err == SSL_ERROR_WANT_READ ||
			    err == SSL_ERROR_WANT_WRITE)
				break;
			if (err == SSL_ERROR_ZERO_RETURN)
				fail(l, "it closed the connection");
			else
				fail_ssl(l, "connection lost");
			return;
		}
		/* Who does not even say who it is, byte by byte, holds a guest's place. */
		if (l->spoke)
			l->last_heard_ns = loop_now_ns();
		l->in.len += n;
		if (!parse_frames(l))
			return;
		if (l->out.len > LINK_OUT_MAX) {
			fail(l, "it asks and does not listen");
			return;
		}
	}
	l->ops->idle(l);
}

static void do_write(struct link *l)
{
	size_t at = 0;
	int n, err;

	l->want_write = false;
	for (;;) {
		/* All IKE SAs may stand there, and TLS takes 16 KiB at once: they are moved
		 * when the socket is full, not each time.
		 */
		if (l->out.len - at < LINK_OUT_ROOM) {
			buf_take(&l->out, at);
			at = 0;
			l->ops->fill(l);
		}
		if (l->out.bad) {
			fail(l, "out of memory");
			return;
		}
		if (!l->out.len)
			return;
		ERR_clear_error();
		errno = 0;
		n = SSL_write(l->ssl, l->out.data + at, l->out.len - at);
		if (n > 0) {
			at += n;
			continue;
		}
		if (at)
			buf_take(&l->out, at);
		err = SSL_get_error(l->ssl, n);
		if (err != SSL_ERROR_WANT_WRITE && err != SSL_ERROR_WANT_READ) {
			fail_ssl(l, "connection lost");
			return;
		}
		l->want_write = err == SSL_ERROR_WANT_WRITE;
		return;
	}
}

static void connected(struct link *l)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(l->io.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err) {
		fail(l, strerror(err));
		return;
	}
	l->connecting = false;
}

static void io(struct loop_fd *f, uint32_t events)
{
	struct link *l = f->data;

	(void)events;
	if (l->connecting)
		connected(l);
	if (!l->gone && !l->up && !handshake(l))
		goto out;
	if (!l->gone)
		do_read(l);
	if (!l->gone)
		do_write(l);
out:
	if (!l->gone)
		watch(l);
}

void link_kick(struct link *l)
{
	if (l->gone || l->closing || !l->up || l->want_write)
		return;
	/* From the loop, not from here: the caller may be inside of a frame. */
	l->want_write = true;
	watch(l);
}

static void dead_check(struct loop_timer *t)
{
	struct link *l = t->data;
	uint64_t silent = loop_now_ns() - l->last_heard_ns;

	if (silent >= l->dead_ns) {
		fail(l, l->up ? "it has been silent for too long" :
		     l->connecting ? "it does not answer" :
		     "it did not finish the TLS handshake in time");
		return;
	}
	loop_timer_set(l->loop, t, l->dead_ns - silent);
}

struct link *link_new(struct loop *loop, struct link_tls *t,
		      const struct conf *conf, int fd, bool outgoing,
		      const char *addr, const struct link_ops *ops, void *data)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		goto close_fd;
	l->ssl = SSL_new(t->ctx);
	if (!l->ssl || SSL_set_fd(l->ssl, fd) != 1)
		goto free_link;
	SSL_set_app_data(l->ssl, (void *)conf);
	l->loop = loop;
	l->ops = ops;
	l->data = data;
	l->outgoing = outgoing;
	l->connecting = outgoing;
	snprintf(l->addr, sizeof(l->addr), "%s", addr);
	l->io.cb = io;
	l->io.data = l;
	l->last_heard_ns = loop_now_ns();
	l->dead_ns = conf->dead_ms * LOOP_MS;
	l->dead_timer.cb = dead_check;
	l->dead_timer.data = l;
	if (outgoing)
		SSL_set_connect_state(l->ssl);
	else
		SSL_set_accept_state(l->ssl);
	if (loop_add(loop, &l->io, fd, outgoing ? EPOLLOUT : EPOLLIN))
		goto free_link;
	loop_timer_set(loop, &l->dead_timer, l->dead_ns);
	return l;

free_link:
	SSL_free(l->ssl);
	free(l);
close_fd:
	close(fd);
	return NULL;
}

void link_close(struct link *l)
{
	if (l->gone)
		return;
	l->closing = true;
	if (l->up) {
		if (l->out.len)
			SSL_write(l->ssl, l->out.data, l->out.len);
		SSL_shutdown(l->ssl);
	}
	link_destroy(l);
}
