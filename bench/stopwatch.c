/* stopwatch RESULT COMMAND…: runs COMMAND and writes one line to the file RESULT:
 *
 *   wall_us user_us sys_us peak_kib status
 *
 * user and sys are of the processes that COMMAND waited for, peak_kib is the memory of the largest one of them; status is
 * 128 + the signal for one that was killed. A program of its own, and a static one, because a child's peak never falls below
 * that of the process it was started from. */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/wait.h>

static long micros_since(const struct timespec *began) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec - began->tv_sec) * 1000000 + (now.tv_nsec - began->tv_nsec) / 1000;
}

static long micros(const struct timeval *time) { return time->tv_sec * 1000000 + time->tv_usec; }

int main(int argc, char **argv) {
  struct timespec began;
  struct rusage used;
  int status;
  if (argc < 3) return fputs("usage: stopwatch RESULT COMMAND...\n", stderr), 2;
  clock_gettime(CLOCK_MONOTONIC, &began);
  pid_t child = vfork();
  if (child == 0) {
    execvp(argv[2], argv + 2);
    _exit(127);
  }
  while (wait4(child, &status, 0, &used) < 0)
    if (errno != EINTR) return perror("stopwatch"), 1;
  long wall = micros_since(&began);
  FILE *result = fopen(argv[1], "we");
  if (!result) return perror(argv[1]), 1;
  fprintf(result, "%ld %ld %ld %ld %d\n", wall, micros(&used.ru_utime), micros(&used.ru_stime),
          used.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return fclose(result) != 0;
}
