/* What C gives to the stdlib: raw modules, by name. Scripts reach none of them. */
#ifndef LIBS_H
#define LIBS_H
#include <stdbool.h>
#include <lua.h>

/* The opening function of raw.NAME, or NULL: then it is a module beside the binary. */
lua_CFunction libs_find(const char *name);
/* A state with the allocator's limit, the budget hook, the safe part of Lua's own libraries and `require`. */
lua_State *libs_state(const char *stdlib_folder);

int luaopen_raw_task(lua_State *L);
int luaopen_raw_order(lua_State *L);
int luaopen_raw_json(lua_State *L);
int luaopen_raw_re(lua_State *L);
int luaopen_raw_text(lua_State *L);
int luaopen_raw_run(lua_State *L);
int luaopen_raw_tty(lua_State *L);
int luaopen_raw_secret(lua_State *L);
int luaopen_raw_process(lua_State *L);
int luaopen_raw_redis(lua_State *L);
int luaopen_raw_sys(lua_State *L);
int luaopen_raw_pattern(lua_State *L);
int luaopen_raw_files(lua_State *L);
int luaopen_raw_watchdog(lua_State *L);
int luaopen_raw_journal(lua_State *L);
int luaopen_raw_fork(lua_State *L);

#endif
