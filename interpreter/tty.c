#include "tty.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <sys/ioctl.h>

static struct termios saved, asking;         /* as it was, and as the open question wants it */
static volatile sig_atomic_t asking_fd = -1; /* the terminal a question is open on */

static int open_terminal(void) { return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY); }

bool tty_in_foreground(int fd) { return tcgetpgrp(fd) == getpgrp(); }

bool tty_interactive(void) {
  int fd = open_terminal();
  if (fd < 0) return false;
  bool yes = tty_in_foreground(fd);
  close(fd);
  return yes;
}

/* Hidden: no echo but of the line's end, and no suspending, after which the shell would show what is typed. */
static struct termios hidden_of(struct termios mode) {
  mode.c_lflag &= ~(tcflag_t)ECHO;
  mode.c_lflag |= ECHONL;
  mode.c_cc[VSUSP] = _POSIX_VDISABLE;
  return mode;
}

static struct termios keys_of(struct termios mode) {
  mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL | IEXTEN);
  mode.c_cc[VMIN] = 1;
  mode.c_cc[VTIME] = 0;
  return mode;
}

static struct termios mode_of(enum tty_mode how) {
  struct termios mode = saved;
  mode.c_lflag |= ICANON | ISIG;
  return how == TTY_HIDDEN ? hidden_of(mode) : how == TTY_KEYS ? keys_of(mode) : mode;
}

int tty_begin(enum tty_mode mode, struct error *error) {
  if (asking_fd >= 0) return error_set(error, "usage", "another question is open"), -1;
  int fd = open_terminal();
  if (fd < 0) return error_set(error, "no_tty", "there is no terminal to ask on: %s", strerror(errno)), -1;
  if (!tty_in_foreground(fd) || tcgetattr(fd, &saved) != 0) {
    close(fd);
    return error_set(error, "no_tty", "the program runs in the background of its terminal"), -1;
  }
  asking = mode_of(mode);
  asking_fd = fd;
  tcsetattr(fd, TCSANOW, &asking); /* not …FLUSH, which waits for a screen that was stopped */
  tcflush(fd, TCIFLUSH);
  return fd;
}

bool tty_reclaim(int fd) {
  struct termios now;
  if (!tty_in_foreground(fd) || tcgetattr(fd, &now) != 0 || now.c_lflag == asking.c_lflag) return false;
  tcsetattr(fd, TCSANOW, &asking);
  return true;
}

void tty_restore(void) {
  if (asking_fd >= 0) tcsetattr(asking_fd, TCSANOW, &saved);
}

void tty_end(int fd) {
  /* From the background both would stop us, and the terminal is somebody else's by then. */
  if (tty_in_foreground(fd)) {
    tcflush(fd, TCIFLUSH);
    tty_restore();
  }
  asking_fd = -1;
  close(fd);
}

static bool size_of(int fd, int *columns, int *rows) {
  struct winsize size = {0};
  if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return false;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return true;
}

void tty_size(int *columns, int *rows) {
  *columns = 80;
  *rows = 24;
  if (size_of(STDOUT_FILENO, columns, rows) || size_of(STDERR_FILENO, columns, rows)) return;
  int fd = open_terminal();
  size_of(fd, columns, rows);
  if (fd >= 0) close(fd);
}

static int lost;

int tty_lost(void) { return lost; }

static bool lose(int fd) {
  if (fd == STDOUT_FILENO && !lost) lost = errno;
  return false;
}

bool tty_write(int fd, const char *text, size_t len) {
  while (len > 0) {
    ssize_t count = write(fd, text, len);
    if (count < 0 && errno == EAGAIN)
      poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 1000);
    else if (count < 0 && errno != EINTR)
      return lose(fd);
    if (count > 0) {
      text += count;
      len -= (size_t)count;
    }
  }
  return true;
}
