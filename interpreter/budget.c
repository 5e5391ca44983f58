/* A script that computes instead of waiting is interrupted: by a signal, by a deadline around it, or when a
 * burst is used up. The interrupt passes the script's pcall (stdlib/exact.lua), so a loop around pcall
 * doesn't defeat it. */
#include <time.h>
#include "runtime.h"

static double burst_began;

/* The CPU's time, not the wall's: a stopped process, an overloaded machine, a slow disk are not the script's doing. */
double budget_computed(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void budget_burst_begin(void) { burst_began = budget_computed(); }

static void look(lua_State *L) {
  struct task *task = runtime_current();
  if (!task) return;
  if (runtime_signal() && !runtime_signal_seen()) task_interrupt(runtime_root(), INTERRUPT_CANCEL, 0);
  scope_look(task);
  if (budget_computed() - burst_began > BUDGET_BURST_SECONDS) {
    budget_burst_begin(); /* what handles the interrupt gets a burst of its own */
    task->interrupt = INTERRUPT_BUDGET;
  }
  task_check(L);
}

static void hook(lua_State *L, lua_Debug *where) {
  (void)where;
  look(L);
}

bool budget_look(lua_State *L) {
  static double last;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  double at = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
  if (at - last < BUDGET_LOOK_SECONDS) return false;
  last = at;
  look(L);
  return true;
}

void budget_install(lua_State *co) { lua_sethook(co, hook, LUA_MASKCOUNT, BUDGET_HOOK_INSTRUCTIONS); }
