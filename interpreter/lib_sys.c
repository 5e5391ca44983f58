/* raw.sys: this machine, see sys.h. Sizes in bytes, times in seconds, percentages 0–100.
 *
 * memory() → {total=, available=, used=, used_percent=, swap_total=, swap_used=}
 * load() → {one=, five=, fifteen=, cpus=}      uptime() → {seconds=, boot_id=}      hostname() → string
 * cpu{interval=0.1} → {used_percent=, iowait_percent=, steal_percent=}
 * disks{timeout=2} → {{mount=, device=, type=, total=, free=, used_percent=, inodes_used_percent=|nil,
 * read_only=}…}, or of one that gave no answer {mount=, device=, type=, why=} processes{top=10} → {count=,
 * by_cpu={…}, by_memory={…}} of {pid=, ppid=, name=, command=, state=, user=, memory_bytes=, cpu_percent=
 * (since its start), started_at=} process_table{} → {{pid=, ppid=, name=, command=, state=, memory_bytes=,
 * cpu_seconds=, cpu_percent=, started_at=}…} by pid process_cpu{pids={…}, interval=0.1} → {[pid]=percent of
 * one CPU}, without those that ended du{path=, timeout=} → {bytes=, entries=, cut=, errors={count=, first=}}
 * cgroup{id=} → {memory_bytes=, memory_limit=|nil, memory_inactive_file=, cpu_seconds=, pids=}
 *
 * Neither table of processes holds this one: its own arguments would match the pattern looked for. Those that
 * wait take `timeout` too. Failures: nil, {kind=, message=}.
 */
#include <errno.h>
#include <math.h>
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
#define SYS_DISKS_TIMEOUT 2.0
#define SYS_INTERVAL 0.1
#define SYS_INTERVAL_MOST 60.0
#define SYS_TOP_MOST 1000
#define SYS_CGROUP_ROOT "/sys/fs/cgroup"

/* ---- At once ---- */

static int l_memory(lua_State *L) {
  struct sys_memory memory = {0};
  struct error error = {0};
  if (!sys_memory(&memory, &error)) return push_failure(L, &error);
  uint64_t used = memory.total - memory.available;
  lua_createtable(L, 0, 6);
  set_integer(L, "total", (long long)memory.total);
  set_integer(L, "available", (long long)memory.available);
  set_integer(L, "used", (long long)used);
  set_number(L, "used_percent", 100.0 * (double)used / (double)memory.total);
  set_integer(L, "swap_total", (long long)memory.swap_total);
  set_integer(L, "swap_used", (long long)(memory.swap_total - memory.swap_free));
  return 1;
}

static int l_load(lua_State *L) {
  struct sys_load load;
  struct error error = {0};
  if (!sys_load(&load, &error)) return push_failure(L, &error);
  lua_createtable(L, 0, 4);
  set_number(L, "one", load.one);
  set_number(L, "five", load.five);
  set_number(L, "fifteen", load.fifteen);
  set_integer(L, "cpus", load.cpus);
  return 1;
}

static int l_uptime(lua_State *L) {
  struct sys_uptime uptime;
  struct error error = {0};
  if (!sys_uptime(&uptime, &error)) return push_failure(L, &error);
  lua_createtable(L, 0, 2);
  set_number(L, "seconds", uptime.seconds);
  set_text(L, "boot_id", uptime.boot_id);
  return 1;
}

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
  struct sys_cpu cpu;
  struct process_table table;
  struct sys_du du;
  struct sys_cgroup cgroup;
  size_t top;
  pid_t *pids;
  double *percents;
  size_t count;
  double interval;
};

static void sys_clear(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  free(work->text);
  free(work->root);
  free(work->pids);
  free(work->percents);
  sys_process_table_free(&work->table);
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

static double sys_interval(lua_State *L) {
  return options_seconds(L, 1, "interval", SYS_INTERVAL, SYS_INTERVAL_MOST);
}

/* ---- cpu ---- */

static void cpu_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  sys_cpu(work->interval, &base->offload.stop, &work->cpu, &base->error);
}

static int cpu_push(lua_State *L, struct work *base) {
  const struct sys_cpu *cpu = &((struct sys_work *)base)->cpu;
  lua_createtable(L, 0, 3);
  set_number(L, "used_percent", cpu->used_percent);
  set_number(L, "iowait_percent", cpu->iowait_percent);
  set_number(L, "steal_percent", cpu->steal_percent);
  return 1;
}

static int l_cpu(lua_State *L) {
  static const struct work_kind kind = {.run = cpu_run, .push = cpu_push, .clear = sys_clear};
  settle_options(L, "interval");
  double interval = sys_interval(L);
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->interval = interval;
  return work_await(L, &work->work, interval + SYS_TIMEOUT, "looking at the CPUs");
}

/* ---- Processes ---- */

static void set_process(lua_State *L, const struct process_info *process) {
  set_integer(L, "pid", process->pid);
  set_integer(L, "ppid", process->ppid);
  set_text(L, "name", process->name);
  set_text(L, "command", process->command);
  set_text(L, "state", sys_process_state(process->state));
  set_integer(L, "memory_bytes", (long long)process->memory_bytes);
  set_number(L, "cpu_seconds", process->cpu_seconds);
  set_number(L, "cpu_percent", process->cpu_percent);
  set_number(L, "started_at", process->started_at);
}

static void table_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  sys_process_table(&work->table, true, &base->offload.stop, &base->error);
}

static int table_push(lua_State *L, struct work *base) {
  const struct process_table *table = &((struct sys_work *)base)->table;
  lua_createtable(L, (int)table->count, 0);
  for (size_t i = 0; i < table->count; i++) {
    lua_createtable(L, 0, 9);
    set_process(L, &table->processes[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int l_process_table(lua_State *L) {
  static const struct work_kind kind = {.run = table_run, .push = table_push, .clear = sys_clear};
  settle_options(L, "timeout");
  double timeout = sys_timeout(L, SYS_TIMEOUT);
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  return work_await(L, &work->work, timeout, "looking at the processes");
}

static int by_cpu(const void *a, const void *b) {
  double x = ((const struct process_info *)a)->cpu_percent, y = ((const struct process_info *)b)->cpu_percent;
  if (x != y) return x > y ? -1 : 1;
  return ((const struct process_info *)a)->pid - ((const struct process_info *)b)->pid;
}

static int by_memory(const void *a, const void *b) {
  uint64_t x = ((const struct process_info *)a)->memory_bytes,
           y = ((const struct process_info *)b)->memory_bytes;
  if (x != y) return x > y ? -1 : 1;
  return ((const struct process_info *)a)->pid - ((const struct process_info *)b)->pid;
}

/* Sorts all and asks for the command lines of the first: reading those of all would only add to the risk of
 * one that blocks. */
static void top_prepare(struct sys_work *work, int (*order)(const void *, const void *)) {
  struct process_table *table = &work->table;
  if (table->count) qsort(table->processes, table->count, sizeof *table->processes, order);
  for (size_t i = 0; i < work->top && i < table->count; i++)
    if (!table->processes[i].command) sys_process_command(&table->processes[i]);
}

static void top_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  if (!sys_process_table(&work->table, false, &base->offload.stop, &base->error)) return;
  top_prepare(work, by_memory);
  top_prepare(work, by_cpu);
}

static void push_user(lua_State *L, uid_t uid) {
  char name[256], *user = sys_user(uid);
  strncpy(name, user, sizeof name - 1);
  name[sizeof name - 1] = '\0';
  free(user); /* before anything below can raise */
  set_text(L, "user", name);
}

static void set_top(lua_State *L, const struct sys_work *work, const char *name) {
  lua_newtable(L);
  for (size_t i = 0; i < work->top && i < work->table.count; i++) {
    lua_createtable(L, 0, 10);
    set_process(L, &work->table.processes[i]);
    push_user(L, work->table.processes[i].uid);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, name);
}

static int top_push(lua_State *L, struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  lua_createtable(L, 0, 3);
  set_integer(L, "count", (long long)work->table.count);
  set_top(L, work, "by_cpu");
  if (work->table.count)
    qsort(work->table.processes, work->table.count, sizeof *work->table.processes, by_memory);
  set_top(L, work, "by_memory");
  return 1;
}

static int l_processes(lua_State *L) {
  static const struct work_kind kind = {.run = top_run, .push = top_push, .clear = sys_clear};
  settle_options(L, "top timeout");
  size_t top = (size_t)options_integer(L, 1, "top", 10, 1, SYS_TOP_MOST);
  double timeout = sys_timeout(L, SYS_TIMEOUT);
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->top = top;
  return work_await(L, &work->work, timeout, "looking at the processes");
}

static void process_cpu_run(struct work *base) {
  struct sys_work *work = (struct sys_work *)base;
  sys_process_cpu(work->pids, work->count, work->interval, &base->offload.stop, work->percents);
}

static int process_cpu_push(lua_State *L, struct work *base) {
  const struct sys_work *work = (struct sys_work *)base;
  lua_newtable(L);
  for (size_t i = 0; i < work->count; i++) {
    if (work->percents[i] < 0) continue;
    lua_pushnumber(L, work->percents[i]);
    lua_rawseti(L, -2, work->pids[i]);
  }
  return 1;
}

static void read_pids(lua_State *L, struct sys_work *work) {
  if (lua_getfield(L, 1, "pids") != LUA_TTABLE) luaL_error(L, "option 'pids': a list expected");
  lua_Integer count = luaL_len(L, -1);
  if (count > SYS_PROCESSES_MAX) luaL_error(L, "option 'pids': more than %d", SYS_PROCESSES_MAX);
  work->pids = xcalloc((size_t)count + 1, sizeof *work->pids);
  work->percents = xcalloc((size_t)count + 1, sizeof *work->percents);
  for (; work->count < (size_t)count; work->count++) {
    lua_geti(L, -1, (lua_Integer)work->count + 1);
    if (!lua_isinteger(L, -1)) luaL_error(L, "option 'pids': integers expected");
    work->pids[work->count] = (pid_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int l_process_cpu(lua_State *L) {
  static const struct work_kind kind = {.run = process_cpu_run, .push = process_cpu_push, .clear = sys_clear};
  settle_options(L, "pids interval");
  double interval = sys_interval(L);
  struct sys_work *work = work_new(L, sizeof *work, &kind);
  work->interval = interval;
  read_pids(L, work);
  return work_await(L, &work->work, interval + SYS_TIMEOUT, "looking at processes");
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

/* ---- disks ---- */

struct disks_op {
  struct op op;
  struct mount_table mounts;
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
  sys_mounts_free(&asked->mounts);
  asked->disks = NULL;
}

static void disks_done(void *data) { op_complete(data); }

static double rounded_up(double part, double whole) { return whole > 0 ? ceil(100 * part / whole) : 0; }

/* As df(1) counts: what only root may use is no part of the whole. */
static void set_space(lua_State *L, const struct statvfs *space) {
  double size = (double)space->f_frsize,
         used = (double)(space->f_blocks - sys_part(space->f_bfree, space->f_blocks));
  set_integer(L, "total", (long long)(space->f_blocks * space->f_frsize));
  set_integer(L, "free", (long long)((double)space->f_bavail * size));
  set_number(L, "used_percent", rounded_up(used, used + (double)space->f_bavail));
  if (space->f_files > 0)
    set_number(L, "inodes_used_percent",
               rounded_up((double)(space->f_files - sys_part(space->f_ffree, space->f_files)),
                          (double)space->f_files));
  set_bool(L, "read_only", (space->f_flag & ST_RDONLY) != 0);
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
  lua_createtable(L, (int)asked->mounts.count, 0);
  for (size_t i = 0; i < asked->mounts.count; i++) {
    const struct mount *mount = &asked->mounts.mounts[i];
    lua_createtable(L, 0, 8);
    set_text(L, "mount", mount->point);
    set_text(L, "device", mount->device);
    set_text(L, "type", mount->type);
    set_answer(L, disks_answer(asked->disks, i), asked->timeout);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* `mountinfo` is for tests. */
static int l_disks(lua_State *L) {
  settle_options(L, "timeout mountinfo");
  double timeout = sys_timeout(L, SYS_DISKS_TIMEOUT);
  const char *mountinfo = field_string(L, 1, "mountinfo", NULL, NULL);
  struct disks_op *asked = op_new(L, sizeof *asked, disks_cancel, disks_release, disks_push);
  asked->timeout = timeout;
  if (!sys_mounts(mountinfo, &asked->mounts, &asked->op.error)) {
    op_complete(&asked->op);
    return op_await(L, &asked->op);
  }
  asked->disks = disks_ask(runtime_loop(), &asked->mounts, disks_done, &asked->op);
  if (disks_waiting(asked->disks))
    op_timeout(&asked->op, timeout, "looking at the disks");
  else
    op_complete(&asked->op);
  return op_await(L, &asked->op);
}

int luaopen_raw_sys(lua_State *L) {
  static const luaL_Reg functions[] = {{"memory", l_memory},
                                       {"load", l_load},
                                       {"uptime", l_uptime},
                                       {"hostname", l_hostname},
                                       {"cpu", l_cpu},
                                       {"disks", l_disks},
                                       {"processes", l_processes},
                                       {"process_table", l_process_table},
                                       {"process_cpu", l_process_cpu},
                                       {"du", l_du},
                                       {"cgroup", l_cgroup},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
