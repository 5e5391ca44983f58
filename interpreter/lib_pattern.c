/* raw.pattern: find, match, gmatch and gsub as Lua's string library has them, which signals, deadlines and the budget reach
 * (pattern.h). */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <lauxlib.h>
#include "libs.h"
#include "pattern.h"
#include "runtime.h"

static void look(void *data) { budget_look(data); }

static void fail(void *data, const char *why) { luaL_error(data, "%s", why); }

/* Arguments 1 and 2: the text and the pattern, whose begin is returned. */
static const char *prepare(lua_State *L, struct pattern *m, int text, int pattern) {
  size_t len;
  memset(m, 0, sizeof *m);
  m->text = luaL_checklstring(L, text, &len);
  m->text_end = m->text + len;
  const char *p = luaL_checklstring(L, pattern, &len);
  m->pattern_end = p + len;
  m->data = L;
  m->look = look;
  m->fail = fail;
  return p;
}

/* Argument `index`: from where on; 0 is the text's begin, and more than its length is beyond it. */
static size_t start_of(lua_State *L, int index, const struct pattern *m) {
  lua_Integer at = luaL_optinteger(L, index, 1), len = m->text_end - m->text;
  if (at > 0) return (size_t)at - 1;
  if (at == 0 || at < -len) return 0;
  return (size_t)(len + at);
}

/* ---- Captures ---- */

/* One as a text, or PATTERN_POSITION with its number pushed. Without captures the whole match is the first. */
static ptrdiff_t capture(lua_State *L, const struct pattern *m, int index, const char *s, const char *e,
                         const char **at) {
  if (index >= m->level) {
    if (index != 0) luaL_error(L, "invalid capture index %%%d", index + 1);
    *at = s;
    return e - s;
  }
  *at = m->captures[index].at;
  if (m->captures[index].len == PATTERN_UNFINISHED) luaL_error(L, "unfinished capture");
  if (m->captures[index].len == PATTERN_POSITION) lua_pushinteger(L, *at - m->text + 1);
  return m->captures[index].len;
}

static void push_capture(lua_State *L, const struct pattern *m, int index, const char *s, const char *e) {
  const char *at;
  ptrdiff_t len = capture(L, m, index, s, e, &at);
  if (len != PATTERN_POSITION) lua_pushlstring(L, at, (size_t)len);
}

/* All of them; `s`: the whole match where there are none. */
static int push_captures(lua_State *L, const struct pattern *m, const char *s, const char *e) {
  int count = m->level == 0 && s ? 1 : m->level;
  luaL_checkstack(L, count, "too many captures");
  for (int i = 0; i < count; i++) push_capture(L, m, i, s, e);
  return count;
}

/* ---- find, match ---- */

static bool is_plain(const char *p, const char *end) {
  for (; p < end; p++)
    if (*p && strchr("^$*+?.([%-", *p)) return false;
  return true;
}

static int find_plain(lua_State *L, const struct pattern *m, size_t from, const char *p) {
  size_t len = (size_t)(m->pattern_end - p);
  const char *start = m->text + from,
             *at = len ? memmem(start, (size_t)(m->text_end - start), p, len) : start;
  if (!at) return luaL_pushfail(L), 1;
  lua_pushinteger(L, at - m->text + 1);
  lua_pushinteger(L, at - m->text + (lua_Integer)len);
  return 2;
}

static int look_for(lua_State *L, bool find) {
  struct pattern m;
  const char *p = prepare(L, &m, 1, 2);
  size_t from = start_of(L, 3, &m);
  if (from > (size_t)(m.text_end - m.text)) return luaL_pushfail(L), 1;
  if (find && (lua_toboolean(L, 4) || is_plain(p, m.pattern_end))) return find_plain(L, &m, from, p);
  bool anchored = *p == '^';
  const char *s = m.text + from;
  do {
    const char *e = pattern_match(&m, s, p + anchored);
    if (!e) continue;
    if (!find) return push_captures(L, &m, s, e);
    lua_pushinteger(L, s - m.text + 1);
    lua_pushinteger(L, e - m.text);
    return push_captures(L, &m, NULL, NULL) + 2;
  } while (s++ < m.text_end && !anchored);
  return luaL_pushfail(L), 1;
}

static int l_find(lua_State *L) { return look_for(L, true); }
static int l_match(lua_State *L) { return look_for(L, false); }

/* ---- gmatch ---- */

/* Upvalues: the text, the pattern, where to go on, where the last match ended (-1: there was none). */
static int gmatch_step(lua_State *L) {
  struct pattern m;
  const char *p = prepare(L, &m, lua_upvalueindex(1), lua_upvalueindex(2));
  lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
  for (; from <= m.text_end - m.text; from++) {
    const char *s = m.text + from, *e = pattern_match(&m, s, p);
    if (!e || e - m.text == last) continue;
    lua_pushinteger(L, e - m.text);
    lua_copy(L, -1, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(L, &m, s, e);
  }
  return 0;
}

static int l_gmatch(lua_State *L) {
  struct pattern m;
  prepare(L, &m, 1, 2);
  size_t from = start_of(L, 3, &m), len = (size_t)(m.text_end - m.text);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)(from > len ? len + 1 : from));
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, gmatch_step, 4);
  return 1;
}

/* ---- gsub ---- */

static void add_text(lua_State *L, const struct pattern *m, luaL_Buffer *b, const char *s, const char *e) {
  size_t len;
  const char *text = lua_tolstring(L, 3, &len), *end = text + len, *escape, *at;
  for (; (escape = memchr(text, '%', (size_t)(end - text))); text = escape + 2) {
    luaL_addlstring(b, text, (size_t)(escape - text));
    char c = escape[1];
    if (c == '%') {
      luaL_addchar(b, '%');
    } else if (c == '0') {
      luaL_addlstring(b, s, (size_t)(e - s));
    } else if (isdigit((unsigned char)c)) {
      ptrdiff_t found = capture(L, m, c - '1', s, e, &at);
      if (found == PATTERN_POSITION)
        luaL_addvalue(b);
      else
        luaL_addlstring(b, at, (size_t)found);
    } else {
      luaL_error(L, "invalid use of '%%' in replacement string");
    }
  }
  luaL_addlstring(b, text, (size_t)(end - text));
}

/* Whether the match was replaced. */
static bool add_value(lua_State *L, const struct pattern *m, luaL_Buffer *b, const char *s, const char *e) {
  int kind = lua_type(L, 3);
  if (kind == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(L, m, s, e), 1);
  } else if (kind == LUA_TTABLE) {
    push_capture(L, m, 0, s, e);
    lua_gettable(L, 3);
  } else {
    add_text(L, m, b, s, e);
    return true;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(b, s, (size_t)(e - s));
    return false;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(b);
  return true;
}

static void check_replacement(lua_State *L) {
  int kind = lua_type(L, 3);
  bool well = kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE;
  luaL_argexpected(L, well, 3, "string/function/table");
}

static int l_gsub(lua_State *L) {
  struct pattern m;
  const char *p = prepare(L, &m, 1, 2), *s = m.text, *last = NULL;
  check_replacement(L);
  lua_Integer most = luaL_optinteger(L, 4, m.text_end - m.text + 1), count = 0;
  bool anchored = *p == '^', changed = false;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  while (count < most) {
    const char *e = pattern_match(&m, s, p + anchored);
    if (e && e != last) {
      count++;
      changed = add_value(L, &m, &b, s, e) || changed;
      s = last = e;
    } else if (s < m.text_end) {
      luaL_addchar(&b, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&b, s, (size_t)(m.text_end - s));
  luaL_pushresult(&b);
  if (!changed) lua_pushvalue(L, 1);
  lua_pushinteger(L, count);
  return 2;
}

int luaopen_raw_pattern(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"find", l_find}, {"match", l_match}, {"gmatch", l_gmatch}, {"gsub", l_gsub}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
