/* Answers of any service. Of any bytes: what is read and written reads back the same, as text and through Lua's values, no deeper
 * than is said; what isn't read has a reason. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "lib_json.h"
#include "libs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const struct buffer *a, const struct buffer *b) {
  return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void reads_back(const struct buffer *text, bool pretty) {
  struct error error = {0};
  struct buffer again = {0};
  json_t *value = jsontext_read(text->data, text->len, &error);
  if (!value) abort();
  jsontext_write(&again, value, pretty);
  if (!is_same(text, &again)) abort();
  json_decref(value);
  buffer_free(&again);
}

/* Through Lua and back; `text` becomes what it is then. */
static json_t *through_lua(lua_State *L, const json_t *value, struct buffer *text) {
  struct error error = {0};
  json_to_lua(L, value, true);
  json_t *back = json_from_lua(L, -1, true, &error);
  lua_pop(L, 1);
  if (back) jsontext_write(text, back, false);
  return back;
}

/* Pairs whose keys are written alike may change places, and marks add depth: of those only that they end is asked. */
static int l_keeps(lua_State *L) {
  const json_t *value = lua_touserdata(L, 1);
  struct buffer once = {0}, twice = {0};
  json_t *first = through_lua(L, value, &once), *second = first ? through_lua(L, first, &twice) : NULL;
  if (second && once.len != twice.len) abort();
  json_decref(first);
  json_decref(second);
  buffer_free(&once);
  buffer_free(&twice);
  return 0;
}

static lua_State *state(void) {
  static lua_State *L;
  if (L) return L;
  if (!(L = luaL_newstate())) abort();
  luaL_requiref(L, "raw.json", luaopen_raw_json, 0);
  lua_settop(L, 0);
  return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct error error = {0};
  json_t *value = jsontext_read((const char *)data, size, &error);
  if (!value) return error.kind[0] && error.message[0] ? 0 : (abort(), 0);
  for (int pretty = 0; pretty < 2; pretty++) {
    struct buffer text = {0};
    jsontext_write(&text, value, pretty);
    reads_back(&text, pretty);
    buffer_free(&text);
  }
  lua_State *L = state();
  lua_pushcfunction(L, l_keeps);
  lua_pushlightuserdata(L, value);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) abort();
  lua_gc(L, LUA_GCCOLLECT);
  json_decref(value);
  return 0;
}
