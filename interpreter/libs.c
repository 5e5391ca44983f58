#include "libs.h"
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include <lualib.h>
#include "loader.h"
#include "runtime.h"

static const luaL_Reg raw[] = {
    {"task", luaopen_raw_task},
    {"order", luaopen_raw_order},
    {"json", luaopen_raw_json},
    {"re", luaopen_raw_re},
    {"text", luaopen_raw_text},
    {"run", luaopen_raw_run},
    {"tty", luaopen_raw_tty},
    {"secret", luaopen_raw_secret},
    {"process", luaopen_raw_process},
    {"redis", luaopen_raw_redis},
    {"pattern", luaopen_raw_pattern},
    {"sys", luaopen_raw_sys},
    {"files", luaopen_raw_files},
    {"watchdog", luaopen_raw_watchdog},
    {"journal", luaopen_raw_journal},
    {"fork", luaopen_raw_fork},
    {NULL, NULL},
};

lua_CFunction libs_find(const char *name) {
  for (const luaL_Reg *lib = raw; lib->name; lib++)
    if (strcmp(lib->name, name) == 0) return lib->func;
  return NULL;
}

/* Not io, os and package: not even the stdlib has a way past the raw modules. */
static const luaL_Reg lua_libs[] = {
    {LUA_GNAME, luaopen_base},        {LUA_TABLIBNAME, luaopen_table},
    {LUA_STRLIBNAME, luaopen_string}, {LUA_MATHLIBNAME, luaopen_math},
    {LUA_UTF8LIBNAME, luaopen_utf8},  {LUA_COLIBNAME, luaopen_coroutine},
    {LUA_DBLIBNAME, luaopen_debug},   {NULL, NULL},
};

lua_State *libs_state(const char *stdlib_folder) {
  lua_State *L = lua_newstate(alloc_limited, NULL);
  if (!L) abort();
  for (const luaL_Reg *lib = lua_libs; lib->name; lib++) {
    luaL_requiref(L, lib->name, lib->func, 1);
    lua_pop(L, 1);
  }
  budget_install(L);
  loader_open(L, stdlib_folder);
  return L;
}
