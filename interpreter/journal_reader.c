#include "journal_reader.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include "buffer.h"

#define HASH_LEN ((int)SHA256_DIGEST_STRING_LENGTH - 1)

bool journal_reader_adopt(struct journal_reader *reader, int fd, struct error *error) {
  *reader = (struct journal_reader){.file = fdopen(fd, "re")};
  memset(reader->prev, '0', HASH_LEN);
  if (reader->file) return true;
  error_set_code(error, errno, "the journal can't be read");
  close(fd);
  return false;
}

bool journal_reader_open(struct journal_reader *reader, const char *path, struct error *error) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  *reader = (struct journal_reader){0};
  if (fd < 0) return error_set_code(error, errno, path);
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    close(fd);
    return error_set(error, "usage", "%s is not a regular file", path);
  }
  return journal_reader_adopt(reader, fd, error);
}

void journal_reader_close(struct journal_reader *reader) {
  free(reader->text);
  if (reader->file) fclose(reader->file);
  reader->text = NULL;
  reader->file = NULL;
}

bool journal_reader_failed(const struct journal_reader *reader) {
  return reader->file && ferror(reader->file);
}

/* ---- One line: {"seq":7,"at":"…","event":"check",…,"prev":"HASH"} ---- */

static bool skip(const char **at, const char *text) {
  size_t len = strlen(text);
  bool same = strncmp(*at, text, len) == 0;
  if (same) *at += len;
  return same;
}

/* Its number and its event's name; false when it doesn't begin as the writer begins each. */
static bool read_head(struct journal_line *line, unsigned long long *seq) {
  char *end;
  const char *at = line->text;
  if (!skip(&at, "{\"seq\":")) return false;
  *seq = strtoull(at, &end, 10);
  at = end;
  if (!skip(&at, ",\"at\":\"")) return false;
  at += strcspn(at, "\"");
  if (!skip(&at, "\",\"event\":\"")) return false;
  line->name = at;
  line->name_len = strcspn(at, "\"\\");
  return line->name_len > 0 && at[line->name_len] == '"';
}

/* The hash it names as that of the line before, or NULL. */
static const char *find_prev(const struct journal_line *line) {
  static const char key[] = ",\"prev\":\"";
  size_t tail = sizeof key - 1 + HASH_LEN + 2;
  if (line->len < tail) return NULL;
  const char *at = line->text + line->len - tail;
  if (strncmp(at, key, sizeof key - 1) != 0) return NULL;
  return strcmp(line->text + line->len - 2, "\"}") == 0 ? at + sizeof key - 1 : NULL;
}

/* The first damage is kept. */
static void damaged(struct journal_reader *reader, unsigned long long line, const char *why,
                    const char *expected, const char *found) {
  if (reader->damaged) return;
  reader->damaged = line;
  reader->why = why;
  snprintf(reader->expected, sizeof reader->expected, "%s", expected);
  snprintf(reader->found, sizeof reader->found, "%s", found);
}

static void wrong_form(struct journal_reader *reader, const struct journal_line *line) {
  damaged(reader, reader->lines, "it is no line of a journal", "{\"seq\":…,\"at\":…,\"event\":…,\"prev\":…}",
          line->text);
}

static void wrong_number(struct journal_reader *reader, unsigned long long seq) {
  char expected[32], found[32];
  snprintf(expected, sizeof expected, "number %llu", reader->seq + 1);
  snprintf(found, sizeof found, "number %llu", seq);
  damaged(reader, reader->lines, "it has another number", expected, found);
}

/* A wrong hash says that the line before is not what it was; the first has none before it. */
static void wrong_hash(struct journal_reader *reader, const char *prev) {
  char named[SHA256_DIGEST_STRING_LENGTH] = {0};
  for (int i = 0; i < HASH_LEN; i++) named[i] = prev[i] ? prev[i] : '?'; /* a zero would end what is shown */
  if (reader->lines > 1)
    damaged(reader, reader->lines - 1, "it was changed", named, reader->prev);
  else
    damaged(reader, 1, "it was changed", reader->prev, named);
}

/* Checks its place in the chain. */
static bool check(struct journal_reader *reader, struct journal_line *line) {
  unsigned long long seq = 0;
  const char *prev = find_prev(line);
  bool formed = read_head(line, &seq) && prev;
  if (!formed)
    wrong_form(reader, line);
  else if (seq != reader->seq + 1)
    wrong_number(reader, seq);
  else if (strncmp(prev, reader->prev, HASH_LEN) != 0)
    wrong_hash(reader, prev);
  reader->seq = formed ? seq : reader->seq + 1;
  SHA256Data((const uint8_t *)line->text, line->len, reader->prev);
  return formed;
}

/* ---- The walk ---- */

static json_t *parse(struct journal_reader *reader, const struct journal_line *line) {
  json_t *event = json_loadb(line->text, line->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
  if (!event) damaged(reader, reader->lines, "it is no JSON object", "a JSON object", line->text);
  return event;
}

/* A line without a newline that is not whole is being written, or was when the power failed. */
static bool is_torn(const struct journal_line *line) {
  json_t *event = json_loadb(line->text, line->len, JSON_ALLOW_NUL, NULL);
  json_decref(event);
  return event == NULL;
}

/* Takes the next line up to its newline and no more than a line may have: behind a power failure a file may hold gigabytes of
 * zeros. How long it is in the file; 0 at the end. */
static size_t read_line(struct journal_reader *reader, bool *ended) {
  size_t size = 0, kept = 0;
  int c = 0;
  for (*ended = false; !*ended && (c = getc_unlocked(reader->file)) != EOF; size++) {
    if (kept + 2 > reader->cap)
      reader->text = xrealloc(reader->text, reader->cap = reader->cap ? 2 * reader->cap : 4096);
    if (kept < JOURNAL_LINE_MAX) reader->text[kept++] = (char)c;
    *ended = c == '\n';
  }
  if (size) reader->text[size > kept ? 0 : kept - *ended] = '\0';
  return size;
}

static bool next_line(struct journal_reader *reader, struct journal_line *line) {
  bool ended;
  size_t size = read_line(reader, &ended);
  if (size == 0) return false;
  bool long_one = size > JOURNAL_LINE_MAX;
  *line = (struct journal_line){.text = reader->text, .len = long_one ? 0 : size - ended};
  if (!ended && (long_one || is_torn(line))) return reader->torn = size, false;
  reader->lines++;
  reader->whole += (off_t)size;
  reader->no_newline = !ended;
  if (long_one) damaged(reader, reader->lines, "it is too long", "a line of 64 MB at most", "a longer one");
  return true;
}

json_t *journal_reader_next(struct journal_reader *reader, bool (*wants)(const struct journal_line *, void *),
                            void *data) {
  struct journal_line line;
  while (next_line(reader, &line)) {
    json_t *event = NULL;
    bool formed = check(reader, &line);
    if (formed && (!wants || wants(&line, data))) event = parse(reader, &line);
    if (event) return event;
  }
  return NULL;
}
