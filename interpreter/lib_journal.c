/* raw.journal: reading what another process wrote, event by event, in little memory.
 *
 * events(path, {NAME = true | list of texts, …} | true) → iterator | nil, error    of the events of these names, with a list
 * those that have one of the texts in their line, with true all of them; calling it gives the next event, nil at the end
 * iterator:damage() → nil | {line=, why=, expected=, found=}    the first line so far that is not as it was written; line is
 * nil when the rest can't be read at all
 * iterator:last() → {lines=, hash=, torn=}    how many lines so far, the last one's SHA-256, bytes of an unfinished line at the end
 * blob(folder, hash) → text | nil, error    a value that is kept beside the journal of the run in `folder`, checked by its hash
 */
#include <string.h>
#include <lauxlib.h>
#include "blobs.h"
#include "journal_reader.h"
#include "lib_json.h"
#include "libs.h"
#include "luautil.h"

#define READER_TYPE "journal"

static bool holds(lua_State *L, const struct journal_line *line) {
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  return text && memmem(line->text, line->len, text, len) != NULL;
}

/* Whether the table on top of the stack wants this line. */
static bool wants(const struct journal_line *line, void *data) {
  lua_State *L = data;
  if (lua_isboolean(L, -1)) return true;
  lua_pushlstring(L, line->name, line->name_len);
  bool is_list = lua_rawget(L, -2) == LUA_TTABLE, wanted = !is_list && lua_toboolean(L, -1);
  for (lua_Integer i = 1; is_list && !wanted && lua_rawgeti(L, -1, i) == LUA_TSTRING; i++) {
    wanted = holds(L, line);
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
  return wanted;
}

static int reader_next(lua_State *L) {
  struct journal_reader *reader = luaL_checkudata(L, 1, READER_TYPE);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1);
  json_t *event = reader->file ? journal_reader_next(reader, wants, L) : NULL;
  if (!event) return 0;
  json_to_lua(L, event, true);
  json_decref(event);
  return 1;
}

static int reader_damage(lua_State *L) {
  struct journal_reader *reader = luaL_checkudata(L, 1, READER_TYPE);
  bool failed = journal_reader_failed(reader);
  if (!failed && !reader->damaged) return 0;
  lua_newtable(L);
  if (reader->damaged) {
    set_integer(L, "line", (long long)reader->damaged);
    set_text(L, "expected", reader->expected);
    set_text(L, "found", reader->found);
  }
  set_text(L, "why", failed ? "the disk can't be read" : reader->why);
  return 1;
}

static int reader_last(lua_State *L) {
  struct journal_reader *reader = luaL_checkudata(L, 1, READER_TYPE);
  lua_newtable(L);
  set_integer(L, "lines", (long long)reader->lines);
  set_text(L, "hash", reader->prev);
  set_integer(L, "torn", (long long)reader->torn);
  return 1;
}

static int reader_close(lua_State *L) {
  journal_reader_close(luaL_checkudata(L, 1, READER_TYPE));
  return 0;
}

static int l_events(lua_State *L) {
  struct error error = {0};
  const char *path = luaL_checkstring(L, 1);
  if (!lua_isboolean(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
  struct journal_reader *reader = lua_newuserdatauv(L, sizeof *reader, 1);
  memset(reader, 0, sizeof *reader);
  luaL_setmetatable(L, READER_TYPE);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  return journal_reader_open(reader, path, &error) ? 1 : push_failure(L, &error);
}

static int l_blob(lua_State *L) {
  struct error error = {0};
  struct buffer text = {0};
  if (!blobs_read(&text, luaL_checkstring(L, 1), luaL_checkstring(L, 2), &error))
    return push_failure(L, &error);
  lua_pushlstring(L, text.data ? text.data : "", text.len);
  buffer_free(&text);
  return 1;
}

int luaopen_raw_journal(lua_State *L) {
  static const luaL_Reg functions[] = {{"events", l_events}, {"blob", l_blob}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"damage", reader_damage}, {"last", reader_last}, {NULL, NULL}};
  luaL_newmetatable(L, READER_TYPE);
  lua_pushcfunction(L, reader_next);
  lua_setfield(L, -2, "__call");
  lua_pushcfunction(L, reader_close);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
