/* The limits that the surroundings set to this process (ulimit). */
#ifndef RLIMIT_H
#define RLIMIT_H
#include <stdbool.h>
#include "error.h"

/* Raises what is below the least that a run needs as far as it may be raised. False: not enough, with the reason; a run would
 * break off at any moment, when its level pages as like as not. */
bool rlimit_settle(struct error *error);

#endif
