#include "scanning.h"
#include <lauxlib.h>
#include "luautil.h"
#include "options.h"
#include "redact.h"

#define SCAN_TEXT_MAX (1L << 20)    /* bytes kept unless `max` says otherwise */
#define SCAN_TEXT_LIMIT (64L << 20) /* the most it may say */

struct linescan *options_scan(lua_State *L, int index) {
  struct linescan *scan = NULL;
  struct error error = {0};
  struct linescan_spec spec = {0};
  if (lua_getfield(L, index, "scan") == LUA_TNIL) return lua_pop(L, 1), NULL;
  int at = lua_gettop(L);
  options_check(L, at, "match after since framed count max");
  spec.pattern = field_string(L, at, "match", &spec.pattern_len, NULL);
  spec.after = field_string(L, at, "after", NULL, NULL);
  spec.since = field_number(L, at, "since", 0);
  spec.framed = field_bool(L, at, "framed", false);
  spec.count_only = field_bool(L, at, "count", false);
  spec.max = (size_t)options_integer(L, at, "max", SCAN_TEXT_MAX, 0, SCAN_TEXT_LIMIT);
  scan = linescan_new(&spec, &error);
  if (!scan) luaL_error(L, "option 'match': %s", error.message);
  lua_pop(L, 1);
  return scan;
}

/* A secret of several lines may have lost its beginning where older lines went. */
static void set_kept(lua_State *L, const struct linescan_result *result) {
  const char *text = result->text.data ? result->text.data : "";
  size_t len = result->text.len;
  if (result->cut) redact_whole(&text, &len, true);
  set_string(L, "text", text, len);
}

void set_scanned(lua_State *L, struct linescan *scan) {
  if (!scan) return;
  const struct linescan_result *result = linescan_end(scan);
  bool failed = result->error.kind[0];
  lua_createtable(L, 0, 5);
  if (failed) {
    set_text(L, "kind", result->error.kind);
    set_text(L, "message", result->error.message);
  } else {
    set_integer(L, "lines", (long long)result->lines);
    set_integer(L, "matched", (long long)result->matched);
    set_bool(L, "timed", result->timed);
    set_bool(L, "cut", result->cut);
    set_kept(L, result);
  }
  lua_setfield(L, -2, failed ? "scan_error" : "scanned");
}
