/* raw.redis: connections to Redis servers, see redis_conn.h. RESP2 over TCP, TLS or a Unix socket.
 *
 * connect{host=, port=6379, path=, tls=, timeout=5} → conn | nil, {kind=, message=}: dns refused timeout
 * unreachable missing permission; with tls, a session of raw.tls's, tls trust login usage besides
 * conn:call({"GET", "x"}, {timeout=5, max_reply=8 MiB}) → value | nil, {kind=,
 * message=} kind reply (the server's own words), login, permission: the connection stays open; timeout reset
 * limit protocol: it is closed. Words are strings or integers. Integers, strings (bulk and status), lists;
 * nil is nil, json.null inside lists; an error inside a list (EXEC) is {error=}. conn:close()   also by __gc
 * and __close
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"
#include "luautil.h"
#include "op.h"
#include "options.h"
#include "redis_conn.h"
#include "secure_session.h"

#define REDIS_TYPE "redis connection"
#define REDIS_TIMEOUT 5.0
#define REDIS_PORT 6379
#define REDIS_REPLY_BYTES (8L << 20)
#define REDIS_REPLY_MOST_BYTES (64L << 20) /* what the caller may ask for */
#define REDIS_REQUEST_MOST_BYTES (64UL << 20)

/* The userdata; `conn` NULL: not connected, or given up. */
struct handle {
  struct redis_conn *conn;
};

struct request_op {
  struct op op;
  struct handle *handle; /* its userdata is the op's user value */
  struct redis_node *reply;
};

/* ---- Replies as Lua values ---- */

static void push_node(lua_State *L, const struct redis_node *node) {
  luaL_checkstack(L, 4, "a reply nested too deep");
  switch (node->type) {
  case REDIS_STRING:
    lua_pushlstring(L, node->text, node->len);
    break;
  case REDIS_INTEGER:
    lua_pushinteger(L, node->integer);
    break;
  case REDIS_NIL:
    lua_pushlightuserdata(L, NULL);
    break; /* json.null */
  case REDIS_FAILURE:
    lua_createtable(L, 0, 1);
    set_string(L, "error", node->text, node->len);
    break;
  case REDIS_ARRAY:
    lua_createtable(L, (int)node->len, 0);
    for (size_t i = 0; i < node->len; i++) {
      push_node(L, node->elements[i]);
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    break;
  }
}

static int reply_push(lua_State *L, struct op *op) {
  struct redis_node *reply = ((struct request_op *)op)->reply;
  if (reply->type == REDIS_FAILURE) {
    lua_pushnil(L);
    lua_createtable(L, 0, 2);
    set_text(L, "kind", redis_failure_kind(reply->text));
    set_string(L, "message", reply->text, reply->len);
    return 2;
  }
  if (reply->type == REDIS_NIL)
    lua_pushnil(L);
  else
    push_node(L, reply);
  return 1;
}

/* ---- Ops ---- */

static void handle_close(struct handle *handle) {
  if (handle->conn) redis_conn_free(handle->conn);
  handle->conn = NULL;
}

/* A late answer must never be taken for another call's: the connection goes. */
static void request_cancel(struct op *op) {
  handle_close(((struct request_op *)op)->handle);
  error_set(&op->error, "cancelled", "cancelled");
  op_complete(op);
}

/* At the state's end the handle's own __gc may have run before: only `reply` is the op's. */
static void request_release(struct op *op) {
  struct request_op *request = (struct request_op *)op;
  redis_node_free(request->reply);
  request->reply = NULL;
}

static void request_done(void *data, struct redis_node *reply, const struct error *error) {
  struct request_op *request = data;
  request->reply = reply;
  request->op.error = *error;
  op_complete(&request->op);
}

/* The op keeps the handle alive, as its user value. */
static struct request_op *request_new(lua_State *L, int handle, int (*push)(lua_State *, struct op *)) {
  struct request_op *request = op_new(L, sizeof *request, request_cancel, request_release, push);
  lua_pushvalue(L, handle);
  lua_setiuservalue(L, -2, 1);
  request->handle = lua_touserdata(L, handle);
  return request;
}

/* ---- connect ---- */

static int connect_push(lua_State *L, struct op *op) {
  (void)op;
  lua_pushvalue(L, 2);
  return 1;
}

static const char *socket_path(lua_State *L) {
  if (!field_string(L, 1, "path", NULL, NULL)) return NULL;
  const char *path = options_path(L, 1, "path");
  if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
    luaL_error(L, "option 'path': too long for a socket");
  return path;
}

/* The session goes over to the connection: Lua's holds none any more. */
static struct secure *session_take(lua_State *L) {
  lua_getfield(L, 1, "tls");
  struct secure **session = lua_isnil(L, -1) ? NULL : luaL_checkudata(L, -1, SECURE_SESSION);
  lua_pop(L, 1);
  if (!session) return NULL;
  if (!*session) luaL_error(L, "option 'tls': the session has been used");
  struct secure *taken = *session;
  *session = NULL;
  return taken;
}

static int l_connect(lua_State *L) {
  lua_settop(L, 1);
  options_check(L, 1, "host port path tls timeout");
  const char *path = socket_path(L);
  const char *host = path ? NULL : options_path(L, 1, "host");
  int port = (int)options_integer(L, 1, "port", REDIS_PORT, 1, 65535);
  double timeout = options_seconds(L, 1, "timeout", REDIS_TIMEOUT, OPTIONS_SECONDS_MAX);
  struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  handle->conn = NULL;
  luaL_setmetatable(L, REDIS_TYPE);
  struct request_op *request = request_new(L, 2, connect_push);
  struct secure *secure = session_take(L);
  const char *what = secure ? "connecting to Redis with TLS" : "connecting to Redis";
  handle->conn = redis_conn_open(runtime_loop(), host, port, path, secure, timeout, request_done, request);
  op_timeout(&request->op, timeout, what);
  return op_await(L, &request->op);
}

/* ---- call ---- */

/* All that can be wrong with the words, so that encoding them can't fail. */
static void words_check(lua_State *L, int index) {
  size_t bytes = 0;
  luaL_checktype(L, index, LUA_TTABLE);
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  luaL_argcheck(L, count > 0, index, "a command is needed");
  for (lua_Integer i = 1; i <= count; i++) {
    int type = lua_rawgeti(L, index, i);
    luaL_argcheck(L, type == LUA_TSTRING || lua_isinteger(L, -1), index, "words must be strings or integers");
    bytes += (type == LUA_TSTRING ? lua_rawlen(L, -1) : 0) + 64;
    lua_pop(L, 1);
  }
  luaL_argcheck(L, bytes <= REDIS_REQUEST_MOST_BYTES, index, "the command is too long");
}

static void word_encode(lua_State *L, struct buffer *out) {
  char digits[32];
  size_t len;
  const char *text = digits;
  if (lua_type(L, -1) == LUA_TSTRING)
    text = lua_tolstring(L, -1, &len);
  else
    len = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)lua_tointeger(L, -1));
  buffer_printf(out, "$%zu\r\n", len);
  buffer_append(out, text, len);
  buffer_append(out, "\r\n", 2);
}

static struct buffer words_encode(lua_State *L, int index) {
  struct buffer out = {0};
  lua_Integer count = (lua_Integer)lua_rawlen(L, index);
  buffer_printf(&out, "*%lld\r\n", (long long)count);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, index, i);
    word_encode(L, &out);
    lua_pop(L, 1);
  }
  return out;
}

static int l_call(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, REDIS_TYPE);
  lua_settop(L, 3);
  words_check(L, 2);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  options_check(L, 3, "timeout max_reply");
  double timeout = options_seconds(L, 3, "timeout", REDIS_TIMEOUT, OPTIONS_SECONDS_MAX);
  size_t most = (size_t)options_integer(L, 3, "max_reply", REDIS_REPLY_BYTES, 1, REDIS_REPLY_MOST_BYTES);
  if (handle->conn && redis_conn_is_busy(handle->conn))
    return luaL_error(L, "the connection is waiting for another reply");
  struct request_op *request = request_new(L, 1, reply_push);
  if (handle->conn && redis_conn_is_open(handle->conn)) {
    struct buffer words = words_encode(L, 2);
    redis_conn_call(handle->conn, words.data, words.len, most, request_done, request);
    op_timeout(&request->op, timeout, "Redis");
  } else {
    error_set(&request->op.error, "reset", "the connection is closed");
    op_complete(&request->op);
  }
  return op_await(L, &request->op);
}

static int l_close(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, REDIS_TYPE);
  if (handle->conn && redis_conn_is_busy(handle->conn))
    return luaL_error(L, "the connection is waiting for a reply");
  handle_close(handle);
  return 0;
}

static int l_gc(lua_State *L) {
  handle_close(luaL_checkudata(L, 1, REDIS_TYPE));
  return 0;
}

static int l_tostring(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, REDIS_TYPE);
  bool open = handle->conn && redis_conn_is_open(handle->conn);
  lua_pushfstring(L, REDIS_TYPE " (%s)", open ? "open" : "closed");
  return 1;
}

int luaopen_raw_redis(lua_State *L) {
  static const luaL_Reg functions[] = {{"connect", l_connect}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"call", l_call},  {"close", l_close},         {"__gc", l_gc},
                                     {"__close", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, REDIS_TYPE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
