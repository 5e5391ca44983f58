/* Options tables: a misspelt option must not be ignored in silence. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include <lua.h>

/* The argument at `index` is a table without other keys than `names` (blank-separated); otherwise raises.
 * [-0, +0, v] */
void options_check(lua_State *L, int index, const char *names);
/* A finite number above zero, at most `most`. [-0, +0, v] */
double options_seconds(lua_State *L, int index, const char *name, double fallback, double most);
/* An integer from `least` to `most`. [-0, +0, v] */
long long options_integer(lua_State *L, int index, const char *name, long long fallback, long long least,
                          long long most);
/* A string that must be there, without NUL bytes and not empty. Valid while the table holds it. [-0, +0, v]
 */
const char *options_path(lua_State *L, int index, const char *name);

/* The longest deadline any operation may have: a day. */
#define OPTIONS_SECONDS_MAX 86400.0

#endif
