#include "descriptors.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/close_range.h>

static void mark_by_proc(int first) {
  DIR *folder = opendir("/proc/self/fd");
  struct dirent *entry;
  while (folder && (entry = readdir(folder))) {
    int fd = atoi(entry->d_name);
    if (fd >= first && fd != dirfd(folder)) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  if (folder) closedir(folder);
}

void descriptors_close_on_exec(int first) {
  if (close_range((unsigned)first, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) mark_by_proc(first);
}
