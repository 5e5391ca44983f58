#include "secure.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "authorities.h"
#include "secure_failure.h"

struct client {
  struct secure secure; /* first: what others hold */
  SSL *ssl;
  BIO *in, *out; /* the SSL's */
  char *target;
  bool heard; /* of the server's bytes the first have been looked at */
  struct error failed;
};

/* ---- Our own files ---- */

static bool file_failed(struct error *error, const char *what, const char *path) {
  unsigned long code = ERR_peek_last_error();
  const char *words = ERR_reason_error_string(code);
  FILE *file = fopen(path, "re");
  int missing = file ? 0 : errno;
  if (file) fclose(file);
  ERR_clear_error();
  if (missing) return error_set(error, "trust", "%s %s can't be read: %s", what, path, strerror(missing));
  return error_set(error, "usage", "%s %s can't be used: %s", what, path,
                   words ? words : "it is no PEM file");
}

/* Parsing the system's bundle takes some 20 ms: it is done once a run. */
static X509_STORE *system_store(struct error *error) {
  static X509_STORE *store;
  const char *file = authorities_file(NULL);
  if (store) return store;
  X509_STORE *made = X509_STORE_new();
  if (file ? X509_STORE_load_locations(made, file, NULL) : X509_STORE_set_default_paths(made))
    return store = made;
  X509_STORE_free(made);
  file_failed(error, "the authorities in", file ? file : X509_get_default_cert_file());
  return NULL;
}

static bool trust(SSL_CTX *ctx, const struct secure_options *options, struct error *error) {
  X509_STORE *system = options->ca || options->more ? NULL : system_store(error);
  if (system) SSL_CTX_set1_cert_store(ctx, system);
  if (error->kind[0]) return false;
  if (options->ca && !SSL_CTX_load_verify_locations(ctx, options->ca, NULL))
    return file_failed(error, "the authorities in", options->ca);
  if (options->ca || !options->more) return true;
  const char *file = authorities_file(NULL); /* a store of its own: the kept one is the system's alone */
  if (!SSL_CTX_load_verify_locations(ctx, options->more, NULL))
    return file_failed(error, "the authorities in", options->more);
  if (file) (void)SSL_CTX_load_verify_locations(ctx, file, NULL); /* the named ones may do alone */
  ERR_clear_error();
  return true;
}

/* Nobody is asked for a passphrase in the middle of a run. */
static int no_passphrase(char *text, int size, int rwflag, void *data) {
  (void)text, (void)size, (void)rwflag, (void)data;
  return 0;
}

static bool own_files(SSL_CTX *ctx, const struct secure_options *options, struct error *error) {
  SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
  if (!trust(ctx, options, error)) return false;
  if (options->cert && SSL_CTX_use_certificate_chain_file(ctx, options->cert) != 1)
    return file_failed(error, "the client's certificate", options->cert);
  if (options->key && SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM) != 1)
    return file_failed(error, "the client's key", options->key);
  return true;
}

/* ---- What others call ---- */

/* A record's type and the first byte of its version. Anything else, of the very first, is no TLS. */
static bool is_record(const char *bytes, size_t len) {
  return bytes[0] >= 0x14 && bytes[0] <= 0x18 && (len < 2 || bytes[1] == 0x03);
}

static void client_feed(struct secure *secure, const char *bytes, size_t len) {
  struct client *client = (struct client *)secure;
  if (!client->heard && len > 0 && !is_record(bytes, len))
    error_set(&client->failed, "usage", "%s speaks no TLS: its address begins with redis://, not rediss://",
              client->target);
  client->heard = true;
  BIO_write(client->in, bytes, (int)len);
}

/* 0 when the server's next bytes may change it. */
static int step_failed(struct client *client, int result, struct error *error) {
  int why = SSL_get_error(client->ssl, result);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
  if (why == SSL_ERROR_ZERO_RETURN)
    error_set(error, "reset", "%s closed the connection", client->target);
  else
    secure_failure(client->ssl, client->target, error);
  return -1;
}

static int client_shake(struct secure *secure, struct error *error) {
  struct client *client = (struct client *)secure;
  if (client->failed.kind[0]) {
    *error = client->failed;
    return -1;
  }
  ERR_clear_error();
  int result = SSL_do_handshake(client->ssl);
  return result == 1 ? 1 : step_failed(client, result, error);
}

static ssize_t client_read(struct secure *secure, char *plain, size_t size, struct error *error) {
  struct client *client = (struct client *)secure;
  ERR_clear_error();
  int result = SSL_read(client->ssl, plain, (int)size);
  return result > 0 ? result : step_failed(client, result, error);
}

/* A memory BIO takes all there is: to write never waits. */
static bool client_write(struct secure *secure, const char *plain, size_t len, struct error *error) {
  struct client *client = (struct client *)secure;
  ERR_clear_error();
  int result = SSL_write(client->ssl, plain, (int)len);
  if (result > 0) return true;
  if (step_failed(client, result, error) == 0)
    error_set(error, "tls", "%s wants another handshake", client->target);
  return false;
}

static void client_drain(struct secure *secure, struct buffer *out) {
  struct client *client = (struct client *)secure;
  char part[16 * 1024];
  for (int len; (len = BIO_read(client->out, part, sizeof part)) > 0;) buffer_append(out, part, (size_t)len);
}

static void client_free(struct secure *secure) {
  struct client *client = (struct client *)secure;
  secure_forget(client->ssl);
  SSL_free(client->ssl);
  free(client->target);
  free(client);
}

/* ---- A new one ---- */

/* The name is sent, for servers that have several, and asked of the certificate. */
static void name_set(SSL *ssl, const char *name) {
  struct in6_addr address;
  bool is_address = inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
  if (is_address) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
  } else {
    SSL_set_tlsext_host_name(ssl, name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl, name);
  }
}

static struct secure *client_new(SSL_CTX *ctx, const struct secure_options *options) {
  static const struct secure calls = {client_feed,  client_shake, client_read,
                                      client_write, client_drain, client_free};
  struct client *client = xcalloc(1, sizeof *client);
  client->secure = calls;
  client->target = xstrdup(options->target);
  client->ssl = SSL_new(ctx);
  client->in = BIO_new(BIO_s_mem());
  client->out = BIO_new(BIO_s_mem());
  if (!client->ssl || !client->in || !client->out) abort(); /* no memory: as xmalloc */
  SSL_set_bio(client->ssl, client->in, client->out);
  SSL_set_connect_state(client->ssl);
  name_set(client->ssl, options->name);
  return &client->secure;
}

struct secure *secure_new(const struct secure_options *options, struct error *error) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  if (!ctx) abort();
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, secure_verify);
  struct secure *secure = own_files(ctx, options, error) ? client_new(ctx, options) : NULL;
  SSL_CTX_free(ctx); /* the SSL holds it */
  return secure;
}
