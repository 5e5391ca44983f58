/* raw.process: child processes, see process.h.
 *
 * run{argv=, env=, cwd=, stdin=, timeout=10, max_output=1 MiB, keep="head"|"tail",
 *     scan=: lines of standard output, see scanning.h; hold_input=false: keeps stdin open until the child has ended, last=: its last word on stderr, see process.h}
 *   → {code=, signal=name|nil, stdout=, stderr=, cut=, left=, ms=}; code is 128 + its number when a signal ended it;
 *     left: it ended with 0, or with its last word, and left a process running that holds its output, which is cut
 *   | nil, {kind=, message=}: missing (no such program or folder), permission, limit, io;
 *     timeout also carries stdout, stderr and cut: what came until then
 * env is the child's whole environment; without it that is empty, and PATH is the system's default.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lauxlib.h>
#include "libs.h"
#include "luautil.h"
#include "op.h"
#include "options.h"
#include "process.h"
#include "redact.h"
#include "scanning.h"

#define PROCESS_TIMEOUT 10.0
#define PROCESS_OUTPUT_BYTES (1L << 20)       /* kept of each stream unless the caller says otherwise */
#define PROCESS_OUTPUT_MOST_BYTES (64L << 20) /* what the caller may ask for */
#define PROCESS_INPUT_MOST_BYTES (64UL << 20)

struct run {
  struct op op;
  struct process *process; /* NULL when it is not under way */
  struct process_result result;
  char **env;
  struct linescan *scan;
  bool late, keep_tail;
  char program[64]; /* for the message of a timeout */
};

static void env_free(struct run *run) {
  for (char **entry = run->env; entry && *entry; entry++) {
    explicit_bzero(*entry, strlen(*entry)); /* often a password */
    free(*entry);
  }
  free(run->env);
  run->env = NULL;
}

static void run_cancel(struct op *op) {
  struct run *run = (struct run *)op;
  if (run->process) process_stop(run->process);
}

static void run_release(struct op *op) {
  struct run *run = (struct run *)op;
  if (run->process) process_abandon(run->process);
  run->process = NULL;
  linescan_free(run->scan);
  run->scan = NULL;
  env_free(run);
  buffer_free(&run->result.out);
  buffer_free(&run->result.err);
}

static void set_text_of(lua_State *L, const char *name, const struct buffer *kept, const struct run *run) {
  const char *text = kept->data ? kept->data : "";
  size_t len = kept->len;
  if (run->result.cut) redact_whole(&text, &len, run->keep_tail);
  set_string(L, name, text, len);
}

static void set_output(lua_State *L, const struct run *run) {
  const struct process_result *result = &run->result;
  set_text_of(L, "stdout", &result->out, run);
  set_text_of(L, "stderr", &result->err, run);
  set_bool(L, "cut", result->cut);
}

static void set_signal(lua_State *L, int number) {
  char text[32];
  const char *name = sigabbrev_np(number);
  if (name)
    snprintf(text, sizeof text, "SIG%s", name);
  else
    snprintf(text, sizeof text, "SIG%d", number);
  set_text(L, "signal", text);
}

static int run_push(lua_State *L, struct op *op) {
  struct run *run = (struct run *)op;
  struct error error;
  if (run->late) {
    error_set(&error, "timeout", "%s took longer than %g s", op->what, op->limit);
    push_failure(L, &error);
    set_output(L, run);
    return 2;
  }
  lua_createtable(L, 0, 6);
  set_integer(L, "code", run->result.code);
  if (run->result.signal) set_signal(L, run->result.signal);
  set_output(L, run);
  set_scanned(L, run->scan);
  set_bool(L, "left", run->result.left);
  set_number(L, "ms", run->result.ms);
  return 1;
}

static void run_done(void *data, struct process_result *result) {
  struct run *run = data;
  run->process = NULL;
  run->result = *result;
  memset(&result->out, 0, sizeof result->out);
  memset(&result->err, 0, sizeof result->err);
  run->late = run->op.timed_out; /* the failure is pushed by run_push, with the output */
  run->op.timed_out = false;
  op_complete(&run->op);
}

static size_t env_check(lua_State *L, int index) {
  size_t count = 0;
  if (lua_getfield(L, index, "env") != LUA_TNIL) {
    if (!lua_istable(L, -1)) luaL_error(L, "option 'env': table expected");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), count++) {
      if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "option 'env': names and values must be strings");
      size_t name_len, value_len;
      const char *name = lua_tolstring(L, -2, &name_len), *value = lua_tolstring(L, -1, &value_len);
      if (name_len == 0 || strlen(name) != name_len || strchr(name, '=') || strlen(value) != value_len)
        luaL_error(L, "option 'env': an entry has an empty name, a '=' in its name, or a NUL byte");
    }
  }
  lua_pop(L, 1);
  return count;
}

/* After env_check nothing here can raise. */
static void env_fill(lua_State *L, int index, struct run *run, size_t count) {
  run->env = xcalloc(count + 1, sizeof *run->env);
  if (lua_getfield(L, index, "env") == LUA_TTABLE) {
    size_t i = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      struct buffer entry = {0};
      buffer_printf(&entry, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
      run->env[i++] = entry.data;
    }
  }
  lua_pop(L, 1);
}

static bool keep_tail(lua_State *L, int index) {
  const char *keep = field_string(L, index, "keep", NULL, "head");
  bool tail = strcmp(keep, "tail") == 0;
  if (!tail && strcmp(keep, "head") != 0) luaL_error(L, "option 'keep': 'head' or 'tail' expected");
  return tail;
}

static int l_run(lua_State *L) {
  lua_settop(L, 1);
  options_check(L, 1, "argv env cwd stdin timeout max_output keep hold_input last scan");
  struct process_spec spec = {.keep_tail = keep_tail(L, 1),
                              .hold_input = field_bool(L, 1, "hold_input", false)};
  spec.max_output =
      (size_t)options_integer(L, 1, "max_output", PROCESS_OUTPUT_BYTES, 0, PROCESS_OUTPUT_MOST_BYTES);
  double timeout = options_seconds(L, 1, "timeout", PROCESS_TIMEOUT, OPTIONS_SECONDS_MAX);
  spec.last = field_string(L, 1, "last", NULL, NULL);
  spec.input = field_string(L, 1, "stdin", &spec.input_len, NULL);
  if (spec.input_len > PROCESS_INPUT_MOST_BYTES) return luaL_error(L, "option 'stdin': too long");
  spec.cwd = field_string(L, 1, "cwd", NULL, NULL) ? options_path(L, 1, "cwd") : NULL;
  size_t env_count = env_check(L, 1);
  spec.argv = field_strings(L, 1, "argv");
  if (!spec.argv || !spec.argv[0] || !spec.argv[0][0])
    return luaL_error(L, "option 'argv': a program is needed");
  struct run *run = op_new(L, sizeof *run, run_cancel, run_release, run_push);
  snprintf(run->program, sizeof run->program, "%s", spec.argv[0]);
  run->keep_tail = spec.keep_tail;
  spec.scan = run->scan = options_scan(L, 1);
  env_fill(L, 1, run, env_count);
  spec.env = run->env;
  run->process = process_start(runtime_loop(), &spec, run_done, run, &run->op.error);
  env_free(run);
  if (run->process)
    op_timeout(&run->op, timeout, run->program);
  else
    op_complete(&run->op);
  return op_await(L, &run->op);
}

int luaopen_raw_process(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", l_run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
