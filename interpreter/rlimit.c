#include "rlimit.h"
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#define MB ((rlim_t)1024 * 1024)

/* `wanted` is asked for when there is less than `least`: descriptors for the loop, the journal, locks and one request with its
 * threads; memory for a runbook with its findings. Memory that is promised costs nothing, so all of it. */
static const struct limit {
  int resource;
  rlim_t least, wanted, unit;
  const char *what, *unit_name, *option;
} limits[] = {
    {RLIMIT_NOFILE, 64, 256, 1, "too few file descriptors", "", "-n"},
    {RLIMIT_DATA, 32 * MB, RLIM_INFINITY, MB, "too little memory", " MB", "-d"},
    {RLIMIT_AS, 64 * MB, RLIM_INFINITY, MB, "too little address space", " MB", "-v"},
    {RLIMIT_STACK, MB / 2, 8 * MB, MB / 1024, "too small a stack", " KB", "-s"},
};

static bool settle_one(const struct limit *limit, struct error *error) {
  struct rlimit is;
  if (getrlimit(limit->resource, &is) != 0 || is.rlim_cur >= limit->least) return true;
  rlim_t had = is.rlim_cur;
  is.rlim_cur = is.rlim_max < limit->wanted ? is.rlim_max : limit->wanted;
  if (is.rlim_max >= limit->least && setrlimit(limit->resource, &is) == 0) return true;
  return error_set(error, "limit", "%s (%ju%s): at least %ju%s are needed (ulimit %s)", limit->what,
                   (uintmax_t)(had / limit->unit), limit->unit_name, (uintmax_t)(limit->least / limit->unit),
                   limit->unit_name, limit->option);
}

static void *do_nothing(void *nothing) { return nothing; }

/* How many threads and processes a user may have counts all that the user has: only trying tells. */
static bool thread_can_start(struct error *error) {
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, do_nothing, NULL);
  if (failure == 0) return pthread_join(thread, NULL) == 0;
  return error_set(error, "limit", "no thread can be started (%s): more processes are needed (ulimit -u)",
                   strerror(failure));
}

bool rlimit_settle(struct error *error) {
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
    if (!settle_one(&limits[i], error)) return false;
  return thread_can_start(error);
}
