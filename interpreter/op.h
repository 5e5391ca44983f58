/* An operation a task waits for. Callbacks of libraries never touch Lua: they store a result in the op and
 * call op_complete(), which only links it into the runtime's ready queue; the runtime resumes the task later,
 * and op_await's continuation, running inside the coroutine, pushes the results.
 *
 * The rules:
 * - An op is the head of a full userdata made by op_new(), which stays on the waiting coroutine's stack: that
 * anchors it. Never embed a uv handle in it (uv_close is asynchronous): malloc handles and free them in their
 * close callback.
 * - Order in every l_* function: check all arguments (may raise), op_new (may raise), start the work (must
 * not raise), `return op_await(L, op)`. An operation that ended at once calls op_complete before op_await:
 * also fine.
 * - op_complete() exactly once; after it no callback may touch the op. Work on the thread pool owns a
 * malloc'ed block of its own with a pointer to the op that cancel() clears.
 * - cancel() must lead to exactly one op_complete(), now or later.
 * - Failures of the world are results, not Lua errors: with op->error.kind set the Lua call returns nil,
 * {kind=, message=}. Misuse (bad arguments) raises by luaL_argerror.
 */
#ifndef OP_H
#define OP_H
#include <stdbool.h>
#include <lua.h>
#include <uv.h>
#include "error.h"

struct task;
struct op {
  struct op *next;   /* in the ready queue */
  struct task *task; /* who waits */
  int (*push)(lua_State *L,
              struct op *op);    /* pushes the results of a success, returns their count; may be NULL: true */
  void (*cancel)(struct op *op); /* stops the work early, see above; never NULL while waiting */
  void (*release)(struct op *op); /* frees what the op owns in C; called once by __gc; may be NULL */
  struct error error;             /* kind empty: success */
  struct timer *timer;            /* the op's own deadline, see op_timeout */
  const char *what;               /* with timer: who took too long; a string literal */
  double limit;                   /* with timer: seconds */
  bool timed_out, done;
};

/* A zeroed op of `size` bytes (a struct whose first member is `struct op op`) on top of L's stack. */
void *op_new(lua_State *L, size_t size, void (*cancel)(struct op *), void (*release)(struct op *),
             int (*push)(lua_State *, struct op *));
/* Ends the running C function by waiting for `op`, whose userdata must be at the top of the stack. */
int op_await(lua_State *L, struct op *op);
/* The op is over (op->error says how). Safe from any libuv callback on the loop's thread. A second call does
 * nothing. */
void op_complete(struct op *op);
/* After `seconds` (> 0) sets error {timeout, "<what> took longer than N s"} and calls op->cancel; ends with
 * the op. */
void op_timeout(struct op *op, double seconds, const char *what);
/* The loop every handle belongs to. */
uv_loop_t *runtime_loop(void);

#endif
