#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "sys.h"

bool sys_read(const char *path, size_t max, struct buffer *text) {
  char chunk[8192];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  buffer_clear(text);
  ssize_t len = 1;
  while (text->len < max && len != 0) {
    size_t want = max - text->len < sizeof chunk ? max - text->len : sizeof chunk;
    len = read(fd, chunk, want);
    if (len < 0 && errno == EINTR) continue;
    if (len < 0) break;
    buffer_append(text, chunk, (size_t)len);
  }
  int saved = errno;
  close(fd);
  errno = saved;
  return len >= 0;
}
