/* The time that a line of a log begins with: ISO 8601 (2026-11-26T03:02:11.5Z, 2026-11-26 03:02:11,5 +01:00, with or
 * without brackets; without a zone this machine's time), or syslog's (Nov 26 03:02:11: this machine's time, of the last
 * twelve months). */
#ifndef LINETIME_H
#define LINETIME_H
#include <stdbool.h>
#include <stddef.h>

/* What was worked out last: lines of one minute share it. Zeroed at first. */
struct linetime {
  char minute[20];
  double base;
};

/* Seconds since 1970 in `at`; false when the line begins with no time. */
bool linetime_read(struct linetime *last, const char *line, size_t len, double *at);

#endif
