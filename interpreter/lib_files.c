/* raw.files: files of this machine, see files.h. All on threads of their own; `timeout` is in seconds, 10 by
 * default.
 *
 * walk{under=, name=, older_than=, newer_than=, min_bytes=, flat=, max=, timeout=}
 *   → {files = {{path=, bytes=, modified=, dev=, ino=}…} by path, cut=, errors = {count=, first=}}
 * read{path=, max=1 MiB, keep="head"|"tail", owned=, timeout=} → {text=, cut=, bytes=}
 * scan{path=, scan=, timeout=} → {bytes=, scanned=}: its lines, see scanning.h
 * read_first{paths={…}, max=1 MiB, owned=, timeout=} → {path=, text=, cut=} of the first that exists, false when none does
 * owned: only if nobody but us and root can change it (owner.h); else kind "owner"
 * stat(path) → {state="file"|"directory"|"symlink"|"other"|"absent", bytes=, modified=, mode=, uid=, gid=},
 * of a link itself delete{under=, files={{path=, dev=, ino=, modified=, bytes=}…}, timeout=} → {deleted=,
 * bytes=, left={{path=, why=}…}} write{path=, text=, mode=, folders=, timeout=} → {bytes=}, folders: those missing are made; held_open{files={{dev=,
 * ino=}…}, timeout=} → {count=, pids={…}, processes=, hidden=}
 *
 * Failures: nil, {kind=, message=}: missing, permission, usage (not what it should be), timeout, io. A delete
 * or write that ran out of time is asked to stop and waited for; a delete's failure then carries deleted,
 * bytes and left as well.
 */
#include <fcntl.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "files.h"
#include "libs.h"
#include "luautil.h"
#include "options.h"
#include "redact.h"
#include "owner.h"
#include "scanning.h"
#include "work.h"

#define FILES_TIMEOUT 10.0

/* One struct for all: each function uses the fields it names. */
struct files_work {
  struct work work;
  char *path, *name;
  const char *found; /* one of the list's */
  struct files_filter filter;
  struct file_list list;
  struct tree_errors errors;
  struct buffer text;
  struct stat info;
  struct files_held *held;
  struct linescan *scan;
  uint64_t size;
  size_t max;
  int mode;
  bool tail, cut, absent, owned, folders;
};

static void files_clear(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  free(work->path);
  free(work->name);
  free(work->held);
  linescan_free(work->scan);
  buffer_free(&work->text);
  file_list_free(&work->list);
}

static double files_timeout(lua_State *L) {
  return options_seconds(L, 1, "timeout", FILES_TIMEOUT, OPTIONS_SECONDS_MAX);
}

/* ---- walk ---- */

static void walk_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  files_walk(&work->filter, &base->offload.stop, &work->list, &work->cut, &work->errors, &base->error);
}

static void push_file(lua_State *L, const struct file *file) {
  lua_createtable(L, 0, 5);
  set_text(L, "path", file->path);
  set_integer(L, "bytes", (long long)file->bytes);
  set_number(L, "modified", file->modified);
  set_integer(L, "dev", (long long)file->dev);
  set_integer(L, "ino", (long long)file->ino);
}

static void set_errors(lua_State *L, const struct tree_errors *errors) {
  lua_createtable(L, 0, 2);
  set_integer(L, "count", (long long)errors->count);
  if (errors->count) set_text(L, "first", errors->first);
  lua_setfield(L, -2, "errors");
}

static int walk_push(lua_State *L, struct work *base) {
  struct files_work *work = (struct files_work *)base;
  lua_createtable(L, 0, 3);
  lua_createtable(L, (int)work->list.count, 0);
  for (size_t i = 0; i < work->list.count; i++) {
    push_file(L, &work->list.files[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "files");
  set_bool(L, "cut", work->cut);
  set_errors(L, &work->errors);
  return 1;
}

static int l_walk(lua_State *L) {
  static const struct work_kind kind = {.run = walk_run, .push = walk_push, .clear = files_clear};
  lua_settop(L, 1);
  options_check(L, 1, "under name older_than newer_than min_bytes flat max timeout");
  const char *under = options_path(L, 1, "under");
  const char *name = field_string(L, 1, "name", NULL, NULL);
  double timeout = files_timeout(L);
  struct files_filter filter = {.older_than = field_number(L, 1, "older_than", INFINITY),
                                .newer_than = field_number(L, 1, "newer_than", -INFINITY)};
  filter.flat = field_bool(L, 1, "flat", false);
  filter.min_bytes = (uint64_t)options_integer(L, 1, "min_bytes", 0, 0, INT64_MAX);
  filter.max = (size_t)options_integer(L, 1, "max", FILES_LIST_MAX, 1, FILES_LIST_MAX);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  work->path = tree_trim(under);
  work->name = name ? xstrdup(name) : NULL;
  work->filter = filter;
  work->filter.under = work->path;
  work->filter.name = work->name;
  return work_await(L, &work->work, timeout, "looking for files");
}

/* ---- read ---- */

static void read_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  if (work->owned && !owner_check(work->path, &base->error)) return;
  files_read(work->path, work->max, work->tail, &work->text, &work->size, &work->cut, &base->error);
}

static int read_push(lua_State *L, struct work *base) {
  struct files_work *work = (struct files_work *)base;
  const char *text = work->text.data ? work->text.data : "";
  size_t len = work->text.len;
  if (work->cut) redact_whole(&text, &len, work->tail);
  lua_createtable(L, 0, 3);
  set_string(L, "text", text, len);
  set_integer(L, "bytes", (long long)work->size);
  set_bool(L, "cut", work->cut);
  return 1;
}

static int l_read(lua_State *L) {
  static const struct work_kind kind = {.run = read_run, .push = read_push, .clear = files_clear};
  static const char *const keeps[] = {"head", "tail"};
  lua_settop(L, 1);
  options_check(L, 1, "path max keep owned timeout");
  const char *path = options_path(L, 1, "path");
  const char *keep = field_string(L, 1, "keep", NULL, keeps[0]);
  bool tail = strcmp(keep, keeps[1]) == 0;
  if (!tail && strcmp(keep, keeps[0]) != 0) return luaL_error(L, "option 'keep': 'head' or 'tail' expected");
  size_t max = (size_t)options_integer(L, 1, "max", FILES_READ_BYTES, 1, FILES_READ_MOST);
  double timeout = files_timeout(L);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  work->path = xstrdup(path);
  work->max = max;
  work->tail = tail;
  work->owned = field_bool(L, 1, "owned", false);
  return work_await(L, &work->work, timeout, "reading a file");
}

/* ---- scan ---- */

static void scan_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  files_scan(work->path, work->scan, &base->offload.stop, &work->size, &base->error);
}

static int scan_push(lua_State *L, struct work *base) {
  struct files_work *work = (struct files_work *)base;
  lua_createtable(L, 0, 2);
  set_integer(L, "bytes", (long long)work->size);
  set_scanned(L, work->scan);
  return 1;
}

static int l_scan(lua_State *L) {
  static const struct work_kind kind = {.run = scan_run, .push = scan_push, .clear = files_clear};
  lua_settop(L, 1);
  options_check(L, 1, "path scan timeout");
  const char *path = options_path(L, 1, "path");
  double timeout = files_timeout(L);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  work->path = xstrdup(path);
  work->scan = options_scan(L, 1);
  if (!work->scan) return luaL_error(L, "option 'scan': a table expected");
  return work_await(L, &work->work, timeout, "reading a file");
}

/* ---- read_first ---- */

static void read_first_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  files_read_first(&work->list, work->max, &work->found, &work->text, &work->cut, &base->error);
  if (work->owned && work->found) owner_check(work->found, &base->error);
}

static int read_first_push(lua_State *L, struct work *base) {
  struct files_work *work = (struct files_work *)base;
  if (!work->found) return lua_pushboolean(L, false), 1;
  lua_createtable(L, 0, 3);
  set_text(L, "path", work->found);
  set_string(L, "text", work->text.data ? work->text.data : "", work->text.len);
  set_bool(L, "cut", work->cut);
  return 1;
}

static int l_read_first(lua_State *L) {
  static const struct work_kind kind = {.run = read_first_run, .push = read_first_push, .clear = files_clear};
  lua_settop(L, 1);
  options_check(L, 1, "paths max owned timeout");
  char **paths = field_strings(L, 1, "paths");
  double timeout = files_timeout(L);
  size_t max = (size_t)options_integer(L, 1, "max", FILES_READ_BYTES, 1, FILES_READ_MOST);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  for (; paths && *paths; paths++) file_list_add(&work->list)->path = xstrdup(*paths);
  work->max = max;
  work->owned = field_bool(L, 1, "owned", false);
  return work_await(L, &work->work, timeout, "reading a file");
}

/* ---- stat ---- */

static void stat_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  if (fstatat(AT_FDCWD, work->path, &work->info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0) return;
  work->absent = errno == ENOENT || errno == ENOTDIR;
  if (!work->absent) error_set_code(&base->error, errno, work->path);
}

static const char *state_of(mode_t mode) {
  return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "symlink" : "other";
}

static int stat_push(lua_State *L, struct work *base) {
  struct files_work *work = (struct files_work *)base;
  const struct stat *info = &work->info;
  lua_createtable(L, 0, 6);
  set_text(L, "state", work->absent ? "absent" : state_of(info->st_mode));
  if (work->absent) return 1;
  set_integer(L, "bytes", info->st_size);
  set_number(L, "modified", file_modified(info));
  set_integer(L, "mode", info->st_mode & 07777);
  set_integer(L, "uid", info->st_uid);
  set_integer(L, "gid", info->st_gid);
  return 1;
}

static int l_stat(lua_State *L) {
  static const struct work_kind kind = {.run = stat_run, .push = stat_push, .clear = files_clear};
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len > 0 && strlen(path) == len, 1, "a path expected (not empty, without NUL bytes)");
  lua_settop(L, 1);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  work->path = xstrdup(path);
  return work_await(L, &work->work, FILES_TIMEOUT, "looking at a file");
}

/* ---- Lists of files from Lua ---- */

/* Below `under` by plain names: no `..`, no `.`, no empty component. */
static bool lies_under(const char *path, const char *under) {
  size_t len = strcmp(under, "/") == 0 ? 0 : strlen(under);
  if (strncmp(path, under, len) != 0 || path[len] != '/') return false;
  for (const char *at = path + len; *at; at += 1 + strcspn(at + 1, "/")) {
    size_t word = strcspn(at + 1, "/");
    if (word == 0 || (word == 1 && at[1] == '.') || (word == 2 && at[1] == '.' && at[2] == '.')) return false;
  }
  return true;
}

/* The table at the top of the stack. */
static void read_file(lua_State *L, struct file_list *list, const char *under) {
  int index = lua_gettop(L);
  luaL_checktype(L, index, LUA_TTABLE);
  const char *path = under ? options_path(L, index, "path") : "";
  if (under && !lies_under(path, under)) luaL_error(L, "'%s' is not a plain path below '%s'", path, under);
  if (lua_getfield(L, index, "ino") == LUA_TNIL || lua_getfield(L, index, "dev") == LUA_TNIL)
    luaL_error(L, "a file needs its dev and ino");
  lua_settop(L, index);
  struct file seen = {.dev = (uint64_t)field_integer(L, index, "dev", 0),
                      .ino = (uint64_t)field_integer(L, index, "ino", 0),
                      .bytes = (uint64_t)field_integer(L, index, "bytes", -1),
                      .modified = field_number(L, index, "modified", -1)};
  seen.path = xstrdup(path);
  *file_list_add(list) = seen;
}

static void read_files(lua_State *L, struct file_list *list, const char *under) {
  if (lua_getfield(L, 1, "files") != LUA_TTABLE) luaL_error(L, "option 'files': a list expected");
  lua_Integer count = luaL_len(L, -1);
  if (count > FILES_LIST_MAX) luaL_error(L, "option 'files': more than %d files", FILES_LIST_MAX);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, -1, i);
    read_file(L, list, under);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* ---- delete ---- */

static void delete_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  size_t reached = work->list.count;
  files_delete(work->path, &work->list, &base->offload.stop, &reached, &base->error);
  base->stopped = reached < work->list.count;
}

/* t.deleted, t.bytes, t.left of the table on top. */
static void set_deletion(lua_State *L, const struct file_list *list) {
  lua_Integer deleted = 0, bytes = 0, left = 0;
  lua_newtable(L);
  for (size_t i = 0; i < list->count; i++) {
    const struct file *file = &list->files[i];
    if (!file->why) {
      deleted++;
      bytes += (lua_Integer)file->bytes;
      continue;
    }
    lua_createtable(L, 0, 2);
    set_text(L, "path", file->path);
    set_text(L, "why", file->why);
    lua_rawseti(L, -2, ++left);
  }
  lua_setfield(L, -2, "left");
  set_integer(L, "deleted", deleted);
  set_integer(L, "bytes", bytes);
}

static int delete_push(lua_State *L, struct work *base) {
  lua_createtable(L, 0, 3);
  set_deletion(L, &((struct files_work *)base)->list);
  return 1;
}

static void delete_explain(lua_State *L, struct work *base) {
  if (base->stopped) set_deletion(L, &((struct files_work *)base)->list);
}

static int l_delete(lua_State *L) {
  static const struct work_kind kind = {.run = delete_run,
                                        .push = delete_push,
                                        .explain = delete_explain,
                                        .clear = files_clear,
                                        .patient = true};
  lua_settop(L, 1);
  options_check(L, 1, "under files timeout");
  const char *under = options_path(L, 1, "under");
  if (tree_has_dotdot(under)) return luaL_error(L, "option 'under': '..' is refused");
  double timeout = files_timeout(L);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  work->path = tree_trim(under);
  read_files(L, &work->list, work->path);
  return work_await(L, &work->work, timeout, "deleting files");
}

/* ---- write ---- */

static void write_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  if (work->folders && !files_make_folders(work->path, &base->error)) return;
  files_write(work->path, work->text.data, work->text.len, work->mode, &base->error);
}

static int write_push(lua_State *L, struct work *base) {
  lua_createtable(L, 0, 1);
  set_integer(L, "bytes", (long long)((struct files_work *)base)->text.len);
  return 1;
}

static int l_write(lua_State *L) {
  static const struct work_kind kind = {
      .run = write_run, .push = write_push, .clear = files_clear, .patient = true};
  size_t len;
  lua_settop(L, 1);
  options_check(L, 1, "path text mode folders timeout");
  const char *path = options_path(L, 1, "path");
  if (tree_has_dotdot(path)) return luaL_error(L, "option 'path': '..' is refused");
  const char *text = field_string(L, 1, "text", &len, NULL);
  if (!text || len > FILES_WRITE_MOST)
    return luaL_error(L, "option 'text': a string of at most 64 MiB expected");
  int mode = (int)options_integer(L, 1, "mode", -1, -1, 07777);
  double timeout = files_timeout(L);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  work->path = xstrdup(path);
  buffer_append(&work->text, text, len);
  work->mode = mode;
  work->folders = field_bool(L, 1, "folders", false);
  return work_await(L, &work->work, timeout, "writing a file");
}

/* ---- held_open ---- */

static void held_run(struct work *base) {
  struct files_work *work = (struct files_work *)base;
  files_held_open(&work->list, &base->offload.stop, work->held, &base->error);
}

static int held_push(lua_State *L, struct work *base) {
  const struct files_held *held = ((struct files_work *)base)->held;
  lua_createtable(L, 0, 4);
  set_integer(L, "count", (long long)held->count);
  set_integer(L, "processes", (long long)held->pid_count);
  set_integer(L, "hidden", (long long)held->hidden);
  lua_newtable(L);
  for (size_t i = 0; i < held->pid_count && i < FILES_HELD_PIDS_MAX; i++) {
    lua_pushinteger(L, held->pids[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "pids");
  return 1;
}

static int l_held_open(lua_State *L) {
  static const struct work_kind kind = {.run = held_run, .push = held_push, .clear = files_clear};
  lua_settop(L, 1);
  options_check(L, 1, "files timeout");
  double timeout = files_timeout(L);
  struct files_work *work = work_new(L, sizeof *work, &kind);
  work->held = xcalloc(1, sizeof *work->held);
  read_files(L, &work->list, NULL);
  return work_await(L, &work->work, timeout, "looking who has files open");
}

int luaopen_raw_files(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"walk", l_walk}, {"read", l_read},     {"scan", l_scan},   {"read_first", l_read_first},
      {"stat", l_stat}, {"delete", l_delete}, {"write", l_write}, {"held_open", l_held_open},
      {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
