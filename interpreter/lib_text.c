/* raw.text: foreign text made inert, and the small helpers of the language's `text`. What cuts or escapes for people masks
 * first: half a secret would not be known any more.
 *
 * inert(text, {max=, lines=, flat=, people=}) → text (enum text_how)     width(text) → columns     truncate(text, columns) → text
 * clip(text, characters) → its beginning, with … when it was cut     last(text, characters) → its end
 * shell_quote(list) → a command line     slack(text), html(text) → escaped
 * duration(text) → seconds | nil, error      size(text) → bytes | nil, error      time(text) → seconds since 1970 | nil, error
 * duration_text(seconds), size_text(bytes), time_text(seconds) → the other way (duration.h)
 * clock_text(seconds since 1970) → "03:02:11" where this machine stands
 * trimmed(text) → without white space at its end     last_line(text) → the last one that holds something else, without it;
 * a Lua pattern for either takes time by the square of the text's length
 * lines(text) → list     tail(text, n) → the last n lines     table(text) → list of rows by the first line's
 * column names
 */
#include <string.h>
#include <lauxlib.h>
#include "buffer.h"
#include "duration.h"
#include "libs.h"
#include "luautil.h"
#include "redact.h"
#include "text.h"

#define TEXT_LINES_MAX 1000000 /* lines one call makes */

static int push_buffer(lua_State *L, struct buffer *buffer) {
  lua_pushlstring(L, buffer->data ? buffer->data : "", buffer->len);
  buffer_free(buffer);
  return 1;
}

static struct buffer masked(lua_State *L) {
  size_t len;
  struct buffer out = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  redact_apply(&out, text, len);
  buffer_append(&out, "", 0);
  return out;
}

static int l_inert(lua_State *L) {
  struct buffer out = {0};
  bool has_options = lua_istable(L, 2);
  long long max = has_options ? field_integer(L, 2, "max", 0) : 0;
  int how = 0;
  if (has_options && field_bool(L, 2, "lines", false)) how |= TEXT_LINES;
  if (has_options && field_bool(L, 2, "flat", false)) how |= TEXT_FLAT;
  if (has_options && field_bool(L, 2, "people", false)) how |= TEXT_PEOPLE;
  struct buffer text = masked(L);
  text_inert(&out, text.data, text.len, max > 0 ? (size_t)max : 0, how);
  buffer_free(&text);
  return push_buffer(L, &out);
}

static int l_width(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushinteger(L, (lua_Integer)text_width(text, len));
  return 1;
}

static int l_truncate(lua_State *L) {
  struct buffer out = {0};
  lua_Integer columns = luaL_checkinteger(L, 2);
  struct buffer text = masked(L);
  text_truncate(&out, text.data, text.len, columns > 0 ? (size_t)columns : 0);
  buffer_free(&text);
  return push_buffer(L, &out);
}

static size_t positive(lua_State *L, int index) {
  lua_Integer number = luaL_checkinteger(L, index);
  luaL_argcheck(L, number > 0, index, "a number of characters expected");
  return (size_t)number;
}

static int l_clip(lua_State *L) {
  size_t max = positive(L, 2);
  struct buffer text = masked(L);
  size_t end = text_prefix(text.data, text.len, max);
  if (end < text.len) {
    text.len = text_prefix(text.data, text.len, max - 1);
    buffer_puts(&text, "…");
  }
  return push_buffer(L, &text);
}

static int l_last(lua_State *L) {
  size_t max = positive(L, 2);
  struct buffer text = masked(L);
  size_t from = text_suffix(text.data, text.len, max);
  lua_pushlstring(L, text.data + from, text.len - from);
  buffer_free(&text);
  return 1;
}

/* Entries that are no strings (secrets, placeholders) are shown as they print. */
static int l_shell_quote(lua_State *L) {
  luaL_Buffer line;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer count = luaL_len(L, 1);
  luaL_buffinit(L, &line);
  for (lua_Integer i = 1; i <= count; i++) {
    size_t len;
    struct buffer word = {0};
    if (i > 1) luaL_addchar(&line, ' ');
    lua_geti(L, 1, i);
    const char *text = luaL_tolstring(L, -1, &len);
    text_shell_quote(&word, text, len);
    lua_pop(L, 2);
    luaL_addlstring(&line, word.data, word.len);
    buffer_free(&word);
  }
  luaL_pushresult(&line);
  return 1;
}

static int escape(lua_State *L, const char *characters, const char *const *instead) {
  size_t len;
  struct buffer out = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  for (size_t i = 0; i < len; i++) {
    const char *found = text[i] ? strchr(characters, text[i]) : NULL;
    if (found)
      buffer_puts(&out, instead[found - characters]);
    else
      buffer_putc(&out, text[i]);
  }
  return push_buffer(L, &out);
}

static int l_slack(lua_State *L) {
  static const char *const instead[] = {"&amp;", "&lt;", "&gt;"};
  return escape(L, "&<>", instead);
}

static int l_html(lua_State *L) {
  static const char *const instead[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
  return escape(L, "&<>\"'", instead);
}

static int l_lines(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *end = text + len;
  lua_newtable(L);
  for (lua_Integer count = 1; text < end && count <= TEXT_LINES_MAX; count++) {
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    size_t size = (size_t)((newline ? newline : end) - text);
    lua_pushlstring(L, text, size > 0 && text[size - 1] == '\r' ? size - 1 : size);
    lua_rawseti(L, -2, count);
    text += size + 1;
  }
  return 1;
}

#define WHITE_SPACE " \t\n\v\f\r"

static size_t trimmed_len(const char *text, size_t len) {
  while (len > 0 && memchr(WHITE_SPACE, text[len - 1], sizeof WHITE_SPACE - 1)) len--;
  return len;
}

static int l_trimmed(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushlstring(L, text, trimmed_len(text, len));
  return 1;
}

static int l_last_line(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  len = trimmed_len(text, len);
  const char *newline = len ? memrchr(text, '\n', len) : NULL;
  const char *line = newline ? newline + 1 : text;
  lua_pushlstring(L, line, (size_t)(text + len - line));
  return 1;
}

static int l_tail(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer count = luaL_checkinteger(L, 2);
  size_t at = len > 0 && text[len - 1] == '\n' ? len - 1 : len;
  while (count > 0 && at > 0) {
    if (text[at - 1] == '\n' && --count == 0) break;
    at--;
  }
  lua_pushlstring(L, text + at, len - at);
  return 1;
}

/* The next word of a line, or NULL; `last` takes all that is left. */
static const char *next_word(const char **at, const char *end, bool last, size_t *size) {
  while (*at < end && (**at == ' ' || **at == '\t')) ++*at;
  const char *word = *at;
  while (*at < end && (last || (**at != ' ' && **at != '\t'))) ++*at;
  *size = (size_t)(*at - word);
  while (*size > 0 && (word[*size - 1] == ' ' || word[*size - 1] == '\r')) --*size;
  return *size > 0 ? word : NULL;
}

static const char *line_end(const char *at, const char *end) {
  const char *newline = memchr(at, '\n', (size_t)(end - at));
  return newline ? newline : end;
}

/* Columns are separated by blanks; the last one keeps its own. */
static int l_table(lua_State *L) {
  size_t len, size;
  const char *text = luaL_checklstring(L, 1, &len), *end = text + len, *stop = line_end(text, end), *word;
  lua_Integer names = 0;
  lua_settop(L, 1);
  lua_newtable(L); /* 2: names */
  lua_newtable(L); /* 3: rows */
  for (const char *at = text; (word = next_word(&at, stop, false, &size)) != NULL;) {
    lua_pushlstring(L, word, size);
    lua_rawseti(L, 2, ++names);
  }
  for (lua_Integer row = 1; stop < end && row <= TEXT_LINES_MAX; row++) {
    const char *at = stop + 1;
    stop = line_end(at, end);
    if (at >= stop) continue;
    lua_newtable(L);
    for (lua_Integer i = 1; i <= names && (word = next_word(&at, stop, i == names, &size)) != NULL; i++) {
      lua_rawgeti(L, 2, i);
      lua_pushlstring(L, word, size);
      lua_rawset(L, -3);
    }
    lua_rawseti(L, 3, (lua_Integer)lua_rawlen(L, 3) + 1);
  }
  return 1;
}

static int parse_number(lua_State *L, bool (*parse)(const char *, size_t, double *, struct error *)) {
  size_t len;
  double number;
  struct error error = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  if (!parse(text, len, &number, &error)) return push_failure(L, &error);
  lua_pushnumber(L, number);
  return 1;
}

static int l_duration(lua_State *L) { return parse_number(L, duration_parse); }
static int l_time(lua_State *L) { return parse_number(L, time_parse); }

static int l_size(lua_State *L) {
  size_t len;
  int64_t bytes;
  struct error error = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  if (!size_parse(text, len, &bytes, &error)) return push_failure(L, &error);
  lua_pushinteger(L, bytes);
  return 1;
}

static int format_number(lua_State *L, void (*format)(struct buffer *, double)) {
  struct buffer out = {0};
  format(&out, luaL_checknumber(L, 1));
  return push_buffer(L, &out);
}

static int l_duration_text(lua_State *L) { return format_number(L, duration_format); }
static int l_size_text(lua_State *L) { return format_number(L, size_format); }
static int l_clock_text(lua_State *L) { return format_number(L, clock_format); }
static int l_time_text(lua_State *L) { return format_number(L, time_format); }

int luaopen_raw_text(lua_State *L) {
  static const luaL_Reg functions[] = {{"inert", l_inert},
                                       {"width", l_width},
                                       {"truncate", l_truncate},
                                       {"clip", l_clip},
                                       {"last", l_last},
                                       {"shell_quote", l_shell_quote},
                                       {"slack", l_slack},
                                       {"html", l_html},
                                       {"lines", l_lines},
                                       {"trimmed", l_trimmed},
                                       {"last_line", l_last_line},
                                       {"tail", l_tail},
                                       {"table", l_table},
                                       {"duration", l_duration},
                                       {"size", l_size},
                                       {"time", l_time},
                                       {"duration_text", l_duration_text},
                                       {"size_text", l_size_text},
                                       {"time_text", l_time_text},
                                       {"clock_text", l_clock_text},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
