#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "files.h"

static int by_inode(const void *a, const void *b) {
  const struct file *x = a, *y = b;
  if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
  return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Marks the listed file that this descriptor is open on. Links that don't begin with a slash are pipes,
 * sockets and the like; looking at those would be harmless but slow. */
static bool descriptor_is_listed(struct file_list *list, int folder, const char *name) {
  char first;
  struct stat info;
  if (readlinkat(folder, name, &first, 1) != 1 || first != '/' || fstatat(folder, name, &info, 0) != 0)
    return false;
  struct file key = {.dev = info.st_dev, .ino = info.st_ino};
  struct file *file = bsearch(&key, list->files, list->count, sizeof key, by_inode);
  if (!file) return false;
  file->why = "held open";
  return true;
}

static bool process_holds(struct file_list *list, int proc, const char *pid, struct files_held *held) {
  char path[NAME_MAX + 8];
  snprintf(path, sizeof path, "%s/fd", pid);
  int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == EACCES || errno == EPERM) held->hidden++;
    return false;
  }
  bool holds = false;
  DIR *folder = fdopendir(fd);
  if (!folder) {
    close(fd);
    return false;
  }
  for (const struct dirent *entry; (entry = readdir(folder));)
    if (isdigit((unsigned char)entry->d_name[0]) && descriptor_is_listed(list, fd, entry->d_name))
      holds = true;
  closedir(folder);
  return holds;
}

bool files_held_open(struct file_list *list, atomic_bool *stop, struct files_held *held,
                     struct error *error) {
  DIR *proc = opendir("/proc");
  if (!proc) return error_set_code(error, errno, "/proc");
  if (list->count) qsort(list->files, list->count, sizeof *list->files, by_inode);
  for (const struct dirent *entry; list->count && !atomic_load(stop) && (entry = readdir(proc));) {
    if (!isdigit((unsigned char)entry->d_name[0]) || !process_holds(list, dirfd(proc), entry->d_name, held))
      continue;
    if (held->pid_count < FILES_HELD_PIDS_MAX) held->pids[held->pid_count] = (pid_t)atol(entry->d_name);
    held->pid_count++;
  }
  closedir(proc);
  for (size_t i = 0; i < list->count; i++) held->count += list->files[i].why != NULL;
  return true;
}
