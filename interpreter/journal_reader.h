/* Walks a journal (journal.h) line by line in the memory of its longest line: the chain is checked, and only what is wanted is
 * parsed. Damage ends nothing here: a reader that tells people takes what can still be read, and says from where on it is
 * damaged. Without Lua and without redaction: the built-in page reads with it too.
 */
#ifndef JOURNAL_READER_H
#define JOURNAL_READER_H
#include <stdbool.h>
#include <stdio.h>
#include <sha2.h>
#include <sys/types.h>
#include <jansson.h>
#include "error.h"

#define JOURNAL_LINE_MAX (64u << 20) /* bytes of one line with its newline; results are capped far below */
#define JOURNAL_SHOWN_MAX 96         /* bytes, with their NUL, told of what was found in a damaged line */

struct journal_line {
  const char *text, *name; /* the line without its newline, and its event's name in it */
  size_t len, name_len;
};

struct journal_reader {
  FILE *file;
  char *text;
  size_t cap;
  unsigned long long lines;               /* read so far */
  unsigned long long seq;                 /* of the last line */
  char prev[SHA256_DIGEST_STRING_LENGTH]; /* its hash */
  unsigned long long damaged;             /* the first line that is not as it was written; 0: none was met */
  const char *why;                        /* what is wrong with it */
  char expected[JOURNAL_SHOWN_MAX];       /* what should stand there, … */
  char found[JOURNAL_SHOWN_MAX];          /* … and what does: foreign text */
  off_t whole;                            /* bytes of lines taken */
  size_t torn;                            /* bytes of an unfinished last line, which is no damage */
  bool no_newline;                        /* the last line taken lacks its newline */
};

/* False and `error` when the file can't be opened. */
bool journal_reader_open(struct journal_reader *reader, const char *path, struct error *error);
/* The same for a descriptor, which becomes the reader's. */
bool journal_reader_adopt(struct journal_reader *reader, int fd, struct error *error);
/* The next event that `wants` says yes to (NULL: each), the caller's; NULL at the end. */
json_t *journal_reader_next(struct journal_reader *reader,
                            bool (*wants)(const struct journal_line *line, void *data), void *data);
/* Whether the end was reached because nothing more can be read: the disk failed. */
bool journal_reader_failed(const struct journal_reader *reader);
void journal_reader_close(struct journal_reader *reader);

#endif
