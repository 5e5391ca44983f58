/* The directory of one run: $XDG_STATE_HOME/runbook/runs/ID (else ~/.local/state/…), mode 0700, all folders and a space
 * reserve made at the start. When that place is full or can't be written the run is kept in memory, in /dev/shm/runbook-UID,
 * and finding looks in both places. */
#ifndef RUNDIR_H
#define RUNDIR_H
#include <stdbool.h>
#include <stddef.h>
#include "error.h"

#define RUNDIR_RESERVE_BYTES (1 << 20) /* held for the journal in `reserve`, given back on a full disk */
#define RUNDIR_RESERVE "reserve"
#define RUNDIR_SLUG_MAX 40 /* characters of the runbook's name in an id */
#define RUNDIR_TRIES 100   /* ids tried before a name clash is an error */
#define RUNDIR_PATH_MAX 4096
#ifndef RUNDIR_MEMORY
#define RUNDIR_MEMORY "/dev/shm" /* tests have another */
#endif

struct rundir {
  char id[128]; /* 20261123-174005-api-down-7f3k, with "dry-" before it for a dry run; times are UTC */
  char path[RUNDIR_PATH_MAX];
  bool fallback;     /* in memory; lost with the machine */
  char warning[512]; /* with fallback, after rundir_create: what is so and why */
};

/* The folder of what this program keeps for this user, made if it isn't there. */
bool rundir_state(char *path, size_t size, struct error *error);
/* The folder of all runs, by XDG_STATE_HOME or HOME. */
bool rundir_home(char *path, size_t size, struct error *error);
/* Makes the directory of a new run of the runbook `name` at `wall` seconds since 1970; the journal brings it to disk with its
 * first synced line. A dry run, which changes nothing, reserves no space, and its folders are made as they are needed: on a
 * busy disk they take as long as all the rest of an empty one. */
bool rundir_create(struct rundir *rundir, const char *name, bool dry, double wall, struct error *error);
/* Makes the folder that the file `name` ("source/001.lua") of the run at `path` is to stand in, if it is one of a run's. */
void rundir_make_folder(const char *path, const char *name);
/* Removes the directory of a run that never began: what stands in it and in its folders. */
void rundir_discard(const char *path);
/* The run whose id is or begins with `prefix`, or the newest live one for "last": of a dry run nothing is armed and nobody
 * waits. Errors: missing; usage, naming candidates. */
bool rundir_find(struct rundir *rundir, const char *prefix, struct error *error);
/* Calls `each` for every run, oldest first. */
void rundir_list(void (*each)(const struct rundir *rundir, void *data), void *data);

#endif
