#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
#include "page.h"

static bool stuck; /* a child did not come back: nobody waits for that disk again */

double page_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In the child. */
static void work_and_end(void (*work)(struct buffer *out, void *data), void *data, int fd) {
  struct buffer out = {0};
  work(&out, data);
  for (size_t done = 0; done < out.len;) {
    ssize_t len = write(fd, out.data + done, out.len - done);
    if (len < 0 && errno != EINTR) _exit(1);
    if (len > 0) done += (size_t)len;
  }
  _exit(0);
}

/* What the child says up to its end; false when it is not there in time. */
static bool read_all(int fd, struct buffer *out, double end) {
  char block[4096];
  for (;;) {
    struct pollfd source = {fd, POLLIN, 0};
    double rest = end - page_clock();
    if (rest <= 0 || (poll(&source, 1, (int)(rest * 1e3) + 1) <= 0 && errno != EINTR)) return false;
    ssize_t len = read(fd, block, sizeof block);
    if (len == 0) return true;
    if (len < 0 && errno != EINTR) return false;
    if (len > 0) buffer_append(out, block, (size_t)len);
  }
}

bool page_folder(struct buffer *out, void (*work)(struct buffer *out, void *data), void *data) {
  int ends[2], status = 1;
  if (stuck || pipe2(ends, O_CLOEXEC) < 0) return false;
  pid_t pid = fork();
  if (pid == 0) work_and_end(work, data, ends[1]);
  close(ends[1]);
  stuck = pid < 0 || !read_all(ends[0], out, page_clock() + PAGE_FOLDER_SECONDS);
  close(ends[0]);
  if (stuck && pid > 0) kill(pid, SIGKILL); /* one that hangs in the kernel is left to itself */
  if (!stuck) waitpid(pid, &status, 0);
  return !stuck && status == 0;
}
