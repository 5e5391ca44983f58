#include "lock.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "rundir.h"

/* $XDG_STATE_HOME/runbook/locks/NAME, beside the runs; the folder is made when missing. */
static bool lock_path(char *path, size_t size, const char *name, struct error *error) {
  char runs[RUNDIR_PATH_MAX - 256];
  if (!rundir_home(runs, sizeof runs, error)) return false;
  char *slash = strrchr(runs, '/');
  if (slash) *slash = '\0';
  if (snprintf(path, size, "%s/locks", runs) >= (int)size)
    return error_set(error, "limit", "the path is too long");
  if (mkdir(path, 0700) != 0 && errno != EEXIST) return error_set_code(error, errno, path);
  return snprintf(path, size, "%s/locks/%s", runs, name) < (int)size ||
         error_set(error, "limit", "the path is too long");
}

static void refuse(int fd, struct error *error) {
  char holder[LOCK_HOLDER_MAX] = "";
  ssize_t len = pread(fd, holder, sizeof holder - 1, 0);
  error_set(error, "locked", "%s", len > 0 ? holder : "another run");
}

int lock_take(const char *name, const char *holder, struct error *error) {
  char path[RUNDIR_PATH_MAX];
  if (!lock_path(path, sizeof path, name, error)) return -1;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    error_set_code(error, errno, path);
    return -1;
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    refuse(fd, error);
  else if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, strlen(holder), 0) < 0)
    error_set_code(error, errno, path);
  else
    return fd; /* the open descriptor is the lock */
  close(fd);
  return -1;
}

void lock_release(int lock) { close(lock); }
