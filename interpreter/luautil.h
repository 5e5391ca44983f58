/* Small helpers over the public Lua API. Stack effects in the manual's notation. */
#ifndef LUAUTIL_H
#define LUAUTIL_H
#include <stdbool.h>
#include <stddef.h>
#include <lua.h>
#include <lauxlib.h>
#include "error.h"

/* Options tables: fields of the table at `index`; absent or nil gives the fallback, another type raises. [-0,
 * +0, v] */
const char *field_string(lua_State *L, int index, const char *name, size_t *len, const char *fallback);
double field_number(lua_State *L, int index, const char *name, double fallback);
long long field_integer(lua_State *L, int index, const char *name, long long fallback);
bool field_bool(lua_State *L, int index, const char *name, bool fallback);
/* A list of strings as a malloc'ed, NULL-ended vector of malloc'ed strings (strings with NUL inside raise);
 * NULL when absent. The vector is kept by a userdata pushed on the stack, so an error elsewhere leaks
 * nothing. [-0, +1, v] */
char **field_strings(lua_State *L, int index, const char *name);
/* t[name] = value for the table on top. [-0, +0, m] */
void set_string(lua_State *L, const char *name, const char *value, size_t len);
void set_text(lua_State *L, const char *name, const char *value); /* NULL sets nothing */
void set_number(lua_State *L, const char *name, double value);
void set_integer(lua_State *L, const char *name, long long value);
void set_bool(lua_State *L, const char *name, bool value);
/* nil, {kind=, message=} [-0, +2, m] */
int push_failure(lua_State *L, const struct error *error);

#endif
