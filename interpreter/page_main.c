/* runbook-page RUNDIR LEVEL: sends the built-in page of a level, see page.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "page.h"

#if defined(__SANITIZE_ADDRESS__)
/* The leak checker wants to trace us, which a process that is not dumpable refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#endif

int main(int argc, char **argv) {
  int level = argc == 3 ? atoi(argv[2]) : 0;
  if (argc != 3 || argv[1][0] != '/' || level < 1 || level > WATCHDOG_LEVELS) {
    fprintf(stderr, "usage: runbook-page RUNDIR LEVEL\n");
    return PAGE_USAGE;
  }
  prctl(PR_SET_DUMPABLE, 0);
  umask(077);
  return page_send(argv[1], level);
}
