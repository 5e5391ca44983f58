/* runbook-watchdog RUNDIR: the incident's clock, in a process of its own that outlives whatever happens to
 * the interpreter.
 *
 * No Lua, no event library, under 2 MB. It leaves the session of its starter, holds no descriptor of it but
 * the control socket, and ignores what a closing terminal sends. SIGTERM ends it, with a line in the journal:
 * an operator who kills the watchdog by name wants it gone. See watchdog_protocol.h for what it is told and
 * watchdog.h for what it does.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include "watchdog.h"
#include "watchdog_child.h"
#include "watchdog_lock.h"

enum { ON_CONTROL, ON_SIGNAL, ON_CLOCK, ON_MARK, SOURCES };

#if defined(__SANITIZE_ADDRESS__)
/* The leak checker wants to trace us, which a process that is not dumpable refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

/* Out of the starter's session, and deaf to its terminal. */
static void leave_session(void) {
  static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE, SIGXFSZ};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  setsid(); /* fails for a leader of its own session only, which is what we want to be */
  prctl(PR_SET_DUMPABLE, 0);
  umask(077);
  (void)!chdir("/"); /* holds no file system that somebody wants to unmount */
}

/* Nothing of the starter's stays open but the control socket. */
static bool close_descriptors(void) {
  int null = open("/dev/null", O_RDWR);
  if (null < 0) return false;
  for (int fd = 0; fd < WATCHDOG_FD; fd++) dup2(null, fd);
  fcntl(WATCHDOG_FD, F_SETFD, FD_CLOEXEC);
  return close_range(WATCHDOG_FD + 1, ~0U, 0) == 0;
}

static int open_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_SETMASK, &set, NULL);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The next moment something is due; a past one fires at once. */
static void set_clock(int clock, double at) {
  struct itimerspec when = {0};
  if (at < 1e-3) at = 1e-3; /* all zeros would disarm it */
  when.it_value.tv_sec = (time_t)at;
  when.it_value.tv_nsec = (long)((at - floor(at)) * 1e9);
  timerfd_settime(clock, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Takes every packet that has come. ECONNRESET says that the other end was closed with our words unread, and
 * comes before what it had sent us: read on. */
static void read_control(struct watchdog *dog) {
  static char packet[WATCHDOG_MESSAGE_BYTES + 1];
  while (dog->control >= 0) {
    ssize_t len = recv(dog->control, packet, WATCHDOG_MESSAGE_BYTES, MSG_DONTWAIT | MSG_TRUNC);
    if (len < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (len < 0 && errno == EAGAIN) return;
    if (len <= 0) {
      watchdog_gone(dog);
    } else if (len > WATCHDOG_MESSAGE_BYTES) {
      watchdog_tell(dog, "error limit a message is longer than %d bytes", WATCHDOG_MESSAGE_BYTES);
    } else {
      packet[len] = '\0';
      watchdog_message(dog, packet, (size_t)len);
    }
  }
  explicit_bzero(packet, sizeof packet);
}

static void read_signals(struct watchdog *dog, int signals) {
  struct signalfd_siginfo info;
  int status;
  while (read(signals, &info, sizeof info) == sizeof info)
    if (info.ssi_signo == SIGTERM) watchdog_terminated(dog, SIGTERM, (pid_t)info.ssi_pid);
  for (pid_t pid; (pid = watchdog_child_reap(&status)) > 0;) watchdog_child_ended(dog, pid, status);
}

/* Somebody took over or ended the incident: the thread found it in the run's inbox. */
static void read_mark(struct watchdog *dog) {
  unsigned long long count;
  if (read(dog->disk.wake, &count, sizeof count) > 0) watchdog_take_marks(dog);
}

static void run(struct watchdog *dog, int signals, int clock) {
  double renew = 0;
  struct pollfd sources[SOURCES] = {
      {dog->control, POLLIN, 0}, {signals, POLLIN, 0}, {clock, POLLIN, 0}, {dog->disk.wake, POLLIN, 0}};
  while (!watchdog_is_over(dog)) {
    if (watchdog_now() >= renew) {
      watchdog_disk_give(&dog->disk, disk_renew, "");
      watchdog_tell(dog, "working");
      renew = watchdog_now() + WATCHDOG_RENEW_SECONDS;
    }
    set_clock(clock, fmin(renew, watchdog_next(dog)));
    sources[ON_CONTROL].fd = dog->control;
    poll(sources, SOURCES, -1);
    read_control(dog);
    read_signals(dog, signals);
    read_mark(dog);
    watchdog_work(dog);
  }
}

int main(int argc, char **argv) {
  struct watchdog dog;
  struct error error = {0};
  if (argc != 2 || argv[1][0] != '/') return 2;
  leave_session();
  mallopt(M_ARENA_MAX, 1); /* two threads that hardly allocate need no heap each */
  if (!close_descriptors()) return 1;
  int signals = open_signals();
  int clock = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  bool ready = watchdog_open(&dog, argv[1], WATCHDOG_FD, &error);
  if (ready && (signals < 0 || clock < 0)) ready = error_set_code(&error, errno, "signals and clock");
  if (ready)
    run(&dog, signals, clock);
  else
    watchdog_tell(&dog, "error %s %s", error.kind, error.message);
  watchdog_close(&dog);
  return ready ? 0 : 1;
}
