#include "secure_failure.h"
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* OpenSSL forgets a certificate that it refuses before it says so. */
int secure_verify(int verified, X509_STORE_CTX *store) {
  SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  X509 *certificate = X509_STORE_CTX_get_current_cert(store);
  if (verified || !certificate) return verified;
  X509_up_ref(certificate);
  secure_forget(ssl);
  SSL_set_app_data(ssl, certificate);
  return verified;
}

void secure_forget(SSL *ssl) {
  X509_free(SSL_get_app_data(ssl));
  SSL_set_app_data(ssl, NULL);
}

/* Verify results that say nothing of the certificate itself: we know no authority that signed it. */
static bool is_unknown_issuer(long result) {
  return result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
         result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
         result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
         result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE || result == X509_V_ERR_CERT_UNTRUSTED;
}

/* ", on 2026-11-26", and the names that it is for: what the operator would look up next. */
static void expiry(char *out, size_t size, X509 *certificate) {
  struct tm tm;
  if (certificate && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm))
    strftime(out, size, ", on %Y-%m-%d", &tm);
}

static void names(char *out, size_t size, X509 *certificate) {
  GENERAL_NAMES *list = certificate ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL) : NULL;
  size_t used = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(list) && used < size; i++) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
    if (name->type != GEN_DNS) continue;
    used += (size_t)snprintf(out + used, size - used, used ? ", %.*s" : ": it is for %.*s",
                             ASN1_STRING_length(name->d.dNSName),
                             (const char *)ASN1_STRING_get0_data(name->d.dNSName));
  }
  GENERAL_NAMES_free(list);
}

static void certificate_words(SSL *ssl, const char *target, long result, struct error *error) {
  X509 *certificate = SSL_get_app_data(ssl);
  char detail[200] = "";
  if (result == X509_V_ERR_CERT_HAS_EXPIRED) expiry(detail, sizeof detail, certificate);
  if (result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH)
    names(detail, sizeof detail, certificate);
  const char *words = X509_verify_cert_error_string(result);
  if (is_unknown_issuer(result))
    error_set(error, "trust",
              "%s: its certificate can't be checked here: %s; the config's ca or SSL_CERT_FILE names your "
              "own authority's",
              target, words);
  else
    error_set(error, "tls", "%s: the certificate does not verify: %s%s", target, words, detail);
}

/* Alerts by which a server refuses a client for its certificate (RFC 8446, 6.2), as OpenSSL counts them. */
static bool is_about_our_certificate(int reason) {
  switch (reason - SSL_AD_REASON_OFFSET) {
  case SSL3_AD_NO_CERTIFICATE:
  case SSL3_AD_BAD_CERTIFICATE:
  case SSL3_AD_UNSUPPORTED_CERTIFICATE:
  case SSL3_AD_CERTIFICATE_REVOKED:
  case SSL3_AD_CERTIFICATE_EXPIRED:
  case SSL3_AD_CERTIFICATE_UNKNOWN:
  case TLS1_AD_UNKNOWN_CA:
  case TLS1_AD_ACCESS_DENIED:
  case TLS13_AD_CERTIFICATE_REQUIRED:
    return true;
  default:
    return false;
  }
}

void secure_failure(SSL *ssl, const char *target, struct error *error) {
  unsigned long code = ERR_get_error();
  int reason = ERR_GET_REASON(code);
  const char *words = ERR_reason_error_string(code);
  long result = SSL_get_verify_result(ssl);
  ERR_clear_error();
  if (result != X509_V_OK && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
    certificate_words(ssl, target, result, error);
  else if (is_about_our_certificate(reason) && !SSL_get_certificate(ssl))
    error_set(error, "login", "%s wants a client's certificate: the config's redis has cert and key for it",
              target);
  else if (is_about_our_certificate(reason))
    error_set(error, "login", "%s refuses our client certificate: %s", target, words ? words : "no reason");
  else
    error_set(error, "tls", "%s: TLS failed: %s", target, words ? words : "no reason given");
}
