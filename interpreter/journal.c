#include "journal.h"
#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "duration.h"
#include "redact.h"

struct journal {
  int fd;
  off_t size; /* of what is known to be whole */
  unsigned long long seq;
  char prev[SHA256_DIGEST_STRING_LENGTH];
  char *reserve;
  double (*clock)(void);
  struct buffer line;
  struct error broken; /* the failure after which nothing more is taken */
};

static void hash_line(const char *line, size_t len, char hash[SHA256_DIGEST_STRING_LENGTH]) {
  SHA256Data((const uint8_t *)line, len, hash);
}

/* ---- Reading ---- */

struct reader {
  unsigned long long seq;
  char prev[SHA256_DIGEST_STRING_LENGTH];
  size_t whole; /* bytes of complete, valid lines */
};

static void reader_begin(struct reader *reader) {
  *reader = (struct reader){0};
  memset(reader->prev, '0', SHA256_DIGEST_STRING_LENGTH - 1);
}

/* Whether a line is the next of the chain; the event it holds, or NULL. */
static json_t *reader_line(struct reader *reader, const char *line, size_t len) {
  json_error_t problem;
  json_t *event = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
  const char *prev = json_string_value(json_object_get(event, "prev"));
  bool next = prev && strcmp(prev, reader->prev) == 0 && json_is_string(json_object_get(event, "event")) &&
              json_integer_value(json_object_get(event, "seq")) == (json_int_t)reader->seq + 1;
  if (!next) return json_decref(event), NULL;
  hash_line(line, len, reader->prev);
  reader->seq++;
  reader->whole += len + 1;
  return event;
}

/* Goes over all lines. A last one that has no newline, or is no event, is torn; anything else wrong is damage. */
static bool read_lines(struct reader *reader, const char *text, size_t len, bool (*each)(json_t *, void *),
                       void *data, struct error *error) {
  reader_begin(reader);
  for (size_t at = 0; at < len;) {
    const char *newline = memchr(text + at, '\n', len - at);
    if (!newline) return true;
    size_t size = (size_t)(newline - text) - at;
    json_t *event = reader_line(reader, text + at, size);
    if (!event && at + size + 1 == len) return true;
    if (!event)
      return error_set(error, "usage", "line %llu of the journal is damaged: what follows can't be trusted",
                       reader->seq + 1);
    bool more = !each || each(event, data);
    json_decref(event);
    if (!more) return true;
    at += size + 1;
  }
  return true;
}

static bool read_all(int fd, struct buffer *text, struct error *error) {
  char block[65536];
  ssize_t count;
  while ((count = read(fd, block, sizeof block)) != 0) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return error_set_code(error, errno, "the journal can't be read");
    buffer_append(text, block, (size_t)count);
  }
  return true;
}

bool journal_read(const char *path, bool (*each)(json_t *, void *), void *data, struct error *error) {
  struct buffer text = {0};
  struct reader reader;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error_set_code(error, errno, path);
  bool ok = read_all(fd, &text, error) &&
            read_lines(&reader, text.data ? text.data : "", text.len, each, data, error);
  close(fd);
  buffer_free(&text);
  return ok;
}

/* ---- Opening ---- */

static bool adopt(struct journal *journal, struct error *error) {
  struct buffer text = {0};
  struct reader reader;
  bool ok = read_all(journal->fd, &text, error) &&
            read_lines(&reader, text.data ? text.data : "", text.len, NULL, NULL, error);
  bool torn = ok && reader.whole < text.len;
  buffer_free(&text);
  if (!ok) return false;
  journal->seq = reader.seq;
  memcpy(journal->prev, reader.prev, sizeof journal->prev);
  journal->size = (off_t)reader.whole;
  if (torn && ftruncate(journal->fd, journal->size) != 0)
    return error_set_code(error, errno, "a torn last line can't be cut off");
  return true;
}

struct journal *journal_open(const char *path, const char *reserve, double (*clock)(void),
                             struct error *error) {
  struct journal *journal = xcalloc(1, sizeof *journal);
  journal->clock = clock;
  journal->reserve = reserve ? xstrdup(reserve) : NULL;
  journal->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal->fd < 0)
    error_set_code(error, errno, path);
  else if (flock(journal->fd, LOCK_EX | LOCK_NB) != 0)
    error_set(error, "usage", "another process writes %s", path);
  else if (adopt(journal, error))
    return journal;
  journal_close(journal);
  return NULL;
}

void journal_close(struct journal *journal) {
  if (!journal) return;
  if (journal->fd >= 0) close(journal->fd);
  buffer_free(&journal->line);
  free(journal->reserve);
  free(journal);
}

/* ---- Appending ---- */

static json_t *redacted_string(const json_t *string) {
  struct buffer clean = {0};
  redact_apply(&clean, json_string_value(string), json_string_length(string));
  json_t *copy = json_stringn(clean.data, clean.len);
  buffer_free(&clean);
  return copy ? copy : json_string("⟦redacted⟧");
}

static json_t *redacted_object(const json_t *object) {
  json_t *copy = json_object(), *value;
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    struct buffer clean = {0};
    redact_apply(&clean, key, strlen(key));
    json_object_setn_new_nocheck(copy, clean.data, clean.len, journal_redacted(value));
    buffer_free(&clean);
  }
  return copy;
}

json_t *journal_redacted(const json_t *value) {
  if (json_is_string(value)) return redacted_string(value);
  if (json_is_object(value)) return redacted_object(value);
  if (!json_is_array(value)) return json_incref((json_t *)(uintptr_t)value);
  json_t *copy = json_array();
  for (size_t i = 0; i < json_array_size(value); i++)
    json_array_append_new(copy, journal_redacted(json_array_get(value, i)));
  return copy;
}

/* {"seq":…,"at":…,"event":…, the fields, "prev":…} in that order, into journal->line with its newline. */
static bool build_line(struct journal *journal, const char *event, const json_t *fields,
                       struct error *error) {
  struct buffer at = {0};
  json_t *line = json_object(), *value;
  const char *key;
  time_format(&at, journal->clock());
  json_object_set_new(line, "seq", json_integer((json_int_t)journal->seq + 1));
  json_object_set_new(line, "at", json_string(at.data));
  json_object_set_new(line, "event", json_string(event));
  json_object_foreach((json_t *)(uintptr_t)fields, key, value) {
    if (!json_object_get(line, key)) json_object_set(line, key, value);
  }
  json_object_set_new(line, "prev", json_string(journal->prev));
  char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17));
  buffer_clear(&journal->line);
  if (text) buffer_puts(&journal->line, text);
  buffer_putc(&journal->line, '\n');
  free(text);
  json_decref(line);
  buffer_free(&at);
  if (!text || journal->line.len > JOURNAL_LINE_MAX)
    return error_set(error, "limit", "an event too large for the journal");
  return true;
}

/* Gives back what was held in reserve for this moment; true when there was some. */
static bool release_reserve(struct journal *journal) {
  if (!journal->reserve) return false;
  bool released = unlink(journal->reserve) == 0;
  free(journal->reserve);
  journal->reserve = NULL;
  return released;
}

/* All of the line, or none of it: a part that got through is cut off again. */
static bool write_line(struct journal *journal, struct error *error) {
  size_t done = 0;
  while (done < journal->line.len) {
    ssize_t count = write(journal->fd, journal->line.data + done, journal->line.len - done);
    if (count >= 0)
      done += (size_t)count;
    else if (errno == EINTR || (errno == ENOSPC && release_reserve(journal)))
      continue;
    else {
      error_set_code(error, errno, "the journal can't be written");
      if (done > 0 && ftruncate(journal->fd, journal->size) != 0) journal->broken = *error;
      return false;
    }
  }
  return true;
}

static bool sync_line(struct journal *journal, struct error *error) {
  if (fdatasync(journal->fd) == 0) return true;
  if (errno == ENOSPC && release_reserve(journal) && fdatasync(journal->fd) == 0) return true;
  error_set_code(error, errno, "the journal can't be brought to disk");
  journal->broken = *error; /* what the page cache holds now is unknown: never try again */
  return false;
}

bool journal_append(struct journal *journal, const char *event, json_t *fields, bool sync,
                    struct error *error) {
  if (journal->broken.kind[0]) {
    *error = journal->broken;
    json_decref(fields);
    return false;
  }
  json_t *clean = fields ? journal_redacted(fields) : json_object();
  json_decref(fields);
  bool ok = build_line(journal, event, clean, error) && write_line(journal, error);
  json_decref(clean);
  if (!ok) return false;
  hash_line(journal->line.data, journal->line.len - 1, journal->prev);
  journal->size += (off_t)journal->line.len;
  journal->seq++;
  journal->line.data[--journal->line.len] = '\0';
  return !sync || sync_line(journal, error);
}

const struct buffer *journal_line(const struct journal *journal) { return &journal->line; }
unsigned long long journal_seq(const struct journal *journal) { return journal->seq; }
