#include "tty.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <sys/ioctl.h>

static struct termios saved;
static volatile int changed_fd = -1; /* the terminal whose echo is off */

static int open_terminal(void) { return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY); }

/* From the background a read would stop us (SIGTTIN): nobody can be asked there. */
static bool in_foreground(int fd) { return tcgetpgrp(fd) == getpgrp(); }

bool tty_interactive(void) {
  int fd = open_terminal();
  if (fd < 0) return false;
  bool yes = in_foreground(fd);
  close(fd);
  return yes;
}

int tty_begin(bool hidden, struct error *error) {
  struct termios quiet;
  int fd = open_terminal();
  if (fd < 0) return error_set(error, "no_tty", "there is no terminal to ask on: %s", strerror(errno)), -1;
  if (!in_foreground(fd) || tcgetattr(fd, &saved) != 0) {
    close(fd);
    return error_set(error, "no_tty", "the program runs in the background of its terminal"), -1;
  }
  quiet = saved;
  if (hidden) quiet.c_lflag &= ~(tcflag_t)ECHO;
  changed_fd = fd;
  tcsetattr(fd, TCSAFLUSH, &quiet); /* drops type-ahead, in both cases */
  return fd;
}

void tty_restore(void) {
  if (changed_fd >= 0) tcsetattr(changed_fd, TCSANOW, &saved);
}

void tty_end(int fd) {
  tty_restore();
  changed_fd = -1;
  close(fd);
}

void tty_size(int *columns, int *rows) {
  struct winsize size = {0};
  bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  *columns = known ? size.ws_col : 80;
  *rows = known ? size.ws_row : 24;
}

bool tty_write(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t count = write(fd, text, len);
    if (count < 0 && errno == EAGAIN)
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
    else if (count < 0 && errno != EINTR)
      return false;
    if (count > 0) {
      text += count;
      len -= (size_t)count;
    }
  }
  return true;
}
