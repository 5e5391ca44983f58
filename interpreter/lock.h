/* One run of a runbook at a time: an flock on a file under $XDG_STATE_HOME/runbook/locks, gone with the process however it
 * ends. */
#ifndef LOCK_H
#define LOCK_H
#include <stdbool.h>
#include <sys/types.h>
#include "error.h"

#define LOCK_HOLDER_MAX 256 /* bytes of the name of who holds a lock */

/* Takes the lock `name` (letters and digits) until lock_release or the end of the process, and leaves `holder` in it. A handle,
 * or -1 and `error`: kind locked, the message being the holder's name; else io or permission. */
int lock_take(const char *name, const char *holder, struct error *error);
void lock_release(int lock);

/* Who holds the flock on the file at `path`: its process, and whether that is stopped; 0 when nobody does or it can't be told
 * (another machine's process, a /proc that hides it). */
pid_t lock_holder(const char *path, bool *stopped);
/* Ends that process by SIGKILL and waits until the file is free; true when it is, or was. */
bool lock_end_holder(const char *path);

#endif
