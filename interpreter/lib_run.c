/* raw.run: the run directory, its journal and its files. One run is open in a process.
 *
 * create{title_slug=, dry=} → {id=, path=, fallback=, warning=} | nil, error      warning: why it is kept in memory only
 * find(prefix | "last") → {id=, path=, fallback=} | nil, error     list() → list of such, oldest first
 * adopt(path): for processes that carry on with a run: its directory is the open one
 * open_journal(path) → true, bytes cut off its torn end | nil, error
 * event(name, fields, {sync=}) → seq, nil, line | nil, error
 * holder(path) → {pid=, stopped=} | nil      the process that holds the flock on a file; end_holder(path) → whether it is free now
 * lock(name, holder) → handle | nil, {kind="locked", message=who holds it}; held until unlock(handle) or the process ends
 * save(name, text) → true | nil, error      a new file of the open run; replace(name, text, synced=true): a new content,
 * atomically; keep(name, text): a source, of which known values alone are redacted; what can be made anew from the journal need not be synced
 * discard(): removes the open run's directory      free_reserve(): what was held for a full disk goes, the run is over
 * state_folder() → path | nil, error      where this program keeps what is no run's
 * sha256(text) → hex      random(count) → bytes      real_path(path) → without links and dots | nil, error
 * trust(folder) → {path=, uid=} | nil, error      trust_file() → where trusted folders stand | nil, error (owner.h)
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/random.h>
#include <lauxlib.h>
#include "buffer.h"
#include "journal.h"
#include "lib_json.h"
#include "libs.h"
#include "lock.h"
#include "luautil.h"
#include "owner.h"
#include "redact.h"
#include "rundir.h"
#include "runtime.h"

#define RANDOM_MAX 256 /* bytes of one random() */

static struct rundir open_run;
static bool dry; /* a run that changes nothing: a power failure may take what it wrote */
static struct journal *journal;

static void push_rundir(lua_State *L, const struct rundir *rundir) {
  lua_createtable(L, 0, 4);
  set_text(L, "id", rundir->id);
  set_text(L, "path", rundir->path);
  set_bool(L, "fallback", rundir->fallback);
  set_text(L, "warning", rundir->warning[0] ? rundir->warning : NULL);
}

static int l_create(lua_State *L) {
  struct error error = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *name = field_string(L, 1, "title_slug", NULL, "runbook");
  dry = field_bool(L, 1, "dry", false);
  if (!rundir_create(&open_run, name, dry, runtime_wall(), &error)) return push_failure(L, &error);
  push_rundir(L, &open_run);
  return 1;
}

static int l_state_folder(lua_State *L) {
  struct error error = {0};
  char path[RUNDIR_PATH_MAX];
  if (!rundir_state(path, sizeof path, &error)) return push_failure(L, &error);
  lua_pushstring(L, path);
  return 1;
}

static int l_find(lua_State *L) {
  struct rundir found;
  struct error error = {0};
  if (!rundir_find(&found, luaL_checkstring(L, 1), &error)) return push_failure(L, &error);
  push_rundir(L, &found);
  return 1;
}

struct listing {
  struct rundir *runs;
  size_t count;
};

static void add_run(const struct rundir *rundir, void *data) {
  struct listing *all = data;
  if ((all->count & (all->count - 1)) ==
      0) /* room for as many again: thousands are kept, of kilobytes each */
    all->runs = xrealloc(all->runs, (all->count ? 2 * all->count : 1) * sizeof *all->runs);
  all->runs[all->count++] = *rundir;
}

static int l_list(lua_State *L) {
  struct listing all = {0};
  rundir_list(add_run, &all);
  lua_createtable(L, (int)all.count, 0);
  for (size_t i = 0; i < all.count; i++) {
    push_rundir(L, &all.runs[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  free(all.runs);
  return 1;
}

/* ---- The journal ---- */

static int l_open_journal(lua_State *L) {
  char reserve[RUNDIR_PATH_MAX + sizeof "/" RUNDIR_RESERVE];
  struct error error = {0};
  const char *path = luaL_checkstring(L, 1);
  snprintf(reserve, sizeof reserve, "%s/" RUNDIR_RESERVE, open_run.path);
  journal_close(journal);
  journal = journal_open(path, open_run.path[0] ? reserve : NULL, !dry, runtime_wall, &error);
  if (!journal) return push_failure(L, &error);
  lua_pushboolean(L, 1);
  lua_pushinteger(L, (lua_Integer)journal_cut(journal));
  return 2;
}

static int l_event(lua_State *L) {
  struct error error = {0};
  const char *name = luaL_checkstring(L, 1);
  bool sync = lua_istable(L, 3) && field_bool(L, 3, "sync", false);
  if (!journal) return luaL_error(L, "no journal is open");
  json_t *fields = json_from_lua(L, 2, true, &error);
  if (!fields || !journal_append(journal, name, fields, sync && !dry, &error)) return push_failure(L, &error);
  const struct buffer *line = journal_line(journal);
  lua_pushinteger(L, (lua_Integer)journal_seq(journal));
  lua_pushnil(L);
  lua_pushlstring(L, line->data, line->len);
  return 3;
}

/* ---- Files of the run ---- */

/* Names are ours: [A-Za-z0-9._-]+ between slashes, no part of dots alone; never a way out of the run's folder. */
static bool is_safe_name(const char *name) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  for (;; name++) {
    size_t len = strspn(name, allowed);
    if (len == 0 || strspn(name, ".") >= len) return false;
    name += len;
    if (!*name) return true;
    if (*name != '/') return false;
  }
}

static void check_name(lua_State *L, const char *name) {
  if (!is_safe_name(name)) luaL_argerror(L, 1, "a file's name inside the run directory expected");
  if (!open_run.path[0]) luaL_error(L, "no run directory is open");
}

static bool write_all(int fd, const struct buffer *text) {
  for (size_t done = 0; done < text->len;) {
    ssize_t count = write(fd, text->data + done, text->len - done);
    if (count > 0)
      done += (size_t)count;
    else if (count == 0 || errno != EINTR)
      return false;
  }
  return true;
}

/* Takes back what was begun: half a file is worse than none. */
static bool write_file(const char *path, const struct buffer *text, bool synced, struct error *error) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return error_set_code(error, errno, path);
  bool well = write_all(fd, text) && (!synced || fdatasync(fd) == 0);
  if (!well) error_set_code(error, errno, path);
  close(fd);
  if (!well) unlink(path);
  return well;
}

/* A new name is on disk only when its folder was synced. */
static bool sync_parent(const char *path, struct error *error) {
  char folder[PATH_MAX];
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool well = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
  if (!well) error_set_code(error, errno, folder);
  if (fd >= 0) close(fd);
  return well;
}

/* The path of `name` in the run's folder, with a suffix. */
static void run_path(lua_State *L, char path[PATH_MAX], const char *name, const char *suffix) {
  if (snprintf(path, PATH_MAX, "%s/%s%s", open_run.path, name, suffix) >= PATH_MAX)
    luaL_error(L, "the path is too long");
}

/* Writes the redacted text as `name`, over what is there when `replace`. */
static int save(lua_State *L, void (*redact)(struct buffer *, const char *, size_t), bool replace) {
  char path[PATH_MAX], fresh[PATH_MAX];
  size_t len;
  struct error error = {0};
  struct buffer clean = {0};
  const char *name = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);
  bool synced = !dry && (lua_isnoneornil(L, 3) || lua_toboolean(L, 3));
  check_name(L, name);
  run_path(L, path, name, "");
  run_path(L, fresh, name, ".new");
  redact(&clean, text, len);
  if (dry) rundir_make_folder(open_run.path, name);
  if (replace) unlink(fresh); /* of a writer that was killed */
  bool well = write_file(replace ? fresh : path, &clean, synced, &error);
  if (well && replace && rename(fresh, path) != 0) well = error_set_code(&error, errno, path);
  well = well && (!synced || sync_parent(path, &error));
  buffer_free(&clean);
  if (!well) return push_failure(L, &error);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_save(lua_State *L) { return save(L, redact_apply, false); }
static int l_keep(lua_State *L) { return save(L, redact_declared, false); }
static int l_replace(lua_State *L) { return save(L, redact_apply, true); }

static int l_adopt(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len < sizeof open_run.path && strlen(path) == len, 1, "a path expected");
  open_run = (struct rundir){0};
  memcpy(open_run.path, path, len + 1);
  return 0;
}

static int l_discard(lua_State *L) {
  if (!open_run.path[0]) return luaL_error(L, "no run directory is open");
  rundir_discard(open_run.path);
  open_run.path[0] = '\0';
  return 0;
}

static int l_free_reserve(lua_State *L) {
  char reserve[RUNDIR_PATH_MAX + sizeof "/" RUNDIR_RESERVE];
  if (!open_run.path[0]) return luaL_error(L, "no run directory is open");
  snprintf(reserve, sizeof reserve, "%s/" RUNDIR_RESERVE, open_run.path);
  unlink(reserve);
  return 0;
}

static int l_lock(lua_State *L) {
  struct error error = {0};
  int lock = lock_take(luaL_checkstring(L, 1), luaL_checkstring(L, 2), &error);
  if (lock < 0) return push_failure(L, &error);
  lua_pushinteger(L, lock);
  return 1;
}

static int l_unlock(lua_State *L) {
  lock_release((int)luaL_checkinteger(L, 1));
  return 0;
}

static int l_holder(lua_State *L) {
  bool stopped;
  pid_t pid = lock_holder(luaL_checkstring(L, 1), &stopped);
  if (!pid) return 0;
  lua_createtable(L, 0, 2);
  set_integer(L, "pid", pid);
  set_bool(L, "stopped", stopped);
  return 1;
}

static int l_end_holder(lua_State *L) {
  lua_pushboolean(L, lock_end_holder(luaL_checkstring(L, 1)));
  return 1;
}

static int l_sha256(lua_State *L) {
  size_t len;
  char hash[SHA256_DIGEST_STRING_LENGTH];
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushstring(L, SHA256Data((const uint8_t *)text, len, hash));
  return 1;
}

static int l_random(lua_State *L) {
  char bytes[RANDOM_MAX];
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count > 0 && count <= RANDOM_MAX, 1, "1 to 256 expected");
  if (getrandom(bytes, (size_t)count, 0) != count) return luaL_error(L, "no randomness: %s", strerror(errno));
  lua_pushlstring(L, bytes, (size_t)count);
  return 1;
}

static int l_real_path(lua_State *L) {
  char real[PATH_MAX];
  struct error error = {0};
  const char *path = luaL_checkstring(L, 1);
  if (!realpath(path, real)) {
    error_set_code(&error, errno, path);
    return push_failure(L, &error);
  }
  lua_pushstring(L, real);
  return 1;
}

static int l_trust_file(lua_State *L) {
  char path[PATH_MAX];
  struct error error = {0};
  if (!owner_trust_file(path, sizeof path, &error)) return push_failure(L, &error);
  lua_pushstring(L, path);
  return 1;
}

static int l_trust(lua_State *L) {
  char real[PATH_MAX];
  uid_t uid;
  struct error error = {0};
  if (!owner_trust(luaL_checkstring(L, 1), real, &uid, &error)) return push_failure(L, &error);
  lua_createtable(L, 0, 2);
  set_text(L, "path", real);
  set_integer(L, "uid", uid);
  return 1;
}

int luaopen_raw_run(lua_State *L) {
  static const luaL_Reg functions[] = {{"create", l_create},
                                       {"find", l_find},
                                       {"state_folder", l_state_folder},
                                       {"trust", l_trust},
                                       {"trust_file", l_trust_file},
                                       {"list", l_list},
                                       {"open_journal", l_open_journal},
                                       {"event", l_event},
                                       {"save", l_save},
                                       {"keep", l_keep},
                                       {"replace", l_replace},
                                       {"adopt", l_adopt},
                                       {"lock", l_lock},
                                       {"discard", l_discard},
                                       {"free_reserve", l_free_reserve},
                                       {"unlock", l_unlock},
                                       {"holder", l_holder},
                                       {"end_holder", l_end_holder},
                                       {"sha256", l_sha256},
                                       {"random", l_random},
                                       {"real_path", l_real_path},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
