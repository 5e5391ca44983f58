/* raw.http: one function.
 *
 *   request{url=, …} → {status=, headers=, body=, cut=, url=, remote_address=, ms=, tls=}
 *                    | nil, {kind=, message=, and of these fields those that were learned}
 *
 * Options: method ("GET"), url, headers {name = value}, body, unix_socket (path), timeout and connect_timeout
 * (seconds), follow (redirects), max_body (bytes), keep ("head" ends the transfer once max_body is reached, a
 * success with cut; "tail" reads to the end), auth {user=, password=} (basic; also taken from the URL),
 * resolve {"host:port:address"}, connect_to {"host:port:address:port"}, trust (a file of authorities
 * beside the system's), ca_file (one instead of them), cert_file, key_file, verify (true), proxy.
 *
 * HTTP/1.1, bodies as they come (no encodings are asked for). Without ca_file the system's bundle is trusted.
 * Proxies named by the environment are not used: `proxy` is the only way to one. Connections are kept and
 * reused for GET, HEAD and OPTIONS only: libcurl silently sends a request again when a reused connection
 * turns out to be dead, and what changes the world must not be sent twice.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "authorities_curl.h"
#include "descriptors.h"
#include <sys/un.h>
#include "http.h"
#include "luautil.h"
#include "options.h"
#include "redact.h"
#include "scanning.h"
#include "runtime.h"

#define POOL_TYPE "http.pool"
static const char known_options[] = "method url headers body unix_socket timeout connect_timeout follow "
                                    "max_body keep scan auth resolve connect_to trust ca_file "
                                    "cert_file key_file verify proxy";

/* ---- Options ---- */

/* A string without NUL bytes from the table at `index`, or NULL. */
static const char *option_text(lua_State *L, int index, const char *name) {
  size_t len = 0;
  const char *text = field_string(L, index, name, &len, NULL);
  if (text && strlen(text) != len) luaL_error(L, "option '%s': a string without NUL bytes expected", name);
  return text;
}

/* What RFC 9110 calls a token: methods, header names. */
static bool is_token(const char *text) {
  static const char marks[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return *text && text[strspn(text, marks)] == '\0';
}

static bool is_one_of(const char *word, const char *const *words) {
  for (; *words; words++)
    if (strcmp(word, *words) == 0) return true;
  return false;
}

static void set_body(struct http_request *request, const char *body, size_t len) {
  curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
  curl_easy_setopt(request->easy, CURLOPT_COPYPOSTFIELDS, body);
}

static void set_method(lua_State *L, struct http_request *request) {
  static const char *const safe[] = {"GET", "HEAD", "OPTIONS", NULL}, *const full[] = {"POST", "PUT", "PATCH",
                                                                                       NULL};
  size_t len = 0;
  const char *method = option_text(L, 1, "method"), *body = field_string(L, 1, "body", &len, NULL);
  if (!method) method = "GET";
  if (!is_token(method)) luaL_error(L, "option 'method': '%s' is not a method", method);
  bool is_head = strcmp(method, "HEAD") == 0;
  if (is_head && body) luaL_error(L, "option 'body': HEAD has none");
  if (body || is_one_of(method, full)) set_body(request, body ? body : "", len);
  if (is_head)
    curl_easy_setopt(request->easy, CURLOPT_NOBODY, 1L);
  else if (strcmp(method, "POST") != 0) /* curl's own POST becomes GET where redirects ask for it */
    curl_easy_setopt(request->easy, CURLOPT_CUSTOMREQUEST, method);
  if (!is_one_of(method, safe)) curl_easy_setopt(request->easy, CURLOPT_FRESH_CONNECT, 1L);
}

static void add_header(struct http_request *request, const char *name, const char *value) {
  struct buffer line = {0};
  if (*value)
    buffer_printf(&line, "%s: %s", name, value);
  else
    buffer_printf(&line, "%s;", name); /* curl's way to say: sent, and empty */
  request->headers = curl_slist_append(request->headers, line.data);
  buffer_free(&line);
}

static void set_headers(lua_State *L, struct http_request *request) {
  bool has_type = false, has_expect = false;
  int type = lua_getfield(L, 1, "headers");
  if (type != LUA_TNIL && type != LUA_TTABLE) luaL_error(L, "option 'headers': table expected");
  if (type == LUA_TTABLE) lua_pushnil(L);
  while (type == LUA_TTABLE && lua_next(L, -2)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "option 'headers': strings expected");
    size_t len;
    const char *name = lua_tostring(L, -2), *value = lua_tolstring(L, -1, &len);
    if (!is_token(name)) luaL_error(L, "option 'headers': not a header's name");
    if (strcspn(value, "\r\n") != len)
      luaL_error(L, "option 'headers': the value of '%s' has a line end", name);
    has_type |= strcasecmp(name, "Content-Type") == 0;
    has_expect |= strcasecmp(name, "Expect") == 0;
    add_header(request, name, value);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  /* Without these curl calls every body a form, and waits a second for leave to send a large one. */
  if (!has_type) request->headers = curl_slist_append(request->headers, "Content-Type:");
  if (!has_expect) request->headers = curl_slist_append(request->headers, "Expect:");
  curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
}

static void set_auth(lua_State *L, struct http_request *request) {
  int type = lua_getfield(L, 1, "auth");
  if (type != LUA_TNIL) {
    options_check(L, lua_gettop(L), "user password");
    const char *user = option_text(L, -1, "user"), *password = option_text(L, -1, "password");
    curl_easy_setopt(request->easy, CURLOPT_USERNAME, user ? user : "");
    curl_easy_setopt(request->easy, CURLOPT_PASSWORD, password ? password : "");
  }
  lua_pop(L, 1);
}

/* "host:port:address" as curl's connect_to. CURLOPT_RESOLVE would be simpler, but its entries stay in the DNS
 * cache that all requests share. */
static void add_resolved(lua_State *L, struct http_request *request, const char *entry) {
  const char *host_end = *entry == '[' ? strchr(entry, ']') : entry;
  const char *port = host_end ? strchr(host_end, ':') : NULL;
  const char *address = port ? strchr(port + 1, ':') : NULL;
  if (!address || !address[1]) luaL_error(L, "option 'resolve': '%s' is not host:port:address", entry);
  bool bare_v6 = strchr(address + 1, ':') && address[1] != '[';
  struct buffer line = {0};
  buffer_append(&line, entry, (size_t)(address + 1 - entry));
  buffer_printf(&line, bare_v6 ? "[%s]" : "%s", address + 1);
  buffer_append(&line, port, (size_t)(address - port));
  request->connect_to = curl_slist_append(request->connect_to, line.data);
  buffer_free(&line);
}

static void set_addresses(lua_State *L, struct http_request *request) {
  char **resolve = field_strings(L, 1, "resolve"), **connect_to = field_strings(L, 1, "connect_to");
  for (; resolve && *resolve; resolve++) add_resolved(L, request, *resolve);
  for (; connect_to && *connect_to; connect_to++)
    request->connect_to = curl_slist_append(request->connect_to, *connect_to);
  lua_pop(L, 2);
  curl_easy_setopt(request->easy, CURLOPT_CONNECT_TO, request->connect_to);
}

static void set_tls(lua_State *L, struct http_request *request) {
  static const struct {
    const char *name;
    CURLoption option;
  } files[] = {{"ca_file", CURLOPT_CAINFO}, {"cert_file", CURLOPT_SSLCERT}, {"key_file", CURLOPT_SSLKEY}};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    const char *path = option_text(L, 1, files[i].name);
    if (path) curl_easy_setopt(request->easy, files[i].option, path);
  }
  bool verify = field_bool(L, 1, "verify", true);
  curl_easy_setopt(request->easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
  curl_easy_setopt(request->easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
}

/* Before a file of its own: that one stands instead. */
static bool set_trust(lua_State *L, struct http_request *request) {
  const char *path = option_text(L, 1, "trust");
  if (!path || authorities_use(request->easy, path)) return true;
  return error_set(&request->op.error, "usage", "the authorities in %s can't be read: %s", path,
                   strerror(errno));
}

static void set_limits(lua_State *L, struct http_request *request) {
  double timeout = options_seconds(L, 1, "timeout", HTTP_TIMEOUT_SECONDS, OPTIONS_SECONDS_MAX);
  double connect = options_seconds(L, 1, "connect_timeout", timeout, OPTIONS_SECONDS_MAX);
  const char *keep = field_string(L, 1, "keep", NULL, "head");
  if (strcmp(keep, "head") != 0 && strcmp(keep, "tail") != 0)
    luaL_error(L, "option 'keep': 'head' or 'tail' expected");
  request->keep_tail = *keep == 't';
  request->max_body = (size_t)options_integer(L, 1, "max_body", HTTP_BODY_MAX, 0, HTTP_BODY_LIMIT);
  curl_easy_setopt(request->easy, CURLOPT_TIMEOUT_MS, (long)(timeout * 1000) + 1);
  curl_easy_setopt(request->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect * 1000) + 1);
  curl_easy_setopt(request->easy, CURLOPT_FOLLOWLOCATION, field_bool(L, 1, "follow", false) ? 1L : 0L);
}

/* Called last: an unfit URL or path is a result, the options above are mistakes of the caller and raise. */
static bool set_place(lua_State *L, struct http_request *request) {
  const char *url = option_text(L, 1, "url"), *path = option_text(L, 1, "unix_socket");
  const char *proxy = option_text(L, 1, "proxy");
  curl_easy_setopt(request->easy, CURLOPT_PROXY, proxy ? proxy : "");
  if (!url) luaL_error(L, "option 'url': string expected");
  if (!http_request_url(request, url)) return false;
  if (!path) return true;
  free(request->target);
  request->target = xstrdup(path);
  request->unix_socket = xstrdup(path);
  if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
    return error_set(&request->op.error, "usage", "%s: too long for a socket's path", path);
  curl_easy_setopt(request->easy, CURLOPT_UNIX_SOCKET_PATH, path);
  return true;
}

/* ---- Results ---- */

static void push_lower(lua_State *L, const char *text, size_t len) {
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(L, &buffer, len);
  for (size_t i = 0; i < len; i++) out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
  luaL_pushresultsize(&buffer, len);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* headers[name] = value, or what is there .. ", " .. value. [-0, +0, m] */
static void add_line(lua_State *L, const char *line, size_t len) {
  const char *colon = memchr(line, ':', len), *end = line + len;
  if (!colon || colon == line) return; /* the status line, the empty line */
  const char *value = colon + 1;
  while (value < end && is_blank(*value)) value++;
  while (end > value && is_blank(end[-1])) end--;
  push_lower(L, line, (size_t)(colon - line));
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushlstring(L, value, (size_t)(end - value));
  } else {
    lua_pushliteral(L, ", ");
    lua_pushlstring(L, value, (size_t)(end - value));
    lua_concat(L, 3);
  }
  lua_rawset(L, -3);
}

static void set_head(lua_State *L, const struct buffer *head) {
  const char *at = head->data, *end = head->data + head->len;
  lua_newtable(L);
  while (at < end) {
    const char *newline = memchr(at, '\n', (size_t)(end - at)), *next = newline ? newline + 1 : end;
    add_line(L, at, (size_t)(next - at));
    at = next;
  }
  lua_setfield(L, -2, "headers");
}

static double millis(CURL *easy, CURLINFO info) {
  curl_off_t microseconds = 0;
  curl_easy_getinfo(easy, info, &microseconds);
  return (double)microseconds / 1e3;
}

/* curl's times count from the start and are 0 for what didn't happen; ours are of the phase itself. */
static void set_phases(lua_State *L, CURL *easy) {
  double dns = millis(easy, CURLINFO_NAMELOOKUP_TIME_T), connect = millis(easy, CURLINFO_CONNECT_TIME_T);
  double tls = millis(easy, CURLINFO_APPCONNECT_TIME_T), ready = millis(easy, CURLINFO_PRETRANSFER_TIME_T);
  double first = millis(easy, CURLINFO_STARTTRANSFER_TIME_T);
  lua_createtable(L, 0, 5);
  set_number(L, "dns", dns);
  set_number(L, "connect", connect > dns ? connect - dns : 0);
  set_number(L, "tls", tls > connect ? tls - connect : 0);
  set_number(L, "first_byte", first > ready ? first - ready : 0);
  set_number(L, "total", millis(easy, CURLINFO_TOTAL_TIME_T));
  lua_setfield(L, -2, "ms");
}

static void set_certificate(lua_State *L, const struct http_request *request) {
  const struct certificate *certificate = request->peer ? &request->peer->certificate : NULL;
  if (!certificate || !certificate->known) return;
  lua_createtable(L, 0, 4);
  set_bool(L, "verified", certificate->verified && request->code != CURLE_PEER_FAILED_VERIFICATION);
  set_integer(L, "expires_at", certificate->expires_at);
  set_text(L, "subject", certificate->subject);
  set_text(L, "issuer", certificate->issuer);
  lua_setfield(L, -2, "tls");
}

static void set_connection(lua_State *L, const struct http_request *request) {
  char *ip = NULL, *url = NULL;
  long port = 0;
  curl_easy_getinfo(request->easy, CURLINFO_PRIMARY_IP, &ip);
  curl_easy_getinfo(request->easy, CURLINFO_PRIMARY_PORT, &port);
  curl_easy_getinfo(request->easy, CURLINFO_EFFECTIVE_URL, &url);
  if (request->unix_socket)
    set_text(L, "remote_address", request->unix_socket);
  else if (ip && *ip) {
    lua_pushfstring(L, strchr(ip, ':') ? "[%s]:%d" : "%s:%d", ip, (int)port);
    lua_setfield(L, -2, "remote_address");
  }
  char *bare = url ? http_url_bare(url) : NULL; /* a redirect may have brought user-info */
  set_text(L, "url", bare);
  free(bare);
  char *target = NULL;
  curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &target);
  set_text(L, "redirect_url", target);
}

static void set_answer(lua_State *L, const struct http_request *request, bool complete) {
  long status = 0;
  size_t len;
  bool cut;
  curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
  if (request->head.len == 0 || request->head_overflow) return;
  set_integer(L, "status", status);
  set_head(L, &request->head);
  const char *body = http_request_body(request, &len, &cut);
  if (cut || !complete) redact_whole(&body, &len, request->keep_tail);
  set_string(L, "body", body, len);
  set_bool(L, "cut", cut || !complete);
}

/* The C side is freed at once, not when the collector finds a userdata it takes for small. */
static int push_outcome(lua_State *L, struct op *op) {
  struct http_request *request = (struct http_request *)op;
  struct error error = {0};
  bool well = http_request_outcome(request, &error);
  if (!well) lua_pushnil(L);
  lua_createtable(L, 0, 8);
  if (!well) {
    set_text(L, "kind", error.kind);
    set_text(L, "message", error.message);
  }
  set_answer(L, request, well);
  if (well) set_scanned(L, request->scan);
  set_connection(L, request);
  set_phases(L, request->easy);
  set_certificate(L, request);
  http_request_release(op);
  return well ? 1 : 2;
}

/* ---- The module ---- */

static int l_request(lua_State *L) {
  struct http_pool **pool = lua_touserdata(L, lua_upvalueindex(1));
  options_check(L, 1, known_options);
  lua_settop(L, 1);
  /* The op comes before the options are read: whatever raises there, its release() frees what was taken so
   * far. */
  struct http_request *request =
      op_new(L, sizeof *request, http_request_cancel, http_request_release, push_outcome);
  request->pool = *pool;
  if (!http_request_init(request)) return luaL_error(L, "not enough memory");
  set_limits(L, request);
  set_method(L, request);
  set_headers(L, request);
  set_auth(L, request);
  set_addresses(L, request);
  set_tls(L, request);
  request->scan = options_scan(L, 1);
  if (set_trust(L, request) && set_place(L, request))
    http_request_start(request);
  else
    op_complete(&request->op);
  return op_await(L, &request->op);
}

static int pool_gc(lua_State *L) {
  struct http_pool **pool = lua_touserdata(L, 1);
  if (*pool) http_pool_close(*pool);
  *pool = NULL;
  return 0;
}

/* The pool lives as long as the function that uses it; lua_close() collects it after every request, which is
 * younger. */
static void push_pool(lua_State *L) {
  struct http_pool **pool = lua_newuserdatauv(L, sizeof(struct http_pool *), 0);
  *pool = NULL;
  luaL_newmetatable(L, POOL_TYPE);
  lua_pushcfunction(L, pool_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  *pool = http_pool_open(runtime_loop(), http_request_done);
  if (!*pool) luaL_error(L, "curl does not start");
  /* curl's own pipes are inheritable; ours aren't, so nothing above stderr should be. */
  descriptors_close_on_exec(3);
}

__attribute__((visibility("default"))) int luaopen_raw_http(lua_State *L);

int luaopen_raw_http(lua_State *L) {
  if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK) return luaL_error(L, "curl does not start");
  lua_createtable(L, 0, 1);
  push_pool(L);
  lua_pushcclosure(L, l_request, 1);
  lua_setfield(L, -2, "request");
  return 1;
}
