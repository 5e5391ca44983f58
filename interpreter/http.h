/* HTTP requests on one shared libcurl multi handle that lives on the runtime's loop.
 *
 *   http_pool.c     the multi handle: sockets and timers of libuv, completions
 *   http_request.c  one request: its curl handle, what comes back, its limits
 *   http_peer.c     the server's certificate, also of a connection that was refused for it
 *   http_failure.c  curl's codes as kinds and words
 *   lib_http.c      Lua's options and results
 *
 * curl's callbacks never touch Lua and never call curl_multi_*: they store, and http_pool.c completes the op
 * once curl has returned.
 */
#ifndef HTTP_H
#define HTTP_H
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <curl/curl.h>
#include <uv.h>
#include "buffer.h"
#include "linescan.h"
#include "op.h"

/* ---- Limits ---- */
#define HTTP_BODY_MAX (1L << 20)       /* bytes kept of a body, unless max_body says otherwise */
#define HTTP_BODY_LIMIT (64L << 20)    /* the most max_body may say */
#define HTTP_HEADER_MAX (256L << 10)   /* bytes of header lines, of all answers of a request */
#define HTTP_HEADER_LINES_MAX 500      /* of them; browsers and proxies stop at about a hundred */
#define HTTP_REDIRECTS_MAX 10L         /* followed, when following was asked for */
#define HTTP_TIMEOUT_SECONDS 10.0      /* a request's deadline, unless `timeout` says otherwise */
#define HTTP_IDLE_CONNECTIONS_MAX 256L /* kept open for reuse */
#define HTTP_IDLE_SECONDS 10L /* not reused after that: a probe must see what a new client would see */
#define HTTP_DNS_SECONDS 5L   /* names are looked up again after that, for the same reason */

/* ---- The server's certificate ---- */
struct certificate {
  bool known;    /* a handshake got as far as the certificate */
  bool verified; /* the chain, and of a finished request the name too */
  time_t expires_at;
  char subject[256], issuer[256]; /* RFC 2253, UTF-8, cut */
};

/* What a TLS connection told about its server: shared by the connection, which may serve several requests,
 * and the requests. */
struct http_peer {
  int references;
  struct certificate certificate;
};

/* A CURLOPT_SSL_CTX_FUNCTION; its user pointer is a `struct http_peer **` that gets a reference. */
CURLcode http_peer_watch(CURL *easy, void *ssl_ctx, void *peer);
/* *peer becomes that of the connection `easy` uses now (NULL without TLS); for curl's callbacks. */
void http_peer_adopt(CURL *easy, struct http_peer **peer);
void http_peer_drop(struct http_peer **peer); /* gives the reference back; NULL is fine */

/* ---- The pool ---- */
struct http_pool;
/* NULL when curl can't. `done` is called once for each request added, outside of any curl call, after the
 * handle has left the pool. */
struct http_pool *http_pool_open(uv_loop_t *loop, void (*done)(CURL *easy, CURLcode code));
void http_pool_close(struct http_pool *pool);
bool http_pool_add(struct http_pool *pool, CURL *easy);
/* Ends a request that isn't done; never blocks, not even in a name lookup (CURLOPT_QUICK_EXIT). */
void http_pool_remove(struct http_pool *pool, CURL *easy);

/* ---- One request ---- */
struct http_request {
  struct op op;
  struct http_pool *pool;
  CURL *easy;                              /* owned */
  struct curl_slist *headers, *connect_to; /* owned, as all pointers below */
  char *target;                            /* for people: "host:port" or the socket's path; never user-info */
  char *unix_socket;
  struct http_peer *peer;
  struct buffer head, body;      /* header lines of the last answer; what is kept of the body */
  size_t head_bytes, head_lines; /* of all answers */
  size_t body_bytes;             /* received, kept or not */
  size_t max_body;
  bool keep_tail;
  struct linescan *scan; /* looks at the body while it passes; with it the transfer goes on to its end */
  bool head_overflow, body_full; /* we ended the transfer: too many headers; the body's head is complete */
  CURLcode code;
  char detail[CURL_ERROR_SIZE]; /* curl's own words */
};

/* Makes the curl handle with all that is the same for every request. False: no memory. */
bool http_request_init(struct http_request *request);
/* Takes the URL apart: user-info becomes credentials, the rest goes to curl. Fills op.error and returns false
 * when it isn't an http or https URL. The URL itself is never quoted in an error. */
bool http_request_url(struct http_request *request, const char *url);
/* Adds the request to its pool. */
void http_request_start(struct http_request *request);
void http_request_done(CURL *easy, CURLcode code);
void http_request_cancel(struct op *op);
void http_request_release(struct op *op);
/* The body as kept: bytes, and whether any are missing. */
const char *http_request_body(const struct http_request *request, size_t *len, bool *cut);
/* `url` without user-info, malloc'ed; NULL when it isn't a URL. */
char *http_url_bare(const char *url);
/* A success? Otherwise `error` says why not. */
bool http_request_outcome(const struct http_request *request, struct error *error);

#endif
