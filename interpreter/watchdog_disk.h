/* The run's folder, worked on by a thread: a disk that hangs holds up nobody.
 *
 * Work is done in the order in which it was given. Who needs an answer waits for it, but not for ever; once somebody has
 * waited in vain the disk is stuck, and nobody waits for it again until the thread has caught up. Only a thread does: a
 * child that hangs in the kernel keeps its parent's lock as well, and can't tell which line of a journal is the last. */
#ifndef WATCHDOG_DISK_H
#define WATCHDOG_DISK_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "error.h"
#include "watchdog_journal.h"

#define DISK_NO_ANSWER (-1)

struct disk_task;
struct watchdog_disk {
  int folder, lock;
  struct watchdog_journal journal;
  int wake;                        /* an eventfd: `mark` or another `put_off_until` was found */
  _Atomic(const char *) mark;      /* why the run needs no escalation any more; NULL while it does */
  _Atomic long put_off_seconds;    /* for how long somebody put the levels off, ... */
  _Atomic long long put_off_until; /* ... and till when, in milliseconds of the wall clock; 0: nobody did */
  pthread_mutex_t mutex;
  pthread_cond_t given, done;
  struct disk_task *first, *last; /* still to be done */
  unsigned long long count_given, count_done;
  int answer; /* of the last one done */
  bool stuck, ended;
};

/* What can be asked for; `text` is as each says. */
typedef int disk_work(struct watchdog_disk *disk, const char *text);
disk_work disk_record;  /* appends an event: what stands between "seq" and "prev"; whether it is on disk */
disk_work disk_renew;   /* the lease */
disk_work disk_look;    /* sets `mark` and `put_off_until`; whether there is a mark */
disk_work disk_pending; /* whether something waits in the outbox */
disk_work disk_release; /* removes the lock's file and lets go */

/* Takes the run's lock and opens the journal, then starts the thread. */
bool watchdog_disk_open(struct watchdog_disk *disk, const char *rundir, struct error *error);
void watchdog_disk_give(struct watchdog_disk *disk, disk_work *work, const char *text);
/* The answer, or DISK_NO_ANSWER when there is none within `seconds`: it comes later, to nobody. */
int watchdog_disk_ask(struct watchdog_disk *disk, disk_work *work, const char *text, double seconds);
/* Lets go of the lock; what hangs is left behind. */
void watchdog_disk_close(struct watchdog_disk *disk);

#endif
