/* Children of the watchdog: each in a process group of its own, with the given environment, the secrets on
 * descriptor 3 and nothing else. */
#ifndef WATCHDOG_CHILD_H
#define WATCHDOG_CHILD_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The child's pid, or -1 with errno. `secrets` are handed over before the child begins, so nothing waits for
 * it. A program that can't be executed shows as exit code 127. */
pid_t watchdog_child_start(char *const argv[], char *const env[], const void *secrets, size_t len);
/* Kills the child and what it started, stopped ones too. */
void watchdog_child_kill(pid_t pid);
/* The next child that has ended, reaped, with its wait status; what it left running is killed. 0 when there
 * is none. */
pid_t watchdog_child_reap(int *status);
/* What a wait status means, in words that stay valid until the next call. */
const char *watchdog_child_why(int status);

#endif
