/* raw.re: Perl's regular expressions over PCRE2 with its JIT, a limit on the work of one match, and a cache
 * of patterns.
 *
 * find(text, pattern) → boolean                 match(text, pattern) → { [0]=whole, [1]=…, name=… } | nil
 * all(text, pattern) → list of such tables      count(text, pattern) → integer
 * gsub(text, pattern, replacement) → text, count   ($1, ${12}, ${name}, $$; a group that took no part is empty)
 * lines(text, pattern) → list of the whole lines that match; ^ and $ are the line's
 * A wrong pattern, a match or a call that needs too much work, and too many matches raise. Patterns see Unicode where the text is valid
 * UTF-8, else bytes.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"
#include "runtime.h"

#define RE_CACHE 64            /* compiled patterns kept */
#define RE_MATCH_LIMIT 5000000 /* steps of one match; some hundred milliseconds */
#define RE_CALL_SECONDS 2.0    /* of the CPU, of one call with all its matches */
#define RE_PATTERN_MAX 65536   /* bytes of a pattern */
#define RE_STACK_MIN 32768     /* bytes of the JIT's stack: as it begins, and at most */
#define RE_STACK_MAX (8 << 20)
#define RE_RESULTS_MAX 100000 /* matches of one `all` or `lines` */

struct compiled {
  char *pattern;
  size_t len;
  uint32_t options;
  pcre2_code *code;
  pcre2_match_data *data;
  unsigned long used;
};

static struct compiled cache[RE_CACHE];
static unsigned long uses;
static pcre2_match_context *limits;

struct subject {
  const char *text;
  size_t len;
  struct compiled *re;
  double began; /* CPU seconds */
};

static void compiled_free(struct compiled *it) {
  free(it->pattern);
  pcre2_code_free(it->code);
  pcre2_match_data_free(it->data);
  *it = (struct compiled){0};
}

static struct compiled *cache_find(const char *pattern, size_t len, uint32_t options) {
  struct compiled *oldest = &cache[0];
  for (struct compiled *it = cache; it < cache + RE_CACHE; it++) {
    if (it->pattern && it->len == len && it->options == options && memcmp(it->pattern, pattern, len) == 0)
      return it;
    if (it->used < oldest->used) oldest = it;
  }
  compiled_free(oldest);
  return oldest;
}

static struct compiled *compile(lua_State *L, const char *pattern, size_t len, uint32_t options) {
  int code;
  PCRE2_SIZE at;
  PCRE2_UCHAR message[128];
  struct compiled *it = cache_find(pattern, len, options);
  it->used = ++uses;
  if (it->code) return it;
  it->code = pcre2_compile((PCRE2_SPTR)pattern, len, options, &code, &at, NULL);
  if (!it->code) {
    pcre2_get_error_message(code, message, sizeof message);
    luaL_error(L, "wrong pattern at character %d: %s", (int)at + 1, (const char *)message);
  }
  pcre2_jit_compile(it->code, PCRE2_JIT_COMPLETE); /* where there is no JIT, the interpreter serves */
  it->pattern = xmalloc(len + 1);
  memcpy(it->pattern, pattern, len);
  it->len = len;
  it->options = options;
  it->data = pcre2_match_data_create_from_pattern(it->code, NULL);
  return it;
}

/* Arguments 1 and 2: the text and the pattern. */
static struct subject check_subject(lua_State *L) {
  size_t len;
  struct subject s;
  s.text = luaL_checklstring(L, 1, &s.len);
  const char *pattern = luaL_checklstring(L, 2, &len);
  if (len > RE_PATTERN_MAX) luaL_error(L, "a pattern of more than %d bytes", RE_PATTERN_MAX);
  if (!limits) {
    limits = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(limits, RE_MATCH_LIMIT);
    pcre2_jit_stack_assign(limits, NULL, pcre2_jit_stack_create(RE_STACK_MIN, RE_STACK_MAX, NULL));
  }
  s.re = compile(L, pattern, len, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF);
  s.began = budget_computed();
  return s;
}

/* Many matches, each within its limit, may be too much together; a signal and a deadline are heard between them. */
static void check_work(lua_State *L, const struct subject *s) {
  if (budget_look(L) && budget_computed() - s->began > RE_CALL_SECONDS)
    luaL_error(L, "the pattern needs too much work on this text");
}

/* Whether there is a match at or after `from`; raises when it needs too much work. */
static bool step(lua_State *L, const struct subject *s, size_t from, uint32_t options) {
  int rc = pcre2_match(s->re->code, (PCRE2_SPTR)s->text, s->len, from, options, s->re->data, limits);
  check_work(L, s);
  if (rc > 0) return true;
  if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ||
      rc == PCRE2_ERROR_JIT_STACKLIMIT)
    luaL_error(L, "the pattern needs too much work on this text");
  if (rc != PCRE2_ERROR_NOMATCH) luaL_error(L, "matching failed (PCRE2 error %d)", rc);
  return false;
}

/* A result that leaves matches out would be a wrong answer. */
static lua_Integer counted(lua_State *L, lua_Integer count) {
  if (count == RE_RESULTS_MAX) luaL_error(L, "more than %d matches", RE_RESULTS_MAX);
  return count + 1;
}

/* Where to look after a match: an empty one must move on, by a whole character. */
static size_t after(const struct subject *s, const PCRE2_SIZE *at) {
  size_t next = at[1];
  if (at[0] != at[1]) return next;
  do next++;
  while (next < s->len && ((unsigned char)s->text[next] & 0xC0) == 0x80);
  return next;
}

static void push_group(lua_State *L, const struct subject *s, const PCRE2_SIZE *at, uint32_t i) {
  if (at[2 * i] == PCRE2_UNSET)
    lua_pushboolean(L, 0);
  else
    lua_pushlstring(L, s->text + at[2 * i], at[2 * i + 1] - at[2 * i]);
}

/* The captures of the last match: numbers from 0, names beside them; a group that took no part is false. */
static void push_captures(lua_State *L, const struct subject *s) {
  const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->re->data);
  uint32_t count = pcre2_get_ovector_count(s->re->data), names, size;
  PCRE2_SPTR table;
  lua_createtable(L, (int)count, 1);
  for (uint32_t i = 0; i < count; i++) {
    push_group(L, s, at, i);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  pcre2_pattern_info(s->re->code, PCRE2_INFO_NAMECOUNT, &names);
  pcre2_pattern_info(s->re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
  pcre2_pattern_info(s->re->code, PCRE2_INFO_NAMETABLE, &table);
  for (uint32_t n = 0; n < names; n++, table += size) {
    push_group(L, s, at, (uint32_t)(table[0] << 8 | table[1]));
    lua_setfield(L, -2, (const char *)table + 2);
  }
}

static int l_find(lua_State *L) {
  struct subject s = check_subject(L);
  lua_pushboolean(L, step(L, &s, 0, 0));
  return 1;
}

static int l_match(lua_State *L) {
  struct subject s = check_subject(L);
  if (!step(L, &s, 0, 0)) return 0;
  push_captures(L, &s);
  return 1;
}

static int l_all(lua_State *L) {
  struct subject s = check_subject(L);
  lua_Integer count = 0;
  lua_newtable(L);
  for (size_t from = 0; from <= s.len && step(L, &s, from, 0);) {
    from = after(&s, pcre2_get_ovector_pointer(s.re->data));
    push_captures(L, &s);
    count = counted(L, count);
    lua_rawseti(L, -2, count);
  }
  return 1;
}

static int l_count(lua_State *L) {
  struct subject s = check_subject(L);
  lua_Integer count = 0;
  for (size_t from = 0; from <= s.len && step(L, &s, from, 0); count++)
    from = after(&s, pcre2_get_ovector_pointer(s.re->data));
  lua_pushinteger(L, count);
  return 1;
}

/* Each line is a text of its own, as grep sees it. */
static int l_lines(lua_State *L) {
  struct subject s = check_subject(L);
  const char *end = s.text + s.len;
  lua_Integer count = 0;
  lua_newtable(L);
  for (const char *line = s.text; line < end;) {
    const char *newline = memchr(line, '\n', (size_t)(end - line)), *next = newline ? newline : end;
    size_t len = (size_t)(next - line);
    if (len > 0 && line[len - 1] == '\r') len--;
    struct subject one = {line, len, s.re, s.began};
    if (step(L, &one, 0, 0)) {
      count = counted(L, count);
      lua_pushlstring(L, line, len);
      lua_rawseti(L, -2, count);
    }
    line = next + 1;
  }
  return 1;
}

/* Appends the group of that name, or number in digits. */
static void add_group(lua_State *L, luaL_Buffer *out, const char *name, size_t len, int captures) {
  lua_pushlstring(L, name, len);
  if (len && strspn(name, "0123456789") >= len) lua_pushinteger(L, lua_tointeger(L, -1)), lua_remove(L, -2);
  int type = lua_gettable(L, captures);
  if (type == LUA_TNIL) {
    lua_pushlstring(L, name, len);
    luaL_error(L, "the pattern has no group '%s'", lua_tostring(L, -1));
  }
  if (type != LUA_TSTRING) lua_pop(L, 1), lua_pushliteral(L, "");
  luaL_addvalue(out);
}

/* The text a replacement stands for, appended. */
static void add_replacement(lua_State *L, luaL_Buffer *out, const char *with, size_t len, int captures) {
  for (size_t i = 0; i < len; i++) {
    const char *next = with + i + 1, *end;
    if (with[i] != '$' || i + 1 == len) {
      luaL_addchar(out, with[i]);
    } else if (*next >= '0' && *next <= '9') {
      add_group(L, out, next, 1, captures);
      i++;
    } else if (*next == '{' && (end = memchr(next, '}', len - i - 1)) != NULL) {
      add_group(L, out, next + 1, (size_t)(end - next) - 1, captures);
      i = (size_t)(end - with);
    } else {
      luaL_addchar(out, '$');
      if (*next == '$') i++;
    }
  }
}

static int l_gsub(lua_State *L) {
  struct subject s = check_subject(L);
  size_t len, from = 0, kept = 0;
  lua_Integer count = 0;
  const char *with = luaL_checklstring(L, 3, &len);
  luaL_Buffer out;
  lua_settop(L, 3);
  lua_pushnil(L); /* 4: the captures of the current match */
  luaL_buffinit(L, &out);
  for (; from <= s.len && step(L, &s, from, 0); count++) {
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s.re->data);
    size_t begin = at[0], end = at[1], next = after(&s, at);
    luaL_addlstring(&out, s.text + kept, begin - kept);
    push_captures(L, &s);
    lua_replace(L, 4);
    add_replacement(L, &out, with, len, 4);
    kept = end;
    from = next;
  }
  if (kept < s.len) luaL_addlstring(&out, s.text + kept, s.len - kept);
  luaL_pushresult(&out);
  lua_pushinteger(L, count);
  return 2;
}

int luaopen_raw_re(lua_State *L) {
  static const luaL_Reg functions[] = {{"find", l_find},   {"match", l_match}, {"all", l_all},
                                       {"count", l_count}, {"lines", l_lines}, {"gsub", l_gsub},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
