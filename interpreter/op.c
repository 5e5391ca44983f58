#include "op.h"
#include <string.h>
#include <lauxlib.h>
#include "luautil.h"
#include "runtime.h"

#define OP_TYPE "op"

static int op_gc(lua_State *L) {
  struct op *op = lua_touserdata(L, 1);
  timer_stop(op->timer);
  op->timer = NULL;
  if (op->release) op->release(op);
  op->release = NULL;
  return 0;
}

void *op_new(lua_State *L, size_t size, void (*cancel)(struct op *), void (*release)(struct op *),
             int (*push)(lua_State *, struct op *)) {
  /* A callback of a C function can't wait; it must not begin either: the end would resume a later wait. */
  if (runtime_current() && !lua_isyieldable(L))
    luaL_error(L, "nothing can wait inside a callback of a C function (string.gsub, a metamethod it calls)");
  struct op *op = lua_newuserdatauv(L, size, 1);
  memset(op, 0, size);
  if (luaL_newmetatable(L, OP_TYPE)) {
    lua_pushcfunction(L, op_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  op->cancel = cancel;
  op->release = release;
  op->push = push;
  return op;
}

/* Runs inside the coroutine, protected: here results become Lua values. */
static int op_continue(lua_State *L, int status, lua_KContext context) {
  struct op *op = (struct op *)context;
  (void)status;
  task_check(L);
  if (op->error.kind[0]) return push_failure(L, &op->error);
  if (op->push) return op->push(L, op);
  lua_pushboolean(L, 1);
  return 1;
}

int op_await(lua_State *L, struct op *op) {
  struct task *task = runtime_current();
  if (!task) return luaL_error(L, "this can only wait inside a task");
  op->task = task;
  if (op->done) {
    task->waiting = op;
    runtime_ready(op);
  } else {
    task->waiting = op;
    if (task->interrupt) op->cancel(op);
  }
  runtime_mark(L);
  return lua_yieldk(L, 1, (lua_KContext)op, op_continue);
}

void op_complete(struct op *op) {
  if (op->done) return;
  op->done = true;
  timer_stop(op->timer);
  op->timer = NULL;
  if (op->timed_out) error_set(&op->error, "timeout", "%s took longer than %g s", op->what, op->limit);
  if (op->task) runtime_ready(op);
}

static void op_late(void *data) {
  struct op *op = data;
  op->timer = NULL;
  op->timed_out = true;
  op->cancel(op);
}

void op_timeout(struct op *op, double seconds, const char *what) {
  if (op->done) return;
  op->what = what;
  op->limit = seconds;
  op->timer = timer_start(seconds, op_late, op);
}
