/* A task waits for an offload job. The pattern of every l_* function over it:
 *
 *   struct my_work *work = work_new(L, sizeof *work, &my_kind);   pushes the op that owns the work
 *   work->path = xstrdup(…);                                      may still raise: the garbage collector
 * cleans up return work_await(L, &work->work, timeout, "looking at …");
 */
#ifndef WORK_H
#define WORK_H
#include <stdbool.h>
#include <lua.h>
#include "offload.h"
#include "op.h"

struct work;
struct work_kind {
  void (*run)(struct work *work);                   /* on its thread: fills its results or work->error */
  int (*push)(lua_State *L, struct work *work);     /* the results of a success */
  void (*explain)(lua_State *L, struct work *work); /* adds to a failure's table, on top; may be NULL */
  void (*clear)(struct work *work);                 /* frees what the struct points to; may be NULL */
  /* The work changes the world: a deadline or a cancellation only asks it to stop, and what it says it did is
   * the outcome, even a late success. Otherwise it is abandoned at once. */
  bool patient;
};

struct work {
  struct offload offload;
  const struct work_kind *kind;
  struct op *op; /* who waits */
  struct error error;
  bool stopped; /* set by a patient `run` that ended early because it was asked to */
};

/* A zeroed work of `size` bytes (a struct whose first member is `struct work work`), owned by the op pushed.
 * [-0, +1, m] */
void *work_new(lua_State *L, size_t size, const struct work_kind *kind);
/* Starts the work that is at the top of the stack and waits for it, `timeout` seconds at most (0: no
 * deadline). */
int work_await(lua_State *L, struct work *work, double timeout, const char *what);
/* True once the work should end; for loops in `run`. */
static inline bool work_stopped(struct work *work) { return atomic_load(&work->offload.stop); }

#endif
