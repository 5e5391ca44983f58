/* Why a TLS connection failed, in words: the server's certificate, an alert of its own, or no TLS at all. */
#ifndef SECURE_FAILURE_H
#define SECURE_FAILURE_H
#include <openssl/ssl.h>
#include "error.h"

/* What OpenSSL calls for each certificate that it has looked at: decides nothing, and keeps one that it refuses with `ssl`,
 * until secure_forget. */
int secure_verify(int verified, X509_STORE_CTX *store);
void secure_forget(SSL *ssl);

/* After a call of OpenSSL's that failed for good; takes its queue of errors. */
void secure_failure(SSL *ssl, const char *target, struct error *error);

#endif
