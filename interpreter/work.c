#include "work.h"
#include <stdlib.h>
#include "buffer.h"
#include "luautil.h"

struct work_op {
  struct op op;
  struct work *work; /* NULL once abandoned */
  bool running;
};

static void work_destroy(struct offload *offload) {
  struct work *work = (struct work *)offload;
  if (work->kind->clear) work->kind->clear(work);
  free(work);
}

static void work_run(struct offload *offload) {
  struct work *work = (struct work *)offload;
  work->kind->run(work);
}

/* The outcome of a patient work is what it did, not that its time was over. */
static void work_done(struct offload *offload) {
  struct work *work = (struct work *)offload;
  struct work_op *waiting = (struct work_op *)work->op;
  struct op *op = &waiting->op;
  waiting->running = false;
  if (work->stopped && op->timed_out)
    error_set(&work->error, "timeout", "%s took longer than %g s", op->what, op->limit);
  else if (work->stopped)
    error_set(&work->error, "cancelled", "cancelled");
  op->timed_out = false;
  op_complete(op);
}

static void work_cancel(struct op *op) {
  struct work_op *waiting = (struct work_op *)op;
  if (!waiting->running) return;
  if (waiting->work->kind->patient) {
    atomic_store(&waiting->work->offload.stop, true);
    return;
  }
  offload_abandon(&waiting->work->offload);
  waiting->work = NULL;
  waiting->running = false;
  error_set(&op->error, "cancelled", "cancelled");
  op_complete(op);
}

static void work_release(struct op *op) {
  struct work_op *waiting = (struct work_op *)op;
  if (!waiting->work) return;
  if (waiting->running)
    offload_abandon(&waiting->work->offload);
  else
    work_destroy(&waiting->work->offload);
  waiting->work = NULL;
}

static int work_push(lua_State *L, struct op *op) {
  struct work *work = ((struct work_op *)op)->work;
  if (!work->error.kind[0]) return work->kind->push(L, work);
  push_failure(L, &work->error);
  if (work->kind->explain) work->kind->explain(L, work);
  return 2;
}

void *work_new(lua_State *L, size_t size, const struct work_kind *kind) {
  struct work_op *waiting = op_new(L, sizeof *waiting, work_cancel, work_release, work_push);
  struct work *work = xcalloc(1, size);
  work->offload.run = work_run;
  work->offload.done = work_done;
  work->offload.destroy = work_destroy;
  work->kind = kind;
  work->op = &waiting->op;
  waiting->work = work;
  return work;
}

int work_await(lua_State *L, struct work *work, double timeout, const char *what) {
  struct work_op *waiting = (struct work_op *)work->op;
  struct op *op = &waiting->op;
  if (offload_start(runtime_loop(), &work->offload, &op->error)) {
    waiting->running = true;
    if (timeout > 0) op_timeout(op, timeout, what);
  } else {
    op_complete(op);
  }
  return op_await(L, op);
}
