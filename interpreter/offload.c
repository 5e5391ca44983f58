#include "offload.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "buffer.h"

/* Guards `finished`, `abandoned` and `wake` of every job, and the count. Held for a few instructions only. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned jobs;

static void wake_closed(uv_handle_t *handle) { free(handle); }

static void wake_close(uv_async_t *wake) { uv_close((uv_handle_t *)wake, wake_closed); }

static void *offload_thread(void *arg) {
  struct offload *job = arg;
  job->run(job);
  pthread_mutex_lock(&lock);
  jobs--;
  bool abandoned = job->abandoned;
  job->finished = true;
  if (!abandoned) uv_async_send(job->wake); /* under the lock: the loop may be closing otherwise */
  pthread_mutex_unlock(&lock);
  if (abandoned) job->destroy(job);
  return NULL;
}

static void offload_deliver(uv_async_t *wake) {
  struct offload *job = wake->data;
  pthread_mutex_lock(&lock);
  bool finished = job->finished;
  pthread_mutex_unlock(&lock);
  if (!finished) return;
  job->wake = NULL;
  wake_close(wake);
  job->done(job);
}

/* Signals are the main thread's: the new thread inherits a mask that blocks them all. */
static int thread_start(struct offload *job) {
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, OFFLOAD_STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int status = pthread_create(&thread, &attributes, offload_thread, job);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return status;
}

static bool slot_take(void) {
  pthread_mutex_lock(&lock);
  bool free_slot = jobs < OFFLOAD_JOBS_MAX;
  if (free_slot) jobs++;
  pthread_mutex_unlock(&lock);
  return free_slot;
}

static void slot_return(void) {
  pthread_mutex_lock(&lock);
  jobs--;
  pthread_mutex_unlock(&lock);
}

bool offload_start(uv_loop_t *loop, struct offload *job, struct error *error) {
  if (!slot_take())
    return error_set(error, "limit", "%d blocking operations are under way already", OFFLOAD_JOBS_MAX);
  job->wake = xcalloc(1, sizeof *job->wake);
  int status = uv_async_init(loop, job->wake, offload_deliver);
  if (status) {
    free(job->wake);
    job->wake = NULL;
  } else {
    job->wake->data = job;
    status = thread_start(job);
    if (status) wake_close(job->wake);
  }
  if (!status) return true;
  slot_return();
  return error_set_code(error, status, "a thread could not be started");
}

/* Once the lock is given back an unfinished job may be gone at any moment. */
void offload_abandon(struct offload *job) {
  atomic_store(&job->stop, true);
  pthread_mutex_lock(&lock);
  uv_async_t *wake = job->wake;
  bool finished = job->finished;
  job->abandoned = true;
  pthread_mutex_unlock(&lock);
  wake_close(wake);
  if (finished) job->destroy(job);
}
