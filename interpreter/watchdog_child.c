#include "watchdog_child.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include "watchdog_protocol.h"

#define EXEC_FAILED 127

/* A socket pair rather than a pipe: a user with many pipes gets ones of a single page, and we must not wait
 * for the reader. */
static int secrets_descriptor(const void *secrets, size_t len) {
  int ends[2], room = 4 * WATCHDOG_SECRETS_BYTES;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -1;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  bool whole = len == 0 || send(ends[0], secrets, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
  close(ends[0]);
  if (whole) return ends[1];
  close(ends[1]);
  errno = EMSGSIZE;
  return -1;
}

/* In the child: the watchdog's signal settings must not reach what it runs. */
static void reset_signals(void) {
  sigset_t none;
  sigemptyset(&none);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t watchdog_child_start(char *const argv[], char *const env[], const void *secrets, size_t len) {
  int source = secrets_descriptor(secrets, len);
  if (source < 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    reset_signals();
    dup2(source, WATCHDOG_FD); /* never the same: our own descriptor 3 stays open */
    execve(argv[0], argv, env);
    _exit(EXEC_FAILED);
  }
  int code = errno;
  close(source);
  if (pid > 0) setpgid(pid, pid); /* in both, so that a kill of the group is right from the first moment */
  errno = code;
  return pid;
}

void watchdog_child_kill(pid_t pid) { kill(-pid, SIGKILL); }

/* The group is killed while its leader is not reaped: until then its number can't belong to another. */
pid_t watchdog_child_reap(int *status) {
  siginfo_t info = {0};
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return 0;
  watchdog_child_kill(info.si_pid);
  return waitpid(info.si_pid, status, 0);
}

const char *watchdog_child_why(int status) {
  static char words[64];
  if (WIFSIGNALED(status))
    snprintf(words, sizeof words, "killed by signal %d", WTERMSIG(status));
  else if (WEXITSTATUS(status) == EXEC_FAILED)
    snprintf(words, sizeof words, "the program could not be started");
  else
    snprintf(words, sizeof words, "exit code %d", WEXITSTATUS(status));
  return words;
}
