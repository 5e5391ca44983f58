/* raw.json: encode(value, {pretty=, exact=}) → text, raises on what JSON can't hold; decode(text, {exact=}) →
 * value | nil, error; list(table) marks a table as an array even when empty; null. */
#include "lib_json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "base64.h"
#include "buffer.h"
#include "libs.h"
#include "luautil.h"

#define LIST_TYPE "list"

/* ---- Lua to JSON ---- */

static json_t *from_value(lua_State *L, int index, bool exact, int depth, struct error *error);

static json_t *wrap(const char *key, json_t *value) {
  json_t *object = json_object();
  json_object_set_new(object, key, value);
  return object;
}

static json_t *from_string(lua_State *L, int index, bool exact, struct error *error) {
  size_t len;
  const char *text = lua_tolstring(L, index, &len);
  json_t *string = json_stringn(text, len);
  if (string) return string;
  if (!exact) return error_set(error, "usage", "a string that is not UTF-8 has no form in JSON"), NULL;
  struct buffer encoded = {0};
  base64_encode(&encoded, text, len, BASE64_STANDARD);
  string = wrap("$bytes", json_stringn(encoded.data ? encoded.data : "", encoded.len));
  buffer_free(&encoded);
  return string;
}

static json_t *from_number(lua_State *L, int index, bool exact, struct error *error) {
  if (lua_isinteger(L, index)) return json_integer(lua_tointeger(L, index));
  lua_Number number = lua_tonumber(L, index);
  if (isfinite(number)) return json_real(number);
  if (!exact) return error_set(error, "usage", "a number that is not finite has no form in JSON"), NULL;
  return wrap("$number", json_string(isnan(number) ? "nan" : number > 0 ? "inf" : "-inf"));
}

/* How many entries a table has, and whether its keys are exactly 1..n, or all strings. */
struct shape {
  lua_Integer count;
  bool is_list, all_strings, is_marked, dollar;
};

static struct shape shape_of(lua_State *L, int index) {
  struct shape shape = {.all_strings = true};
  lua_Integer length = (lua_Integer)lua_rawlen(L, index), integers = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    shape.count++;
    if (lua_type(L, -2) != LUA_TSTRING)
      shape.all_strings = false;
    else if (lua_tostring(L, -2)[0] == '$')
      shape.dollar = true;
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= length) integers++;
  }
  shape.is_list = shape.count > 0 && integers == shape.count && length == shape.count;
  if (shape.count == 0 && lua_getmetatable(L, index)) {
    luaL_getmetatable(L, LIST_TYPE);
    shape.is_marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  return shape;
}

static json_t *from_list(lua_State *L, int index, bool exact, int depth, struct error *error) {
  json_t *array = json_array();
  for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, index); i++) {
    lua_rawgeti(L, index, i);
    json_t *item = from_value(L, lua_gettop(L), exact, depth, error);
    lua_pop(L, 1);
    if (!item) return json_decref(array), NULL;
    json_array_append_new(array, item);
  }
  return array;
}

static json_t *from_object(lua_State *L, int index, bool exact, int depth, struct error *error) {
  json_t *object = json_object();
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    size_t len;
    const char *key = lua_tolstring(L, -2, &len);
    json_t *item = from_value(L, lua_gettop(L), exact, depth, error);
    if (item && json_object_setn_new(object, key, len, item) == 0) continue;
    if (item) error_set(error, "usage", "a key that is not UTF-8 has no form in JSON");
    lua_pop(L, 2);
    return json_decref(object), NULL;
  }
  return object;
}

/* Every key and value as a pair: for keys that JSON's objects can't have. */
static json_t *from_pairs(lua_State *L, int index, bool exact, int depth, struct error *error) {
  json_t *array = json_array();
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    json_t *key = from_value(L, lua_gettop(L) - 1, exact, depth, error);
    json_t *value = key ? from_value(L, lua_gettop(L), exact, depth, error) : NULL;
    if (!value) return json_decref(key), json_decref(array), lua_pop(L, 2), NULL;
    json_t *pair = json_array();
    json_array_append_new(pair, key);
    json_array_append_new(pair, value);
    json_array_append_new(array, pair);
  }
  return wrap("$map", array);
}

static bool keys_are_utf8(lua_State *L, int index) {
  bool all = true;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    size_t len;
    const char *key = lua_tolstring(L, -2, &len);
    json_t *string = json_stringn(key, len);
    all = all && string;
    json_decref(string);
  }
  return all;
}

static json_t *from_table(lua_State *L, int index, bool exact, int depth, struct error *error) {
  if (depth >= JSON_DEPTH_MAX || !lua_checkstack(L, 8))
    return error_set(error, "usage", "nested more than %d deep, or a cycle", JSON_DEPTH_MAX), NULL;
  struct shape shape = shape_of(L, index);
  if (shape.is_list || shape.is_marked) return from_list(L, index, exact, depth + 1, error);
  bool plain =
      shape.all_strings && !(exact && ((shape.dollar && shape.count == 1) || !keys_are_utf8(L, index)));
  if (plain) return from_object(L, index, exact, depth + 1, error);
  if (exact) return from_pairs(L, index, exact, depth + 1, error);
  return error_set(error, "usage", "a table with mixed keys has no form in JSON: use 1..n, or strings"), NULL;
}

static json_t *from_value(lua_State *L, int index, bool exact, int depth, struct error *error) {
  switch (lua_type(L, index)) {
  case LUA_TNIL:
    return json_null();
  case LUA_TBOOLEAN:
    return json_boolean(lua_toboolean(L, index));
  case LUA_TNUMBER:
    return from_number(L, index, exact, error);
  case LUA_TSTRING:
    return from_string(L, index, exact, error);
  case LUA_TTABLE:
    return from_table(L, index, exact, depth, error);
  case LUA_TLIGHTUSERDATA:
    if (!lua_touserdata(L, index)) return json_null();
    break;
  default:
    break;
  }
  return error_set(error, "usage", "a %s has no form in JSON", luaL_typename(L, index)), NULL;
}

json_t *json_from_lua(lua_State *L, int index, bool exact, struct error *error) {
  return from_value(L, lua_absindex(L, index), exact, 0, error);
}

/* ---- JSON to Lua ---- */

static void push_list(lua_State *L, const json_t *array, bool exact) {
  size_t count = json_array_size(array);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    json_to_lua(L, json_array_get(array, i), exact);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  if (count == 0) luaL_setmetatable(L, LIST_TYPE);
}

/* {"$bytes": …} and its like, back to what they stand for; false when the object is none. */
static bool push_exact(lua_State *L, const json_t *object) {
  const json_t *value;
  if (json_object_size(object) != 1) return false;
  if ((value = json_object_get(object, "$bytes")) && json_is_string(value)) {
    struct buffer bytes = {0};
    bool ok = base64_decode(&bytes, json_string_value(value), json_string_length(value));
    if (ok) lua_pushlstring(L, bytes.data ? bytes.data : "", bytes.len);
    buffer_free(&bytes);
    return ok;
  }
  if ((value = json_object_get(object, "$number")) && json_is_string(value)) {
    const char *text = json_string_value(value);
    lua_pushnumber(L, strcmp(text, "nan") == 0 ? (lua_Number)NAN : text[0] == '-' ? -HUGE_VAL : HUGE_VAL);
    return true;
  }
  if (!(value = json_object_get(object, "$map")) || !json_is_array(value)) return false;
  lua_newtable(L);
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t *pair = json_array_get(value, i), *key = json_array_get(pair, 0);
    if (!key || json_is_null(key)) continue;
    json_to_lua(L, key, true);
    json_to_lua(L, json_array_get(pair, 1), true);
    lua_rawset(L, -3);
  }
  return true;
}

static void push_object(lua_State *L, const json_t *object, bool exact) {
  const char *key;
  json_t *value;
  lua_createtable(L, 0, (int)json_object_size(object));
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    lua_pushstring(L, key);
    json_to_lua(L, value, exact);
    lua_rawset(L, -3);
  }
}

void json_to_lua(lua_State *L, const json_t *value, bool exact) {
  luaL_checkstack(L, 6, "JSON nested too deep");
  switch (json_typeof(value)) {
  case JSON_OBJECT:
    if (!exact || !push_exact(L, value)) push_object(L, value, exact);
    break;
  case JSON_ARRAY:
    push_list(L, value, exact);
    break;
  case JSON_STRING:
    lua_pushlstring(L, json_string_value(value), json_string_length(value));
    break;
  case JSON_INTEGER:
    lua_pushinteger(L, json_integer_value(value));
    break;
  case JSON_REAL:
    lua_pushnumber(L, json_real_value(value));
    break;
  case JSON_TRUE:
    lua_pushboolean(L, 1);
    break;
  case JSON_FALSE:
    lua_pushboolean(L, 0);
    break;
  case JSON_NULL:
    lua_pushlightuserdata(L, NULL);
    break;
  }
}

/* ---- The module ---- */

static bool option(lua_State *L, int index, const char *name) {
  return lua_istable(L, index) && field_bool(L, index, name, false);
}

static int l_encode(lua_State *L) {
  struct error error = {0};
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  size_t flags = JSON_ENCODE_ANY | JSON_SORT_KEYS | (option(L, 2, "pretty") ? JSON_INDENT(2) : JSON_COMPACT);
  json_t *value = json_from_lua(L, 1, option(L, 2, "exact"), &error);
  if (!value) return luaL_error(L, "json: %s", error.message);
  char *text = json_dumps(value, flags | JSON_REAL_PRECISION(17));
  json_decref(value);
  if (!text) return luaL_error(L, "json: not enough memory");
  lua_pushstring(L, text);
  free(text);
  return 1;
}

static int l_decode(lua_State *L) {
  size_t len;
  json_error_t problem;
  const char *text = luaL_checklstring(L, 1, &len);
  bool exact = option(L, 2, "exact");
  json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &problem);
  if (!value && json_error_code(&problem) == json_error_numeric_overflow)
    value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &problem);
  if (!value) {
    struct error error;
    error_set(&error, "protocol", "line %d column %d: %s", problem.line, problem.column, problem.text);
    return push_failure(L, &error);
  }
  json_to_lua(L, value, exact);
  json_decref(value);
  return 1;
}

static int l_list(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, LIST_TYPE);
  return 1;
}

int luaopen_raw_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"encode", l_encode}, {"decode", l_decode}, {"list", l_list}, {NULL, NULL}};
  luaL_newmetatable(L, LIST_TYPE);
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
