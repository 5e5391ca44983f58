#include "watchdog.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
#include "watchdog_child.h"
#include "watchdog_lock.h"

/* ---- The journal ---- */

/* The event as it is written; frees `members`. */
static struct buffer event_of(const char *name, struct buffer *members) {
  struct buffer event = {0};
  watchdog_journal_event(&event, name);
  buffer_putc(&event, ',');
  buffer_append(&event, members->data, members->len);
  buffer_free(members);
  return event;
}

/* Waits for it to be on disk, but not long: the page goes out whatever the disk does. */
static int record_waiting(struct watchdog *dog, const char *name, struct buffer *members) {
  struct buffer event = event_of(name, members);
  int answer = watchdog_disk_ask(&dog->disk, disk_record, event.data, WATCHDOG_DISK_SECONDS);
  buffer_free(&event);
  return answer;
}

static void record(struct watchdog *dog, const char *name, struct buffer *members) {
  struct buffer event = event_of(name, members);
  watchdog_disk_give(&dog->disk, disk_record, event.data);
  buffer_free(&event);
}

static const char *performer(enum job_kind kind) {
  return kind == JOB_PAGE ? "built-in" : kind == JOB_DELIVER ? "outbox" : "script";
}

/* `level` NULL: of no level in particular. */
static void record_outcome(struct watchdog *dog, const char *event, const struct level *level,
                           enum job_kind kind, const char *why) {
  struct buffer fields = {0};
  if (level) buffer_printf(&fields, "\"level\":%d,", level->number);
  buffer_printf(&fields, "\"by\":\"%s\"", performer(kind));
  if (why) buffer_puts(&fields, ",\"why\":"), watchdog_json_string(&fields, why);
  record(dog, event, &fields);
}

static void record_delivered(struct watchdog *dog, const struct level *level, enum job_kind kind) {
  record_outcome(dog, "escalation.delivered", level, kind, NULL);
  watchdog_tell(dog, "delivered %d %s", level->number, performer(kind));
}

static void record_failed(struct watchdog *dog, const struct level *level, enum job_kind kind,
                          const char *why) {
  record_outcome(dog, "escalation.failed", level, kind, why);
  if (level) watchdog_tell(dog, "failed %d %s", level->number, performer(kind));
}

/* ---- Levels ---- */

struct level *watchdog_level(struct watchdog *dog, int number) {
  for (int i = 0; i < dog->count; i++)
    if (dog->levels[i].number == number) return &dog->levels[i];
  return NULL;
}

/* When it fires. */
static double due(const struct watchdog *dog, const struct level *level) {
  return fmax(level->due, dog->not_before);
}

static int record_armed(struct watchdog *dog, const struct level *levels, int count) {
  struct buffer fields = {0};
  const char *comma = "";
  buffer_puts(&fields, "\"levels\":[");
  for (int i = 0; i < count; i++) {
    if (levels[i].state != LEVEL_ARMED) continue;
    buffer_printf(&fields, "%s{\"level\":%d,\"at\":", comma, levels[i].number);
    watchdog_json_time(&fields, due(dog, &levels[i]) - watchdog_now());
    buffer_putc(&fields, '}');
    comma = ",";
  }
  buffer_putc(&fields, ']');
  return record_waiting(dog, "escalation.armed", &fields);
}

/* The levels to go on with: those that have begun, then the new ones that have not. */
static int merge(const struct watchdog *dog, const struct level *levels, int count, struct level *merged) {
  int kept = 0;
  for (int i = 0; i < dog->count; i++)
    if (dog->levels[i].state != LEVEL_ARMED) merged[kept++] = dog->levels[i];
  int total = kept;
  for (int i = 0; i < count; i++) {
    bool begun = false;
    for (int k = 0; k < total; k++) begun |= merged[k].number == levels[i].number;
    if (!begun) merged[total++] = levels[i];
  }
  return total;
}

bool watchdog_arm(struct watchdog *dog, const struct level *levels, int count, struct error *error) {
  struct level merged[WATCHDOG_LEVELS]; /* numbers are 1 to WATCHDOG_LEVELS, each once: it can't overflow */
  if (dog->stopped) return error_set(error, "cancelled", "the escalation was stopped before");
  int total = merge(dog, levels, count, merged);
  int written = record_armed(dog, merged, total);
  if (written == 0 || (written == DISK_NO_ANSWER && !dog->armed))
    return error_set(error, "io", "escalation.jsonl can't be written");
  memcpy(dog->levels, merged, (size_t)total * sizeof *merged);
  dog->count = total;
  dog->armed = true;
  return true;
}

/* Whoever may have been told of the incident hears that somebody has it in hand, by the next look at the outbox. */
static void tell_of_ack(struct watchdog *dog) {
  for (int i = 0; i < dog->count; i++) dog->tell_of_ack |= dog->levels[i].state != LEVEL_ARMED;
  if (dog->tell_of_ack && dog->deliver.kind != JOB_NONE && !dog->deliver.pid)
    dog->deliver.at = watchdog_now();
}

static void level_over(struct level *level) {
  level->job.kind = JOB_NONE;
  level->state = LEVEL_OVER;
}

/* Whether a stop keeps `level` from doing more: it waits for its time or for another attempt. */
static bool is_idle(const struct level *level) { return level->state != LEVEL_OVER && level->job.pid == 0; }

void watchdog_stop(struct watchdog *dog, const char *why) {
  struct buffer fields = {0};
  const char *comma = "";
  if (dog->stopped) return;
  dog->stopped = true;
  if (strcmp(why, "ack") == 0) tell_of_ack(dog);
  buffer_puts(&fields, "\"why\":");
  watchdog_json_string(&fields, why);
  buffer_puts(&fields, ",\"levels\":[");
  for (struct level *level = dog->levels; level < dog->levels + dog->count; level++) {
    if (!is_idle(level)) continue;
    level_over(level);
    if (level->queued) continue; /* it is on its way by the outbox */
    buffer_printf(&fields, "%s%d", comma, level->number);
    comma = ",";
  }
  buffer_putc(&fields, ']');
  record(dog, "escalation.stopped", &fields);
  watchdog_tell(dog, "stopped %s", why);
}

static void put_off(struct watchdog *dog, double seconds) {
  struct buffer fields = {0};
  dog->not_before = watchdog_now() + seconds;
  tell_of_ack(dog);
  buffer_puts(&fields, "\"until\":");
  watchdog_json_time(&fields, seconds);
  record(dog, "escalation.put_off", &fields);
  watchdog_tell(dog, "put_off %.3f", seconds);
}

/* Never for longer than was said, whatever the wall clock does; one that was said before counts on after a replacement. */
static void take_put_off(struct watchdog *dog) {
  struct timespec wall;
  long long until = atomic_load(&dog->disk.put_off_until);
  if (until == 0 || dog->stopped) return;
  clock_gettime(CLOCK_REALTIME, &wall);
  double rest = (double)until / 1e3 - (double)wall.tv_sec - (double)wall.tv_nsec / 1e9;
  rest = fmin(rest, (double)atomic_load(&dog->disk.put_off_seconds));
  if (rest > 0 && until > dog->put_off_until) put_off(dog, rest);
  dog->put_off_until = until;
}

void watchdog_take_marks(struct watchdog *dog) {
  const char *why = atomic_load(&dog->disk.mark);
  take_put_off(dog);
  if (why && !dog->stopped) watchdog_stop(dog, why);
}

/* Looks whether somebody has taken over or ended the incident without telling us. A disk that doesn't say so counts as a
 * no: rather one page too many. */
static bool is_stopped(struct watchdog *dog) {
  if (!dog->stopped && !atomic_load(&dog->disk.mark))
    watchdog_disk_ask(&dog->disk, disk_look, "", WATCHDOG_DISK_SECONDS);
  watchdog_take_marks(dog);
  return dog->stopped;
}

/* ---- Jobs ---- */

static void job_begin(struct job *job, enum job_kind kind, double at) {
  *job = (struct job){kind, 0, at, WATCHDOG_PAUSE_SECONDS, watchdog_now() + WATCHDOG_GIVE_UP_SECONDS};
}

/* False when it has been tried for long enough. */
static bool job_retry(struct job *job) {
  double now = watchdog_now();
  if (now > job->give_up) {
    job->kind = JOB_NONE;
    return false;
  }
  job->at = now + job->pause;
  job->pause = fmin(2 * job->pause, WATCHDOG_PAUSE_MOST);
  return true;
}

/* The prepared page, as one more secret: it is sent from memory, whatever became of the run's folder. */
static void put_page(struct buffer *given, const char *page) {
  buffer_printf(given, WATCHDOG_PAGE " %zu\n", strlen(page));
  buffer_puts(given, page);
}

static bool job_spawn(struct watchdog *dog, struct job *job, const struct level *level) {
  static char *no_env[] = {NULL}, escalate[] = "_escalate", deliver[] = "_deliver", rehearse[] = "_rehearse",
              now[] = "now";
  char number[16] = "";
  char *word = level ? escalate : job->kind == JOB_REHEARSE ? rehearse : deliver;
  if (level) snprintf(number, sizeof number, "%d", level->number);
  char *of_self[] = {
      dog->self, word, (char *)dog->rundir, level ? number : NULL, level && level->at_once ? now : NULL,
      NULL};
  char *of_page[] = {dog->page, (char *)dog->rundir, number, NULL};
  struct buffer given = {0};
  buffer_append(&given, dog->secrets.data, dog->secrets.len);
  if (job->kind == JOB_PAGE && level && dog->pages[level->number - 1])
    put_page(&given, dog->pages[level->number - 1]);
  pid_t pid = watchdog_child_start(job->kind == JOB_PAGE ? of_page : of_self, dog->env ? dog->env : no_env,
                                   given.data, given.len);
  if (given.data) explicit_bzero(given.data, given.cap);
  buffer_free(&given);
  if (pid < 0) return false;
  job->pid = pid;
  job->at = watchdog_now() + WATCHDOG_CHILD_SECONDS;
  return true;
}

/* The incident may be over, or about to be: the level waits, and after some looks in a row nothing is left to tell. */
static void level_held(struct watchdog *dog, struct level *level) {
  struct buffer fields = {0};
  if (++level->held == WATCHDOG_HELD_LOOKS) {
    level_over(level);
    watchdog_stop(dog, "recovered");
    return;
  }
  level->state = LEVEL_ARMED;
  level->due = watchdog_now() + WATCHDOG_HELD_SECONDS;
  buffer_printf(&fields, "\"level\":%d,\"until\":", level->number);
  watchdog_json_time(&fields, WATCHDOG_HELD_SECONDS);
  record(dog, "escalation.held", &fields);
  watchdog_tell(dog, "held %d", level->number);
}

static void script_ended(struct watchdog *dog, struct level *level, int code, const char *why) {
  level->job.kind = JOB_NONE;
  dog->look_at_outbox = true;
  if (code == WATCHDOG_EXIT_HELD) {
    level_held(dog, level);
  } else if (code == WATCHDOG_EXIT_TAKEN) {
    level_over(level);
    watchdog_stop(dog, "pager");
  } else if (code == WATCHDOG_EXIT_QUEUED) {
    level->queued = true;
  } else if (code == 0) {
    record_delivered(dog, level, JOB_SCRIPT);
    level_over(level);
  } else {
    record_failed(dog, level, JOB_SCRIPT, why);
    if (is_stopped(dog))
      level_over(level);
    else
      job_begin(&level->job, JOB_PAGE, watchdog_now());
  }
}

static void page_ended(struct watchdog *dog, struct level *level, int code, const char *why) {
  bool nobody = code == PAGE_NOTHING_CONFIGURED;
  if (code == 0) {
    record_delivered(dog, level, JOB_PAGE);
    level_over(level);
    return;
  }
  record_failed(dog, level, JOB_PAGE, nobody ? "no pager or chat is configured" : why);
  if (nobody || is_stopped(dog)) {
    level_over(level);
  } else if (!job_retry(&level->job)) {
    record_failed(dog, level, JOB_PAGE, "given up after a day");
    level_over(level);
  }
}

/* The outbox is done with, for better or worse: levels left to it have ended unless a built-in page is under
 * way. */
static void queue_over(struct watchdog *dog, bool delivered) {
  for (struct level *level = dog->levels; level < dog->levels + dog->count; level++) {
    if (!level->queued) continue;
    level->queued = false;
    if (delivered) record_delivered(dog, level, JOB_SCRIPT);
    if (level->job.pid == 0 && (delivered || level->job.kind == JOB_NONE)) level_over(level);
  }
}

/* Who delivers the outbox is broken: a human must hear some other way. While a service is merely busy there is
 * none: a second way to it would overtake the queue. */
static void page_for_queue(struct watchdog *dog) {
  for (struct level *level = dog->levels; level < dog->levels + dog->count; level++)
    if (level->queued && level->state == LEVEL_FIRED && level->job.kind == JOB_NONE)
      job_begin(&level->job, JOB_PAGE, watchdog_now());
}

static void deliver_ended(struct watchdog *dog, int code, const char *why) {
  if (code == 0 && watchdog_disk_ask(&dog->disk, disk_pending, "", WATCHDOG_DISK_SECONDS) == 0) {
    dog->deliver.kind = JOB_NONE;
    queue_over(dog, true);
    return;
  }
  bool waits = code == WATCHDOG_EXIT_QUEUED;
  record_failed(dog, NULL, JOB_DELIVER, waits || code == 0 ? "the outbox is not empty" : why);
  if (!waits) page_for_queue(dog);
  if (job_retry(&dog->deliver)) return;
  record_failed(dog, NULL, JOB_DELIVER, "given up after a day");
  queue_over(dog, false);
}

/* `code` is the exit code, or -1 when the child had none. */
static void job_ended(struct watchdog *dog, struct job *job, struct level *level, int code, const char *why) {
  job->pid = 0;
  if (job->kind == JOB_SCRIPT)
    script_ended(dog, level, code, why);
  else if (job->kind == JOB_PAGE)
    page_ended(dog, level, code, why);
  else if (job->kind == JOB_REHEARSE)
    job->kind = JOB_NONE, watchdog_tell(dog, "rehearsed %d", code);
  else
    deliver_ended(dog, code, why);
}

/* A child past its time is killed and not waited for: one that hangs in the kernel must not hold up the
 * built-in page. */
static void job_expired(struct watchdog *dog, struct job *job, struct level *level) {
  char why[64];
  snprintf(why, sizeof why, "took longer than %g s", WATCHDOG_CHILD_SECONDS);
  watchdog_child_kill(job->pid);
  job_ended(dog, job, level, -1, why);
}

static void job_work(struct watchdog *dog, struct job *job, struct level *level) {
  if (job->kind == JOB_NONE || job->at > watchdog_now()) return;
  if (job->pid)
    job_expired(dog, job, level);
  else if (level && is_stopped(dog))
    level_over(level);
  else if (!job_spawn(dog, job, level))
    job_ended(dog, job, level, -1, strerror(errno));
}

/* ---- The clock ---- */

/* A disk that hangs would hang the script's level too: then the built-in page goes out, from memory. */
static void level_fire(struct watchdog *dog, struct level *level) {
  struct buffer fields = {0};
  if (is_stopped(dog) || due(dog, level) > watchdog_now()) return;
  level->state = LEVEL_FIRED;
  watchdog_tell(dog, "fired %d", level->number);
  buffer_printf(&fields, "\"level\":%d,\"late\":%.3f", level->number, watchdog_now() - due(dog, level));
  bool hangs = record_waiting(dog, "escalation.fired", &fields) == DISK_NO_ANSWER;
  if (hangs) record_failed(dog, level, JOB_SCRIPT, "the run's folder does not answer");
  job_begin(&level->job, hangs ? JOB_PAGE : JOB_SCRIPT, watchdog_now());
}

static bool script_runs(const struct watchdog *dog) {
  for (int i = 0; i < dog->count; i++)
    if (dog->levels[i].job.kind == JOB_SCRIPT) return true;
  return false;
}

static bool anything_queued(const struct watchdog *dog) {
  for (int i = 0; i < dog->count; i++)
    if (dog->levels[i].queued) return true;
  return false;
}

static bool page_runs(const struct watchdog *dog) {
  for (int i = 0; i < dog->count; i++)
    if (dog->levels[i].job.kind == JOB_PAGE && dog->levels[i].job.pid) return true;
  return false;
}

/* What the outbox holds is tried; whoever was told in chat is told of an acknowledgement through it. */
static int outbox_pending(struct watchdog *dog) {
  if (dog->tell_of_ack) return 1;
  return watchdog_disk_ask(&dog->disk, disk_pending, "", WATCHDOG_DISK_SECONDS);
}

/* Not while a script's own child is at its messages: both would send them. Nor while a page is on its way: what
 * takes it back must not overtake it. */
static void outbox_work(struct watchdog *dog) {
  if (!(dog->look_at_outbox || dog->tell_of_ack) || dog->deliver.kind != JOB_NONE || script_runs(dog) ||
      page_runs(dog))
    return;
  bool queued = anything_queued(dog);
  int pending = queued ? 1 : outbox_pending(dog);
  dog->look_at_outbox = pending == DISK_NO_ANSWER;
  dog->tell_of_ack = false;
  if (pending == 1)
    job_begin(&dog->deliver, JOB_DELIVER, watchdog_now() + (queued ? WATCHDOG_PAUSE_SECONDS : 0));
}

void watchdog_work(struct watchdog *dog) {
  if (!dog->armed) return;
  for (struct level *level = dog->levels; level < dog->levels + dog->count; level++) {
    if (level->state == LEVEL_ARMED && due(dog, level) <= watchdog_now()) level_fire(dog, level);
    job_work(dog, &level->job, level);
  }
  outbox_work(dog);
  job_work(dog, &dog->deliver, NULL);
  job_work(dog, &dog->rehearsal, NULL);
}

void watchdog_rehearse(struct watchdog *dog) {
  if (dog->rehearsal.kind == JOB_NONE) job_begin(&dog->rehearsal, JOB_REHEARSE, watchdog_now());
}

double watchdog_next(const struct watchdog *dog) {
  double next = dog->deliver.kind != JOB_NONE ? dog->deliver.at : INFINITY;
  if (dog->rehearsal.kind != JOB_NONE) next = fmin(next, dog->rehearsal.at);
  for (const struct level *level = dog->levels; level < dog->levels + dog->count; level++) {
    if (level->state == LEVEL_ARMED) next = fmin(next, due(dog, level));
    if (level->job.kind != JOB_NONE) next = fmin(next, level->job.at);
  }
  return next;
}

void watchdog_child_ended(struct watchdog *dog, pid_t pid, int status) {
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  const char *why = watchdog_child_why(status);
  for (struct level *level = dog->levels; level < dog->levels + dog->count; level++)
    if (level->job.pid == pid) job_ended(dog, &level->job, level, code, why);
  if (dog->deliver.pid == pid) job_ended(dog, &dog->deliver, NULL, code, why);
  if (dog->rehearsal.pid == pid) job_ended(dog, &dog->rehearsal, NULL, code, why);
}

void watchdog_terminated(struct watchdog *dog, int signal, pid_t by) {
  char why[64];
  snprintf(why, sizeof why, "ended by signal %d from process %d", signal, (int)by);
  for (struct level *level = dog->levels; level < dog->levels + dog->count; level++) {
    if (level->job.pid) watchdog_child_kill(level->job.pid);
    level->job.pid = 0;
  }
  if (dog->deliver.pid) watchdog_child_kill(dog->deliver.pid);
  dog->stopped = false; /* said even after another stop */
  watchdog_stop(dog, why);
  dog->ended = true;
}

bool watchdog_is_over(const struct watchdog *dog) {
  if (dog->ended) return true;
  if (dog->control >= 0 || dog->tell_of_ack || (dog->armed && dog->look_at_outbox) ||
      dog->deliver.kind != JOB_NONE)
    return false;
  for (int i = 0; i < dog->count; i++)
    if (dog->levels[i].state != LEVEL_OVER) return false;
  return true;
}

/* ---- Beginning and end ---- */

/* The page program stands beside us; the path is taken now, an upgrade may replace us later. */
static bool find_page(struct watchdog *dog, struct error *error) {
  ssize_t len = readlink("/proc/self/exe", dog->page, sizeof dog->page - sizeof "runbook-page");
  if (len < 0) return error_set_code(error, errno, "/proc/self/exe");
  dog->page[len] = '\0';
  strcpy(strrchr(dog->page, '/') + 1, "runbook-page");
  return true;
}

bool watchdog_open(struct watchdog *dog, const char *rundir, int control, struct error *error) {
  *dog = (struct watchdog){.rundir = rundir, .control = control};
  if (*rundir != '/') return error_set(error, "usage", "the run's folder must be an absolute path");
  return watchdog_disk_open(&dog->disk, rundir, error) && find_page(dog, error);
}

void watchdog_close(struct watchdog *dog) {
  watchdog_disk_close(&dog->disk);
  if (dog->secrets.data) explicit_bzero(dog->secrets.data, dog->secrets.cap);
  buffer_free(&dog->secrets);
  for (char **variable = dog->env; variable && *variable; variable++) free(*variable);
  for (int i = 0; i < WATCHDOG_LEVELS; i++) free(dog->pages[i]);
  free(dog->env);
  free(dog->self);
}
