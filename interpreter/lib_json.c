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

struct key {
  const char *text; /* the table holds it */
  size_t len;
};

static int compare_keys(const void *left, const void *right) {
  const struct key *a = left, *b = right;
  int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
  return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* Pushes a block that holds the keys, all of them strings, in order. */
static const struct key *push_sorted_keys(lua_State *L, int index, size_t count) {
  struct key *keys = lua_newuserdatauv(L, (count + 1) * sizeof *keys, 0), *next = keys;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), next++)
    next->text = lua_tolstring(L, -2, &next->len);
  qsort(keys, count, sizeof *keys, compare_keys);
  return keys;
}

static json_t *from_object(lua_State *L, int index, size_t count, bool exact, int depth,
                           struct error *error) {
  const struct key *keys = push_sorted_keys(L, index, count);
  json_t *object = json_object();
  for (size_t i = 0; i < count; i++) {
    lua_pushlstring(L, keys[i].text, keys[i].len);
    lua_rawget(L, index);
    json_t *item = from_value(L, lua_gettop(L), exact, depth, error);
    lua_pop(L, 1);
    if (item && json_object_setn_new(object, keys[i].text, keys[i].len, item) == 0) continue;
    if (item) error_set(error, "usage", "a key that is not UTF-8 has no form in JSON");
    return json_decref(object), NULL;
  }
  return object;
}

/* A pair of a $map with its text, by which pairs are put in order. */
struct pair {
  json_t *json;
  struct buffer text;
};

static int compare_pairs(const void *left, const void *right) {
  const struct pair *a = left, *b = right;
  return strcmp(a->text.data, b->text.data);
}

static json_t *pairs_in_order(struct pair *pairs, size_t count) {
  json_t *array = json_array();
  qsort(pairs, count, sizeof *pairs, compare_pairs);
  for (size_t i = 0; i < count; i++) {
    json_array_append_new(array, pairs[i].json);
    buffer_free(&pairs[i].text);
  }
  return array;
}

/* Every key and value as a pair: for keys that JSON's objects can't have. */
static json_t *from_pairs(lua_State *L, int index, size_t count, bool exact, int depth, struct error *error) {
  struct pair *pairs = lua_newuserdatauv(L, (count + 1) * sizeof *pairs, 0);
  size_t done = 0;
  bool well = true;
  for (lua_pushnil(L); well && lua_next(L, index); lua_pop(L, 1)) {
    json_t *key = from_value(L, lua_gettop(L) - 1, exact, depth, error);
    json_t *value = key ? from_value(L, lua_gettop(L), exact, depth, error) : NULL;
    well = value != NULL;
    if (!well) {
      json_decref(key);
      continue;
    }
    pairs[done] = (struct pair){.json = json_array()};
    jsontext_write(&pairs[done].text, key, false);
    json_array_append_new(pairs[done].json, key);
    json_array_append_new(pairs[done++].json, value);
  }
  json_t *array = pairs_in_order(pairs, done);
  if (well) return wrap("$map", array);
  return json_decref(array), NULL;
}

/* Keys that jansson reads back: UTF-8 without NUL. */
static bool keys_are_plain(lua_State *L, int index) {
  bool all = true;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    size_t len;
    const char *key = lua_tolstring(L, -2, &len);
    json_t *string = strlen(key) == len ? json_stringn(key, len) : NULL;
    all = all && string;
    json_decref(string);
  }
  return all;
}

/* May leave blocks on the stack. */
static json_t *from_shape(lua_State *L, int index, struct shape shape, bool exact, int depth,
                          struct error *error) {
  if (shape.is_list || shape.is_marked) return from_list(L, index, exact, depth, error);
  bool lone_dollar = shape.dollar && shape.count == 1;
  if (shape.all_strings && !(exact && (lone_dollar || !keys_are_plain(L, index))))
    return from_object(L, index, (size_t)shape.count, exact, depth, error);
  if (exact) return from_pairs(L, index, (size_t)shape.count, exact, depth, error);
  return error_set(error, "usage", "a table with mixed keys has no form in JSON: use 1..n, or strings"), NULL;
}

static json_t *from_table(lua_State *L, int index, bool exact, int depth, struct error *error) {
  int top = lua_gettop(L);
  if (depth >= JSON_DEPTH_MAX || !lua_checkstack(L, 10))
    return error_set(error, "usage", "nested more than %d deep, or a cycle", JSON_DEPTH_MAX), NULL;
  json_t *value = from_shape(L, index, shape_of(L, index), exact, depth + 1, error);
  lua_settop(L, top);
  return value;
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

static bool push_bytes(lua_State *L, const json_t *value) {
  struct buffer bytes = {0};
  bool well = base64_decode(&bytes, json_string_value(value), json_string_length(value));
  if (well) lua_pushlstring(L, bytes.data ? bytes.data : "", bytes.len);
  buffer_free(&bytes);
  return well;
}

static bool push_special_number(lua_State *L, const char *name) {
  static const struct {
    const char *name;
    lua_Number number;
  } numbers[] = {{"nan", (lua_Number)NAN}, {"inf", HUGE_VAL}, {"-inf", -HUGE_VAL}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (strcmp(name, numbers[i].name) != 0) continue;
    lua_pushnumber(L, numbers[i].number);
    return true;
  }
  return false;
}

/* Pairs that no table could hold are left out: only a forged text has them. */
static void push_map(lua_State *L, const json_t *pairs) {
  lua_newtable(L);
  for (size_t i = 0; i < json_array_size(pairs); i++) {
    const json_t *pair = json_array_get(pairs, i);
    if (json_array_size(pair) != 2) continue;
    json_to_lua(L, json_array_get(pair, 0), true);
    if (lua_isnil(L, -1) || (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1))) {
      lua_pop(L, 1);
      continue;
    }
    json_to_lua(L, json_array_get(pair, 1), true);
    lua_rawset(L, -3);
  }
}

/* {"$bytes": …} and its like, back to what they stand for; false when the object is none. */
static bool push_exact(lua_State *L, const json_t *object) {
  const json_t *value;
  if (json_object_size(object) != 1) return false;
  if ((value = json_object_get(object, "$bytes")) && json_is_string(value)) return push_bytes(L, value);
  if ((value = json_object_get(object, "$number")) && json_is_string(value))
    return push_special_number(L, json_string_value(value));
  if (!(value = json_object_get(object, "$map")) || !json_is_array(value)) return false;
  push_map(L, value);
  return true;
}

static void push_object(lua_State *L, const json_t *value, bool exact) {
  json_t *object = (json_t *)(uintptr_t)value; /* jansson's iterators know no const */
  lua_createtable(L, 0, (int)json_object_size(object));
  for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
    lua_pushlstring(L, json_object_iter_key(at), json_object_iter_key_len(at));
    json_to_lua(L, json_object_iter_value(at), exact);
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
  struct buffer out = {0};
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  bool exact = option(L, 2, "exact"), pretty = option(L, 2, "pretty");
  json_t *value = json_from_lua(L, 1, exact, &error);
  if (!value) return luaL_error(L, "json: %s", error.message);
  jsontext_write(&out, value, pretty);
  json_decref(value);
  lua_pushlstring(L, out.data, out.len);
  buffer_free(&out);
  return 1;
}

static int l_decode(lua_State *L) {
  size_t len;
  struct error error = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  bool exact = option(L, 2, "exact");
  json_t *value = jsontext_read(text, len, &error);
  if (!value) return push_failure(L, &error);
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
