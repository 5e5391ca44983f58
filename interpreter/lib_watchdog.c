/* raw.watchdog: the incident's clock in another process.
 *
 *   start{run_path=, self=, levels={{after=seconds, index=1}, ...}, secrets={NAME=value}, env={NAME=value},
 *         later=true}
 *     returns a handle once the watchdog has said that it is armed: in its own session, the run's lock taken,
 *     its journal on disk. Blocks the loop for WATCHDOG_ARM_SECONDS at most, before the first effect. With
 *     `later` it returns at once, and handle:ready() waits instead; a failure lets go of the watchdog.
 *
 *   handle:arm{{after=, index=}, ...}  the levels that have not fired yet are now these
 *   handle:secret(name, value)         one more, or a fresher one; before the arm of a level that needs it
 *   handle:page(index, json)           the built-in page of a level, to be held in its memory
 *   handle:rehearse()                  status().rehearsal is its exit code when it has ended
 *   handle:fire(index)                 now, whether or not the goal holds
 *   handle:stop(why)                   "resolved", "ack", "abort": nothing fires any more
 *   handle:deliver()                   the outbox is the watchdog's from now on
 *   handle:kill()                      one that is stuck, so that another can take over
 *   handle:status()                    {alive=, stuck=it has said nothing for a lease's time, pid=, fired={1, ...}, delivered={...}, failed={...}, by={[level]=who}, stopped=why, put_off=seconds in which no level fires}
 *   handle:detach()                    lets go; the watchdog goes on. Collecting the handle does the same.
 *
 * All but status and detach return true, or nil and an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"
#include "loader.h"
#include "luautil.h"
#include "watchdog_protocol.h"

#define HANDLE_TYPE "watchdog"
#define KILL_LOOKS 50       /* at a watchdog that was killed: its lock is free when it is gone */
#define KILL_LOOK_MILLIS 10 /* between two of them */

struct handle {
  int fd; /* -1: let go */
  int pid;
  pid_t child; /* 0: reaped */
  bool alive, armed, rehearsed;
  int rehearsal;  /* its exit code, once rehearsed */
  double heard;   /* when it last said something, in monotonic seconds */
  double put_off; /* until when no level fires, in the same */
  bool fired[WATCHDOG_LEVELS + 1], delivered[WATCHDOG_LEVELS + 1], failed[WATCHDOG_LEVELS + 1];
  char by[WATCHDOG_LEVELS + 1][WATCHDOG_WORD_BYTES]; /* who delivered it: script, built-in, outbox */
  char stopped[WATCHDOG_WORD_BYTES];
  struct error error; /* the last that the watchdog reported */
};

/* ---- Starting the process ---- */

static double monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Not by fork(), which would copy the tables of all our memory. The watchdog makes a session of its own; it is our child only as
 * long as we live. */
static bool spawn(struct handle *handle, const char *program, const char *rundir, int socket,
                  struct error *error) {
  char *const argv[] = {(char *)program, (char *)rundir, NULL}, *env[] = {NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, WATCHDOG_FD);
  int code = posix_spawn(&handle->child, program, &actions, NULL, argv, env);
  posix_spawn_file_actions_destroy(&actions);
  handle->alive = code == 0;
  return code == 0 || error_set_code(error, code, program);
}

/* One that ended leaves no zombie. */
static void reap(struct handle *handle) {
  if (handle->child > 0 && waitpid(handle->child, NULL, WNOHANG) > 0) handle->child = 0;
}

static bool start_process(struct handle *handle, const char *rundir, struct error *error) {
  char program[PATH_MAX];
  int ends[2];
  snprintf(program, sizeof program, "%s/runbook-watchdog", loader_libdir());
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
    return error_set_code(error, errno, "the watchdog's socket");
  handle->fd = ends[0];
  handle->heard = monotonic();
  bool ok = spawn(handle, program, rundir, ends[1], error);
  close(ends[1]);
  return ok;
}

/* ---- Talking ---- */

/* Waits for room only while arming, and never long. */
static bool say(struct handle *handle, const void *text, size_t len, struct error *error) {
  ssize_t sent;
  do sent = send(handle->fd, text, len, MSG_NOSIGNAL | (handle->armed ? MSG_DONTWAIT : 0));
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)len || error_set_code(error, errno, "telling the watchdog");
}

static bool say_pair(struct handle *handle, const char *word, const char *name, const char *value, size_t len,
                     struct error *error) {
  struct buffer text = {0};
  buffer_printf(&text, "%s %s=", word, name);
  buffer_append(&text, value, len);
  bool ok = text.len <= WATCHDOG_MESSAGE_BYTES || error_set(error, "limit", "%s %s is too long", word, name);
  ok = ok && say(handle, text.data, text.len, error);
  explicit_bzero(text.data, text.len);
  buffer_free(&text);
  return ok;
}

/* The level number of "fired 2", "delivered 2 script"; 0 when it is another message. */
static int level_of(const char *text, const char *word) {
  size_t len = strlen(word);
  int number = strncmp(text, word, len) == 0 && text[len] == ' ' ? atoi(text + len) : 0;
  return number >= 1 && number <= WATCHDOG_LEVELS ? number : 0;
}

/* The lengths in the formats are those of the fields: WATCHDOG_WORD_BYTES and struct error. */
static void note(struct handle *handle, const char *text) {
  int number = 0;
  if ((number = level_of(text, "fired")))
    handle->fired[number] = true;
  else if ((number = level_of(text, "delivered")))
    handle->delivered[number] = sscanf(text, "delivered %*d %31s", handle->by[number]) >= 0;
  else if ((number = level_of(text, "failed")))
    handle->failed[number] = true;
  else if ((number = level_of(text, "held")))
    handle->fired[number] = false;
  else if (sscanf(text, "put_off %lf", &handle->put_off) == 1)
    handle->put_off += monotonic();
  else if (sscanf(text, "rehearsed %d", &handle->rehearsal) == 1)
    handle->rehearsed = true;
  else if (sscanf(text, "armed %d", &handle->pid) == 1)
    handle->armed = true;
  else if (sscanf(text, "stopped %31[^\n]", handle->stopped) == 1)
    return;
  else if (sscanf(text, "error %23s %511[^\n]", handle->error.kind, handle->error.message) >= 1)
    return;
}

/* Takes one message; false when there is none (the watchdog's end clears `alive`). */
static bool hear(struct handle *handle) {
  char text[1024];
  ssize_t len;
  do len = recv(handle->fd, text, sizeof text - 1, MSG_DONTWAIT);
  while (len < 0 && (errno == EINTR || errno == ECONNRESET));
  if (len < 0 && errno == EAGAIN) return false;
  if (len <= 0) {
    handle->alive = false;
    reap(handle);
    return false;
  }
  text[len] = '\0';
  handle->heard = monotonic();
  note(handle, text);
  return true;
}

/* Until the watchdog says that it is armed, or why not. */
static bool wait_armed(struct handle *handle, struct error *error) {
  double end = monotonic() + WATCHDOG_ARM_SECONDS;
  handle->armed = false;
  while (!handle->armed && !handle->error.kind[0] && handle->alive && monotonic() < end) {
    struct pollfd source = {handle->fd, POLLIN, 0};
    poll(&source, 1, (int)((end - monotonic()) * 1e3) + 1);
    while (!handle->armed && hear(handle)) continue;
  }
  if (handle->error.kind[0])
    *error = handle->error;
  else if (!handle->alive)
    error_set(error, "io", "the watchdog ended at its start");
  else if (!handle->armed)
    error_set(error, "timeout", "the watchdog was not armed within %g s", WATCHDOG_ARM_SECONDS);
  return handle->armed && !error->kind[0];
}

/* ---- Arguments ---- */

/* "arm 1 900.000 2 1800.000" for the list at `index`. [-0, +0, v] */
static void check_levels(lua_State *L, int index, char *text, size_t size) {
  lua_Integer count = luaL_len(L, index);
  size_t len = (size_t)snprintf(text, size, "arm");
  if (count > WATCHDOG_LEVELS) luaL_error(L, "more than %d levels", WATCHDOG_LEVELS);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, index, i);
    luaL_checktype(L, -1, LUA_TTABLE);
    double after = field_number(L, -1, "after", -1);
    long long number = field_integer(L, -1, "index", i);
    lua_pop(L, 1);
    if (number < 1 || number > WATCHDOG_LEVELS) luaL_error(L, "levels are numbered 1 to %d", WATCHDOG_LEVELS);
    if (!(after >= 0 && after <= WATCHDOG_AFTER_SECONDS))
      luaL_error(L, "level %d: 'after' is out of range", (int)number);
    len += (size_t)snprintf(text + len, size - len, " %lld %.3f", number, after);
  }
}

#define ARM_BYTES (4 + WATCHDOG_LEVELS * 32)

static bool is_name(const char *name, size_t len) {
  return len > 0 && strlen(name) == len && !strpbrk(name, "= \n");
}

/* A table of NAME = value strings; names as an environment has them. */
static void check_pairs(lua_State *L, int options, const char *name) {
  if (lua_getfield(L, options, name) != LUA_TNIL) {
    luaL_checktype(L, -1, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: strings expected", name);
      if (!is_name(lua_tostring(L, -2), lua_rawlen(L, -2))) luaL_error(L, "%s: bad name", name);
    }
  }
  lua_pop(L, 1);
}

static bool say_pairs(lua_State *L, int options, const char *field, const char *word, struct handle *handle,
                      struct error *error) {
  bool ok = true;
  if (lua_getfield(L, options, field) == LUA_TTABLE) {
    for (lua_pushnil(L); ok && lua_next(L, -2);) {
      size_t len;
      const char *value = lua_tolstring(L, -1, &len);
      ok = say_pair(handle, word, lua_tostring(L, -2), value, len, error);
      lua_pop(L, 1);
    }
  }
  lua_settop(L, options + 1);
  return ok;
}

/* ---- Lua ---- */

static struct handle *new_handle(lua_State *L) {
  struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  memset(handle, 0, sizeof *handle);
  handle->fd = -1;
  luaL_setmetatable(L, HANDLE_TYPE);
  return handle;
}

static struct handle *check_handle(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, HANDLE_TYPE);
  if (handle->fd < 0) luaL_error(L, "the watchdog was let go");
  return handle;
}

static void detach(struct handle *handle) {
  reap(handle);
  if (handle->fd >= 0) close(handle->fd);
  handle->fd = -1;
  handle->alive = false;
}

static bool start(lua_State *L, struct handle *handle, const char *arm, struct error *error) {
  struct timeval limit = {(time_t)WATCHDOG_ARM_SECONDS, 0};
  struct buffer self = {0};
  if (!start_process(handle, field_string(L, 1, "run_path", NULL, NULL), error)) return false;
  setsockopt(handle->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  buffer_printf(&self, "self %s", field_string(L, 1, "self", NULL, NULL));
  bool ok = say(handle, self.data, self.len, error) && say_pairs(L, 1, "env", "env", handle, error) &&
            say_pairs(L, 1, "secrets", "secret", handle, error) && say(handle, arm, strlen(arm), error);
  buffer_free(&self);
  if (!ok) hear(handle); /* why it doesn't listen */
  if (!ok && handle->error.kind[0]) *error = handle->error;
  return ok;
}

/* One that comes late must not watch a run that was refused. */
static int give_up(lua_State *L, struct handle *handle, const struct error *error) {
  if (handle->fd >= 0) (void)!send(handle->fd, "stop not started", 16, MSG_DONTWAIT | MSG_NOSIGNAL);
  detach(handle);
  return push_failure(L, error);
}

static int l_start(lua_State *L) {
  char arm[ARM_BYTES];
  struct error error = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const char *path = field_string(L, 1, "run_path", NULL, NULL),
             *self = field_string(L, 1, "self", NULL, NULL);
  luaL_argcheck(L, path && *path == '/', 1, "'run_path' must be an absolute path");
  luaL_argcheck(L, self && *self == '/', 1, "'self' must be an absolute path");
  check_pairs(L, 1, "env");
  check_pairs(L, 1, "secrets");
  luaL_argcheck(L, lua_getfield(L, 1, "levels") == LUA_TTABLE, 1, "'levels' is missing");
  check_levels(L, 2, arm, sizeof arm);
  lua_settop(L, 1);
  struct handle *handle = new_handle(L);
  bool later = field_bool(L, 1, "later", false);
  bool well = start(L, handle, arm, &error) && (later || wait_armed(handle, &error));
  return well ? 1 : give_up(L, handle, &error);
}

static int handle_ready(lua_State *L) {
  struct error error = {0};
  struct handle *handle = check_handle(L);
  if (!wait_armed(handle, &error)) return give_up(L, handle, &error);
  lua_pushboolean(L, true);
  return 1;
}

static int tell(lua_State *L, struct handle *handle, const char *text) {
  struct error error = {0};
  if (!say(handle, text, strlen(text), &error)) return push_failure(L, &error);
  lua_pushboolean(L, true);
  return 1;
}

static int handle_arm(lua_State *L) {
  char arm[ARM_BYTES];
  struct error error = {0};
  struct handle *handle = check_handle(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  check_levels(L, 2, arm, sizeof arm);
  while (hear(handle)) continue;
  handle->error = (struct error){0};
  if (!say(handle, arm, strlen(arm), &error) || !wait_armed(handle, &error)) {
    handle->armed = true; /* as before: nothing else blocks */
    return push_failure(L, &error);
  }
  lua_pushboolean(L, true);
  return 1;
}

static int handle_secret(lua_State *L) {
  size_t name_len, len;
  struct error error = {0};
  struct handle *handle = check_handle(L);
  const char *name = luaL_checklstring(L, 2, &name_len), *value = luaL_checklstring(L, 3, &len);
  luaL_argcheck(L, is_name(name, name_len), 2, "bad name");
  if (!say_pair(handle, "secret", name, value, len, &error)) return push_failure(L, &error);
  lua_pushboolean(L, true);
  return 1;
}

static int handle_page(lua_State *L) {
  size_t len;
  struct error error = {0};
  struct buffer text = {0};
  struct handle *handle = check_handle(L);
  int number = (int)luaL_checkinteger(L, 2);
  const char *page = luaL_checklstring(L, 3, &len);
  buffer_printf(&text, "page %d ", number);
  buffer_append(&text, page, len);
  bool well = say(handle, text.data, text.len, &error);
  buffer_free(&text);
  if (!well) return push_failure(L, &error);
  lua_pushboolean(L, true);
  return 1;
}

static int handle_rehearse(lua_State *L) { return tell(L, check_handle(L), "rehearse"); }

static int handle_fire(lua_State *L) {
  char text[32];
  snprintf(text, sizeof text, "fire %d", (int)luaL_checkinteger(L, 2));
  return tell(L, check_handle(L), text);
}

static int handle_stop(lua_State *L) {
  char text[WATCHDOG_WORD_BYTES + 8];
  snprintf(text, sizeof text, "stop %.*s", WATCHDOG_WORD_BYTES - 1, luaL_checkstring(L, 2));
  return tell(L, check_handle(L), text);
}

static int handle_deliver(lua_State *L) { return tell(L, check_handle(L), "deliver"); }

static void push_numbers(lua_State *L, const char *name, const bool flags[]) {
  lua_newtable(L);
  for (int number = 1, count = 0; number <= WATCHDOG_LEVELS; number++) {
    if (!flags[number]) continue;
    lua_pushinteger(L, number);
    lua_rawseti(L, -2, ++count);
  }
  lua_setfield(L, -2, name);
}

static int handle_status(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, HANDLE_TYPE);
  while (handle->fd >= 0 && hear(handle)) continue;
  lua_newtable(L);
  set_bool(L, "alive", handle->alive);
  set_bool(L, "stuck", handle->alive && monotonic() - handle->heard > WATCHDOG_LEASE_SECONDS);
  set_integer(L, "pid", handle->pid);
  if (handle->rehearsed) set_integer(L, "rehearsal", handle->rehearsal);
  push_numbers(L, "fired", handle->fired);
  push_numbers(L, "delivered", handle->delivered);
  push_numbers(L, "failed", handle->failed);
  lua_newtable(L);
  for (int number = 1; number <= WATCHDOG_LEVELS; number++) {
    lua_pushstring(L, handle->by[number]);
    lua_rawseti(L, -2, number);
  }
  lua_setfield(L, -2, "by");
  if (handle->stopped[0]) set_text(L, "stopped", handle->stopped);
  if (handle->put_off > monotonic()) {
    lua_pushnumber(L, handle->put_off - monotonic());
    lua_setfield(L, -2, "put_off");
  }
  return 1;
}

/* Its number is not another's: as long as it wasn't reaped it is our child. */
static int handle_kill(lua_State *L) {
  struct handle *handle = luaL_checkudata(L, 1, HANDLE_TYPE);
  if (handle->child > 0 && kill(handle->child, SIGKILL) == 0) {
    for (int i = 0; handle->child > 0 && i < KILL_LOOKS; i++) {
      nanosleep(&(struct timespec){0, KILL_LOOK_MILLIS * 1000000L}, NULL);
      reap(handle);
    }
  }
  detach(handle);
  return 0;
}

static int handle_detach(lua_State *L) {
  detach(luaL_checkudata(L, 1, HANDLE_TYPE));
  return 0;
}

int luaopen_raw_watchdog(lua_State *L) {
  static const luaL_Reg functions[] = {{"start", l_start}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"ready", handle_ready},       {"arm", handle_arm},
                                     {"secret", handle_secret},     {"page", handle_page},
                                     {"rehearse", handle_rehearse}, {"fire", handle_fire},
                                     {"stop", handle_stop},         {"deliver", handle_deliver},
                                     {"status", handle_status},     {"kill", handle_kill},
                                     {"detach", handle_detach},     {"__gc", handle_detach},
                                     {"__close", handle_detach},    {NULL, NULL}};
  luaL_newmetatable(L, HANDLE_TYPE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
