/* raw.sys: this machine, see sys.h. Sizes in bytes, times in seconds, percentages 0–100.
 *
 * hostname() → string
 * spaces{points={…}, timeout=2} → {{size=, blocks=, free=, available=, inodes=, inodes_free=}…} as statvfs(3) has them, or
 * {why=} of one that gave no answer
 * processes{all=, max=} → the bytes of /proc of all processes but this one, see sys_processes
 * du{path=, timeout=} → {bytes=, entries=, cut=, errors={count=, first=}}
 * user{uid=} → its login name, nil where there is none      group{gid=} → {name=, members={…}}, nil where there is none
 * cgroup{id=} → {memory_bytes=, memory_limit=|nil, memory_inactive_file=, cpu_seconds=, pids=}
 *
 * Those that wait take `timeout` too. Failures: nil, {kind=, message=}. What else /proc says is read by raw.files.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lauxlib.h>
#include "libs.h"
#include "luautil.h"
#include "options.h"
#include "sys.h"
#include "sys_disks.h"
#include "work.h"

#define SYS_TIMEOUT 5.0
#define SYS_DU_TIMEOUT 60.0
#define SYS_PEOPLE_TIMEOUT 2.0
#define SYS_DISKS_TIMEOUT 2.0
#define SYS_PROCESSES_BYTES (64 << 20)
#define SYS_CGROUP_ROOT "/sys/fs/cgroup"

/* ---- At once ---- */

static int l_hostname(lua_State *L) {
  char name[256] = "";
  struct error error = {0};
  if (gethostname(name, sizeof name - 1) != 0) {
    error_set_code(&error, errno, "the host's name");
    return push_failure(L, &error);
  }
  lua_pushstring(L, name);
  return 1;
}

/* ---- On a thread: one struct for all, each function uses the fields it names ---- */

struct sys_work {
  struct work work;
  char *text, *root;
  struct buffer bytes;
  struct sys_du du;
  struct sys_cgroup cgroup;
  size_t max;
  bool all;
};

static void sys_clear(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  free(work->text);
  free(work->root);
  buffer_free(&work->bytes);
}

/* The options table may be left out. */
static void settle_options(lua_State *L, const char *names) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  options_check(L, 1, names);
}

static double sys_timeout(lua_State *L, double fallback) {
  return options_seconds(L, 1, "timeout", fallback, OPTIONS_SECONDS_MAX);
}

/* ---- Processes ---- */

static void processes_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  sys_processes(work->all, work->max, &base->offload.stop, &work->bytes, &base->error);
}

static int processes_push(lua_State *L, struct work *base) {
  const struct buffer *bytes = &((struct sys_work *)base)->bytes;
  lua_pushlstring(L, bytes->data, bytes->len);
  return 1;
}

static int l_processes(lua_State *L) {
  static const struct work_kind kind = {.run = processes_run, .push = processes_push, .clear = sys_clear};
  settle_options(L, "all max timeout");
  size_t max = (size_t)options_integer(L, 1, "max", SYS_PROCESSES_BYTES, 1, SYS_PROCESSES_BYTES);
  double timeout = sys_timeout(L, SYS_TIMEOUT);
  lua_getfield(L, 1, "all");
  bool all = lua_toboolean(L, -1);
  lua_pop(L, 1);
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->max = max;
  work->all = all;
  return work_await(L, &work->work, timeout, "looking at the processes");
}

/* ---- du, cgroup ---- */

static void du_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  sys_du(work->text, &base->offload.stop, &work->du, &base->error);
}

static int du_push(lua_State *L, struct work *base) {
  const struct sys_du *du = &((struct sys_work *)base)->du;
  lua_createtable(L, 0, 4);
  set_integer(L, "bytes", (long long)du->bytes);
  set_integer(L, "entries", (long long)du->entries);
  set_bool(L, "cut", du->cut);
  lua_createtable(L, 0, 2);
  set_integer(L, "count", (long long)du->errors.count);
  if (du->errors.count) set_text(L, "first", du->errors.first);
  lua_setfield(L, -2, "errors");
  return 1;
}

static int l_du(lua_State *L) {
  static const struct work_kind kind = {.run = du_run, .push = du_push, .clear = sys_clear};
  settle_options(L, "path timeout");
  const char *path = options_path(L, 1, "path");
  double timeout = sys_timeout(L, SYS_DU_TIMEOUT);
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->text = tree_trim(path);
  return work_await(L, &work->work, timeout, "adding up a folder");
}

static void cgroup_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  sys_cgroup(work->root, work->text, &work->cgroup, &base->error);
}

static int cgroup_push(lua_State *L, struct work *base) {
  const struct sys_cgroup *cgroup = &((struct sys_work *)base)->cgroup;
  lua_createtable(L, 0, 5);
  if (cgroup->has_memory) set_integer(L, "memory_bytes", (long long)cgroup->memory_bytes);
  if (cgroup->has_limit) set_integer(L, "memory_limit", (long long)cgroup->memory_limit);
  if (cgroup->has_inactive) set_integer(L, "memory_inactive_file", (long long)cgroup->memory_inactive_file);
  if (cgroup->has_cpu) set_number(L, "cpu_seconds", cgroup->cpu_seconds);
  if (cgroup->has_pids) set_integer(L, "pids", (long long)cgroup->pids);
  return 1;
}

/* `root` is for tests. */
static int l_cgroup(lua_State *L) {
  static const struct work_kind kind = {.run = cgroup_run, .push = cgroup_push, .clear = sys_clear};
  settle_options(L, "id root");
  const char *id = options_path(L, 1, "id"), *root = field_string(L, 1, "root", NULL, SYS_CGROUP_ROOT);
  if (id[strspn(id, "0123456789abcdef")]) return luaL_error(L, "option 'id': a container's full id expected");
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->text = xstrdup(id);
  work->root = xstrdup(root);
  return work_await(L, &work->work, SYS_TIMEOUT, "looking at the control group");
}

/* ---- People: a directory service may take its time ---- */

#define NAMES_BYTES 65536 /* of a group's members */

static void user_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  struct passwd entry, *found = NULL;
  char *names = xmalloc(NAMES_BYTES);
  if (getpwuid_r((uid_t)work->max, &entry, names, NAMES_BYTES, &found) == 0 && found)
    buffer_puts(&work->bytes, found->pw_name);
  free(names);
}

static int user_push(lua_State *L, struct work *base) {
  const struct sys_work *work = (struct sys_work *)base;
  if (!work->bytes.len) return 0;
  lua_pushlstring(L, work->bytes.data, work->bytes.len);
  return 1;
}

static int l_user(lua_State *L) {
  static const struct work_kind kind = {.run = user_run, .push = user_push, .clear = sys_clear};
  settle_options(L, "uid");
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->max = (size_t)field_integer(L, 1, "uid", -1);
  return work_await(L, &work->work, SYS_PEOPLE_TIMEOUT, "asking for a login name");
}

/* Its members, a NUL behind each. */
static void group_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  struct group entry, *found = NULL;
  char *names = xmalloc(NAMES_BYTES);
  if (getgrgid_r((gid_t)work->max, &entry, names, NAMES_BYTES, &found) == 0 && found) {
    work->text = xstrdup(found->gr_name);
    for (char **member = found->gr_mem; *member; member++)
      buffer_append(&work->bytes, *member, strlen(*member) + 1);
  }
  free(names);
}

static int group_push(lua_State *L, struct work *base) {
  const struct sys_work *work = (struct sys_work *)base;
  if (!work->text) return 0;
  lua_createtable(L, 0, 2);
  set_text(L, "name", work->text);
  lua_newtable(L);
  lua_Integer count = 0;
  for (size_t at = 0; at < work->bytes.len; at += strlen(work->bytes.data + at) + 1) {
    lua_pushstring(L, work->bytes.data + at);
    lua_rawseti(L, -2, ++count);
  }
  lua_setfield(L, -2, "members");
  return 1;
}

static int l_group(lua_State *L) {
  static const struct work_kind kind = {.run = group_run, .push = group_push, .clear = sys_clear};
  settle_options(L, "gid");
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->max = (size_t)field_integer(L, 1, "gid", -1);
  return work_await(L, &work->work, SYS_PEOPLE_TIMEOUT, "asking for a group");
}

/* ---- disks ---- */

struct disks_op {
  struct op op;
  char **points;
  size_t count;
  struct disks *disks;
  double timeout;
};

static void disks_cancel(struct op *op) {
  struct disks_op *asked = (struct disks_op *)op;
  disks_give_up(asked->disks);
  op->timed_out = false; /* no failure of the whole: those that answered are what was asked for */
  op_complete(op);
}

static void disks_release(struct op *op) {
  struct disks_op *asked = (struct disks_op *)op;
  disks_free(asked->disks);
  for (size_t i = 0; i < asked->count; i++) free(asked->points[i]);
  free(asked->points);
  asked->disks = NULL;
}

static void disks_done(void *data) { op_complete(data); }

static void set_space(lua_State *L, const struct statvfs *space) {
  set_integer(L, "size", (long long)space->f_frsize);
  set_integer(L, "blocks", (long long)space->f_blocks);
  set_integer(L, "free", (long long)space->f_bfree);
  set_integer(L, "available", (long long)space->f_bavail);
  set_integer(L, "inodes", (long long)space->f_files);
  set_integer(L, "inodes_free", (long long)space->f_ffree);
}

static void set_answer(lua_State *L, const struct disk *disk, double timeout) {
  switch (disk->state) {
  case DISK_ANSWERED:
    set_space(L, &disk->space);
    break;
  case DISK_FAILED:
    set_text(L, "why", disk->error.message);
    break;
  case DISK_STUCK:
    set_text(L, "why", "has not answered since an earlier look");
    break;
  case DISK_ASKED:
    lua_pushfstring(L, "did not answer within %f s", timeout);
    lua_setfield(L, -2, "why");
    break;
  }
}

static int disks_push(lua_State *L, struct op *op) {
  struct disks_op *asked = (struct disks_op *)op;
  lua_createtable(L, (int)asked->count, 0);
  for (size_t i = 0; i < asked->count; i++) {
    lua_createtable(L, 0, 6);
    set_answer(L, disks_answer(asked->disks, i), asked->timeout);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static void check_points(lua_State *L) {
  if (lua_getfield(L, 1, "points") != LUA_TTABLE) luaL_error(L, "option 'points': a list expected");
  lua_Integer count = luaL_len(L, -1);
  if (count > SYS_DISKS_MAX) luaL_error(L, "option 'points': more than %d", SYS_DISKS_MAX);
  for (lua_Integer i = 1; i <= count; i++) {
    if (lua_geti(L, -1, i) != LUA_TSTRING) luaL_error(L, "option 'points': paths expected");
    lua_pop(L, 1);
  }
}

/* The list on the top of the stack, which was checked. */
static void copy_points(lua_State *L, int list, struct disks_op *asked) {
  size_t count = (size_t)luaL_len(L, list);
  asked->points = xcalloc(count + 1, sizeof *asked->points);
  for (; asked->count < count; asked->count++) {
    lua_geti(L, list, (lua_Integer)asked->count + 1);
    asked->points[asked->count] = xstrdup(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
}

static int l_spaces(lua_State *L) {
  settle_options(L, "timeout points");
  double timeout = sys_timeout(L, SYS_DISKS_TIMEOUT);
  check_points(L);
  int list = lua_gettop(L);
  struct disks_op *asked = op_new(L, sizeof *asked, disks_cancel, disks_release, disks_push);
  asked->timeout = timeout;
  copy_points(L, list, asked);
  asked->disks = disks_ask(runtime_loop(), asked->points, asked->count, disks_done, &asked->op);
  if (disks_waiting(asked->disks))
    op_timeout(&asked->op, timeout, "looking at the disks");
  else
    op_complete(&asked->op);
  return op_await(L, &asked->op);
}

int luaopen_raw_sys(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"hostname", l_hostname}, {"spaces", l_spaces}, {"processes", l_processes}, {"du", l_du},
      {"cgroup", l_cgroup},     {"user", l_user},     {"group", l_group},         {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
