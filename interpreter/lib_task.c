/* raw.task: tasks, waiting, deadlines and the clock.
 *
 * spawn(f) → task     join(task) → true, results… | false, error     cancel(task)
 * sleep(seconds)      event() → event; event:wait(), event:set()     current() → task | nil
 * context(task) → what set_context(task, value) stored
 * scope_begin(seconds) → id    scope_end(id)    expire(task, id): as if that scope's time were over
 *   mark: what an awaiting coroutine yields
 * now() → seconds, monotonic   wall() → seconds since 1970           virtual(wall)
 * shield(on): while it is on no signal interrupts the root task; hurried() → whether one came meanwhile
 * signal() → number or nil     is_interrupt(value) → "cancel"|"timeout"|"budget"|"end", scope | nil
 * the_end() → the interrupt that ends a run     raised() → what was raised in this task and is not dealt with yet | nil
 * handled(): it is dealt with     adopt(interrupt): another task's is this task's to deal with
 */
#include <string.h>
#include <lauxlib.h>
#include "libs.h"
#include "luautil.h"
#include "runtime.h"

static struct task *check_task(lua_State *L, int index) { return luaL_checkudata(L, index, TASK_TYPE); }

/* ---- Tasks ---- */

static void started(struct op *op) { op_complete(op); }

/* The new task starts in its turn, not inside spawn. */
static int l_spawn(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  struct task *task = task_spawn(L);
  struct op *start = op_new(L, sizeof *start, started, NULL, NULL);
  lua_setiuservalue(L, -2, 2);
  start->task = task;
  op_complete(start);
  return 1;
}

struct join {
  struct op op;
  struct task *child;
};

static int join_push(lua_State *L, struct op *op) {
  struct task *child = ((struct join *)op)->child;
  int count = child->status == LUA_OK ? lua_gettop(child->L) : 1;
  lua_pushboolean(L, child->status == LUA_OK);
  luaL_checkstack(L, count, "too many results");
  lua_xmove(child->L, L, count);
  return count + 1;
}

/* An interrupted join passes the interrupt on and still waits for the child's end. */
static void join_cancel(struct op *op) { task_interrupt(((struct join *)op)->child, INTERRUPT_CANCEL, 0); }

static void join_release(struct op *op) {
  struct join *join = (struct join *)op;
  if (join->child && join->child->joiner == op) join->child->joiner = NULL;
}

static int l_join(lua_State *L) {
  struct task *child = check_task(L, 1);
  if (child->joiner) return luaL_error(L, "a task can be joined once");
  struct join *join = op_new(L, sizeof *join, join_cancel, join_release, join_push);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1); /* the op keeps the child */
  join->child = child;
  child->joiner = &join->op;
  if (child->ended) op_complete(&join->op);
  return op_await(L, &join->op);
}

static int l_cancel(lua_State *L) {
  task_interrupt(check_task(L, 1), INTERRUPT_CANCEL, 0);
  return 0;
}

static int l_current(lua_State *L) {
  if (!runtime_current()) return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, runtime_current());
  return 1;
}

/* Task-local values live in a weak table of the registry's, keyed by handle. */
static void contexts(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, "task.contexts") == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  set_text(L, "__mode", "k");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, "task.contexts");
}

static int l_context(lua_State *L) {
  contexts(L);
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  return 1;
}

static int l_set_context(lua_State *L) {
  check_task(L, 1);
  lua_settop(L, 2);
  contexts(L);
  lua_insert(L, 1);
  lua_rawset(L, 1);
  return 0;
}

/* ---- Waiting ---- */

static void sleep_over(void *data) {
  struct op *op = data;
  op->timer = NULL;
  op_complete(op);
}

static int l_sleep(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  struct op *op = op_new(L, sizeof *op, op_complete, NULL, NULL);
  op->timer = timer_start(seconds > 0 ? seconds : 0, sleep_over, op);
  return op_await(L, op);
}

#define EVENT_TYPE "event"
struct event {
  struct event_wait *first;
  bool set;
};
struct event_wait {
  struct op op;
  struct event *event;
  struct event_wait *next;
};

static void event_forget(struct op *op) {
  struct event_wait *wait = (struct event_wait *)op, **link;
  if (!wait->event) return;
  for (link = &wait->event->first; *link && *link != wait;) link = &(*link)->next;
  if (*link) *link = wait->next;
  wait->event = NULL;
}

static void event_cancel(struct op *op) {
  event_forget(op);
  op_complete(op);
}

static int l_event(lua_State *L) {
  struct event *event = lua_newuserdatauv(L, sizeof *event, 0);
  memset(event, 0, sizeof *event);
  luaL_setmetatable(L, EVENT_TYPE);
  return 1;
}

static int event_wait(lua_State *L) {
  struct event *event = luaL_checkudata(L, 1, EVENT_TYPE);
  struct event_wait *wait = op_new(L, sizeof *wait, event_cancel, event_forget, NULL);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  wait->event = event;
  wait->next = event->first;
  event->first = wait;
  if (event->set) event_cancel(&wait->op);
  return op_await(L, &wait->op);
}

static int event_set(lua_State *L) {
  struct event *event = luaL_checkudata(L, 1, EVENT_TYPE);
  event->set = true;
  while (event->first) event_cancel(&event->first->op);
  return 0;
}

/* Waiters that outlive a collected event must not reach back into it. */
static int event_gc(lua_State *L) {
  struct event *event = lua_touserdata(L, 1);
  for (struct event_wait *wait = event->first; wait; wait = wait->next) wait->event = NULL;
  return 0;
}

static void event_type(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"wait", event_wait}, {"set", event_set}, {"__gc", event_gc}, {NULL, NULL}};
  luaL_newmetatable(L, EVENT_TYPE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

/* ---- Deadlines and the clock ---- */

static int l_scope_begin(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  if (!runtime_current()) return luaL_error(L, "a deadline needs a task");
  lua_pushinteger(L, (lua_Integer)scope_begin(runtime_current(), seconds > 0 ? seconds : 0));
  return 1;
}

static int l_scope_end(lua_State *L) {
  scope_end(runtime_current(), (uint64_t)luaL_checkinteger(L, 1));
  return 0;
}

static int l_expire(lua_State *L) {
  scope_expire(check_task(L, 1), (uint64_t)luaL_checkinteger(L, 2));
  return 0;
}

static int l_now(lua_State *L) {
  lua_pushnumber(L, runtime_now());
  return 1;
}

static int l_wall(lua_State *L) {
  lua_pushnumber(L, runtime_wall());
  return 1;
}

static int l_virtual(lua_State *L) {
  runtime_virtual(luaL_checknumber(L, 1));
  return 0;
}

static int l_signal(lua_State *L) {
  if (!runtime_signal()) return 0;
  lua_pushinteger(L, runtime_signal());
  return 1;
}

static int l_shield(lua_State *L) {
  runtime_shield(lua_toboolean(L, 1));
  return 0;
}

static int l_hurried(lua_State *L) {
  lua_pushboolean(L, runtime_hurried());
  return 1;
}

static int l_is_interrupt(lua_State *L) {
  static const char *const names[] = {NULL, "cancel", "timeout", "budget", "end"};
  uint64_t scope = 0;
  luaL_checkany(L, 1);
  enum interrupt interrupt = interrupt_of(L, 1, &scope);
  if (interrupt == INTERRUPT_NONE) return 0;
  lua_pushstring(L, names[interrupt]);
  lua_pushinteger(L, (lua_Integer)scope);
  return 2;
}

static int l_the_end(lua_State *L) {
  interrupt_push(L, INTERRUPT_END, 0);
  return 1;
}

static int l_raised(lua_State *L) {
  struct task *task = runtime_current();
  if (!task || task->raised == INTERRUPT_NONE) return 0;
  interrupt_push(L, task->raised, task->raised_scope);
  return 1;
}

static int l_handled(lua_State *L) {
  (void)L;
  if (runtime_current()) task_handled(runtime_current());
  return 0;
}

static int l_adopt(lua_State *L) {
  struct task *task = runtime_current();
  enum interrupt interrupt = interrupt_of(L, 1, NULL);
  if (task && (interrupt == INTERRUPT_CANCEL || interrupt == INTERRUPT_BUDGET)) task->raised = interrupt;
  return 0;
}

int luaopen_raw_task(lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn", l_spawn},
                                       {"join", l_join},
                                       {"cancel", l_cancel},
                                       {"current", l_current},
                                       {"context", l_context},
                                       {"set_context", l_set_context},
                                       {"sleep", l_sleep},
                                       {"event", l_event},
                                       {"scope_begin", l_scope_begin},
                                       {"scope_end", l_scope_end},
                                       {"expire", l_expire},
                                       {"now", l_now},
                                       {"wall", l_wall},
                                       {"virtual", l_virtual},
                                       {"signal", l_signal},
                                       {"shield", l_shield},
                                       {"hurried", l_hurried},
                                       {"is_interrupt", l_is_interrupt},
                                       {"the_end", l_the_end},
                                       {"raised", l_raised},
                                       {"handled", l_handled},
                                       {"adopt", l_adopt},
                                       {NULL, NULL}};
  event_type(L);
  luaL_newlib(L, functions);
  runtime_mark(L);
  lua_setfield(L, -2, "mark");
  return 1;
}
