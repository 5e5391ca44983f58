#include "authorities_curl.h"
#include "http.h"
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- What comes back ---- */

/* One header line a call, of every answer of the request: interim ones and redirects too. Only the last
 * answer's are kept, but all are counted. */
static size_t on_header(char *line, size_t size, size_t count, void *data) {
  struct http_request *request = data;
  size_t len = size * count;
  if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
    buffer_clear(&request->head);
    http_peer_adopt(request->easy, &request->peer);
  }
  request->head_bytes += len;
  request->head_lines++;
  request->head_overflow =
      request->head_bytes > HTTP_HEADER_MAX || request->head_lines > HTTP_HEADER_LINES_MAX;
  if (request->head_overflow) return CURL_WRITEFUNC_ERROR;
  buffer_append(&request->head, line, len);
  return len;
}

/* The tail: up to twice as much as is wanted is held, so that each byte is moved once at most. */
static void body_keep_tail(struct http_request *request, const char *data, size_t len) {
  struct buffer *body = &request->body;
  buffer_append(body, data, len);
  if (body->len < 2 * request->max_body || !body->data) return;
  memmove(body->data, body->data + body->len - request->max_body, request->max_body);
  body->len = request->max_body;
}

static size_t on_body(char *data, size_t size, size_t count, void *user) {
  struct http_request *request = user;
  size_t len = size * count;
  request->body_bytes += len;
  if (request->keep_tail) {
    body_keep_tail(request, data, len);
    return len;
  }
  if (request->scan) linescan_feed(request->scan, data, len);
  size_t room = request->max_body - request->body.len;
  buffer_append(&request->body, data, len < room ? len : room);
  request->body_full = len > room && !request->scan;
  return request->body_full ? CURL_WRITEFUNC_ERROR : len;
}

const char *http_request_body(const struct http_request *request, size_t *len, bool *cut) {
  const struct buffer *body = &request->body;
  *len = body->len < request->max_body ? body->len : request->max_body;
  *cut = request->body_bytes > *len;
  return body->data ? body->data + (body->len - *len) : "";
}

/* curl's own sockets would be inherited by the programs we start. */
static curl_socket_t on_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)data, (void)purpose;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- The curl handle ---- */

static void set_callbacks(struct http_request *request) {
  CURL *easy = request->easy;
  curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->detail);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, http_peer_watch);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, &request->peer);
}

bool http_request_init(struct http_request *request) {
  CURL *easy = request->easy = curl_easy_init();
  if (!easy) return false;
  set_callbacks(request);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, HTTP_REDIRECTS_MAX);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   (long)CURL_HTTP_VERSION_1_1); /* cancelling one disturbs no other */
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "runbook/" RUNBOOK_VERSION);
  curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, HTTP_DNS_SECONDS);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, HTTP_IDLE_SECONDS);
  /* A resumed session skips the certificate, and what we are asked is whether a new client would get in. */
  curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
  authorities_use(easy, NULL);
  return true;
}

/* ---- URLs ---- */

/* A part of the URL, or NULL; for curl_free. */
static char *url_part(CURLU *url, CURLUPart part, unsigned flags) {
  char *text = NULL;
  return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static char *url_without_user(CURLU *url) {
  curl_url_set(url, CURLUPART_USER, NULL, 0);
  curl_url_set(url, CURLUPART_PASSWORD, NULL, 0);
  curl_url_set(url, CURLUPART_OPTIONS, NULL, 0);
  return url_part(url, CURLUPART_URL, 0);
}

char *http_url_bare(const char *text) {
  CURLU *url = curl_url();
  char *bare = NULL, *copy = NULL;
  if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK) bare = url_without_user(url);
  if (bare) copy = xstrdup(bare);
  curl_free(bare);
  curl_url_cleanup(url);
  return copy;
}

/* The host's name as DNS has it: "xn--mnchen-3ya.example" of "münchen.example". libidn2 reads it in the thread's locale, and in
 * the C locale no name but ASCII is one. False: it is no name. */
static bool url_host_to_ascii(CURLU *url) {
  locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = uselocale(utf8);
  char *host = url_part(url, CURLUPART_HOST, CURLU_PUNYCODE);
  uselocale(before);
  if (utf8) freelocale(utf8);
  bool well = host && curl_url_set(url, CURLUPART_HOST, host, 0) == CURLUE_OK;
  curl_free(host);
  return well;
}

static void set_target(struct http_request *request, const char *host, const char *port) {
  struct buffer target = {0};
  buffer_printf(&target, "%s:%s", host, port ? port : "?");
  request->target = target.data;
}

/* http or https with a host; moves everything to the curl handle. */
static bool url_take(struct http_request *request, CURLU *url) {
  char *scheme = url_part(url, CURLUPART_SCHEME, 0), *host = url_part(url, CURLUPART_HOST, 0);
  char *port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  char *user = url_part(url, CURLUPART_USER, CURLU_URLDECODE);
  char *password = url_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
  bool named = host && url_host_to_ascii(url);
  char *bare = url_without_user(url);
  bool well = named && bare && scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
  if (well) {
    set_target(request, host, port);
    curl_easy_setopt(request->easy, CURLOPT_URL, bare);
    if (user) curl_easy_setopt(request->easy, CURLOPT_USERNAME, user);
    if (password) curl_easy_setopt(request->easy, CURLOPT_PASSWORD, password);
  }
  char *parts[] = {scheme, host, port, user, password, bare};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) curl_free(parts[i]);
  return well;
}

bool http_request_url(struct http_request *request, const char *text) {
  CURLU *url = curl_url();
  CURLUcode code =
      url ? curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) : CURLUE_OUT_OF_MEMORY;
  if (code != CURLUE_OK)
    error_set(&request->op.error, "usage", "not a URL: %s", curl_url_strerror(code));
  else if (!url_take(request, url))
    error_set(&request->op.error, "usage", "not a URL of http or https");
  curl_url_cleanup(url);
  return !request->op.error.kind[0];
}

/* ---- Its life ---- */

void http_request_start(struct http_request *request) {
  if (http_pool_add(request->pool, request->easy)) return;
  error_set(&request->op.error, "io", "curl did not take the request");
  op_complete(&request->op);
}

void http_request_done(CURL *easy, CURLcode code) {
  char *private = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
  struct http_request *request = (struct http_request *)private;
  request->code = code;
  op_complete(&request->op);
}

void http_request_cancel(struct op *op) {
  struct http_request *request = (struct http_request *)op;
  if (op->done) return;
  http_pool_remove(request->pool, request->easy);
  error_set(&op->error, "cancelled", "the request to %s was cancelled", request->target);
  op_complete(op);
}

/* Also of a request whose task was dropped while it waited: cleanup takes the handle out of the pool. */
void http_request_release(struct op *op) {
  struct http_request *request = (struct http_request *)op;
  if (request->easy) curl_easy_cleanup(request->easy);
  request->easy = NULL;
  curl_slist_free_all(request->headers);
  curl_slist_free_all(request->connect_to);
  request->headers = request->connect_to = NULL;
  http_peer_drop(&request->peer);
  buffer_free(&request->head);
  buffer_free(&request->body);
  linescan_free(request->scan);
  request->scan = NULL;
  free(request->target);
  free(request->unix_socket);
  request->target = request->unix_socket = NULL;
}
