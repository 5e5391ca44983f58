#include <errno.h>
#include <string.h>
#include <openssl/x509_vfy.h>
#include "http.h"

/* What curl calls it, what we call it. Codes that aren't here are "io". */
static const struct {
  CURLcode code;
  const char *kind;
} kinds[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "dns"},
    {CURLE_COULDNT_RESOLVE_PROXY, "dns"},
    {CURLE_OPERATION_TIMEDOUT, "timeout"},
    {CURLE_GOT_NOTHING, "reset"},
    {CURLE_PARTIAL_FILE, "reset"},
    {CURLE_SEND_ERROR, "reset"},
    {CURLE_RECV_ERROR, "reset"},
    {CURLE_PEER_FAILED_VERIFICATION, "tls"},
    {CURLE_SSL_CONNECT_ERROR, "tls"},
    {CURLE_SSL_ISSUER_ERROR, "tls"},
    {CURLE_SSL_INVALIDCERTSTATUS, "tls"},
    {CURLE_SSL_CERTPROBLEM, "usage"}, /* our own files, named in the options */
    {CURLE_SSL_CACERT_BADFILE, "usage"},
    {CURLE_SSL_CIPHER, "usage"},
    {CURLE_SSL_ENGINE_INITFAILED, "usage"},
    {CURLE_URL_MALFORMAT, "protocol"}, /* ours was checked: a redirect's */
    {CURLE_UNSUPPORTED_PROTOCOL, "protocol"},
    {CURLE_WEIRD_SERVER_REPLY, "protocol"},
    {CURLE_BAD_CONTENT_ENCODING, "protocol"},
    {CURLE_TOO_MANY_REDIRECTS, "limit"},
};

static const char *kind_of(CURLcode code) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].code == code) return kinds[i].kind;
  return "io";
}

static double seconds_of(const struct http_request *request, CURLINFO info) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(request->easy, info, &microseconds);
  return (double)microseconds / 1e6;
}

/* Says how far it got: where the time went is the diagnosis. */
static void timeout_words(const struct http_request *request, struct error *error) {
  const char *target = request->target;
  double after = seconds_of(request, CURLINFO_TOTAL_TIME_T);
  if (request->head.len)
    error_set(error, "timeout", "%s: the answer is not complete after %.3g s, %zu bytes of body so far",
              target, after, request->body_bytes);
  else if (request->peer &&
           seconds_of(request, CURLINFO_APPCONNECT_TIME_T) <= 0) /* curl doesn't say it connected */
    error_set(error, "timeout", "%s: connected, but no TLS handshake within %.3g s", target, after);
  else if (seconds_of(request, CURLINFO_CONNECT_TIME_T) > 0)
    error_set(error, "timeout", "%s: connected, but no answer within %.3g s", target, after);
  else if (seconds_of(request, CURLINFO_NAMELOOKUP_TIME_T) > 0 || request->unix_socket)
    error_set(error, "timeout", "%s: no connection within %.3g s", target, after);
  else
    error_set(error, "timeout", "%s: the name was not resolved within %.3g s", target, after);
}

static int os_code(const struct http_request *request) {
  long code = 0;
  curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &code);
  return (int)code;
}

static void connect_words(const struct http_request *request, struct error *error) {
  int code = os_code(request);
  error_set_code(error, code ? code : ECONNREFUSED, request->target);
}

/* Verify results of OpenSSL (x509_vfy.h) that say nothing of the certificate itself: we know no authority that signed it. */
static bool is_unknown_issuer(const struct http_request *request) {
  static const long unknown[] = {
      X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,       X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,     X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED};
  long result = 0;
  curl_easy_getinfo(request->easy, CURLINFO_SSL_VERIFYRESULT, &result);
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
    if (unknown[i] == result) return true;
  return false;
}

static void certificate_words(const struct http_request *request, struct error *error) {
  const struct certificate *certificate = request->peer ? &request->peer->certificate : NULL;
  char day[32] = "";
  struct tm tm;
  const char *detail = request->detail;
  static const char prefix[] = "SSL certificate problem: ";
  if (strncmp(detail, prefix, sizeof prefix - 1) == 0) detail += sizeof prefix - 1;
  if (certificate && certificate->known && certificate->expires_at < time(NULL) &&
      gmtime_r(&certificate->expires_at, &tm))
    strftime(day, sizeof day, ", on %Y-%m-%d", &tm);
  if (is_unknown_issuer(request))
    error_set(error, "trust",
              "%s: its certificate can't be checked here: %s; the config's ca or SSL_CERT_FILE names your "
              "own authority's",
              request->target, detail);
  else
    error_set(error, "tls", "%s: the certificate does not verify: %s%s", request->target, detail, day);
}

#define CURL_TOO_LARGE 100 /* CURLE_TOO_LARGE, since curl 8.6 */

/* curl has a limit of its own for a header line; before 8.6 it calls that lack of memory. */
static bool head_too_large(const struct http_request *request) {
  bool line = request->code == CURLE_OUT_OF_MEMORY || (int)request->code == CURL_TOO_LARGE;
  return request->head_overflow || (line && request->body_bytes == 0);
}

/* OpenSSL's words for a first answer that is none of TLS. */
static bool no_tls(const struct http_request *request) {
  static const char *const words[] = {"wrong version number", "packet length too long", "http request"};
  for (size_t i = 0; request->code == CURLE_SSL_CONNECT_ERROR && i < sizeof words / sizeof *words; i++)
    if (strstr(request->detail, words[i])) return true;
  return false;
}

static void other_words(const struct http_request *request, struct error *error) {
  const char *kind = kind_of(request->code);
  const char *detail = request->detail[0] ? request->detail : curl_easy_strerror(request->code);
  if (request->code == CURLE_GOT_NOTHING) detail = "the connection was closed without an answer";
  if (strcmp(kind, "dns") == 0) detail = "the name does not resolve";
  if (request->code == CURLE_PARTIAL_FILE) detail = "the connection was closed before the body was complete";
  if (no_tls(request))
    error_set(error, kind, "%s speaks no TLS: its address begins with http://, not https://",
              request->target);
  else
    error_set(error, kind, "%s: %s", request->target, detail);
}

/* curl takes the end of the connection for the end of the head; trailers may follow the empty line. */
static bool head_is_whole(const struct http_request *request) {
  const struct buffer *head = &request->head;
  return head->len == 0 || memmem(head->data, head->len, "\n\r\n", 3) ||
         memmem(head->data, head->len, "\n\n", 2);
}

bool http_request_outcome(const struct http_request *request, struct error *error) {
  if (request->code == CURLE_OK && !head_is_whole(request))
    return error_set(error, "reset", "%s: the connection was closed before the answer's head was complete",
                     request->target);
  if (request->code == CURLE_OK || (request->code == CURLE_WRITE_ERROR && request->body_full)) return true;
  if (head_too_large(request))
    error_set(error, "limit", "%s: the answer has more than %ld bytes or %d lines of headers",
              request->target, HTTP_HEADER_MAX, HTTP_HEADER_LINES_MAX);
  else if (request->code == CURLE_OPERATION_TIMEDOUT)
    timeout_words(request, error);
  else if (request->code == CURLE_COULDNT_CONNECT)
    connect_words(request, error);
  else if ((request->code == CURLE_RECV_ERROR || request->code == CURLE_SEND_ERROR) && os_code(request))
    error_set_code(error, os_code(request), request->target);
  else if (request->code == CURLE_PEER_FAILED_VERIFICATION)
    certificate_words(request, error);
  else
    other_words(request, error);
  return false;
}
