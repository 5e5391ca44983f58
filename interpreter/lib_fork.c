/* raw.fork: copies of this process, so that what was loaded once serves many scenarios, side by side.
 *
 * start() → pid | false, nil | nil, error     false in the copy. It goes on as the same task, alone; its standard output is
 *     nowhere, its standard error is what the parent hears
 * next(seconds) → {pid=, said=, result=, status=, signal=, late=, cut=} of the next that ended; nil: there is none. Nothing else
 *     happens meanwhile. `said` came on standard error, `result` by leave(); late: it took longer than `seconds` and was killed
 * leave(text): ends the copy; `text` is its result
 * modules() → names of the modules that were required so far, raw ones too
 * stop(): ends all copies      cpus() → how many of them can compute at once
 *
 * start() is for a process whose only task is the one that calls it: an operation under way, a thread, would be missing in the
 * copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"
#include "loader.h"
#include "luautil.h"
#include "runtime.h"

#define COPIES_MAX 64         /* at once */
#define HEARD_MAX (4UL << 20) /* bytes kept of what one says */
#define LOOK_MILLISECONDS 100 /* between two looks at signals and deadlines */

struct copy {
  pid_t pid; /* 0: the place is free */
  int fd;    /* what it says */
  double began;
  bool late, cut;
  struct buffer heard;
};

static struct copy copies[COPIES_MAX];

static struct copy *copy_free(void) {
  for (size_t i = 0; i < COPIES_MAX; i++)
    if (!copies[i].pid) return &copies[i];
  return NULL;
}

static void copy_close(struct copy *copy) {
  close(copy->fd);
  buffer_free(&copy->heard);
  *copy = (struct copy){0};
}

/* In the copy: nobody else's words, no sibling, no clock of the parent's. */
static void copy_settle(int said) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (size_t i = 0; i < COPIES_MAX; i++)
    if (copies[i].pid) copy_close(&copies[i]);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
      dup2(said, STDERR_FILENO) < 0)
    _exit(70);
  if (uv_loop_fork(runtime_loop()) != 0) _exit(70);
  budget_burst_begin(); /* a process counts its CPU time from its own start */
}

static int failure(lua_State *L, const char *what) {
  struct error error = {0};
  error_set(&error, "io", "%s: %s", what, strerror(errno));
  return push_failure(L, &error);
}

static int l_start(lua_State *L) {
  int pipes[2];
  struct copy *place = copy_free();
  if (!place) return luaL_error(L, "%d copies run already", COPIES_MAX);
  if (pipe2(pipes, O_CLOEXEC) != 0) return failure(L, "no pipe to a copy of this process");
  pid_t pid = fork();
  if (pid < 0) {
    close(pipes[0]);
    close(pipes[1]);
    return failure(L, "no copy of this process");
  }
  if (pid == 0) copy_settle(pipes[1]);
  close(pipes[1]);
  if (pid == 0) {
    close(pipes[0]);
    return lua_pushboolean(L, false), 1;
  }
  *place = (struct copy){.pid = pid, .fd = pipes[0], .began = runtime_now()};
  lua_pushinteger(L, pid);
  return 1;
}

/* Whether more may come. */
static bool copy_hear(struct copy *copy) {
  char block[65536];
  ssize_t count = read(copy->fd, block, sizeof block);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  size_t room = HEARD_MAX - copy->heard.len, used = (size_t)count < room ? (size_t)count : room;
  copy->cut = copy->cut || used < (size_t)count;
  buffer_append(&copy->heard, block, used);
  return count > 0;
}

/* It says nothing any more, so it ends. A pushed table. */
static int copy_push(lua_State *L, struct copy *copy) {
  int status = 0;
  while (waitpid(copy->pid, &status, 0) < 0 && errno == EINTR) continue;
  const char *heard = copy->heard.data ? copy->heard.data : "";
  const char *mark = memchr(heard, 0, copy->heard.len);
  size_t said = mark ? (size_t)(mark - heard) : copy->heard.len;
  lua_createtable(L, 0, 7);
  set_integer(L, "pid", copy->pid);
  set_string(L, "said", heard, said);
  if (mark) set_string(L, "result", mark + 1, copy->heard.len - said - 1);
  if (WIFEXITED(status)) set_integer(L, "status", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) set_integer(L, "signal", WTERMSIG(status));
  set_bool(L, "late", copy->late);
  set_bool(L, "cut", copy->cut);
  copy_close(copy);
  return 1;
}

static void copies_expire(double seconds) {
  for (size_t i = 0; i < COPIES_MAX; i++) {
    if (!copies[i].pid || copies[i].late || runtime_now() - copies[i].began < seconds) continue;
    copies[i].late = true;
    kill(copies[i].pid, SIGKILL);
  }
}

/* The first that said all it had to say; NULL after a look. */
static struct copy *copies_poll(void) {
  struct pollfd fds[COPIES_MAX];
  struct copy *owners[COPIES_MAX];
  nfds_t count = 0;
  for (size_t i = 0; i < COPIES_MAX; i++) {
    if (!copies[i].pid) continue;
    owners[count] = &copies[i];
    fds[count++] = (struct pollfd){copies[i].fd, POLLIN, 0};
  }
  if (poll(fds, count, LOOK_MILLISECONDS) <= 0) return NULL;
  for (nfds_t i = 0; i < count; i++)
    if (fds[i].revents && !copy_hear(owners[i])) return owners[i];
  return NULL;
}

static bool copies_are(void) {
  for (size_t i = 0; i < COPIES_MAX; i++)
    if (copies[i].pid) return true;
  return false;
}

static int l_next(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  while (copies_are() && !runtime_signal()) {
    struct copy *ended = copies_poll();
    if (ended) return copy_push(L, ended);
    copies_expire(seconds);
  }
  return lua_pushnil(L), 1;
}

static int l_leave(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct buffer out = {0};
  buffer_append(&out, "", 1);
  buffer_append(&out, text, len);
  for (size_t at = 0; at < out.len;) {
    ssize_t count = write(STDERR_FILENO, out.data + at, out.len - at);
    if (count < 0 && errno != EINTR) break;
    if (count > 0) at += (size_t)count;
  }
  _exit(0);
}

static int l_stop(lua_State *L) {
  (void)L;
  for (size_t i = 0; i < COPIES_MAX; i++) {
    if (!copies[i].pid) continue;
    kill(copies[i].pid, SIGKILL);
    while (waitpid(copies[i].pid, NULL, 0) < 0 && errno == EINTR) continue;
    copy_close(&copies[i]);
  }
  return 0;
}

static int l_modules(lua_State *L) {
  lua_newtable(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LOADER_LOADED);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -5, (lua_Integer)lua_rawlen(L, -5) + 1);
  }
  lua_pop(L, 1);
  return 1;
}

static int l_cpus(lua_State *L) {
  cpu_set_t set;
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  lua_pushinteger(L, count < COPIES_MAX ? count : COPIES_MAX);
  return 1;
}

int luaopen_raw_fork(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"start", l_start}, {"next", l_next}, {"leave", l_leave}, {"modules", l_modules},
      {"stop", l_stop},   {"cpus", l_cpus}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
