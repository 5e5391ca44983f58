/* raw.secret: registering secrets for redaction.
 *
 * add(name, value) → true | nil, error      redact(text), restore(text) → text      hash(name, salt) → hex | nil
 * file(path) → value | nil, error           a secret's file: one trailing newline is dropped
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <sys/stat.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"
#include "luautil.h"
#include "redact.h"

static int l_add(lua_State *L) {
  size_t len;
  struct error error = {0};
  const char *name = luaL_checkstring(L, 1), *value = luaL_checklstring(L, 2, &len);
  if (!redact_add(name, value, len, &error)) return push_failure(L, &error);
  lua_pushboolean(L, 1);
  return 1;
}

static int through(lua_State *L, void (*change)(struct buffer *, const char *, size_t)) {
  size_t len;
  struct buffer out = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  change(&out, text, len);
  lua_pushlstring(L, out.data ? out.data : "", out.len);
  buffer_free(&out);
  return 1;
}

static int l_redact(lua_State *L) { return through(L, redact_apply); }
static int l_restore(lua_State *L) { return through(L, redact_restore); }

static int l_hash(lua_State *L) {
  char hash[65];
  if (!redact_hash(luaL_checkstring(L, 1), luaL_checkstring(L, 2), hash)) return 0;
  lua_pushstring(L, hash);
  return 1;
}

/* Regular files only: a pipe or device could block for ever. */
static int open_regular(const char *path, struct error *error) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return error_set_code(error, errno, path), -1;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= REDACT_MAX) return fd;
  error_set(error, "usage", "%s: a regular file of at most %d bytes expected", path, REDACT_MAX);
  close(fd);
  return -1;
}

static int l_file(lua_State *L) {
  char block[REDACT_MAX];
  struct error error = {0};
  const char *path = luaL_checkstring(L, 1);
  int fd = open_regular(path, &error);
  if (fd < 0) return push_failure(L, &error);
  ssize_t count = read(fd, block, sizeof block);
  if (count < 0) error_set_code(&error, errno, path);
  close(fd);
  if (count < 0) return push_failure(L, &error);
  if (count > 0 && block[count - 1] == '\n') count--;
  lua_pushlstring(L, block, (size_t)count);
  return 1;
}

int luaopen_raw_secret(lua_State *L) {
  static const luaL_Reg functions[] = {{"add", l_add},   {"redact", l_redact}, {"restore", l_restore},
                                       {"hash", l_hash}, {"file", l_file},     {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
