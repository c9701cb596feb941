/* SPDX-License-Identifier: MIT
 * shim.h - turns the OpenSSL 3 macros that Swift cannot import into functions.
 * Nothing here decides anything: one macro, one function. */
#ifndef EVY_COPENSSL_SHIM_H
#define EVY_COPENSSL_SHIM_H

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "evy needs OpenSSL 3.0 or newer"
#endif

/* ---- BIO ------------------------------------------------------------------------- */

static inline void evyssl_bio_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void evyssl_bio_retry_write(BIO *bio) { BIO_set_retry_write(bio); }
static inline void evyssl_bio_retry_clear(BIO *bio) { BIO_clear_retry_flags(bio); }

/* ---- SSL_CTX ----------------------------------------------------------------------- */

static inline int evyssl_ctx_set_min_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_min_proto_version(ctx, version);
}
static inline int evyssl_ctx_set_max_version(SSL_CTX *ctx, int version) {
    return (int)SSL_CTX_set_max_proto_version(ctx, version);
}
static inline int evyssl_ctx_min_version(SSL_CTX *ctx) {
    return (int)SSL_CTX_get_min_proto_version(ctx);
}
static inline int evyssl_ctx_max_version(SSL_CTX *ctx) {
    return (int)SSL_CTX_get_max_proto_version(ctx);
}
static inline int evyssl_ctx_set_groups(SSL_CTX *ctx, const char *list) {
    return (int)SSL_CTX_set1_groups_list(ctx, list);
}
static inline void evyssl_ctx_add_mode(SSL_CTX *ctx, long mode) { SSL_CTX_set_mode(ctx, mode); }
static inline void evyssl_ctx_dh_auto(SSL_CTX *ctx) { SSL_CTX_set_dh_auto(ctx, 1); }
static inline void evyssl_ctx_no_session_cache(SSL_CTX *ctx) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}
/* Function-like macros in OpenSSL 3, so their values cannot be imported. */
static inline uint64_t evyssl_op_no_renegotiation(void) { return SSL_OP_NO_RENEGOTIATION; }
static inline uint64_t evyssl_op_no_compression(void) { return SSL_OP_NO_COMPRESSION; }
static inline uint64_t evyssl_op_ignore_unexpected_eof(void) { return SSL_OP_IGNORE_UNEXPECTED_EOF; }
static inline uint64_t evyssl_op_server_order(void) {
    return SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
}
static inline uint64_t evyssl_op_no_ticket(void) { return SSL_OP_NO_TICKET; }
static inline void evyssl_ctx_on_server_name(SSL_CTX *ctx, int (*callback)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(ctx, callback);
}
static inline void evyssl_ctx_on_status(SSL_CTX *ctx, int (*callback)(SSL *, void *)) {
    SSL_CTX_set_tlsext_status_cb(ctx, callback);
}
/* The response (OPENSSL_malloc) belongs to the SSL from here on; NULL frees the one it has. */
static inline int evyssl_set_status_response(SSL *ssl, unsigned char *response, long length) {
    return (int)SSL_set_tlsext_status_ocsp_resp(ssl, response, length);
}

/* ---- errors ------------------------------------------------------------------------ */

static inline int evyssl_err_is_system(unsigned long code) { return ERR_SYSTEM_ERROR(code) ? 1 : 0; }
static inline int evyssl_err_library(unsigned long code) { return ERR_GET_LIB(code); }
static inline int evyssl_err_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int evyssl_reason_no_memory(void) { return ERR_R_MALLOC_FAILURE; }
static inline int evyssl_reason_internal(void) { return ERR_R_INTERNAL_ERROR; }

/* ---- names ---------------------------------------------------------------------------- */

static inline unsigned long evyssl_name_rfc2253(void) { return XN_FLAG_RFC2253; }

/* ---- stacks of certificates ---------------------------------------------------------- */

static inline STACK_OF(X509) *evyssl_chain_new(void) { return sk_X509_new_null(); }
static inline int evyssl_chain_count(const STACK_OF(X509) *chain) { return sk_X509_num(chain); }
static inline X509 *evyssl_chain_get(const STACK_OF(X509) *chain, int index) {
    return sk_X509_value(chain, index);
}
/* 1: the chain owns the certificate from here on. */
static inline int evyssl_chain_append(STACK_OF(X509) *chain, X509 *certificate) {
    return sk_X509_push(chain, certificate) > 0;
}
static inline void evyssl_chain_free(STACK_OF(X509) *chain) { sk_X509_pop_free(chain, X509_free); }

#endif
