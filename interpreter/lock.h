/* One run of a runbook at a time: an flock on a file under $XDG_STATE_HOME/runbook/locks, gone with the process however it
 * ends. */
#ifndef LOCK_H
#define LOCK_H
#include "error.h"

#define LOCK_HOLDER_MAX 256 /* bytes of the name of who holds a lock */

/* Takes the lock `name` (letters and digits) until lock_release or the end of the process, and leaves `holder` in it. A handle,
 * or -1 and `error`: kind locked, the message being the holder's name; else io or permission. */
int lock_take(const char *name, const char *holder, struct error *error);
void lock_release(int lock);

#endif
