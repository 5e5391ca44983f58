/* raw.pg: PostgreSQL.
 *
 * connect{dsn=, timeout=, options={…}, hosts={name = "address:port"}} → connection
 *     options become the session's settings as it starts: {statement_timeout_ms = 5000,
 *     default_transaction_read_only = "on"}; a name that ends in _ms is milliseconds (poolers such as
 *     PgBouncer refuse them). hosts sends a name elsewhere (rehearsals).
 * parse(dsn) → {host=, port=, dbname=, user=, password_given=}
 * connection:query(sql, params, {timeout=, max_rows=, max_bytes=, stop_at_cut=, simple=})
 *       → {columns={name…}, rows={{name = value}…}, command=, affected=, cut=}
 *     One statement. Params: strings, numbers, booleans; nil is NULL when params.n counts them; NULL is an
 *     absent field. At a limit the statement is read to its end and the rest dropped, as a write needs it;
 *     with stop_at_cut it is cancelled and the connection closed, as a read wants it. simple: for a pooler's console,
 *     which takes no params.
 * connection:tree(sql, {timeout=}) → text
 *     What the server's rewriter makes of a statement that is not carried out, as debug_print_rewritten prints it; inside a
 *     transaction only. "" when the server sent nothing. An error of the server's about its settings, not about the
 *     statement, has unknown = true.
 * connection:info() → {host=, address=, port=, db=, user=, server_version=, pid=, in_recovery=}
 * connection:close()
 *
 * Each but close may give nil, {kind=, message=, sqlstate=}. After a timeout, a cancellation or a lost
 * connection the object is closed; whether the statement took effect is not known.
 * Of the environment libpq sees PGPASSWORD, PGPASSFILE, PGSERVICEFILE and PGSYSCONFDIR only, and it reads ~/.pgpass,
 * ~/.pg_service.conf and ~/.postgresql.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "luautil.h"
#include "options.h"
#include "pg.h"

#define CONN_TYPE "pg.connection"

static int push_pg_failure(lua_State *L, const struct pg_failure *failure) {
  push_failure(L, &failure->error);
  if (failure->sqlstate[0]) set_text(L, "sqlstate", failure->sqlstate);
  return 2;
}

static const char *check_text(lua_State *L, int index) {
  size_t len;
  const char *text = luaL_checklstring(L, index, &len);
  luaL_argcheck(L, strlen(text) == len, index, "a string without NUL bytes expected");
  return text;
}

/* ---- connect ---- */

static bool is_setting(const char *name) {
  return *name &&
         name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")] == '\0';
}

/* "-c name=value", with blanks and backslashes escaped as the server's split_opts wants them. */
static void add_setting(struct buffer *out, const char *name, const char *value) {
  size_t len = strlen(name);
  if (len > 3 && strcmp(name + len - 3, "_ms") == 0) len -= 3;
  buffer_printf(out, "%s-c %.*s=", out->len ? " " : "", (int)len, name);
  for (; *value; value++) {
    if (strchr(" \t\n\\", *value)) buffer_putc(out, '\\');
    buffer_putc(out, *value);
  }
}

static void read_settings(lua_State *L, struct buffer *settings) {
  int type = lua_getfield(L, 1, "options");
  if (type != LUA_TNIL && type != LUA_TTABLE) luaL_error(L, "option 'options': table expected");
  if (type == LUA_TTABLE) lua_pushnil(L);
  while (type == LUA_TTABLE && lua_next(L, -2)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (!is_setting(name)) luaL_error(L, "option 'options': not a setting's name");
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
      luaL_error(L, "option 'options': the value of '%s' is not a string or number", name);
    add_setting(settings, name, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void read_hosts(lua_State *L, struct pg_connect *connect) {
  int type = lua_getfield(L, 1, "hosts");
  if (type != LUA_TNIL && type != LUA_TTABLE) luaL_error(L, "option 'hosts': table expected");
  for (size_t i = 0; type == LUA_TTABLE && i < connect->place_count; i++) {
    if (lua_getfield(L, -1, connect->places[i].host) == LUA_TSTRING)
      pg_place_redirect(&connect->places[i], lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* The connection object was made before anything could fail; it lies below the op. */
static int push_connection(lua_State *L, struct op *op) {
  struct pg_connect *connect = (struct pg_connect *)op;
  struct pg_failure failure = connect->failure;
  struct pg_conn *conn = lua_touserdata(L, 2);
  conn->pg = connect->pg;
  connect->pg = NULL;
  pg_connect_release(op);
  if (failure.error.kind[0]) return push_pg_failure(L, &failure);
  lua_pushvalue(L, 2);
  return 1;
}

static int l_connect(lua_State *L) {
  options_check(L, 1, "dsn timeout options hosts");
  lua_settop(L, 1);
  struct pg_conn *conn = lua_newuserdatauv(L, sizeof *conn, 0);
  memset(conn, 0, sizeof *conn);
  luaL_setmetatable(L, CONN_TYPE);
  size_t len = 0;
  const char *dsn = field_string(L, 1, "dsn", &len, NULL);
  if (!dsn || strlen(dsn) != len) luaL_error(L, "option 'dsn': a string without NUL bytes expected");
  struct pg_connect *connect =
      op_new(L, sizeof *connect, pg_connect_cancel, pg_connect_release, push_connection);
  connect->timeout = options_seconds(L, 1, "timeout", PG_TIMEOUT_SECONDS, OPTIONS_SECONDS_MAX);
  read_settings(L, &connect->options);
  connect->dsn = pg_dsn_parse(dsn, &connect->failure.error);
  bool well = connect->dsn && pg_connect_places(connect);
  if (well) read_hosts(L, connect);
  if (well)
    pg_connect_start(connect);
  else
    op_complete(&connect->op);
  return op_await(L, &connect->op);
}

static int l_parse(lua_State *L) {
  struct error error = {0};
  PQconninfoOption *dsn = pg_dsn_parse(check_text(L, 1), &error);
  if (!dsn) return push_failure(L, &error);
  /* Nothing below is large: should memory fail all the same, this one block is lost. */
  const char *port = pg_dsn_get(dsn, "port"), *host = pg_dsn_get(dsn, "host");
  lua_createtable(L, 0, 5);
  set_text(L, "host", host ? host : pg_dsn_get(dsn, "hostaddr"));
  if (strspn(port, "0123456789") == strlen(port))
    set_integer(L, "port", atoll(port));
  else
    set_text(L, "port", port); /* one for each host */
  set_text(L, "dbname", pg_dsn_get(dsn, "dbname"));
  set_text(L, "user", pg_dsn_get(dsn, "user"));
  set_bool(L, "password_given", pg_dsn_get(dsn, "password") != NULL);
  PQconninfoFree(dsn);
  return 1;
}

/* ---- query ---- */

static struct pg_conn *check_conn(lua_State *L) { return luaL_checkudata(L, 1, CONN_TYPE); }

static int push_closed(lua_State *L) {
  struct error error;
  error_set(&error, "reset", "the connection is closed");
  return push_failure(L, &error);
}

static const char *number_text(lua_State *L) {
  char text[64];
  if (lua_isinteger(L, -1)) return lua_pushfstring(L, "%I", lua_tointeger(L, -1));
  double value = lua_tonumber(L, -1);
  if (isfinite(value))
    snprintf(text, sizeof text, "%.17g", value);
  else
    snprintf(text, sizeof text, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
  return lua_pushstring(L, text);
}

/* The text of the value on top, kept by the table at `anchor`; NULL for nil. [-1, +0, v] */
static const char *param_text(lua_State *L, int anchor, int n) {
  size_t len = 0;
  const char *text = NULL;
  switch (lua_type(L, -1)) {
  case LUA_TNIL:
    break;
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &len);
    lua_pushvalue(L, -1);
    break;
  case LUA_TNUMBER:
    text = number_text(L);
    len = strlen(text);
    break;
  case LUA_TBOOLEAN:
    text = lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    len = strlen(text);
    break;
  default:
    luaL_error(L, "parameter %d: a string, number or boolean expected, got %s", n, luaL_typename(L, -1));
  }
  if (text && strlen(text) != len) luaL_error(L, "parameter %d: PostgreSQL's text has no NUL bytes", n);
  if (text) lua_rawseti(L, anchor, n);
  lua_pop(L, 1);
  return text;
}

/* The parameters at index 3 as a vector, kept by what is pushed. [-0, +2, v] */
static const char **read_params(lua_State *L, int *count) {
  bool given = !lua_isnoneornil(L, 3);
  if (given) luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer n = given ? field_integer(L, 3, "n", luaL_len(L, 3)) : 0;
  luaL_argcheck(L, n >= 0 && n <= PG_PARAMS_MAX, 3, "too many parameters");
  *count = (int)n;
  lua_createtable(L, *count, 0);
  int anchor = lua_gettop(L);
  const char **values = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *values, 0);
  for (int i = 1; i <= *count; i++) {
    lua_geti(L, 3, i);
    values[i - 1] = param_text(L, anchor, i);
  }
  return values;
}

static int push_result(lua_State *L, struct op *op) {
  struct pg_query *query = (struct pg_query *)op;
  int count = 1;
  if (query->failure.error.kind[0])
    count = push_pg_failure(L, &query->failure);
  else
    pg_rows_push(L, query);
  pg_query_release(op);
  return count;
}

/* The options at `index`, the last one: a table in any case. */
static void want_options(lua_State *L, int index) {
  lua_settop(L, index);
  if (!lua_isnil(L, index)) return;
  lua_newtable(L);
  lua_replace(L, index);
}

static struct pg_query *new_query(lua_State *L, int (*push)(lua_State *, struct op *)) {
  return op_new(L, sizeof(struct pg_query), pg_query_cancel, pg_query_release, push);
}

static int conn_query(lua_State *L) {
  struct pg_conn *conn = check_conn(L);
  const char *sql = check_text(L, 2);
  want_options(L, 4);
  options_check(L, 4, "timeout max_rows max_bytes stop_at_cut simple");
  double timeout = options_seconds(L, 4, "timeout", PG_TIMEOUT_SECONDS, OPTIONS_SECONDS_MAX);
  size_t max_rows = (size_t)options_integer(L, 4, "max_rows", PG_ROWS_MAX, 0, PG_ROWS_LIMIT);
  size_t max_bytes = (size_t)options_integer(L, 4, "max_bytes", PG_BYTES_MAX, 0, PG_BYTES_LIMIT);
  bool stop_at_cut = field_bool(L, 4, "stop_at_cut", false), simple = field_bool(L, 4, "simple", false);
  int count;
  const char **values = read_params(L, &count);
  if (simple && count > 0) return luaL_error(L, "the simple protocol has no parameters");
  if (conn->query) return luaL_error(L, "the connection is busy with another query");
  if (!conn->pg) return push_closed(L);
  struct pg_query *query = new_query(L, push_result);
  query->max_rows = max_rows;
  query->max_bytes = max_bytes;
  query->stop_at_cut = stop_at_cut;
  if (simple)
    pg_query_start_simple(query, conn, sql);
  else
    pg_query_start(query, conn, sql, count, values);
  op_timeout(&query->op, timeout, "the query");
  return op_await(L, &query->op);
}

static int push_tree(lua_State *L, struct op *op) {
  struct pg_query *query = (struct pg_query *)op;
  int count = 1;
  if (query->failure.error.kind[0])
    count = push_pg_failure(L, &query->failure);
  else
    lua_pushlstring(L, query->cells.data ? query->cells.data : "", query->cells.len);
  if (pg_tree_is_unknown(query)) set_bool(L, "unknown", true);
  pg_query_release(op);
  return count;
}

static int conn_tree(lua_State *L) {
  struct pg_conn *conn = check_conn(L);
  const char *sql = check_text(L, 2);
  want_options(L, 3);
  options_check(L, 3, "timeout");
  double timeout = options_seconds(L, 3, "timeout", PG_TIMEOUT_SECONDS, OPTIONS_SECONDS_MAX);
  if (conn->query) return luaL_error(L, "the connection is busy with another query");
  if (!conn->pg) return push_closed(L);
  struct pg_query *query = new_query(L, push_tree);
  pg_tree_start(query, conn, sql);
  op_timeout(&query->op, timeout, "the query");
  return op_await(L, &query->op);
}

/* ---- The connection ---- */

static int conn_close(lua_State *L) {
  pg_conn_close(check_conn(L));
  return 0;
}

static int conn_info(lua_State *L) {
  PGconn *pg = check_conn(L)->pg;
  if (!pg) return push_closed(L);
  const char *recovery = PQparameterStatus(pg, "in_hot_standby"); /* reported since PostgreSQL 14 */
  const char *address = PQhostaddr(pg);
  lua_createtable(L, 0, 8);
  set_text(L, "host", PQhost(pg));
  set_text(L, "address", address && *address ? address : NULL);
  set_integer(L, "port", atoll(PQport(pg)));
  set_text(L, "db", PQdb(pg));
  set_text(L, "user", PQuser(pg));
  set_text(L, "server_version", PQparameterStatus(pg, "server_version"));
  set_integer(L, "pid", PQbackendPID(pg));
  if (recovery) set_bool(L, "in_recovery", strcmp(recovery, "on") == 0);
  return 1;
}

static int conn_tostring(lua_State *L) {
  PGconn *pg = check_conn(L)->pg;
  if (pg)
    lua_pushfstring(L, "PostgreSQL connection to %s@%s:%s/%s", PQuser(pg), PQhost(pg), PQport(pg), PQdb(pg));
  else
    lua_pushliteral(L, "PostgreSQL connection (closed)");
  return 1;
}

__attribute__((visibility("default"))) int luaopen_raw_pg(lua_State *L);

int luaopen_raw_pg(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"query", conn_query}, {"tree", conn_tree}, {"info", conn_info}, {"close", conn_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", conn_close}, {"__close", conn_close}, {"__tostring", conn_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"connect", l_connect}, {"parse", l_parse}, {NULL, NULL}};
  pg_environment_clear();
  luaL_newmetatable(L, CONN_TYPE);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
