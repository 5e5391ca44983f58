/* luahost [--stdlib DIR] FILE.lua [ARG…]: runs FILE as a task in the host's own environment; ARG… are its
 * `...`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lauxlib.h>
#include "libs.h"
#include "runtime.h"

static const char *file;
static char **arguments;

static int l_print(lua_State *L) {
  for (int i = 1; i <= lua_gettop(L); i++) {
    size_t len;
    const char *text = luaL_tolstring(L, i, &len);
    fwrite(text, 1, len, stdout);
    fputc(i == lua_gettop(L) - 1 ? '\n' : '\t', stdout);
    lua_pop(L, 1);
  }
  fflush(stdout);
  return 0;
}

static int done(lua_State *L, int status, lua_KContext context) {
  (void)L, (void)status, (void)context;
  return 0;
}

static int l_main(lua_State *L) {
  int count = 0;
  if (luaL_loadfilex(L, file, "t") != LUA_OK) return lua_error(L);
  for (; arguments[count]; count++) lua_pushstring(L, arguments[count]);
  lua_callk(L, count, 0, 0, done);
  return done(L, LUA_OK, 0);
}

/* The traceback is taken where the error happened. */
static int report(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static int finish(lua_State *L, int status, lua_KContext context) {
  (void)context;
  lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
  if (status != LUA_OK && status != LUA_YIELD) fprintf(stderr, "%s\n", lua_tostring(L, -2));
  return 1;
}

static int l_protected(lua_State *L) {
  lua_pushcfunction(L, report);
  lua_pushcfunction(L, l_main);
  return finish(L, lua_pcallk(L, 0, 0, 1, 0, finish), 0);
}

int main(int argc, char **argv) {
  const char *stdlib = NULL;
  if (argc > 2 && strcmp(argv[1], "--stdlib") == 0) {
    stdlib = argv[2];
    argv += 2;
  }
  if (argc < 2 || !argv[1]) return 2;
  file = argv[1];
  arguments = argv + 2;
  lua_State *L = libs_state(stdlib);
  runtime_open(L);
  runtime_signals();
  lua_pushcfunction(L, l_print);
  lua_setglobal(L, "print");
  lua_pushcfunction(L, l_protected);
  int status = runtime_run(L);
  bool well = status == LUA_OK && lua_toboolean(L, -1);
  lua_close(L);
  runtime_close();
  return well ? 0 : 1;
}
