/* watchdog.lock: one watchdog per run. A flock tells a living holder from a dead one, a lease a working one
 * from a stuck one.
 *
 * The file holds "PID UNTIL\n", UNTIL in seconds of CLOCK_BOOTTIME. Locks don't outlive a boot, so a holder's
 * UNTIL is always of this one. */
#ifndef WATCHDOG_LOCK_H
#define WATCHDOG_LOCK_H
#include <stdbool.h>
#include "error.h"

/* Takes the run's lock: an open descriptor, or -1 with `error` (kind "locked" when another watchdog is at
 * work). A holder whose lease is over is killed and replaced. May wait a second for it. */
int watchdog_lock_take(int folder, struct error *error);
void watchdog_lock_renew(int lock);
/* Removes the file and lets go. */
void watchdog_lock_release(int lock, int folder);
/* Seconds of CLOCK_BOOTTIME, which counts while a laptop sleeps. */
double watchdog_now(void);

#endif
