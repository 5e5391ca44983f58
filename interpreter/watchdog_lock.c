#include "watchdog_lock.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include "watchdog_protocol.h"

#define FILE_NAME "watchdog.lock"
#define LOOKS 50         /* at a lock that a killed holder is about to lose */
#define LOOK_MILLIS 20   /* between two of them */
#define WAKE_SECONDS 1.0 /* what a holder gets to renew its lease when the machine has just woken */

struct holder {
  int pid;
  double until;
};

double watchdog_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void pause_for(double seconds) {
  nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
}

void watchdog_lock_renew(int lock) {
  char text[64];
  int len = snprintf(text, sizeof text, "%d %.3f\n", (int)getpid(), watchdog_now() + WATCHDOG_LEASE_SECONDS);
  /* On a full disk these few bytes overwrite themselves; if even that fails the flock still stands. */
  (void)!pwrite(lock, text, (size_t)len, 0);
  (void)!ftruncate(lock, len);
}

/* False: the file is empty or strange, its holder has only just come. */
static bool read_holder(int lock, struct holder *holder) {
  char text[64] = "";
  return pread(lock, text, sizeof text - 1, 0) > 0 &&
         sscanf(text, "%d %lf", &holder->pid, &holder->until) == 2 && holder->pid > 1;
}

static bool is_free(int lock) { return flock(lock, LOCK_EX | LOCK_NB) == 0; }

static bool expired(int lock, struct holder *holder) {
  if (!read_holder(lock, holder) || holder->until > watchdog_now()) return false;
  pause_for(WAKE_SECONDS);
  return read_holder(lock, holder) && holder->until <= watchdog_now();
}

/* The pid is certain: the lock was still held after the pidfd was opened, so the process named in it was
 * alive then. */
static bool kill_holder(int lock, const struct holder *holder) {
  struct holder now;
  int process = pidfd_open(holder->pid, 0);
  if (process < 0) return is_free(lock);
  bool got = is_free(lock);
  if (!got && read_holder(lock, &now) && now.pid == holder->pid) pidfd_send_signal(process, SIGKILL, NULL, 0);
  close(process);
  for (int i = 0; !got && i < LOOKS; i++) {
    pause_for(LOOK_MILLIS / 1e3);
    got = is_free(lock);
  }
  return got;
}

/* Whether `lock` is still the file of that name: its last holder may have removed it before letting go. */
static bool is_current(int lock, int folder) {
  struct stat ours, named;
  return fstat(lock, &ours) == 0 && fstatat(folder, FILE_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

int watchdog_lock_take(int folder, struct error *error) {
  for (;;) {
    struct holder holder = {0};
    int lock = openat(folder, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) {
      error_set_code(error, errno, FILE_NAME);
      return -1;
    }
    if (!is_free(lock) && !(expired(lock, &holder) && kill_holder(lock, &holder))) {
      read_holder(lock, &holder);
      close(lock);
      error_set(error, "locked", "process %d watches this run already", holder.pid);
      return -1;
    }
    if (is_current(lock, folder)) {
      watchdog_lock_renew(lock);
      return lock;
    }
    close(lock);
  }
}

void watchdog_lock_release(int lock, int folder) {
  unlinkat(folder, FILE_NAME, 0);
  close(lock);
}
