/* raw.tty: the operator's terminal. What is written is redacted here, at the last writer.
 *
 * interactive() → boolean      is_tty(fd) → boolean      size() → {columns=, rows=}      write(fd, text) → boolean
 * ask{prompt=, timeout=seconds, secret=} → line | nil, {kind="timeout"|"eof"|"no_tty"|"usage", message=}
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lauxlib.h>
#include "buffer.h"
#include "libs.h"
#include "luautil.h"
#include "op.h"
#include "redact.h"
#include "runtime.h"
#include "tty.h"

#define TTY_LINE_MAX 4096 /* of an answer; the terminal's own limit */

struct ask {
  struct op op;
  uv_poll_t *poll;
  int fd;
  char line[TTY_LINE_MAX];
  size_t len;
};

static void free_handle(uv_handle_t *handle) { free(handle); }

static void ask_close(struct ask *ask) {
  if (!ask->poll) return;
  uv_close((uv_handle_t *)ask->poll, free_handle);
  ask->poll = NULL;
  tty_end(ask->fd);
}

static void ask_cancel(struct op *op) {
  ask_close((struct ask *)op);
  op_complete(op);
}

static void ask_release(struct op *op) {
  struct ask *ask = (struct ask *)op;
  ask_close(ask);
  explicit_bzero(ask->line, sizeof ask->line);
}

/* The terminal is in canonical mode: a read gives a whole line, or nothing at its end. A line longer than the block is cut:
 * what is left of it is dropped with the question. */
static void ask_readable(uv_poll_t *poll, int status, int events) {
  struct ask *ask = poll->data;
  (void)events;
  if (!tty_in_foreground(ask->fd)) {
    error_set(&ask->op.error, "no_tty", "the program was put into the background of its terminal");
    ask_cancel(&ask->op);
    return;
  }
  ssize_t count = status < 0 ? -1 : read(ask->fd, ask->line, sizeof ask->line);
  if (count < 0 && (errno == EINTR || errno == EAGAIN) && status >= 0) return;
  if (count <= 0)
    error_set(&ask->op.error, "eof", "the terminal was closed");
  else
    ask->len = (size_t)count;
  ask_cancel(&ask->op);
}

static int ask_push(lua_State *L, struct op *op) {
  struct ask *ask = (struct ask *)op;
  size_t len = ask->len;
  while (len > 0 && (ask->line[len - 1] == '\n' || ask->line[len - 1] == '\r')) len--;
  lua_pushlstring(L, ask->line, len);
  return 1;
}

static bool write_redacted(int fd, const char *text, size_t len) {
  struct buffer clean = {0};
  redact_apply(&clean, text, len);
  bool well = tty_write(fd, clean.data ? clean.data : "", clean.len);
  buffer_free(&clean);
  return well;
}

static int l_ask(lua_State *L) {
  size_t len;
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *prompt = field_string(L, 1, "prompt", &len, "");
  double timeout = field_number(L, 1, "timeout", 0);
  bool hidden = field_bool(L, 1, "secret", false);
  struct ask *ask = op_new(L, sizeof *ask, ask_cancel, ask_release, ask_push);
  ask->fd = tty_begin(hidden, &ask->op.error);
  if (ask->fd < 0) {
    op_complete(&ask->op);
    return op_await(L, &ask->op);
  }
  write_redacted(ask->fd, prompt, len);
  ask->poll = xcalloc(1, sizeof *ask->poll);
  uv_poll_init(runtime_loop(), ask->poll, ask->fd);
  ask->poll->data = ask;
  uv_poll_start(ask->poll, UV_READABLE, ask_readable);
  if (timeout > 0) op_timeout(&ask->op, timeout, "an answer");
  return op_await(L, &ask->op);
}

static int l_interactive(lua_State *L) {
  lua_pushboolean(L, tty_interactive());
  return 1;
}

static int l_is_tty(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

static int l_size(lua_State *L) {
  int columns, rows;
  tty_size(&columns, &rows);
  lua_createtable(L, 0, 2);
  set_integer(L, "columns", columns);
  set_integer(L, "rows", rows);
  return 1;
}

static int l_write(lua_State *L) {
  size_t len;
  int fd = (int)luaL_checkinteger(L, 1);
  const char *text = luaL_checklstring(L, 2, &len);
  lua_pushboolean(L, write_redacted(fd, text, len));
  return 1;
}

int luaopen_raw_tty(lua_State *L) {
  static const luaL_Reg functions[] = {{"interactive", l_interactive},
                                       {"is_tty", l_is_tty},
                                       {"size", l_size},
                                       {"write", l_write},
                                       {"ask", l_ask},
                                       {NULL, NULL}};
  runtime_on_exit_signal(tty_restore);
  luaL_newlib(L, functions);
  return 1;
}
