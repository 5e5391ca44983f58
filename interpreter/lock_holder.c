/* Who holds an flock: /proc/locks names a process and an inode, and that the process has that very file open proves it. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include "lock.h"

#define LOOKS 100      /* at a lock whose killed holder is about to lose it */
#define LOOK_MILLIS 10 /* between two of them */

/* A number of /proc/locks may be another namespace's: a file system's device differs there from what stat says. */
static bool has_open(pid_t pid, const struct stat *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  DIR *folder = opendir(path);
  bool found = false;
  for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
    struct stat open_file;
    found = fstatat(dirfd(folder), entry->d_name, &open_file, 0) == 0 && open_file.st_ino == file->st_ino &&
            open_file.st_dev == file->st_dev;
  }
  if (folder) closedir(folder);
  return found;
}

/* The state stands behind the last parenthesis: a program's name may hold any. */
static bool is_stopped(pid_t pid) {
  char path[64], text[512] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool read_it = fd >= 0 && read(fd, text, sizeof text - 1) > 0;
  if (fd >= 0) close(fd);
  const char *end = read_it ? strrchr(text, ')') : NULL;
  return end && (end[2] == 'T' || end[2] == 't');
}

pid_t lock_holder(const char *path, bool *stopped) {
  struct stat file;
  char line[256];
  pid_t found = 0;
  FILE *locks = stat(path, &file) == 0 ? fopen("/proc/locks", "re") : NULL;
  while (locks && !found && fgets(line, sizeof line, locks)) {
    int pid;
    unsigned long long inode;
    if (sscanf(line, "%*d: FLOCK %*s %*s %d %*[^:]:%*[^:]:%llu", &pid, &inode) != 2) continue;
    if (inode == file.st_ino && pid > 1 && has_open(pid, &file)) found = pid;
  }
  if (locks) fclose(locks);
  if (stopped) *stopped = found && is_stopped(found);
  return found;
}

static bool is_free(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  bool free_now = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (fd >= 0) close(fd);
  return free_now;
}

/* The number is certain: the process held the lock after its pidfd was opened, so it is the one that is killed. */
bool lock_end_holder(const char *path) {
  pid_t pid = lock_holder(path, NULL);
  int process = pid ? pidfd_open(pid, 0) : -1;
  if (process >= 0 && lock_holder(path, NULL) == pid) pidfd_send_signal(process, SIGKILL, NULL, 0);
  if (process >= 0) close(process);
  bool free_now = is_free(path);
  for (int i = 0; process >= 0 && !free_now && i < LOOKS; i++) {
    nanosleep(&(struct timespec){0, LOOK_MILLIS * 1000000L}, NULL);
    free_now = is_free(path);
  }
  return free_now;
}
