#include "runtime.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <lauxlib.h>
#include "buffer.h"
#include "luautil.h"

#define INTERRUPT_TYPE "interrupt"

static struct {
  uv_loop_t loop;
  uv_timer_t alarm; /* the earliest of timer.c, in real time */
  uv_async_t waker; /* signals */
  lua_State *G;
  struct op *ready, **tail;
  struct task *tasks, *current, *root;
  bool is_virtual, signal_seen, is_looking; /* is_looking: inside uv_run */
  double now, wall;                         /* virtual time */
} rt;

#define SHIELD_INSISTS 3 /* so many Ctrl-C end the process even while the end of a run is carried out */
static volatile sig_atomic_t signal_number;
static volatile sig_atomic_t shielded, hurried; /* hurried: how many signals came while shielded */
static void (*restore_terminal)(void);
static char mark; /* its address is what an awaiting coroutine yields */

uv_loop_t *runtime_loop(void) { return &rt.loop; }
struct task *runtime_current(void) { return rt.current; }
struct task *runtime_root(void) { return rt.root; }
void runtime_mark(lua_State *L) { lua_pushlightuserdata(L, &mark); }

/* ---- The clock ---- */

double runtime_now(void) { return rt.is_virtual ? rt.now : (double)uv_hrtime() / 1e9; }

double runtime_wall(void) {
  struct timespec ts;
  if (rt.is_virtual) return rt.wall + rt.now;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void runtime_virtual(double wall) {
  rt.is_virtual = true;
  rt.now = 0;
  rt.wall = wall;
}

/* ---- Interrupts ---- */

struct interrupt_object {
  enum interrupt interrupt;
  uint64_t scope;
};

static int interrupt_text(lua_State *L) {
  static const char *const texts[] = {"", "cancelled", "a deadline has passed", "it computed for too long",
                                      "the run is over"};
  const struct interrupt_object *it = luaL_checkudata(L, 1, INTERRUPT_TYPE);
  lua_pushstring(L, texts[it->interrupt]);
  return 1;
}

void interrupt_push(lua_State *L, enum interrupt interrupt, uint64_t scope) {
  struct interrupt_object *it = lua_newuserdatauv(L, sizeof *it, 0);
  *it = (struct interrupt_object){interrupt, scope};
  if (luaL_newmetatable(L, INTERRUPT_TYPE)) {
    lua_pushcfunction(L, interrupt_text);
    lua_setfield(L, -2, "__tostring");
    set_text(L, "__metatable", INTERRUPT_TYPE);
  }
  lua_setmetatable(L, -2);
}

enum interrupt interrupt_of(lua_State *L, int index, uint64_t *scope) {
  const struct interrupt_object *it = luaL_testudata(L, index, INTERRUPT_TYPE);
  if (it && scope) *scope = it->scope;
  return it ? it->interrupt : INTERRUPT_NONE;
}

void task_interrupt(struct task *task, enum interrupt interrupt, uint64_t scope) {
  if (!task || task->ended || task->interrupt == INTERRUPT_CANCEL) return;
  task->interrupt = interrupt;
  task->scope = scope;
  if (task->waiting && !task->waiting->done) task->waiting->cancel(task->waiting);
}

void task_check(lua_State *L) {
  struct task *task = rt.current;
  if (!task || !task->interrupt) return;
  interrupt_push(L, task->interrupt, task->scope);
  task->raised = task->interrupt;
  task->raised_scope = task->scope;
  task->interrupt = INTERRUPT_NONE;
  lua_error(L);
}

void task_handled(struct task *task) {
  task->raised = INTERRUPT_NONE;
  if (task->interrupt == INTERRUPT_BUDGET) task->interrupt = INTERRUPT_NONE;
  budget_burst_begin();
}

/* ---- Deadlines ---- */

struct scope {
  struct scope *next;
  struct task *task;
  struct timer *timer;
  double due;
  uint64_t id;
};

static void scope_late(void *data) {
  struct scope *scope = data;
  scope->timer = NULL;
  task_interrupt(scope->task, INTERRUPT_TIMEOUT, scope->id);
}

uint64_t scope_begin(struct task *task, double seconds) {
  static uint64_t last;
  struct scope *scope = xcalloc(1, sizeof *scope);
  *scope = (struct scope){task->scopes, task, NULL, runtime_now() + seconds, ++last};
  scope->timer = timer_start(seconds, scope_late, scope);
  task->scopes = scope;
  return scope->id;
}

void scope_end(struct task *task, uint64_t id) {
  struct scope **link = &task->scopes;
  while (*link && (*link)->id != id) link = &(*link)->next;
  if (!*link) return;
  struct scope *scope = *link;
  *link = scope->next;
  timer_stop(scope->timer);
  free(scope);
  if (task->interrupt == INTERRUPT_TIMEOUT && task->scope == id) task->interrupt = INTERRUPT_NONE;
  if (task->raised == INTERRUPT_TIMEOUT && task->raised_scope == id) task->raised = INTERRUPT_NONE;
}

void scope_expire(struct task *task, uint64_t id) {
  struct scope *scope = task->scopes;
  while (scope && scope->id != id) scope = scope->next;
  if (!scope || !scope->timer) return;
  timer_stop(scope->timer);
  scope_late(scope);
}

void scope_look(struct task *task) {
  double now = runtime_now();
  for (struct scope *scope = task->scopes; scope; scope = scope->next)
    if (scope->timer && now >= scope->due) {
      timer_stop(scope->timer);
      scope_late(scope);
    }
}

/* ---- Tasks ---- */

void runtime_ready(struct op *op) {
  op->next = NULL;
  *rt.tail = op;
  rt.tail = &op->next;
  if (rt.is_looking) uv_stop(&rt.loop);
}

static int task_gc(lua_State *L) {
  struct task *task = lua_touserdata(L, 1);
  while (task->scopes) scope_end(task, task->scopes->id);
  return 0;
}

struct task *task_spawn(lua_State *L) {
  struct task *task = lua_newuserdatauv(L, sizeof *task, 2);
  memset(task, 0, sizeof *task);
  if (luaL_newmetatable(L, TASK_TYPE)) {
    lua_pushcfunction(L, task_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  task->L = lua_newthread(L);
  lua_setiuservalue(L, -2,
                    1); /* the handle keeps the coroutine, the registry keeps the handle while it lives */
  lua_insert(L, -2);
  lua_xmove(L, task->L, 1);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, task);
  task->next = rt.tasks;
  rt.tasks = task;
  return task;
}

static void task_end(struct task *task, int status) {
  struct task **link = &rt.tasks;
  task->ended = true;
  task->status = status;
  while (task->scopes) scope_end(task, task->scopes->id);
  while (*link != task) link = &(*link)->next;
  *link = task->next;
  if (task->joiner) op_complete(task->joiner);
  lua_pushnil(rt.G);
  lua_rawsetp(rt.G, LUA_REGISTRYINDEX, task);
}

void task_resume(struct task *task) {
  struct task *previous = rt.current;
  int count = 0;
  rt.current = task;
  budget_burst_begin();
  int status = lua_resume(task->L, rt.G, 0, &count);
  rt.current = previous;
  if (status == LUA_YIELD && task->waiting) {
    lua_pop(task->L, count);
    return;
  }
  if (status == LUA_YIELD) { /* a plain coroutine.yield outside any coroutine of the script's own */
    lua_pop(task->L, count);
    lua_pushliteral(task->L, "attempt to yield from outside a coroutine");
    status = LUA_ERRRUN;
  }
  task_end(task, status);
}

/* Tasks resumed between two looks at the world. Neither a task whose every wait ends at once nor a thousand that are
 * ready together may keep requests from going out and deadlines from passing. */
#define BATCH_MAX 16

static void runtime_drain(void) {
  for (int i = 0; rt.ready && i < BATCH_MAX; i++) {
    struct task *task = rt.ready->task;
    rt.ready = rt.ready->next;
    if (!rt.ready) rt.tail = &rt.ready;
    task->waiting = NULL;
    task_resume(task);
  }
}

/* ---- Signals ---- */

/* After a signal that is not heard for so long, because the script computes in C, the run is left. */
#define UNHEARD_SECONDS 10
#define UNHEARD "\nrunbook: the script did not let go; the run is left as it is, its escalation stays armed\n"

/* Nothing breaks the end of a run off but somebody who insists. */
static void signal_shielded(int number) {
  hurried = hurried + 1;
  if (number == SIGINT && hurried >= SHIELD_INSISTS) {
    if (restore_terminal) restore_terminal();
    _exit(128 + number);
  }
  uv_async_send(&rt.waker);
}

/* What a script waits for inside C, a pattern that takes hours, can't be interrupted: it is left as by somebody who
 * insists. The journal and the watchdog are as after a kill. */
static void signal_unheard(int number) {
  (void)number;
  if (shielded || !signal_number || rt.signal_seen) return;
  if (restore_terminal) restore_terminal();
  if (write(STDERR_FILENO, UNHEARD, sizeof UNHEARD - 1) < 0) _exit(128 + signal_number);
  _exit(128 + signal_number);
}

static void signal_handler(int number) {
  if (shielded) {
    signal_shielded(number);
    return;
  }
  /* That the terminal went away is told twice, by the kernel and by the shell: it is no haste. */
  if (signal_number && number == SIGHUP) return;
  if (signal_number) {
    if (restore_terminal) restore_terminal();
    _exit(128 + number);
  }
  signal_number = number;
  alarm(UNHEARD_SECONDS);
  uv_async_send(&rt.waker); /* documented as async-signal-safe */
}

static void signal_wake(uv_async_t *waker) {
  (void)waker;
  if (shielded || !signal_number || rt.signal_seen) return;
  rt.signal_seen = true;
  task_interrupt(rt.root, INTERRUPT_CANCEL, 0);
}

void runtime_shield(bool on) {
  shielded = on;
  if (!on) return;
  signal_number = 0; /* what came before is dealt with: the run ends */
  rt.signal_seen = false;
  if (rt.root && rt.root->interrupt == INTERRUPT_CANCEL) rt.root->interrupt = INTERRUPT_NONE;
}

bool runtime_hurried(void) { return hurried > 0; }
int runtime_signal(void) { return signal_number; }
void runtime_on_exit_signal(void (*restore)(void)) { restore_terminal = restore; }

bool runtime_signal_seen(void) {
  bool seen = rt.signal_seen;
  if (signal_number) rt.signal_seen = true;
  return seen;
}

void runtime_signals(void) {
  struct sigaction action = {.sa_handler = signal_handler, .sa_flags = SA_RESTART};
  /* All that would end the run without its last word, but for faults of its own and what can't be caught. */
  static const int numbers[] = {SIGINT,  SIGTERM, SIGHUP,    SIGQUIT, SIGUSR1,
                                SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
  action.sa_handler = signal_unheard;
  sigaction(SIGALRM, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is as a full disk: its write fails */
}

/* ---- The loop ---- */

/* libuv runs timers before it polls: without a stop, what came due or ended in one of them would wait for the
 * next event of the outside world. */
static void alarm_rings(uv_timer_t *alarm) { uv_stop(alarm->loop); }

static void look_at_world(uv_run_mode mode) {
  rt.is_looking = true;
  uv_run(&rt.loop, mode);
  rt.is_looking = false;
}

static void wait_real(void) {
  double due, left;
  if (!rt.ready && timer_next(&due)) {
    left = (due - runtime_now()) * 1000;
    uv_update_time(&rt.loop);
    uv_timer_start(&rt.alarm, alarm_rings, left > 0 ? (uint64_t)left + 1 : 0, 0);
  }
  look_at_world(rt.ready ? UV_RUN_NOWAIT : UV_RUN_ONCE);
  uv_timer_stop(&rt.alarm);
  timer_fire_due(runtime_now());
}

/* Nothing waits in virtual time, but what is really under way (a prompt, say) is let finish first. */
static void wait_virtual(void) {
  double due;
  look_at_world(uv_loop_alive(&rt.loop) ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  if (rt.ready || uv_loop_alive(&rt.loop)) return;
  if (!timer_next(&due)) {
    task_interrupt(rt.root, INTERRUPT_CANCEL, 0); /* every task waits for another: nothing can ever happen */
    return;
  }
  if (due > rt.now) rt.now = due;
  timer_fire_due(rt.now);
}

static void runtime_turn(void) {
  if (!rt.is_virtual)
    wait_real();
  else if (rt.ready)
    look_at_world(UV_RUN_NOWAIT);
  else
    wait_virtual();
  runtime_drain();
}

void runtime_open(lua_State *L) {
  uv_loop_init(&rt.loop);
  uv_timer_init(&rt.loop, &rt.alarm);
  uv_async_init(&rt.loop, &rt.waker, signal_wake);
  uv_unref((uv_handle_t *)&rt.waker);
  rt.tail = &rt.ready;
  rt.G = L;
}

int runtime_run(lua_State *L) {
  struct task *root = rt.root = task_spawn(L);
  task_resume(root);
  while (!root->ended) runtime_turn();
  /* The end of a script waits for none of its tasks, but gives each the chance to put things in order. */
  for (struct task *task = rt.tasks; task; task = task->next) task_interrupt(task, INTERRUPT_CANCEL, 0);
  for (int turn = 0; rt.tasks && turn < 1000; turn++) runtime_turn();
  rt.root = NULL;
  lua_xmove(root->L, L, 1);
  lua_remove(L, -2);
  return root->status;
}

static void close_handle(uv_handle_t *handle, void *arg) {
  (void)arg;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void runtime_close(void) {
  uv_close((uv_handle_t *)&rt.alarm, NULL);
  uv_close((uv_handle_t *)&rt.waker, NULL);
  uv_run(&rt.loop, UV_RUN_NOWAIT);
  if (uv_loop_close(&rt.loop) == 0) return;
  uv_walk(&rt.loop, close_handle,
          NULL); /* handles a library left behind; their memory goes with the process */
  uv_run(&rt.loop, UV_RUN_NOWAIT);
  uv_loop_close(&rt.loop);
}
