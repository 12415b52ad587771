// SPDX-License-Identifier: GPL-2.0
/*
 * In: published vectors of IKEv2's key derivation.
 * Out: the same keys; of messages of charon's ha plugin; as lines for Wireshark.
 * Host only.
 *
 * SKEYSEED and prf+ with HMAC: the CAVP's vectors for NIST SP 800-135, ikev2.zip, of
 * https://csrc.nist.gov/Projects/Cryptographic-Algorithm-Validation-Program (the first
 * count of each hash). AES-CMAC-PRF-128: RFC 4615, section 4.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "ike_keylog.h"
#include "ike_keys.h"

struct bytes {
	uint8_t p[512];
	size_t len;
};

static struct bytes hex(const char *text)
{
	struct bytes b = {};

	assert_int_equal(sodium_hex2bin(b.p, sizeof(b.p), text, strlen(text), NULL,
					&b.len, NULL), 0);
	return b;
}

static struct ike_part part(const struct bytes *b)
{
	return (struct ike_part){ b->p, b->len };
}

static void same(const char *want, const void *p, size_t len)
{
	struct bytes b = hex(want);

	assert_int_equal(len, b.len);
	assert_memory_equal(p, b.p, len);
}

/* ---- the CAVP's ---- */

struct cavp {
	uint16_t prf;
	const char *ni, *nr, *g_ir, *g_ir_new, *spi_i, *spi_r;
	const char *seed, *dkm, *child, *child_dh, *rekeyed;
};

static const struct cavp cavp[] = {
	{
		.prf = IKE_PRF_HMAC_SHA1,
		.ni = "3651fef5c9c35e93",
		.nr = "c09a8b90a3f04d59",
		.g_ir = "d084a30166a50fb7325c3960874a839449ef9741c2f4f947d0201dd8c1269273"
			"d79509f37e3ca3eb4fa2fe2a28254e289cd3f34dad4eb4df1a07685a4b8a94fa"
			"61e2491f7598b3ce65547ff133b3f63d1ac4175eaa695033f3cedb026a6873a3"
			"6455172a8540b8a5d23a0143bed0390ee49b168269d75fffee9fb62be965993c",
		.g_ir_new = "52f00ab174c25d5b7139ae5ff4e8e9eddee5992d2e36adf8a559ffd90dab1442"
			    "e4fbe429d320c0f33552a17d1557fa41ea70e8fb916c4fa27ed52b5f8ebd8461"
			    "afa78f1159159a64055ac5f6319e29c28eae58cbc6847770f32c3fed1d047504"
			    "84f854790f95e9ec01bc5bc461f24966462e359511329305038e94deb6dd42c2",
		.spi_i = "8e5c3ae507221684",
		.spi_r = "b1f201bb155c3acd",
		.seed = "cd2e8050137832245f1dbacc6e4f0a92f94d45d6",
		.dkm = "6f1b12cad3cbe097b35430356d869d54cddb0198ec859174d53ceb92dddedbe2"
		       "436db69f60977c58fa63bbb667f8d36920b109baae8f6c61a9ac49feda018432"
		       "25d080ec5539d5881a25521ffb2a0a91874a9c0a27fcc2d717eb8963a9e3a89c"
		       "7ab264757284c28cf8c3ca40576f4220b052b1fb8e9ad60ba3c80557323331a8"
		       "cbb89f20",
		.child = "4727dc0ef94eb326ce131cf282fb652faa638ad0ddae3786a11bcc0309876009"
			 "f8c485de011ad962c5b1ca8a41ff8145445749079c5686e26ffebbc342f06981"
			 "f3da745e11ca0976424d1f8caec623d59dc7186deb20a27b411d1dcb70a36544"
			 "0bf7de905088b0692e8addc094e18d1939bdb67e89798ca6b239e2ccb81c2409"
			 "dac0106c",
		.child_dh = "b109c21ad4c0797768c1cec9e63554681e48f224bca7f23c20c4ea7041983451"
			    "e9aa1d5408656c8a975ff1b9d9a12c75ffeb64bdecb30174664cccb4e14f1c37"
			    "7b7f6d1525af77c7092aac3e47f917ebae8297fb5539d2008ce830823a09cc19"
			    "7361d4a289c72745f6ce9fefe812be5bf55b3200fbb82e41a4a40877d3fe106d"
			    "b909707b",
		.rekeyed = "3b03bce748c96d5e8306918d2ff89b68f0648da3",
	}, {
		.prf = IKE_PRF_HMAC_SHA2_256,
		.ni = "ed80dc79912c32a9",
		.nr = "35fb6d1a3feac078",
		.g_ir = "42968e5d0ccc3cfc5a3e4bc1bba370cea1fae0d54c49ccba34b2bee804beeb2e"
			"9e8c57a4e01bd45102cf2433aacc6cfec06792f363e5170e6aa6650274e90664"
			"8e449d27a8f00b5b44261982c9835c748a751ec5138eaacc5e025661339538a6"
			"1bf418e454699e19c32db8d9ce5dd86b220f1e89afc5872e68be36cb1a0c8866",
		.spi_i = "47c1858efc932ea4",
		.spi_r = "606fd05609624002",
		.seed = "37fde90b81d63692620f67367b62092e3efdc6a03509137d731004767ff35010",
		.dkm = "63d018a08f7a29daa7d1f92cb63f45fa39bbaf5e5f1a78139613bb891e3e6bf9"
		       "d0448f7c74e05b4c1a25c0b61e62c875e852f287e192d4ae536112db51972164"
		       "00bd5e123470efc15f53161865fe8b19a1416518a157d651ecd2caddab6a9eae"
		       "6a27a55af088218d5156edaa9789f934d9836ed43edffda553822202ff9f7d48"
		       "60ca72e0",
	}, {
		.prf = IKE_PRF_HMAC_SHA2_384,
		.ni = "d672b0bc852829b9",
		.nr = "3509f3b724706364",
		.g_ir = "4df040b70978629c49437cff41a0d46cbea68c8d75b370ffc11d7b387144ea83"
			"bb5903fbb92e473df50a9b19ea43e9c2f3da9a849c03864276c6f264ecf02a60"
			"d40ba65c06656b633f02a87427e928eb66a2dabd9dc05744717bcaf7ae78c296"
			"872f5c48d1a8120c2155b70c565ce271998e3e44af263d487ea3ba7f56132d7d",
		.spi_i = "0f9a016d7b22223c",
		.spi_r = "85f710daf8b982d8",
		.seed = "54436a9ea95d6ff79b967f4b07f6de976a376e8ea26aa9574709afc60243c9c1"
			"41da4ca0e158e627a75ea87f6feb07ef",
		.dkm = "10b00a654643b3b985764f86e23ef62431122fcc96de16e338a372bee49391db"
		       "1f83a7358c080380abbf4af47cdb83b9530343168f7dbc9221260e1546c6b383"
		       "e2235d2705a727f0b41aebf6a1b4c61cb460660152a17ba74c20d5191ba68417"
		       "94945270d829587b7f3294639ea7b77149e1d07230ac16e0cd5ab236fa3212bd"
		       "569ee70f",
	}, {
		.prf = IKE_PRF_HMAC_SHA2_512,
		.ni = "df7931db9b429e10",
		.nr = "b8aa8e4d46042393",
		.g_ir = "1e3b007d2da913ca60ecc98c25a22db08073d5c35c11b2524b298a922b6abfe6"
			"acf7359db66ae5f85d67aacff686419cd8666d05ae7977cefad7f54dd8e312a8"
			"e8e5e0370f88142fbdd659dd6fde22bdd531f5402881a8de85c1024e595ec93c"
			"575618af7fd3dbac7982919078d71cc13eff1910a032750e1ff428675de189ee",
		.spi_i = "9ba40af9157f4792",
		.spi_r = "5383c7cd3d1046e6",
		.seed = "daf9bd6f2f912da553867966af386e67909a8df0ca7e84b83b355cb7d7f1026f"
			"17d8ea34b5d57fd0d1ba389528fca1e81d1c8ce511b28a2458241143fee30ccc",
		.dkm = "919a75deaeccbd393bebc89615f8a215edb7073b2319d86740221eee7a2deb92"
		       "509044d7e61fcb1bf9676b3881c7ced49e6bba1549da3113601677a2445d91ac"
		       "13a597335782dd3a9cf496d9e19b932f27dd35e36f8070d232d0a3b3f4c4a0b4"
		       "ba4470778dc090f31f52ab1b6d81e4c7dfb35063ad96c327adcdbde714cc9a6b"
		       "5ef049b8",
	},
};

static void check_cavp(const struct cavp *v)
{
	struct bytes ni = hex(v->ni), nr = hex(v->nr), g_ir = hex(v->g_ir);
	struct bytes spi_i = hex(v->spi_i), spi_r = hex(v->spi_r);
	struct ike_exchange x = {
		.secret = part(&g_ir), .ni = part(&ni), .nr = part(&nr),
	};
	struct ike_algs a = { .prf = v->prf, .encr = IKE_ENCR_AES_GCM_16,
			      .encr_bits = 128 };
	const struct ike_part seed[] = {
		part(&ni), part(&nr), part(&spi_i), part(&spi_r),
	};
	struct ike_keys keys = {};
	uint8_t dkm[132];
	size_t d = ike_prf_len(v->prf);

	memcpy(x.spi_i, spi_i.p, 8);
	memcpy(x.spi_r, spi_r.p, 8);
	assert_int_equal(ike_keys_seed(&a, &x, &keys.seed), 0);
	same(v->seed, keys.seed.p, keys.seed.len);
	assert_int_equal(ike_prf_plus(v->prf, (struct ike_part){ keys.seed.p, d },
				      seed, 4, dkm, sizeof(dkm)), 0);
	same(v->dkm, dkm, sizeof(dkm));
	assert_int_equal(ike_keys_expand(&a, &x, &keys), 0);
	assert_memory_equal(keys.d.p, dkm, d);
	assert_int_equal(keys.d.len, d);
	assert_int_equal(keys.ei.len, 20);
	assert_memory_equal(keys.ei.p, dkm + d, 20);
	assert_memory_equal(keys.er.p, dkm + d + 20, 20);
	assert_int_equal(keys.ai.len, 0);
}

static void test_cavp(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cavp) / sizeof(cavp[0]); i++)
		check_cavp(&cavp[i]);
}

/* In their order: those of CBC have keys for integrity between. */
static void test_order(void **state)
{
	const struct cavp *v = &cavp[0];
	struct bytes ni = hex(v->ni), nr = hex(v->nr), g_ir = hex(v->g_ir);
	struct bytes spi_i = hex(v->spi_i), spi_r = hex(v->spi_r);
	struct ike_exchange x = {
		.secret = part(&g_ir), .ni = part(&ni), .nr = part(&nr),
	};
	struct ike_algs a = { .prf = v->prf, .encr = IKE_ENCR_AES_CBC,
			      .encr_bits = 128, .integ = IKE_INTEG_HMAC_SHA1_96 };
	struct ike_keys keys = {};

	(void)state;
	memcpy(x.spi_i, spi_i.p, 8);
	memcpy(x.spi_r, spi_r.p, 8);
	assert_int_equal(ike_keys_seed(&a, &x, &keys.seed), 0);
	assert_int_equal(ike_keys_expand(&a, &x, &keys), 0);
	/* DKM has 132 bytes: 20 + 2 * 20 + 2 * 16 + 2 * 20. */
	same("6f1b12cad3cbe097b35430356d869d54cddb0198", keys.d.p, keys.d.len);
	same("ec859174d53ceb92dddedbe2436db69f60977c58", keys.ai.p, keys.ai.len);
	same("fa63bbb667f8d36920b109baae8f6c61a9ac49fe", keys.ar.p, keys.ar.len);
	same("da01843225d080ec5539d5881a25521f", keys.ei.p, keys.ei.len);
	same("fb2a0a91874a9c0a27fcc2d717eb8963", keys.er.p, keys.er.len);
	same("a9e3a89c7ab264757284c28cf8c3ca40576f4220", keys.pi.p, keys.pi.len);
	same("b052b1fb8e9ad60ba3c80557323331a8cbb89f20", keys.pr.p, keys.pr.len);
	ike_keys_wipe(&keys);
	assert_int_equal(keys.d.len + keys.d.p[0] + keys.pr.p[19], 0);
}

static void test_child_and_rekey(void **state)
{
	const struct cavp *v = &cavp[0];
	struct bytes ni = hex(v->ni), nr = hex(v->nr), g_ir = hex(v->g_ir_new);
	struct bytes want = hex(v->child);
	struct ike_exchange x = { .ni = part(&ni), .nr = part(&nr) };
	struct ike_algs a = { .encr = IKE_ENCR_AES_CBC, .encr_bits = 128,
			      .integ = IKE_INTEG_HMAC_SHA1_96 };
	struct ike_child_keys keys = {};
	struct ike_key skd = { .len = 20 }, seed;

	(void)state;
	memcpy(skd.p, hex(v->dkm).p, 20);
	assert_int_equal(ike_keys_child(v->prf, &skd, &a, &x, &keys), 0);
	assert_memory_equal(keys.ei.p, want.p, 16);
	assert_memory_equal(keys.ai.p, want.p + 16, 20);
	assert_memory_equal(keys.er.p, want.p + 36, 16);
	assert_memory_equal(keys.ar.p, want.p + 52, 20);
	/* With a key exchange of its own. */
	x.secret = part(&g_ir);
	want = hex(v->child_dh);
	assert_int_equal(ike_keys_child(v->prf, &skd, &a, &x, &keys), 0);
	assert_memory_equal(keys.ei.p, want.p, 16);
	assert_memory_equal(keys.ar.p, want.p + 52, 20);
	/* And of a new IKE SA. */
	x.old_skd = (struct ike_part){ skd.p, skd.len };
	x.old_prf = v->prf;
	a.prf = IKE_PRF_HMAC_SHA2_512;
	assert_int_equal(ike_keys_seed(&a, &x, &seed), 0);
	same(v->rekeyed, seed.p, seed.len);
}

static void test_cmac(void **state)
{
	static const struct {
		const char *key, *out;
	} v[] = {
		{ "000102030405060708090a0b0c0d0e0fedcb",
		  "84a348a4a45d235babfffc0d2b4da09a" },
		{ "000102030405060708090a0b0c0d0e0f",
		  "980ae87b5f4c9c5214f5b6a8455e4c2d" },
		{ "00010203040506070809", "290d9e112edb09ee141fcf64c0b72f3d" },
	};
	struct bytes msg = hex("000102030405060708090a0b0c0d0e0f10111213"), key;
	struct ike_part parts[] = { { msg.p, 7 }, { NULL, 0 }, { msg.p + 7, 13 } };
	struct ike_key out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		key = hex(v[i].key);
		assert_int_equal(ike_prf(IKE_PRF_AES128_CMAC, part(&key), parts, 3,
					 &out), 0);
		same(v[i].out, out.p, out.len);
	}
}

/* RFC 7296, 2.14: eight bytes of each nonce make its key, all of them the rest. */
static void test_cmac_seed(void **state)
{
	struct bytes ni = hex("000102030405060700"), nr = hex("08090a0b0c0d0e0f01");
	struct bytes secret = hex("000102030405060708090a0b0c0d0e0f10111213");
	struct ike_exchange x = {
		.ni = part(&ni), .nr = part(&nr), .secret = part(&secret),
	};
	struct ike_algs a = { .prf = IKE_PRF_AES128_CMAC };
	struct ike_key seed;

	(void)state;
	assert_int_equal(ike_keys_seed(&a, &x, &seed), 0);
	same("980ae87b5f4c9c5214f5b6a8455e4c2d", seed.p, seed.len);
}

static void test_unknown(void **state)
{
	struct ike_algs a = { .prf = IKE_PRF_AES128_XCBC };
	struct ike_exchange x = {};
	struct ike_keys keys = {};
	uint8_t out[300 * 20];

	(void)state;
	assert_int_equal(ike_keys_seed(&a, &x, &keys.seed), -EOPNOTSUPP);
	a.prf = 0;
	assert_int_equal(ike_keys_seed(&a, &x, &keys.seed), -EOPNOTSUPP);
	a.prf = 0xffff;
	assert_int_equal(ike_keys_seed(&a, &x, &keys.seed), -EOPNOTSUPP);
	a.prf = IKE_PRF_HMAC_SHA1;
	a.encr = 99;
	assert_int_equal(ike_keys_expand(&a, &x, &keys), -EOPNOTSUPP);
	assert_int_equal(ike_prf_plus(a.prf, (struct ike_part){}, NULL, 0, out,
				      sizeof(out)), -EINVAL);
	assert_int_equal(ike_encr_len(IKE_ENCR_AES_CBC, 100), -EOPNOTSUPP);
	assert_int_equal(ike_encr_len(IKE_ENCR_CHACHA20_POLY1305, 0), 36);
	assert_int_equal(ike_encr_len(IKE_ENCR_AES_CCM_16, 256), 35);
	assert_int_equal(ike_integ_len(99), -EOPNOTSUPP);
}

/* ---- of charon's messages ---- */

static struct ha_msg msg;
static struct ike_store store;

static void take(void)
{
	struct ha_msg parsed;
	struct buf b = {};

	assert_int_equal(ha_build(&msg, &b, NULL), 0);
	assert_int_equal(ha_parse(b.data, b.len, &parsed, NULL), 0);
	assert_int_equal(ike_store_take(&store, &parsed), IKE_STORE_CHANGED);
	buf_free(&b);
}

static void put_hex(uint8_t type, const char *text)
{
	static struct bytes b[8];
	static unsigned int n;
	struct bytes *at = &b[n++ % 8];

	*at = hex(text);
	ha_put_bytes(&msg, type, at->p, at->len);
}

static struct ha_ike_id cavp_id(const struct cavp *v)
{
	struct ha_ike_id id = { .version = 2 };

	memcpy(id.spi_i, hex(v->spi_i).p, 8);
	memcpy(id.spi_r, hex(v->spi_r).p, 8);
	return id;
}

/* This node is the responder, of both. */
static void take_cavp(const struct cavp *v)
{
	const struct ha_addr local = { .port = 500, .family = 2, .addr = { 192, 0, 2, 1 } };
	const struct ha_addr remote = { .port = 500, .family = 2, .addr = { 192, 0, 2, 9 } };
	struct ha_ike_id id = cavp_id(v);

	ha_begin(&msg, 3, HA_IKE_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, IKE_ENCR_AES_CBC);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR_LEN, 128);
	ha_put_u16(&msg, HA_ATTR_ALG_INTEG, IKE_INTEG_HMAC_SHA1_96);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, v->prf);
	put_hex(HA_ATTR_NONCE_I, v->ni);
	put_hex(HA_ATTR_NONCE_R, v->nr);
	put_hex(HA_ATTR_SECRET, v->g_ir);
	take();
	ha_begin(&msg, 3, HA_IKE_UPDATE);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_addr(&msg, HA_ATTR_LOCAL_ADDR, &local);
	ha_put_addr(&msg, HA_ATTR_REMOTE_ADDR, &remote);
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "site", 4);
	take();
}

static void take_child(const struct cavp *v, bool aead, uint8_t initiator)
{
	struct ha_ike_id id = cavp_id(v);

	ha_begin(&msg, 3, HA_CHILD_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_u8(&msg, HA_ATTR_INITIATOR, initiator);
	ha_put_spi(&msg, HA_ATTR_INBOUND_SPI, htonl(0xc0000001));
	ha_put_spi(&msg, HA_ATTR_OUTBOUND_SPI, htonl(0xc0000002));
	ha_put_bytes(&msg, HA_ATTR_CONFIG_NAME, "net", 3);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, aead ? IKE_ENCR_AES_GCM_16 :
						  IKE_ENCR_AES_CBC);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR_LEN, 128);
	if (!aead)
		ha_put_u16(&msg, HA_ATTR_ALG_INTEG, IKE_INTEG_HMAC_SHA1_96);
	put_hex(HA_ATTR_NONCE_I, v->ni);
	put_hex(HA_ATTR_NONCE_R, v->nr);
	take();
}

static int set_up(void **state)
{
	(void)state;
	return ike_store_init(&store);
}

static int tear_down(void **state)
{
	(void)state;
	ike_store_exit(&store);
	return 0;
}

static struct ike_sa *sa_of(const struct cavp *v)
{
	struct ha_ike_id id = cavp_id(v);

	return ike_store_find(&store, &id);
}

/* A line, or several; of what the function writes. */
#define log_text(fn, arg) ({ \
	struct buf log_ = {}; \
	assert_int_equal(fn(&log_, arg), 0); \
	buf_u8(&log_, 0); \
	(char *)log_.data; })

static void test_log_sa(void **state)
{
	char *text;

	(void)state;
	take_cavp(&cavp[0]);
	text = log_text(ike_keylog_sa, sa_of(&cavp[0]));
	assert_string_equal(text, "8e5c3ae507221684,b1f201bb155c3acd,"
		"da01843225d080ec5539d5881a25521f,fb2a0a91874a9c0a27fcc2d717eb8963,"
		"\"AES-CBC-128 [RFC3602]\","
		"ec859174d53ceb92dddedbe2436db69f60977c58,"
		"fa63bbb667f8d36920b109baae8f6c61a9ac49fe,"
		"\"HMAC_SHA1_96 [RFC2404]\"\n");
	free(text);
}

static void test_log_child(void **state)
{
	const struct ike_child *c;
	char *text;

	(void)state;
	take_cavp(&cavp[0]);
	take_child(&cavp[0], false, 0);
	c = ike_store_find_child(&store, htonl(0xc0000001));
	text = log_text(ike_keylog_child, c);
	/* The peer made it: what goes out has the responder's keys. */
	assert_string_equal(text,
		"\"IPv4\",\"192.0.2.1\",\"192.0.2.9\",\"0xc0000002\",\"AES-CBC [RFC3602]\","
		"\"0x011ad962c5b1ca8a41ff814544574907\",\"HMAC-SHA-1-96 [RFC2404]\","
		"\"0x9c5686e26ffebbc342f06981f3da745e11ca0976\"\n"
		"\"IPv4\",\"192.0.2.9\",\"192.0.2.1\",\"0xc0000001\",\"AES-CBC [RFC3602]\","
		"\"0x4727dc0ef94eb326ce131cf282fb652f\",\"HMAC-SHA-1-96 [RFC2404]\","
		"\"0xaa638ad0ddae3786a11bcc0309876009f8c485de\"\n");
	free(text);
}

static void test_log_aead(void **state)
{
	const struct ike_child *c;
	char *text;

	(void)state;
	take_cavp(&cavp[0]);
	take_child(&cavp[0], true, 1);
	c = ike_store_find_child(&store, htonl(0xc0000001));
	text = log_text(ike_keylog_child, c);
	assert_string_equal(text,
		"\"IPv4\",\"192.0.2.1\",\"192.0.2.9\",\"0xc0000002\","
		"\"AES-GCM with 16 octet ICV [RFC4106]\","
		"\"0x4727dc0ef94eb326ce131cf282fb652faa638ad0\",\"NULL\",\"\"\n"
		"\"IPv4\",\"192.0.2.9\",\"192.0.2.1\",\"0xc0000001\","
		"\"AES-GCM with 16 octet ICV [RFC4106]\","
		"\"0xddae3786a11bcc0309876009f8c485de011ad962\",\"NULL\",\"\"\n");
	free(text);
}

static void test_rekeyed_sa(void **state)
{
	const struct cavp *v = &cavp[0];
	struct ha_ike_id old = cavp_id(v), id = { .version = 2, .spi_i = { 1 } };
	struct ike_keys keys;
	struct ike_algs a;

	(void)state;
	take_cavp(v);
	ha_begin(&msg, 3, HA_IKE_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	ha_put_ike_id(&msg, HA_ATTR_IKE_REKEY_ID, &old);
	ha_put_u16(&msg, HA_ATTR_ALG_OLD_PRF, v->prf);
	put_hex(HA_ATTR_OLD_SKD, "6f1b12cad3cbe097b35430356d869d54cddb0198");
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR, IKE_ENCR_AES_GCM_16);
	ha_put_u16(&msg, HA_ATTR_ALG_ENCR_LEN, 256);
	ha_put_u16(&msg, HA_ATTR_ALG_PRF, IKE_PRF_HMAC_SHA2_256);
	put_hex(HA_ATTR_NONCE_I, v->ni);
	put_hex(HA_ATTR_NONCE_R, v->nr);
	put_hex(HA_ATTR_SECRET, v->g_ir_new);
	take();
	assert_int_equal(ike_keys_of_sa(ike_store_find(&store, &id), &a, &keys), 0);
	same(v->rekeyed, keys.seed.p, keys.seed.len);
	assert_int_equal(keys.d.len, 32);
	assert_int_equal(keys.er.len, 36);
	assert_int_equal(a.encr_bits, 256);
}

/* RFC 9370: SKEYSEED(1) = prf(SK_d(0), SK(1) | Ni | Nr). */
static void test_further_exchange(void **state)
{
	const struct cavp *v = &cavp[0];
	struct ha_ike_id id = cavp_id(v);
	struct ike_keys keys;
	struct ike_algs a;

	(void)state;
	take_cavp(v);
	ha_begin(&msg, 4, HA_IKE_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	put_hex(HA_ATTR_NONCE_I, v->ni);
	put_hex(HA_ATTR_NONCE_R, v->nr);
	put_hex(HA_ATTR_SECRET, v->g_ir_new);
	take();
	assert_int_equal(ike_keys_of_sa(sa_of(v), &a, &keys), 0);
	same(v->rekeyed, keys.seed.p, keys.seed.len);
}

static void test_no_log(void **state)
{
	struct ha_ike_id id = { .version = 1 };
	struct ike_keys keys;
	struct ike_algs a;
	struct buf b = {};

	(void)state;
	ha_begin(&msg, 3, HA_IKE_ADD);
	ha_put_ike_id(&msg, HA_ATTR_IKE_ID, &id);
	put_hex(HA_ATTR_NONCE_I, "01");
	put_hex(HA_ATTR_NONCE_R, "02");
	put_hex(HA_ATTR_SECRET, "03");
	take();
	assert_int_equal(ike_keys_of_sa(ike_store_find(&store, &id), &a, &keys),
			 -EOPNOTSUPP);
	assert_int_equal(ike_keylog_sa(&b, ike_store_find(&store, &id)), -EOPNOTSUPP);
	assert_int_equal(b.len, 0);
}

int main(void)
{
#define OF_STORE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cavp),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_child_and_rekey),
		cmocka_unit_test(test_cmac),
		cmocka_unit_test(test_cmac_seed),
		cmocka_unit_test(test_unknown),
		OF_STORE(test_log_sa),
		OF_STORE(test_log_child),
		OF_STORE(test_log_aead),
		OF_STORE(test_rekeyed_sa),
		OF_STORE(test_further_exchange),
		OF_STORE(test_no_log),
	};

	return cmocka_run_group_tests_name("ike_keys", tests, NULL, NULL);
}
