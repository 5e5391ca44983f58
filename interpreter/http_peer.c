#include "http.h"
#include <stdio.h>
#include <stdlib.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* A certificate that does not verify is a finding whose fields are wanted, but curl closes that connection
 * before it reports. So the facts are taken inside the handshake: OpenSSL calls peer_verify with the server's
 * chain, we look, then let OpenSSL decide exactly as it would have. The connection's SSL_CTX keeps them for
 * later requests that reuse it. With a libcurl built on another TLS library all this is silent and `tls`
 * stays unknown. */

static void peer_release(struct http_peer *peer) {
  if (peer && --peer->references == 0) free(peer);
}

void http_peer_drop(struct http_peer **peer) {
  peer_release(*peer);
  *peer = NULL;
}

static void name_text(char *out, size_t size, X509_NAME *name) {
  BIO *bio = BIO_new(BIO_s_mem());
  if (!bio) return;
  X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
  int len = BIO_read(bio, out, (int)size - 1);
  out[len > 0 ? len : 0] = '\0';
  BIO_free(bio);
}

static void certificate_read(struct certificate *certificate, X509 *x509) {
  struct tm tm;
  if (!x509) return;
  certificate->known = true;
  if (ASN1_TIME_to_tm(X509_get0_notAfter(x509), &tm)) certificate->expires_at = timegm(&tm);
  name_text(certificate->subject, sizeof certificate->subject, X509_get_subject_name(x509));
  name_text(certificate->issuer, sizeof certificate->issuer, X509_get_issuer_name(x509));
}

static int peer_verify(X509_STORE_CTX *store, void *data) {
  struct http_peer *peer = data;
  certificate_read(&peer->certificate, X509_STORE_CTX_get0_cert(store));
  int result = X509_verify_cert(store);
  peer->certificate.verified = result == 1;
  return result;
}

/* The connection is gone. */
static void on_ctx_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp) {
  (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
  peer_release(ptr);
}

static int ctx_slot(void) {
  static int slot = -1;
  if (slot < 0) slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_free);
  return slot;
}

CURLcode http_peer_watch(CURL *easy, void *ssl_ctx, void *data) {
  struct http_peer **mine = data, *peer = xcalloc(1, sizeof *peer);
  (void)easy;
  peer->references = 1; /* the connection's */
  if (!SSL_CTX_set_ex_data(ssl_ctx, ctx_slot(), peer)) {
    free(peer);
    return CURLE_OUT_OF_MEMORY;
  }
  SSL_CTX_set_cert_verify_callback(ssl_ctx, peer_verify, peer);
  http_peer_drop(mine);
  peer->references++;
  *mine = peer;
  return CURLE_OK;
}

void http_peer_adopt(CURL *easy, struct http_peer **mine) {
  struct curl_tlssessioninfo *session = NULL;
  curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session);
  bool is_tls = session && session->backend == CURLSSLBACKEND_OPENSSL && session->internals;
  struct http_peer *peer =
      is_tls ? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(session->internals), ctx_slot()) : NULL;
  if (peer) peer->references++;
  http_peer_drop(mine);
  *mine = peer;
}
