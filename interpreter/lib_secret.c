/* raw.secret: registering secrets for redaction.
 *
 * add(name, value) → true | nil, error      redact(text) → text      restore(text) → text, whether nothing stayed masked
 * mask(value) → a copy with every string of it redacted, knowing its key      declared(text) → text, of known values alone
 * learn(text, "text"|"config"|"script") → list of what gives itself away as secret
 * whole(text, "head"|"tail") → text that was cut at its end, or beginning, without the piece of a secret there
 * quote(text) → redacted so that restore gives back the very text, whatever marks it imitates (for foreign text)
 * hash(name) → "SALT:HASH" | nil            matches(name, hash) → boolean: is it still the value the hash was made of?
 * file(path) → value | nil, error           a secret's file: one trailing newline is dropped
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <lauxlib.h>
#include "buffer.h"
#include "lib_json.h"
#include "libs.h"
#include "luautil.h"
#include "redact.h"
#include "redact_json.h"

static int l_add(lua_State *L) {
  size_t len;
  struct error error = {0};
  const char *name = luaL_checkstring(L, 1), *value = luaL_checklstring(L, 2, &len);
  if (!redact_add(name, value, len, &error)) return push_failure(L, &error);
  lua_pushboolean(L, 1);
  return 1;
}

static int push_text(lua_State *L, struct buffer *text) {
  lua_pushlstring(L, text->data ? text->data : "", text->len);
  buffer_free(text);
  return 1;
}

static int l_redact(lua_State *L) {
  size_t len;
  struct buffer out = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  redact_apply(&out, text, len);
  return push_text(L, &out);
}

static int l_quote(lua_State *L) {
  size_t len;
  struct buffer out = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  redact_quote(&out, text, len);
  return push_text(L, &out);
}

static int l_restore(lua_State *L) {
  size_t len;
  struct buffer out = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  bool all = redact_restore(&out, text, len);
  push_text(L, &out);
  lua_pushboolean(L, all);
  return 2;
}

static int l_declared(lua_State *L) {
  size_t len;
  struct buffer out = {0};
  const char *text = luaL_checklstring(L, 1, &len);
  redact_declared(&out, text, len);
  return push_text(L, &out);
}

static int l_mask(lua_State *L) {
  struct error error = {0};
  json_t *value = json_from_lua(L, 1, true, &error);
  if (!value) return push_failure(L, &error);
  json_t *masked = redact_json(value, false);
  json_decref(value);
  json_to_lua(L, masked, true);
  json_decref(masked);
  return 1;
}

static void add_learned(const char *value, size_t len, void *data) {
  lua_State *L = data;
  lua_pushlstring(L, value, len);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int l_learn(lua_State *L) {
  static const char *const sources[] = {"text", "config", "script", NULL}; /* as enum redact_source */
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  int source = luaL_checkoption(L, 2, "text", sources);
  lua_newtable(L);
  redact_learn(text, len, (enum redact_source)source, add_learned, L);
  return 1;
}

static int l_whole(lua_State *L) {
  static const char *const ends[] = {"head", "tail", NULL};
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  bool tail = luaL_checkoption(L, 2, NULL, ends) == 1;
  redact_whole(&text, &len, tail);
  lua_pushlstring(L, text, len);
  return 1;
}

static int l_hash(lua_State *L) {
  struct buffer out = {0};
  const char *name = luaL_checkstring(L, 1);
  if (!redact_hash(&out, name)) return 0;
  return push_text(L, &out);
}

static int l_matches(lua_State *L) {
  lua_pushboolean(L, redact_matches(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
  return 1;
}

/* Regular files only: a pipe or device could block for ever. */
static int open_regular(const char *path, struct error *error) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return error_set_code(error, errno, path), -1;
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return fd;
  error_set(error, "usage", "%s: a regular file expected", path);
  close(fd);
  return -1;
}

/* All of it, up to one byte more than a secret may have: the size of a file in /proc is not its length. */
static bool read_secret(int fd, const char *path, struct buffer *value, struct error *error) {
  char block[4096];
  ssize_t count;
  while ((count = read(fd, block, sizeof block)) != 0 && value->len <= REDACT_MAX) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return error_set_code(error, errno, path);
    buffer_append(value, block, (size_t)count);
  }
  explicit_bzero(block, sizeof block);
  if (value->len > REDACT_MAX) return error_set(error, "limit", "%s: more than %d bytes", path, REDACT_MAX);
  return true;
}

static void drop_line_end(struct buffer *value) {
  if (value->len && value->data[value->len - 1] == '\n') value->len--;
  if (value->len && value->data[value->len - 1] == '\r') value->len--;
}

static int l_file(lua_State *L) {
  struct error error = {0};
  struct buffer value = {0};
  const char *path = luaL_checkstring(L, 1);
  int fd = open_regular(path, &error);
  if (fd < 0) return push_failure(L, &error);
  bool well = read_secret(fd, path, &value, &error);
  close(fd);
  drop_line_end(&value);
  lua_pushlstring(L, value.data ? value.data : "", value.len);
  if (value.data) explicit_bzero(value.data, value.cap);
  buffer_free(&value);
  return well ? 1 : push_failure(L, &error);
}

int luaopen_raw_secret(lua_State *L) {
  static const luaL_Reg functions[] = {{"add", l_add},         {"redact", l_redact},     {"quote", l_quote},
                                       {"mask", l_mask},       {"declared", l_declared}, {"learn", l_learn},
                                       {"whole", l_whole},     {"restore", l_restore},   {"hash", l_hash},
                                       {"matches", l_matches}, {"file", l_file},         {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
