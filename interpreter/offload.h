/* Work that may block for ever, off the loop: each job has a thread of its own.
 *
 * Not libuv's pool: four threads are soon taken by system calls that never return (a dead NFS server), DNS
 * and fsync would queue behind them, and libuv joins its pool at exit, so the program would not end. A thread
 * of ours is left behind
 * ("abandoned") and ends with the process.
 *
 * Ownership: the job is the caller's until offload_start() and again from the moment `done` is called. An
 * abandoned job belongs to its thread, which calls `destroy` when it comes back.
 */
#ifndef OFFLOAD_H
#define OFFLOAD_H
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>
#include "error.h"

/* Jobs under way at a time, abandoned ones included; one more is refused with kind "limit". */
#define OFFLOAD_JOBS_MAX 256
/* A job's stack: the deepest is the directory walk, some hundred bytes for each of TREE_DEPTH_MAX levels. */
#define OFFLOAD_STACK_BYTES (1024 * 1024)

struct offload {
  void (*run)(struct offload *job);  /* on the job's thread: no Lua, no libuv; looks at `stop` now and then */
  void (*done)(struct offload *job); /* on the loop's thread, once, unless abandoned */
  void (*destroy)(struct offload *job); /* on either thread */
  atomic_bool stop;                     /* asks `run` to end early */
  uv_async_t *wake;                     /* the rest is offload.c's */
  bool finished, abandoned;
};

/* False with `error` filled: the job was not started and is still the caller's. */
bool offload_start(uv_loop_t *loop, struct offload *job, struct error *error);
/* Nobody waits for the job any more: it is told to stop, and destroyed now or when its thread ends. */
void offload_abandon(struct offload *job);

#endif
