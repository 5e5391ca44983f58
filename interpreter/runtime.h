/* The scheduler: tasks (Lua coroutines that may wait for ops), their interruption, and the clock.
 *
 * Time is real or virtual. In virtual time (scenarios) nothing waits: when no task can run, the clock jumps
 * to the earliest timer. Code that sleeps, sets deadlines or asks the time is the same in both.
 */
#ifndef RUNTIME_H
#define RUNTIME_H
#include <stdbool.h>
#include <stdint.h>
#include <lua.h>
#include <uv.h>
#include "op.h"

/* How a task is stopped from outside. It is raised inside the task at its next (or current) wait, or by the
 * budget hook if it doesn't wait; once. `scope` tells deadlines apart. INTERRUPT_END is the stdlib's own: the run is
 * over. */
enum interrupt { INTERRUPT_NONE, INTERRUPT_CANCEL, INTERRUPT_TIMEOUT, INTERRUPT_BUDGET, INTERRUPT_END };

struct scope; /* a deadline around a part of a task */
struct task {
  lua_State *L;         /* the coroutine, anchored in the registry under the task's address */
  struct op *waiting;   /* NULL while it runs or has ended */
  struct op *joiner;    /* who waits for its end */
  struct task *next;    /* in the list of live tasks */
  struct scope *scopes; /* the innermost deadline first */
  enum interrupt interrupt;
  uint64_t scope; /* which deadline, with INTERRUPT_TIMEOUT */
  /* What was raised and is not dealt with yet. A script's __close may cover an error with one of its own: the task
   * knows all the same what ended. */
  enum interrupt raised;
  uint64_t raised_scope;
  bool ended;
  int status; /* of lua_resume, once ended */
};

/* Runs `function` (at the top of L's stack, popped, with no arguments) as the root task until it and every
 * task it waits for has ended. Returns LUA_OK or an error status with the error object on the stack. */
int runtime_run(lua_State *L);
/* Opens the loop and the ready queue; once per process. */
void runtime_open(lua_State *L);
/* Cancels what is left, closes handles and the loop. Call after lua_close(). */
void runtime_close(void);

struct task *runtime_current(void);
void task_resume(struct task *task);
/* Pushes what an awaiting coroutine yields, so that wrappers of coroutine.resume can tell it from the
 * script's own. */
void runtime_mark(lua_State *L);
struct task *runtime_root(void);
/* Starts the function on top of L's stack (popped) as a task and pushes its userdata handle. [-1, +1, m] */
struct task *task_spawn(lua_State *L);
#define TASK_TYPE "task"
/* Opens a deadline around what the running task does next; returns its id for scope_end. */
uint64_t scope_begin(struct task *task, double seconds);
void scope_end(struct task *task, uint64_t id);
/* As if its time were over now; nothing when it has ended. */
void scope_expire(struct task *task, uint64_t id);
/* Interrupts the running task when one of its deadlines has passed while it ran. */
void scope_look(struct task *task);
void runtime_ready(struct op *op); /* used by op_complete */
void task_interrupt(struct task *task, enum interrupt interrupt, uint64_t scope);
/* Raises the pending interrupt of the running task, if any. [-0, +0, v] */
void task_check(lua_State *L);
/* Pushes the error object of an interrupt: a userdata that scripts can neither make, read nor change. */
void interrupt_push(lua_State *L, enum interrupt interrupt, uint64_t scope);
/* What the value at `index` interrupts, with its scope; INTERRUPT_NONE for any other value. */
enum interrupt interrupt_of(lua_State *L, int index, uint64_t *scope);
/* What was raised in the running task is dealt with: what follows gets a budget of its own. */
void task_handled(struct task *task);

/* Seconds on the monotonic (or virtual) clock; seconds since 1970 on the wall (or virtual) clock. */
double runtime_now(void);
double runtime_wall(void);
/* Switches to virtual time that begins at `wall`; before any timer is set. */
void runtime_virtual(double wall);

/* Timers over either clock. `fire` must not touch Lua; it runs on the loop's thread and the timer is freed
 * after it. */
struct timer *timer_start(double seconds, void (*fire)(void *data), void *data);
void timer_stop(struct timer *timer); /* NULL is fine; frees it */
/* For the runtime: */
bool timer_next(double *due);    /* when the earliest is due, on runtime_now()'s clock */
void timer_fire_due(double now); /* fires and frees all that are due */

/* Signals: a handler sets these; the budget hook and the loop look at them. */
void runtime_signals(
    void); /* installs handlers of SIGINT, SIGTERM, SIGHUP and the like that interrupt the root task; the
                                   second ends the process */
/* While it is on no signal interrupts the root task, nor did one that came before: it only says that somebody waits. */
void runtime_shield(bool on);
bool runtime_hurried(void);     /* whether a signal came meanwhile */
int runtime_signal(void);       /* the signal that came, or 0 */
bool runtime_signal_seen(void); /* whether it was acted on before; now it is */
void runtime_on_exit_signal(
    void (*restore)(void)); /* async-signal-safe; run before the second signal ends the process */

/* budget.c: what a script may use up. Named here, documented in spec/language.md. */
#define BUDGET_HOOK_INSTRUCTIONS 10000 /* between two looks at the clock */
#define BUDGET_LOOK_SECONDS 0.02       /* between two looks of C that computes */
#define BUDGET_BURST_SECONDS 10.0      /* of Lua running without waiting */
#define BUDGET_MEMORY_BYTES (256L << 20)
void budget_install(lua_State *co);
void budget_burst_begin(void);
/* The look at signals, deadlines and the burst that Lua's own instructions bring about, for loops of C that compute for long.
 * May raise. Most calls only read a clock and return false: it is not time yet. */
bool budget_look(lua_State *L);
/* CPU seconds of this thread. */
double budget_computed(void);
/* alloc.c: the allocator with the memory limit. */
void *alloc_limited(void *ud, void *block, size_t osize, size_t nsize);

#endif
