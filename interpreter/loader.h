/* Where host modules come from: the stdlib compiled into the binary, or a folder given by --stdlib; raw
 * modules in C, two of them opened at first use. This is the host's own `require`; scripts get another
 * (stdlib/sandbox.lua). */
#ifndef LOADER_H
#define LOADER_H
#include <stddef.h>
#include <lua.h>

struct stdlib_file {
  const char *name; /* "modes.live" */
  const char *text;
  size_t len;
  const char *code; /* the text compiled, for the Lua that stdlib_lua names */
  size_t code_len;
};
/* Made by cmake/embed.c: sorted, ended by a NULL name; and the lua_ident of the Lua that compiled them. */
extern const struct stdlib_file stdlib_files[];
extern const char stdlib_lua[];

#define LOADER_LOADED "loader.loaded" /* in the registry: name → module, of all that were required */

/* Installs the global `require` for host Lua. `folder` NULL: the embedded stdlib. [-0, +0, e] */
void loader_open(lua_State *L, const char *folder);
/* The folder of the modules and helper programs: beside the running binary, or where the install puts them
 * relative to it. */
const char *loader_libdir(void);

#endif
