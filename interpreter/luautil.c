#include "luautil.h"
#include <stdlib.h>
#include <string.h>
#include "buffer.h"

static bool field(lua_State *L, int index, const char *name, int type) {
  int found = lua_getfield(L, index, name);
  if (found == LUA_TNIL) return false;
  if (found != type)
    luaL_error(L, "option '%s': %s expected, got %s", name, lua_typename(L, type), luaL_typename(L, -1));
  return true;
}

/* The string stays valid because the options table holds it. */
const char *field_string(lua_State *L, int index, const char *name, size_t *len, const char *fallback) {
  const char *value = fallback;
  if (field(L, index, name, LUA_TSTRING))
    value = lua_tolstring(L, -1, len);
  else if (len)
    *len = fallback ? strlen(fallback) : 0;
  lua_pop(L, 1);
  return value;
}

double field_number(lua_State *L, int index, const char *name, double fallback) {
  double value = field(L, index, name, LUA_TNUMBER) ? lua_tonumber(L, -1) : fallback;
  lua_pop(L, 1);
  return value;
}

long long field_integer(lua_State *L, int index, const char *name, long long fallback) {
  int is_integer = 1;
  long long value = fallback;
  if (field(L, index, name, LUA_TNUMBER)) value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer) luaL_error(L, "option '%s': an integer expected", name);
  lua_pop(L, 1);
  return value;
}

bool field_bool(lua_State *L, int index, const char *name, bool fallback) {
  bool value = field(L, index, name, LUA_TBOOLEAN) ? lua_toboolean(L, -1) : fallback;
  lua_pop(L, 1);
  return value;
}

static int strings_gc(lua_State *L) {
  char ***strings = lua_touserdata(L, 1);
  for (char **s = *strings; s && *s; s++) free(*s);
  free(*strings);
  *strings = NULL;
  return 0;
}

char **field_strings(lua_State *L, int index, const char *name) {
  index = lua_absindex(L, index);
  char ***strings = lua_newuserdatauv(L, sizeof *strings, 0);
  *strings = NULL;
  if (luaL_newmetatable(L, "strings")) {
    lua_pushcfunction(L, strings_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  if (field(L, index, name, LUA_TTABLE)) {
    lua_Integer count = luaL_len(L, -1);
    *strings = xcalloc((size_t)count + 1, sizeof **strings);
    for (lua_Integer i = 1; i <= count; i++) {
      size_t len = 0;
      lua_geti(L, -1, i);
      const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
      if (!text || strlen(text) != len)
        luaL_error(L, "option '%s': entry %d: a string without NUL bytes expected", name, (int)i);
      (*strings)[i - 1] = xstrdup(text);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  return *strings;
}

void set_string(lua_State *L, const char *name, const char *value, size_t len) {
  lua_pushlstring(L, value, len);
  lua_setfield(L, -2, name);
}

void set_text(lua_State *L, const char *name, const char *value) {
  if (!value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

void set_integer(lua_State *L, const char *name, long long value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

void set_bool(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

int push_failure(lua_State *L, const struct error *error) {
  lua_pushnil(L);
  lua_createtable(L, 0, 2);
  set_text(L, "kind", error->kind);
  set_text(L, "message", error->message);
  return 2;
}
