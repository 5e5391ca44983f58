/* The watchdog's state: levels that fire at their time, the children that carry them out, and the outbox.
 *
 * It owns no event loop: watchdog_main.c waits for messages, ended children and the clock, and calls in here.
 * It needs nothing that can go away: what it does with the run's folder is a thread's work (watchdog_disk.h), and a
 * disk that refuses, hangs or is gone does not keep a page from going out.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include "buffer.h"
#include "error.h"
#include "watchdog_disk.h"
#include "watchdog_protocol.h"

/* Work that is done by a child, again and again until it succeeds or a day has passed. */
enum job_kind { JOB_NONE, JOB_SCRIPT, JOB_PAGE, JOB_DELIVER, JOB_REHEARSE };
struct job {
  enum job_kind kind;
  pid_t pid;      /* 0: waits for `at` to be started; else `at` is when the child is killed */
  double at;      /* seconds of CLOCK_BOOTTIME, as all times here */
  double pause;   /* before the next attempt */
  double give_up; /* after a failure later than this there is none */
};

enum level_state { LEVEL_ARMED, LEVEL_FIRED, LEVEL_OVER };
struct level {
  int number;
  double due;
  enum level_state state;
  int held;     /* so many looks in a row found that the goal holds */
  bool at_once; /* the run ended so: nobody looks at the goal */
  bool queued;  /* the script left it in the outbox, which is not empty yet */
  struct job job;
};

struct watchdog {
  const char *rundir;  /* absolute */
  char page[PATH_MAX]; /* the runbook-page program */
  struct watchdog_disk disk;
  int control;       /* the socket; -1 once the interpreter is gone */
  char *self, **env; /* env: NULL-ended */
  size_t env_count;
  struct buffer secrets;        /* as children read them */
  char *pages[WATCHDOG_LEVELS]; /* the built-in page of each level; NULL: it stands on disk alone */
  struct level levels[WATCHDOG_LEVELS];
  int count;
  double not_before;       /* somebody has the incident in hand for a while: no level is due before it ... */
  long long put_off_until; /* ... as was said at last, in milliseconds of the wall clock */
  struct job deliver, rehearsal;
  bool look_at_outbox;   /* it may hold something and nobody else delivers it */
  bool tell_of_ack;      /* whoever was told in chat hears that somebody has it in hand */
  bool secrets_too_long; /* a secret was left out: nothing more can be armed */
  bool armed, stopped, ended;
};

/* Takes the run's lock and opens the journal. `rundir` must outlive the watchdog. */
bool watchdog_open(struct watchdog *dog, const char *rundir, int control, struct error *error);
void watchdog_close(struct watchdog *dog);

/* watchdog_control.c: one packet of the interpreter; `text` is NUL-terminated at `len`. */
void watchdog_message(struct watchdog *dog, char *text, size_t len);
/* Tells the interpreter, if it is there and listens. */
void watchdog_tell(struct watchdog *dog, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The interpreter has ended or let go. */
void watchdog_gone(struct watchdog *dog);

/* Replaces the levels that have not fired; those that have keep their state. False with `error` when the
 * journal refuses or the escalation was stopped. */
bool watchdog_arm(struct watchdog *dog, const struct level *levels, int count, struct error *error);
/* Nothing fires any more. What children are at is not cut short; what is still to be retried is dropped. */
void watchdog_stop(struct watchdog *dog, const char *why);
/* Takes what the thread found in the run's inbox since: who owns the incident now, for good or for a while. */
void watchdog_take_marks(struct watchdog *dog);
/* Has the levels rehearsed by the child that will carry them out, and tells how that ended. */
void watchdog_rehearse(struct watchdog *dog);
struct level *watchdog_level(struct watchdog *dog, int number);

/* Fires, starts, kills and retries whatever is due. */
void watchdog_work(struct watchdog *dog);
/* When watchdog_work has something to do next; infinity when only a message or a child can bring it. */
double watchdog_next(const struct watchdog *dog);
void watchdog_child_ended(struct watchdog *dog, pid_t pid, int status);
/* Someone ended us with `signal`: said in the journal, children killed. */
void watchdog_terminated(struct watchdog *dog, int signal, pid_t by);
/* Whether there is nothing left to watch for. */
bool watchdog_is_over(const struct watchdog *dog);

/* watchdog_folder.c: what other processes left in the run's folder. */
/* Why the run needs no escalation (ack, abort, resolved, continued), by inbox/…-WHY.json or the file `resolved`; NULL if
 * it does. */
const char *watchdog_stop_mark(int folder);
/* Until when nobody is to be told, in milliseconds of the wall clock, by the latest inbox/MILLIS-SECONDS-later.json, and for
 * how many seconds that was said; 0 without one. */
long long watchdog_put_off_mark(int folder, long *seconds);
bool watchdog_outbox_pending(int folder);

#endif
