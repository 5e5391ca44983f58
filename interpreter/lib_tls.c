/* raw.tls: TLS for connections that other modules make; opened at first use, as it links OpenSSL.
 *
 * client{target=, name=, ca=, more=, cert=, key=} → session | nil, {kind=, message=}: trust (a file is missing), usage.
 * target is for messages, name what the certificate must bear; ca: these authorities instead of the system's, more:
 * beside them; cert, key: who we are. All files are PEM. A session serves one connection: raw.redis's connect takes it
 * as its tls. */
#include <lauxlib.h>
#include "libs.h"
#include "luautil.h"
#include "options.h"
#include "secure.h"
#include "secure_session.h"

static int session_gc(lua_State *L) {
  struct secure **session = luaL_checkudata(L, 1, SECURE_SESSION);
  if (*session) (*session)->free(*session);
  *session = NULL;
  return 0;
}

static const char *file_option(lua_State *L, const char *name) {
  return field_string(L, 1, name, NULL, NULL) ? options_path(L, 1, name) : NULL;
}

static int l_client(lua_State *L) {
  struct error error = {0};
  lua_settop(L, 1);
  options_check(L, 1, "target name ca more cert key");
  struct secure_options options = {.target = options_path(L, 1, "target"),
                                   .name = options_path(L, 1, "name"),
                                   .ca = file_option(L, "ca"),
                                   .more = file_option(L, "more"),
                                   .cert = file_option(L, "cert"),
                                   .key = file_option(L, "key")};
  struct secure **session = lua_newuserdatauv(L, sizeof(struct secure *), 0);
  *session = NULL;
  luaL_setmetatable(L, SECURE_SESSION);
  *session = secure_new(&options, &error);
  if (*session) return 1;
  lua_pushnil(L);
  lua_createtable(L, 0, 2);
  set_text(L, "kind", error.kind);
  set_text(L, "message", error.message);
  return 2;
}

__attribute__((visibility("default"))) int luaopen_raw_tls(lua_State *L);

int luaopen_raw_tls(lua_State *L) {
  static const luaL_Reg functions[] = {{"client", l_client}, {NULL, NULL}};
  luaL_newmetatable(L, SECURE_SESSION);
  lua_pushcfunction(L, session_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, functions);
  return 1;
}
