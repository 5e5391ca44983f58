#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "files.h"

static const char *kind_of_file(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

/* O_PATH opens nothing: a FIFO doesn't block, a tape isn't wound back. Then the very file looked at is
 * opened. */
static int open_regular(const char *path, struct stat *info, struct error *error) {
  char self[64];
  int handle = open(path, O_PATH | O_CLOEXEC), fd = -1;
  if (handle < 0 || fstat(handle, info) != 0) {
    error_set_code(error, errno, path);
  } else if (!S_ISREG(info->st_mode)) {
    error_set(error, "usage", "%s is %s, not a regular file", path, kind_of_file(info->st_mode));
  } else {
    snprintf(self, sizeof self, "/proc/self/fd/%d", handle);
    fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) error_set_code(error, errno, path);
  }
  if (handle >= 0) close(handle);
  return fd;
}

/* Up to `max` bytes from `offset`. */
static bool read_at(int fd, off_t offset, size_t max, struct buffer *text) {
  char chunk[64 * 1024];
  while (text->len < max) {
    size_t want = max - text->len < sizeof chunk ? max - text->len : sizeof chunk;
    ssize_t len = pread(fd, chunk, want, offset + (off_t)text->len);
    if (len < 0 && errno == EINTR) continue;
    if (len < 0) return false;
    if (len == 0) break;
    buffer_append(text, chunk, (size_t)len);
  }
  return true;
}

static bool more_at(int fd, off_t offset) {
  char byte;
  return pread(fd, &byte, 1, offset) > 0;
}

bool files_read(const char *path, size_t max, bool tail, struct buffer *text, uint64_t *size, bool *cut,
                struct error *error) {
  struct stat info;
  int fd = open_regular(path, &info, error);
  if (fd < 0) return false;
  off_t start = tail && info.st_size > (off_t)max ? info.st_size - (off_t)max : 0;
  bool well = read_at(fd, start, max, text);
  if (!well) error_set_code(error, errno, path);
  *size = (uint64_t)info.st_size;
  *cut = start > 0 || ((!tail || info.st_size == 0) && more_at(fd, start + (off_t)text->len));
  close(fd);
  return well;
}

#define SCAN_CHUNK (256 * 1024)

bool files_scan(const char *path, struct linescan *scan, atomic_bool *stop, uint64_t *size,
                struct error *error) {
  struct stat info;
  int fd = open_regular(path, &info, error);
  if (fd < 0) return false;
  char *chunk = xmalloc(SCAN_CHUNK);
  ssize_t len;
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  do {
    len = read(fd, chunk, SCAN_CHUNK);
    if (len > 0 && !linescan_feed(scan, chunk, (size_t)len)) break;
  } while ((len > 0 || (len < 0 && errno == EINTR)) && !atomic_load(stop));
  if (len < 0) error_set_code(error, errno, path);
  *size = (uint64_t)info.st_size;
  free(chunk);
  close(fd);
  return len >= 0;
}

bool files_read_first(const struct file_list *list, size_t max, const char **path, struct buffer *text,
                      bool *cut, struct error *error) {
  uint64_t size;
  *path = NULL;
  for (size_t i = 0; i < list->count; i++) {
    if (files_read(list->files[i].path, max, false, text, &size, cut, error)) {
      *path = list->files[i].path;
      return true;
    }
    if (strcmp(error->kind, "missing") != 0) return false;
    *error = (struct error){0};
  }
  return true;
}
