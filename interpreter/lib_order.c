/* raw.order: keys(t) → list of t's keys in one order on every run: numbers by value, strings bytewise, false,
 * true. Keys of other types have no such order and raise. */
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "libs.h"

struct key {
  int rank; /* 0 number, 1 string, 2 false, 3 true */
  bool is_integer;
  lua_Integer integer;
  lua_Number number;
  const char *text;
  size_t len;
};

static int compare_text(const struct key *a, const struct key *b) {
  int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
  if (order) return order;
  return (a->len > b->len) - (a->len < b->len);
}

static int compare(const void *left, const void *right) {
  const struct key *a = left, *b = right;
  if (a->rank != b->rank) return a->rank - b->rank;
  if (a->rank == 1) return compare_text(a, b);
  if (a->is_integer && b->is_integer) return (a->integer > b->integer) - (a->integer < b->integer);
  return (a->number > b->number) - (a->number < b->number);
}

/* Strings stay valid: the table holds them and nothing runs in between. */
static struct key read_key(lua_State *L, int index) {
  struct key key = {0};
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
    key.is_integer = lua_isinteger(L, index);
    key.integer = lua_tointeger(L, index);
    key.number = lua_tonumber(L, index);
    return key;
  case LUA_TSTRING:
    key.rank = 1;
    key.text = lua_tolstring(L, index, &key.len);
    return key;
  case LUA_TBOOLEAN:
    key.rank = 2 + lua_toboolean(L, index);
    return key;
  default:
    luaL_error(L, "pairs: a %s as key has no order; use numbers, strings or booleans",
               luaL_typename(L, index));
    return key;
  }
}

static void push_key(lua_State *L, const struct key *key) {
  if (key->rank == 0 && key->is_integer)
    lua_pushinteger(L, key->integer);
  else if (key->rank == 0)
    lua_pushnumber(L, key->number);
  else if (key->rank == 1)
    lua_pushlstring(L, key->text, key->len);
  else
    lua_pushboolean(L, key->rank == 3);
}

static int l_keys(lua_State *L) {
  size_t count = 0, i = 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) count++;
  struct key *keys = lua_newuserdatauv(L, (count + 1) * sizeof *keys, 0);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) keys[i++] = read_key(L, -2);
  qsort(keys, count, sizeof *keys, compare);
  lua_createtable(L, (int)count, 0);
  for (i = 0; i < count; i++) {
    push_key(L, &keys[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

int luaopen_raw_order(lua_State *L) {
  static const luaL_Reg functions[] = {{"keys", l_keys}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
