/* The directory of one run: $XDG_STATE_HOME/runbook/runs/ID, mode 0700, all folders and a space reserve made at the start. */
#ifndef RUNDIR_H
#define RUNDIR_H
#include <stdbool.h>
#include <stddef.h>
#include "error.h"

#define RUNDIR_RESERVE_BYTES (1 << 20) /* held for the journal in `reserve`, given back on a full disk */
#define RUNDIR_SLUG_MAX 40             /* characters of the runbook's name in an id */
#define RUNDIR_TRIES 100               /* ids tried before a name clash is an error */
#define RUNDIR_PATH_MAX 4096

struct rundir {
  char id[128];
  char path[RUNDIR_PATH_MAX];
  char warning[512]; /* why it is not where it should be; empty: it is */
};

/* The folder of all runs, by XDG_STATE_HOME or HOME. */
bool rundir_home(char *path, size_t size, struct error *error);
/* Makes the directory of a new run of the runbook `name` at `wall` seconds since 1970. On a full or unwritable disk it is made
 * in memory, in /dev/shm, and `warning` says so. */
bool rundir_create(struct rundir *rundir, const char *name, bool dry, double wall, struct error *error);
/* The run whose id begins with `prefix`, or the newest for "last"; errors name the candidates. Dry runs are found by their
 * "dry-" prefix, or as the last. */
bool rundir_find(struct rundir *rundir, const char *prefix, struct error *error);

#endif
