#include "options.h"
#include <stdbool.h>
#include <string.h>
#include <lauxlib.h>
#include "luautil.h"

static bool is_listed(const char *names, const char *key) {
  size_t len = strlen(key);
  for (const char *at = names; *at;) {
    size_t word = strcspn(at, " ");
    if (word == len && memcmp(at, key, len) == 0) return true;
    at += word + strspn(at + word, " ");
  }
  return false;
}

void options_check(lua_State *L, int index, const char *names) {
  luaL_checktype(L, index, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
    if (!is_listed(names, key)) luaL_error(L, "unknown option '%s' (known: %s)", key, names);
    lua_pop(L, 1);
  }
}

double options_seconds(lua_State *L, int index, const char *name, double fallback, double most) {
  double seconds = field_number(L, index, name, fallback);
  if (!(seconds > 0 && seconds <= most))
    luaL_error(L, "option '%s': seconds in (0, %f] expected", name, most);
  return seconds;
}

long long options_integer(lua_State *L, int index, const char *name, long long fallback, long long least,
                          long long most) {
  long long value = field_integer(L, index, name, fallback);
  if (value < least || value > most)
    luaL_error(L, "option '%s': a number from %I to %I expected", name, (lua_Integer)least,
               (lua_Integer)most);
  return value;
}

const char *options_path(lua_State *L, int index, const char *name) {
  size_t len = 0;
  const char *path = field_string(L, index, name, &len, NULL);
  if (!path || len == 0 || strlen(path) != len)
    luaL_error(L, "option '%s': a path expected (not empty, without NUL bytes)", name);
  return path;
}
