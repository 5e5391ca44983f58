#include "loader.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"

#define LOADED LOADER_LOADED

static const char *stdlib_folder;

static bool readable(const char *folder, const char *name) {
  char path[PATH_MAX];
  return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, R_OK) == 0;
}

const char *loader_libdir(void) {
  static char folder[PATH_MAX];
  if (folder[0]) return folder;
  ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 1);
  folder[len > 0 ? len : 0] = '\0';
  char *slash = strrchr(folder, '/');
  if (slash) *slash = '\0';
  if (!readable(folder, "lib_http.so")) {
    size_t used = strlen(folder); /* installed: PREFIX/bin beside PREFIX/lib/…/runbook, wherever PREFIX is */
    snprintf(folder + used, sizeof folder - used, "/../%s", RUNBOOK_LIBDIR);
  }
  return folder;
}

static const struct stdlib_file *embedded(const char *name) {
  for (const struct stdlib_file *file = stdlib_files; file->name; file++)
    if (strcmp(file->name, name) == 0) return file;
  return NULL;
}

/* A development file as a string on the stack. [-0, +1, e] */
static const char *read_file(lua_State *L, const char *path, size_t *len) {
  char block[4096];
  size_t count;
  luaL_Buffer text;
  FILE *file = fopen(path, "rbe");
  if (!file) luaL_error(L, "cannot open %s", path);
  luaL_buffinit(L, &text);
  while ((count = fread(block, 1, sizeof block, file)) > 0) luaL_addlstring(&text, block, count);
  fclose(file);
  luaL_pushresult(&text);
  return lua_tolstring(L, -1, len);
}

/* Compiled code is for the very Lua that compiled it; another release of the library is given the text. */
static int load_embedded(lua_State *L, const struct stdlib_file *file, const char *chunk) {
  if (strcmp(lua_ident, stdlib_lua) == 0) return luaL_loadbufferx(L, file->code, file->code_len, chunk, "b");
  return luaL_loadbufferx(L, file->text, file->len, chunk, "t");
}

/* A stdlib module as a function, from the folder given for development or from the binary. */
static void load_stdlib(lua_State *L, const char *name) {
  const char *slashed = luaL_gsub(L, name, ".", "/");
  const char *chunk = lua_pushfstring(L, "=stdlib/%s.lua", slashed);
  int status;
  if (stdlib_folder) {
    size_t len;
    const char *text = read_file(L, lua_pushfstring(L, "%s/%s.lua", stdlib_folder, slashed), &len);
    status = luaL_loadbufferx(L, text, len, chunk, "t");
  } else {
    const struct stdlib_file *file = embedded(name);
    if (!file) luaL_error(L, "the program has no module '%s'", name);
    status = load_embedded(L, file, chunk);
  }
  if (status != LUA_OK) lua_error(L);
}

/* lib_http.so, lib_pg.so, lib_tls.so and lib_yaml.so: libcurl, libpq and OpenSSL cost milliseconds to link, so they are opened
 * when first asked for, and lazily: little of what their thirty libraries could do is ever called. */
static lua_CFunction open_module(lua_State *L, const char *name) {
  char path[PATH_MAX + 64], symbol[64];
  snprintf(path, sizeof path, "%s/lib_%s.so", loader_libdir(), name);
  snprintf(symbol, sizeof symbol, "luaopen_raw_%s", name);
  void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (!library) luaL_error(L, "cannot open %s: %s", path, dlerror());
  void *found = dlsym(library, symbol);
  if (!found) luaL_error(L, "%s has no %s", path, symbol);
  lua_CFunction open;
  memcpy(&open, &found, sizeof open); /* C has no cast from object to function pointers */
  return open;
}

static void load_raw(lua_State *L, const char *name) {
  lua_CFunction open = libs_find(name);
  lua_pushcfunction(L, open ? open : open_module(L, name));
}

static int l_require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LOADED);
  if (lua_getfield(L, 2, name) != LUA_TNIL) return 1;
  lua_pop(L, 1);
  if (strncmp(name, "raw.", 4) == 0)
    load_raw(L, name + 4);
  else
    load_stdlib(L, name);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, 2, name);
  return 1;
}

void loader_open(lua_State *L, const char *folder) {
  stdlib_folder = folder;
  lua_newtable(L);
  lua_setfield(L, LUA_REGISTRYINDEX, LOADED);
  lua_pushcfunction(L, l_require);
  lua_setglobal(L, "require");
}
