/* raw.re: Perl's regular expressions over PCRE2 with its JIT, a limit on the work of one match, and a cache
 * of patterns.
 *
 * find(text, pattern) → boolean                 match(text, pattern) → { [0]=whole, [1]=…, name=… } | nil
 * all(text, pattern) → list of such tables      count(text, pattern) → integer
 * gsub(text, pattern, replacement) → text, count   ($1, ${name})
 * lines(text, pattern) → list of the whole lines that match
 * A wrong pattern, and a match that needs too much work, raise. Patterns see Unicode where the text is valid
 * UTF-8, else bytes.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"

#define RE_CACHE 64            /* compiled patterns kept */
#define RE_MATCH_LIMIT 5000000 /* steps of one match; some hundred milliseconds */
#define RE_PATTERN_MAX 65536   /* bytes of a pattern */
#define RE_RESULTS_MAX 100000  /* matches of one `all` or `lines` */

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
  }
  s.re = compile(L, pattern, len, PCRE2_UTF | PCRE2_MATCH_INVALID_UTF);
  return s;
}

/* Whether there is a match at or after `from`; raises when it needs too much work. */
static bool step(lua_State *L, const struct subject *s, size_t from, uint32_t options) {
  int rc = pcre2_match(s->re->code, (PCRE2_SPTR)s->text, s->len, from, options, s->re->data, limits);
  if (rc > 0) return true;
  if (rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ||
      rc == PCRE2_ERROR_JIT_STACKLIMIT)
    luaL_error(L, "the pattern needs too much work on this text");
  if (rc != PCRE2_ERROR_NOMATCH) luaL_error(L, "matching failed (PCRE2 error %d)", rc);
  return false;
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
  for (size_t from = 0; from <= s.len && count < RE_RESULTS_MAX && step(L, &s, from, 0);) {
    from = after(&s, pcre2_get_ovector_pointer(s.re->data));
    push_captures(L, &s);
    lua_rawseti(L, -2, ++count);
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

/* From a match to the ends of its line; the search goes on behind it. */
static int l_lines(lua_State *L) {
  struct subject s = check_subject(L);
  lua_Integer count = 0;
  lua_newtable(L);
  for (size_t from = 0; from <= s.len && count < RE_RESULTS_MAX && step(L, &s, from, 0);) {
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s.re->data);
    size_t begin = at[0], end;
    while (begin > 0 && s.text[begin - 1] != '\n') begin--;
    const char *newline = memchr(s.text + at[0], '\n', s.len - at[0]);
    end = newline ? (size_t)(newline - s.text) : s.len;
    lua_pushlstring(L, s.text + begin, end - begin);
    lua_rawseti(L, -2, ++count);
    from = end + 1;
  }
  return 1;
}

/* The text a replacement stands for, appended: $1, ${name}, $$. */
static void add_replacement(lua_State *L, luaL_Buffer *out, const char *with, size_t len, int captures) {
  for (size_t i = 0; i < len; i++) {
    const char *end = NULL;
    if (with[i] != '$' || i + 1 == len) {
      luaL_addchar(out, with[i]);
    } else if (with[i + 1] == '$') {
      luaL_addchar(out, with[++i]);
    } else if (with[i + 1] == '{' && (end = memchr(with + i, '}', len - i)) != NULL) {
      lua_pushlstring(L, with + i + 2, (size_t)(end - with) - i - 2);
      if (lua_gettable(L, captures) != LUA_TSTRING) lua_pop(L, 1), lua_pushliteral(L, "");
      luaL_addvalue(out);
      i = (size_t)(end - with);
    } else if (with[i + 1] >= '0' && with[i + 1] <= '9') {
      if (lua_geti(L, captures, with[++i] - '0') != LUA_TSTRING) lua_pop(L, 1), lua_pushliteral(L, "");
      luaL_addvalue(out);
    } else {
      luaL_addchar(out, '$');
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
