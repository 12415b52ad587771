// SPDX-License-Identifier: GPL-2.0
/*
 * In: the credentials that the configuration names.
 * Out: findings about them: do they fit, and until when.
 * Looks only; conf_load() has seen to owners and modes already.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "check.h"
#include "link.h"

#define SOON_DAYS 30

static X509 *read_cert(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *x = NULL;

	if (f) {
		x = PEM_read_X509(f, NULL, NULL, NULL);
		fclose(f);
	}
	return x;
}

static void check_dates(struct check *c, const char *what, const X509 *x)
{
	int days = 0, secs = 0;

	if (!ASN1_TIME_diff(&days, &secs, NULL, X509_get0_notAfter(x))) {
		check_say(c, CHECK_FAIL, what, "its date cannot be read");
		return;
	}
	if (days < 0 || secs < 0)
		check_say(c, CHECK_FAIL, what, "expired %d days ago: peers refuse it\nissue a new one",
			  -days);
	else if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		check_say(c, CHECK_FAIL, what, "not valid yet: peers refuse it\nlook at this machine's clock");
	else if (days < SOON_DAYS)
		check_say(c, CHECK_WARN, what, "expires in %d days\nissue a new one", days);
	else
		check_say(c, CHECK_OK, what, "valid for another %d days", days);
}

/* The certificate against the CA file, for both ends of a connection. */
static void check_chain(struct check *c, X509 *x, const char *ca)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *store = X509_STORE_new();
	int err;

	if (!ctx || !store || !X509_STORE_load_file(store, ca) ||
	    !X509_STORE_CTX_init(ctx, store, x, NULL)) {
		check_say(c, CHECK_FAIL, "certificate", "%s holds no certificate of a CA", ca);
	} else {
		/* Dates are told apart, with their days. */
		X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx),
					    X509_V_FLAG_NO_CHECK_TIME);
		if (X509_verify_cert(ctx) == 1) {
			check_say(c, CHECK_OK, "certificate", "issued by the CA");
		} else {
			err = X509_STORE_CTX_get_error(ctx);
			check_say(c, CHECK_FAIL, "certificate",
				  "does not lead to the CA in %s: %s\nissue it by that CA",
				  ca, X509_verify_cert_error_string(err));
		}
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
}

static void check_name(struct check *c, X509 *x, const char *name)
{
	if (X509_check_host(x, name, 0, 0, NULL) == 1)
		check_say(c, CHECK_OK, "certificate", "names this node, %s", name);
	else
		check_say(c, CHECK_FAIL, "certificate",
			  "does not name this node, %s, so peers refuse it\nissue one with that CN or SAN, or set [node] name",
			  name);
}

static void check_certs(struct check *c, const struct conf *conf)
{
	X509 *cert = read_cert(conf->tls_cert), *ca = read_cert(conf->tls_ca);

	if (ca)
		check_dates(c, "CA", ca);
	if (cert) {
		check_dates(c, "certificate", cert);
		check_name(c, cert, conf->node_name);
		check_chain(c, cert, conf->tls_ca);
	}
	X509_free(cert);
	X509_free(ca);
	ERR_clear_error();
}

void check_tls(struct check *c, const struct conf *conf)
{
	bool psk = conf->tls_psk_file[0];
	struct link_tls tls;
	char err[512];

	if (!psk && !conf->tls_cert[0]) {
		check_say(c, CHECK_FAIL, "credentials", "none in the configuration\nset [tls]");
		return;
	}
	if (link_tls_init(&tls, conf, err, sizeof(err))) {
		check_say(c, CHECK_FAIL, "credentials", "%s", err);
	} else {
		check_say(c, CHECK_OK, "credentials", psk ?
			  "the pre-shared key can be used" :
			  "the key belongs to the certificate");
		link_tls_exit(&tls);
	}
	if (!psk)
		check_certs(c, conf);
}
