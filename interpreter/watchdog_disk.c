#include "watchdog_disk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include "watchdog.h"
#include "watchdog_lock.h"

#define LOOK_SECONDS 1 /* an idle thread looks that often whether somebody took over */
#define STACK_BYTES (256 * 1024)
#define BACKLOG 1000 /* of a disk that is stuck for days: more is not kept */
#define CLOSE_SECONDS 2.0

struct disk_task {
  struct disk_task *next;
  disk_work *work;
  char text[];
};

/* ---- The thread's side ---- */

int disk_record(struct watchdog_disk *disk, const char *text) {
  return watchdog_journal_write(&disk->journal, text);
}

int disk_renew(struct watchdog_disk *disk, const char *text) {
  (void)text;
  watchdog_lock_renew(disk->lock);
  return 1;
}

static void wake(struct watchdog_disk *disk) { (void)!write(disk->wake, &(uint64_t){1}, sizeof(uint64_t)); }

int disk_look(struct watchdog_disk *disk, const char *text) {
  long seconds = 0;
  (void)text;
  const char *mark = watchdog_stop_mark(disk->folder);
  long long until = watchdog_put_off_mark(disk->folder, &seconds);
  if (until > atomic_load(&disk->put_off_until)) {
    atomic_store(&disk->put_off_seconds, seconds);
    atomic_store(&disk->put_off_until, until);
    wake(disk);
  }
  if (mark && !atomic_load(&disk->mark)) {
    atomic_store(&disk->mark, mark);
    wake(disk);
  }
  return mark != NULL;
}

int disk_pending(struct watchdog_disk *disk, const char *text) {
  (void)text;
  return watchdog_outbox_pending(disk->folder);
}

int disk_release(struct watchdog_disk *disk, const char *text) {
  (void)text;
  watchdog_journal_close(&disk->journal);
  watchdog_lock_release(disk->lock, disk->folder);
  return 1;
}

static struct timespec in_seconds(double seconds) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  double whole = (double)at.tv_nsec / 1e9 + seconds;
  at.tv_sec += (time_t)whole;
  at.tv_nsec = (long)((whole - (double)(time_t)whole) * 1e9);
  return at;
}

/* The next task, waited for; NULL when it is time for a look. The mutex is held. */
static struct disk_task *take_task(struct watchdog_disk *disk) {
  struct timespec at = in_seconds(LOOK_SECONDS);
  while (!disk->first)
    if (pthread_cond_timedwait(&disk->given, &disk->mutex, &at) == ETIMEDOUT) break;
  struct disk_task *task = disk->first;
  if (task) disk->first = task->next;
  return task;
}

static void note_done(struct watchdog_disk *disk, int answer) {
  disk->answer = answer;
  disk->count_done++;
  disk->stuck = disk->stuck && disk->count_done < disk->count_given;
  pthread_cond_signal(&disk->done);
}

static void *work(void *data) {
  struct watchdog_disk *disk = data;
  pthread_mutex_lock(&disk->mutex);
  while (!disk->ended) {
    struct disk_task *task = take_task(disk);
    pthread_mutex_unlock(&disk->mutex);
    int answer = task ? task->work(disk, task->text) : disk_look(disk, "");
    pthread_mutex_lock(&disk->mutex);
    if (task) note_done(disk, answer);
    free(task);
  }
  pthread_mutex_unlock(&disk->mutex);
  return NULL;
}

/* ---- The watchdog's side ---- */

/* The number of the task, 0 when there are too many. The mutex is held. */
static unsigned long long give(struct watchdog_disk *disk, disk_work *task_work, const char *text) {
  if (disk->count_given - disk->count_done >= BACKLOG) return 0;
  struct disk_task *task = xmalloc(sizeof *task + strlen(text) + 1);
  task->next = NULL;
  task->work = task_work;
  strcpy(task->text, text);
  if (disk->first)
    disk->last->next = task;
  else
    disk->first = task;
  disk->last = task;
  pthread_cond_signal(&disk->given);
  return ++disk->count_given;
}

void watchdog_disk_give(struct watchdog_disk *disk, disk_work *task_work, const char *text) {
  pthread_mutex_lock(&disk->mutex);
  give(disk, task_work, text);
  pthread_mutex_unlock(&disk->mutex);
}

int watchdog_disk_ask(struct watchdog_disk *disk, disk_work *task_work, const char *text, double seconds) {
  struct timespec at = in_seconds(seconds);
  pthread_mutex_lock(&disk->mutex);
  unsigned long long number = give(disk, task_work, text);
  while (!disk->stuck && disk->count_done < number)
    disk->stuck =
        pthread_cond_timedwait(&disk->done, &disk->mutex, &at) == ETIMEDOUT && disk->count_done < number;
  int answer = number && disk->count_done >= number ? disk->answer : DISK_NO_ANSWER;
  pthread_mutex_unlock(&disk->mutex);
  return answer;
}

static bool start_thread(struct watchdog_disk *disk) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_condattr_t clock;
  pthread_mutex_init(&disk->mutex, NULL);
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_cond_init(&disk->given, &clock);
  pthread_cond_init(&disk->done, &clock);
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  errno = pthread_create(&thread, &attributes, work, disk);
  pthread_attr_destroy(&attributes);
  return errno == 0;
}

bool watchdog_disk_open(struct watchdog_disk *disk, const char *rundir, struct error *error) {
  *disk = (struct watchdog_disk){.folder = -1, .lock = -1, .journal.fd = -1};
  disk->folder = open(rundir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (disk->folder < 0) return error_set_code(error, errno, rundir);
  disk->lock = watchdog_lock_take(disk->folder, error);
  if (disk->lock < 0 || !watchdog_journal_open(&disk->journal, disk->folder, error)) return false;
  disk->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return (disk->wake >= 0 && start_thread(disk)) ||
         error_set_code(error, errno, "the thread that works on the disk");
}

void watchdog_disk_close(struct watchdog_disk *disk) {
  if (disk->wake <= 0) { /* no thread was started */
    watchdog_journal_close(&disk->journal);
    if (disk->lock >= 0) watchdog_lock_release(disk->lock, disk->folder);
    return;
  }
  watchdog_disk_ask(disk, disk_release, "", CLOSE_SECONDS);
}
