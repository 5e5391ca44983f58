/* The journal of a run: one JSON object a line, appended, chained by SHA-256, redacted at the last moment (spec/journal.md).
 *
 * Every line has seq (from 1), at (RFC 3339, microseconds, UTC), event, the event's own fields, and prev: the hex SHA-256 of
 * the line before without its newline, 64 zeros in the first. A torn last line is cut off when the file is opened; damage
 * anywhere else is refused. It is read by journal_reader.h. No Lua, no event loop: it works when nothing else does.
 */
#ifndef JOURNAL_H
#define JOURNAL_H
#include <stdbool.h>
#include <jansson.h>
#include "buffer.h"
#include "error.h"

#define JOURNAL_INLINE_MAX                                                                                   \
  (16u << 10) /* bytes of one value of a result that stands in its line; what is longer is a blob */
#define JOURNAL_BLOB "$blob" /* {"$blob":"HASH"} stands in its place; see blobs.h */

struct journal;

/* Opens (or creates, 0600) the file for its one writer. NULL and `error`: permission, io, limit (disk full), usage (another
 * process writes it, or it is no regular file), protocol (a line is damaged: the message has its number). `reserve` is a
 * file of the same folder that gives its space back when the disk is full, or NULL; it is deleted then. With `durable` a
 * blob is on disk before the line that refers to it. `clock` tells the
 * seconds since 1970. */
struct journal *journal_open(const char *path, const char *reserve, bool durable, double (*clock)(void),
                             struct error *error);
/* Bytes of a torn last line that opening cut off; 0: it was whole. */
size_t journal_cut(const struct journal *journal);
/* Appends an event; `fields` (an object, or NULL) is taken over, also on failure. In the field `result`, which is foreign
 * text, imitated marks are quoted (redact_quote). With `sync` the line is on disk when this returns true, in the file that still has the journal's name and may be written. On failure the file
 * is as before, unless that can't be had, or a sync failed: then the journal takes nothing more, since what the disk holds is
 * unknown, and every later call gives that first error. */
bool journal_append(struct journal *journal, const char *event, json_t *fields, bool sync,
                    struct error *error);
/* The last line that was appended, without its newline; valid until the next append. */
const struct buffer *journal_line(const struct journal *journal);
unsigned long long journal_seq(const struct journal *journal);
void journal_close(struct journal *journal);

#endif
