/* escalation.jsonl: the watchdog's own journal, hash-chained like the run's (spec/journal.md): one JSON
 * object a line with seq, at, event, …, prev. The watchdog is its one writer. */
#ifndef WATCHDOG_JOURNAL_H
#define WATCHDOG_JOURNAL_H
#include <stdbool.h>
#include <sys/types.h>
#include "buffer.h"
#include "error.h"

struct watchdog_journal {
  int fd;
  off_t length;           /* of the good part; what follows is a torn line */
  unsigned long long seq; /* of the last line */
  char prev[65];          /* its hash, in hex */
};

/* Opens or makes the file in `folder`, goes on after its last whole line, cuts off a torn one and reserves
 * room for what is to come. False with `error` when it can't be opened or its last line is damaged. */
bool watchdog_journal_open(struct watchdog_journal *journal, int folder, struct error *error);
/* Begins an event of now: "at" and "event"; its members follow, each behind a comma. */
void watchdog_journal_event(struct buffer *event, const char *name);
/* Appends such an event, on disk when it returns. False when the disk refused; the file is then as before, and the
 * next line is a valid one. */
bool watchdog_journal_write(struct watchdog_journal *journal, const char *event);
void watchdog_journal_close(struct watchdog_journal *journal);

/* Appends `text` as a JSON string; bytes that are not printable ASCII are escaped one by one. */
void watchdog_json_string(struct buffer *buffer, const char *text);
/* Appends the wall-clock time `seconds` from now as a JSON string: RFC 3339, UTC, microseconds. */
void watchdog_json_time(struct buffer *buffer, double seconds);

#endif
