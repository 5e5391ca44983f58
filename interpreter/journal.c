#include "journal.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sha2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "blobs.h"
#include "duration.h"
#include "journal_reader.h"
#include "jsontext.h"
#include "redact_json.h"

struct journal {
  int fd;
  off_t size; /* of what is known to be whole */
  size_t cut;
  unsigned long long seq;
  char prev[SHA256_DIGEST_STRING_LENGTH];
  char *path, *reserve;
  bool is_new; /* its name, and its folder's, are not known to be on disk */
  struct blobs *blobs;
  double (*clock)(void);
  struct buffer line;
  struct error broken; /* the failure after which nothing more is taken */
};

/* ---- Opening ---- */

/* Walks to the end; any damage is refused: what follows it can't be told from what somebody wrote. */
static bool walk(int fd, struct journal_reader *reader, struct error *error) {
  if (!journal_reader_adopt(reader, fd, error)) return false;
  for (json_t *event; !reader->damaged && (event = journal_reader_next(reader, NULL, NULL));)
    json_decref(event);
  if (journal_reader_failed(reader)) error_set_code(error, EIO, "the journal can't be read");
  if (reader->damaged)
    error_set(error, "protocol", "line %llu of the journal is damaged: %s", reader->damaged, reader->why);
  bool well = !reader->damaged && !journal_reader_failed(reader);
  journal_reader_close(reader);
  return well;
}

/* Goes on after the last whole line. One that is whole but for its newline is kept: the event did happen. */
static bool adopt(struct journal *journal, struct error *error) {
  struct journal_reader reader;
  int fd = fcntl(journal->fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return error_set_code(error, errno, "the journal can't be read");
  if (!walk(fd, &reader, error)) return false;
  journal->seq = reader.seq;
  memcpy(journal->prev, reader.prev, sizeof journal->prev);
  journal->size = reader.whole;
  journal->cut = reader.torn;
  if (reader.torn && ftruncate(journal->fd, journal->size) != 0)
    return error_set_code(error, errno, "a torn last line can't be cut off");
  if (reader.no_newline && write(journal->fd, "\n", 1) != 1)
    return error_set_code(error, errno, "the last line can't be ended");
  journal->size += reader.no_newline;
  return true;
}

static bool take_file(struct journal *journal, const char *path, struct error *error) {
  struct stat st;
  journal->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (journal->fd < 0 || fstat(journal->fd, &st) != 0) return error_set_code(error, errno, path);
  if (!S_ISREG(st.st_mode)) return error_set(error, "usage", "%s is not a regular file", path);
  if (flock(journal->fd, LOCK_EX | LOCK_NB) != 0)
    return error_set(error, "usage", "another process writes %s", path);
  journal->is_new = st.st_size == 0;
  return adopt(journal, error);
}

static struct blobs *open_blobs(const char *path, bool durable) {
  char *copy = xstrdup(path);
  struct blobs *blobs = blobs_open(dirname(copy), durable);
  free(copy);
  return blobs;
}

struct journal *journal_open(const char *path, const char *reserve, bool durable, double (*clock)(void),
                             struct error *error) {
  struct journal *journal = xcalloc(1, sizeof *journal);
  journal->clock = clock;
  journal->path = xstrdup(path);
  journal->blobs = open_blobs(path, durable);
  journal->reserve = reserve ? xstrdup(reserve) : NULL;
  if (take_file(journal, path, error)) return journal;
  journal_close(journal);
  return NULL;
}

void journal_close(struct journal *journal) {
  if (!journal) return;
  if (journal->fd >= 0) close(journal->fd);
  blobs_close(journal->blobs);
  buffer_free(&journal->line);
  free(journal->path);
  free(journal->reserve);
  free(journal);
}

size_t journal_cut(const struct journal *journal) { return journal->cut; }
const struct buffer *journal_line(const struct journal *journal) { return &journal->line; }
unsigned long long journal_seq(const struct journal *journal) { return journal->seq; }

/* ---- Appending ---- */

static bool is_ours(const char *field) {
  return strcmp(field, "seq") == 0 || strcmp(field, "at") == 0 || strcmp(field, "event") == 0 ||
         strcmp(field, "prev") == 0;
}

/* Gives back what was held in reserve for this moment; true when there was some. */
static bool release_reserve(struct journal *journal) {
  if (!journal->reserve) return false;
  bool released = unlink(journal->reserve) == 0;
  free(journal->reserve);
  journal->reserve = NULL;
  return released;
}

static bool may_go_on(struct journal *journal, int code) {
  return code == EINTR || ((code == ENOSPC || code == EDQUOT) && release_reserve(journal));
}

/* ---- Big values: kept once, beside the journal ---- */

static bool keep_value(struct journal *journal, const char *kind, const struct buffer *text,
                       json_t **reference, struct error *error) {
  char hash[SHA256_DIGEST_STRING_LENGTH];
  int code;
  while ((code = blobs_keep(journal->blobs, kind, text, hash)) != 0 && may_go_on(journal, code)) continue;
  if (code != 0) return error_set_code(error, code, "a value of the journal can't be written");
  *reference = json_pack("{s:s}", JOURNAL_BLOB, hash);
  return true;
}

/* Puts a reference in the place of the member of `object` at which `at` stands, when that is big. */
static bool lighten_member(struct journal *journal, json_t *object, void *at, const char *effect,
                           struct error *error) {
  struct buffer text = {0}, kind = {0};
  json_t *reference = NULL;
  jsontext_write(&text, json_object_iter_value(at), false);
  buffer_printf(&kind, "%s %s", effect ? effect : "", json_object_iter_key(at));
  bool well = text.len <= JOURNAL_INLINE_MAX || keep_value(journal, kind.data, &text, &reference, error);
  if (reference) json_object_iter_set_new(object, at, reference);
  buffer_free(&text);
  buffer_free(&kind);
  return well;
}

/* What comes from outside may be long, and the same at every look: members of result and args, and the list of pins. Masked
 * before: the hash is of what anybody may read. */
static bool lighten(struct journal *journal, json_t *line, struct error *error) {
  static const char *const wide[] = {"result", "args"};
  const char *effect = json_string_value(json_object_get(line, "line"));
  void *pins = json_object_iter_at(line, "pins");
  bool well = !pins || lighten_member(journal, line, pins, effect, error);
  for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
    json_t *object = json_object_get(line, wide[i]);
    for (void *at = json_object_iter(object); well && at; at = json_object_iter_next(object, at))
      well = lighten_member(journal, object, at, effect, error);
  }
  return well;
}

/* ---- A line ---- */

static bool add_fields(json_t *line, json_t *fields, struct error *error) {
  for (void *at = json_object_iter(fields); at; at = json_object_iter_next(fields, at)) {
    const char *name = json_object_iter_key(at);
    if (is_ours(name))
      return error_set(error, "usage", "an event can't have a field \"%s\" of its own", name);
    redact_json_field(line, fields, at, strcmp(name, "result") == 0);
  }
  return true;
}

/* {"seq":…,"at":…,"event":…, the fields, "prev":…} in that order, into journal->line with its newline. */
static bool build_line(struct journal *journal, const char *event, json_t *fields, struct error *error) {
  struct buffer at = {0};
  json_t *line = json_object();
  time_format(&at, journal->clock());
  json_object_set_new(line, "seq", json_integer((json_int_t)journal->seq + 1));
  json_object_set_new(line, "at", json_string(at.data));
  json_object_set_new(line, "event", json_string(event));
  bool well = add_fields(line, fields, error) && lighten(journal, line, error);
  json_object_set_new(line, "prev", json_string(journal->prev));
  buffer_clear(&journal->line);
  jsontext_write(&journal->line, line, false);
  buffer_putc(&journal->line, '\n');
  json_decref(line);
  buffer_free(&at);
  if (well && journal->line.len > JOURNAL_LINE_MAX)
    return error_set(error, "limit", "an event too large for the journal");
  return well;
}

/* All of the line, or none of it: a part that got through is cut off again. */
static bool write_line(struct journal *journal, struct error *error) {
  for (size_t done = 0; done < journal->line.len;) {
    ssize_t count = write(journal->fd, journal->line.data + done, journal->line.len - done);
    if (count > 0) done += (size_t)count;
    if (count > 0 || (count < 0 && may_go_on(journal, errno))) continue;
    error_set_code(error, count < 0 ? errno : EIO, "the journal can't be written");
    if (done > 0 && ftruncate(journal->fd, journal->size) != 0) journal->broken = *error;
    return false;
  }
  return true;
}

/* 0 or an error's code. */
static int sync_folder(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int code = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
  if (fd >= 0) close(fd);
  return code == EINVAL ? 0 : code; /* EINVAL: a file system without */
}

/* After a power cut a new file is found again only when the folders that name it were brought to disk too: its own, and the
 * one above, in which that is new as well. */
static int sync_names(const struct journal *journal) {
  char *copy = xstrdup(journal->path);
  struct buffer above = {0};
  buffer_printf(&above, "%s/..", dirname(copy));
  int code = sync_folder(copy);
  if (code == 0) code = sync_folder(above.data);
  free(copy);
  buffer_free(&above);
  return code;
}

static bool sync_line(struct journal *journal, struct error *error) {
  int code = 0;
  while (fdatasync(journal->fd) != 0 && (code = errno) == EINTR) code = 0;
  if (code == 0 && journal->is_new) code = sync_names(journal);
  journal->is_new = false;
  if (code == 0) return true;
  error_set_code(error, code, "the journal can't be brought to disk");
  journal->broken =
      *error; /* the page cache may now call clean what the disk hasn't: trying again would lie */
  return false;
}

/* What was brought to disk counts only where it will be found: a file that was removed, moved, mounted over or replaced takes
 * lines all the same, and nobody would know what was changed. */
static bool check_place(const struct journal *journal, struct error *error) {
  struct stat ours, named;
  if (fstat(journal->fd, &ours) != 0 || lstat(journal->path, &named) != 0)
    return error_set_code(error, errno, "the journal's file is gone");
  if (ours.st_nlink == 0 || ours.st_ino != named.st_ino || ours.st_dev != named.st_dev)
    return error_set(error, "missing", "the journal's file is gone: another stands in its place");
  if (access(journal->path, W_OK) != 0)
    return error_set_code(error, errno, "the journal's folder takes no writes any more");
  return true;
}

/* Its lock keeps others out, unless this machine was put back to an earlier moment while another went on with the run: then the
 * file has grown, and a line of ours would stand behind what we never read. */
static bool check_size(struct journal *journal, struct error *error) {
  struct stat st;
  if (fstat(journal->fd, &st) != 0 || st.st_size == journal->size) return true;
  error_set(&journal->broken, "taken", "another process goes on with this run: its journal has grown");
  *error = journal->broken;
  return false;
}

bool journal_append(struct journal *journal, const char *event, json_t *fields, bool sync,
                    struct error *error) {
  bool well = false;
  if (journal->broken.kind[0])
    *error = journal->broken;
  else
    well =
        check_size(journal, error) && build_line(journal, event, fields, error) && write_line(journal, error);
  json_decref(fields);
  if (!well) return false;
  journal->size += (off_t)journal->line.len;
  journal->line.data[--journal->line.len] = '\0';
  SHA256Data((const uint8_t *)journal->line.data, journal->line.len, journal->prev);
  journal->seq++;
  return !sync || (sync_line(journal, error) && check_place(journal, error));
}
