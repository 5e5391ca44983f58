/* raw.tty: the operator's terminal. What is written is redacted here, at the last writer.
 *
 * interactive() → boolean      is_tty(fd) → boolean      size() → {columns=, rows=}      write(fd, text) → boolean
 * ask{prompt=, right=, timeout=seconds, keys=, secret=} → line | nil, {kind="timeout"|"eof"|"hangup"|"no_tty"|"usage", message=}
 *     with `keys` the line is edited here, so that prompt{} can draw it anew: prompt at the left, `right` at the margin
 * prompt{prompt=, right=} → "drawn" | "lost" (somebody else had the terminal: draw what stands above, too) | nil (no question)
 */
#include <errno.h>
#include <poll.h>
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
#include "typed.h"

struct ask {
  struct op op;
  uv_poll_t *poll;
  int fd;
  bool keys, answered;
  struct typed typed;
  struct buffer left, right; /* of the prompt; redacted */
};

static struct ask *open_ask; /* there is one question at a time */

static void free_handle(uv_handle_t *handle) { free(handle); }

static void draw(struct ask *ask, const char *right, const char *end) {
  struct buffer out = {0};
  int columns, rows;
  if (!ask->keys || !tty_in_foreground(ask->fd)) return;
  tty_size(&columns, &rows);
  typed_draw(&out, &ask->typed, ask->left.data, right, (size_t)columns);
  buffer_puts(&out, end);
  tty_write(ask->fd, out.data, out.len);
  buffer_free(&out);
}

static void ask_close(struct ask *ask) {
  if (!ask->poll) return;
  uv_close((uv_handle_t *)ask->poll, free_handle);
  ask->poll = NULL;
  open_ask = NULL;
  draw(ask, "", "\n"); /* what was asked and answered stays, without its clock */
  if (!ask->keys && !ask->answered && tty_in_foreground(ask->fd)) tty_write(ask->fd, "\n", 1);
  tty_end(ask->fd);
}

static void ask_cancel(struct op *op) {
  ask_close((struct ask *)op);
  op_complete(op);
}

static void ask_release(struct op *op) {
  struct ask *ask = (struct ask *)op;
  ask_close(ask);
  explicit_bzero(&ask->typed, sizeof ask->typed);
  buffer_free(&ask->left);
  buffer_free(&ask->right);
}

/* A line that the terminal edits comes whole, or not at all at its end; one longer than the block is cut: what is left of it
 * is dropped with the question. Whether the answer is there. */
static bool take(struct ask *ask, const char *bytes, size_t len) {
  if (ask->keys) {
    enum typed_state state = typed_feed(&ask->typed, bytes, len);
    if (state == TYPED_OPEN) draw(ask, ask->right.data, "");
    if (state == TYPED_EOF) error_set(&ask->op.error, "eof", "the terminal was closed");
    return state != TYPED_OPEN;
  }
  memcpy(ask->typed.text, bytes, len);
  ask->typed.len = len;
  return true;
}

/* The other end of the terminal is gone; a line that merely ends (Ctrl-D) is somebody's. */
static bool is_hung_up(int fd) {
  struct pollfd terminal = {fd, POLLIN, 0};
  return poll(&terminal, 1, 0) < 0 || (terminal.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void ask_readable(uv_poll_t *poll, int status, int events) {
  struct ask *ask = poll->data;
  char bytes[TYPED_MAX];
  (void)events;
  bool hung_up = status < 0 || is_hung_up(ask->fd);
  if (!hung_up && !tty_in_foreground(ask->fd)) {
    error_set(&ask->op.error, "no_tty", "the program was put into the background of its terminal");
    ask_cancel(&ask->op);
    return;
  }
  ssize_t count = hung_up ? -1 : read(ask->fd, bytes, sizeof bytes);
  if (count < 0 && !hung_up && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) error_set(&ask->op.error, hung_up ? "hangup" : "eof", "the terminal was closed");
  bool over = count <= 0 || take(ask, bytes, (size_t)count);
  explicit_bzero(bytes, sizeof bytes);
  ask->answered = over && count > 0;
  if (over) ask_cancel(&ask->op);
}

static int ask_push(lua_State *L, struct op *op) {
  struct ask *ask = (struct ask *)op;
  const struct typed *typed = &ask->typed;
  size_t len = typed->len;
  while (len > 0 && (typed->text[len - 1] == '\n' || typed->text[len - 1] == '\r')) len--;
  lua_pushlstring(L, typed->text, len);
  return 1;
}

static bool write_redacted(int fd, const char *text, size_t len) {
  struct buffer clean = {0};
  redact_apply(&clean, text, len);
  bool well = tty_write(fd, clean.data ? clean.data : "", clean.len);
  buffer_free(&clean);
  return well;
}

/* The prompt's two sides, of the table at index 1. */
static void read_prompt(lua_State *L, struct ask *ask) {
  size_t len;
  const char *text = field_string(L, 1, "prompt", &len, "");
  buffer_clear(&ask->left);
  buffer_append(&ask->left, "", 0);
  redact_apply(&ask->left, text, len);
  text = field_string(L, 1, "right", &len, "");
  buffer_clear(&ask->right);
  buffer_append(&ask->right, "", 0);
  redact_apply(&ask->right, text, len);
}

static int l_prompt(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (!open_ask) return lua_pushnil(L), 1;
  read_prompt(L, open_ask);
  bool lost = tty_reclaim(open_ask->fd);
  if (!lost) draw(open_ask, open_ask->right.data, "");
  lua_pushstring(L, lost ? "lost" : "drawn");
  return 1;
}

static int l_ask(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  double timeout = field_number(L, 1, "timeout", 0);
  bool hidden = field_bool(L, 1, "secret", false);
  struct ask *ask = op_new(L, sizeof *ask, ask_cancel, ask_release, ask_push);
  ask->keys = field_bool(L, 1, "keys", false);
  read_prompt(L, ask);
  ask->fd = tty_begin(hidden ? TTY_HIDDEN : ask->keys ? TTY_KEYS : TTY_LINE, &ask->op.error);
  if (ask->fd < 0) {
    op_complete(&ask->op);
    return op_await(L, &ask->op);
  }
  open_ask = ask;
  if (ask->keys)
    draw(ask, ask->right.data, "");
  else
    tty_write(ask->fd, ask->left.data, ask->left.len);
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
                                       {"prompt", l_prompt},
                                       {NULL, NULL}};
  runtime_on_exit_signal(tty_restore);
  luaL_newlib(L, functions);
  return 1;
}
