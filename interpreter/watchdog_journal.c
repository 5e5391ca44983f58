#include "watchdog_journal.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sha2.h>

#define FILE_NAME "escalation.jsonl"
#define RESERVED_BYTES                                                                                       \
  (64 * 1024) /* kept free for this file, so that a disk that fills up later can't silence it */
#define TAIL_BYTES (64 * 1024) /* no line of ours is longer */

static void hash(const char *line, size_t len, char hex[static 65]) {
  SHA256Data((const uint8_t *)line, len, hex);
}

/* The last whole line of `tail`, without its newline; NULL when there is none. Sets where the line after it
 * begins. */
static char *last_line(char *tail, size_t len, size_t *end) {
  char *newline = memrchr(tail, '\n', len);
  *end = newline ? (size_t)(newline - tail) + 1 : 0;
  if (!newline) return NULL;
  char *before = memrchr(tail, '\n', (size_t)(newline - tail));
  *newline = '\0';
  return before ? before + 1 : tail;
}

static bool go_on_after(struct watchdog_journal *journal, char *tail, size_t len, off_t from) {
  size_t end;
  const char *line = last_line(tail, len, &end);
  journal->length = from + (off_t)end;
  if (!line) return from == 0;
  if (sscanf(line, "{\"seq\":%llu,", &journal->seq) != 1) return false;
  hash(line, strlen(line), journal->prev);
  return true;
}

static bool read_tail(struct watchdog_journal *journal) {
  off_t size = lseek(journal->fd, 0, SEEK_END), from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
  char *tail = xmalloc(TAIL_BYTES);
  ssize_t len = pread(journal->fd, tail, TAIL_BYTES, from);
  bool ok = len >= 0 && go_on_after(journal, tail, (size_t)len, from);
  free(tail);
  return ok && (journal->length == size || ftruncate(journal->fd, journal->length) == 0);
}

bool watchdog_journal_open(struct watchdog_journal *journal, int folder, struct error *error) {
  memset(journal->prev, '0', 64);
  journal->prev[64] = '\0';
  journal->fd = openat(folder, FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (journal->fd < 0) return error_set_code(error, errno, FILE_NAME);
  if (!read_tail(journal)) {
    watchdog_journal_close(journal);
    return error_set(error, "io", FILE_NAME ": its last line is damaged");
  }
  /* Best effort: a file system that can't reserve is no reason not to watch. */
  (void)fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, journal->length, RESERVED_BYTES);
  return true;
}

static bool append(struct watchdog_journal *journal, const struct buffer *line) {
  ssize_t written = pwrite(journal->fd, line->data, line->len, journal->length);
  if (written == (ssize_t)line->len && fsync(journal->fd) == 0) return true;
  (void)!ftruncate(journal->fd, journal->length);
  return false;
}

void watchdog_journal_event(struct buffer *event, const char *name) {
  buffer_puts(event, "\"at\":");
  watchdog_json_time(event, 0);
  buffer_printf(event, ",\"event\":\"%s\"", name);
}

bool watchdog_journal_write(struct watchdog_journal *journal, const char *event) {
  struct buffer line = {0};
  buffer_printf(&line, "{\"seq\":%llu,%s,\"prev\":\"%s\"}\n", journal->seq + 1, event, journal->prev);
  bool ok = append(journal, &line);
  if (ok) {
    journal->seq++;
    journal->length += (off_t)line.len;
    hash(line.data, line.len - 1, journal->prev);
  }
  buffer_free(&line);
  return ok;
}

void watchdog_journal_close(struct watchdog_journal *journal) {
  if (journal->fd >= 0) close(journal->fd);
  journal->fd = -1;
}

void watchdog_json_string(struct buffer *buffer, const char *text) {
  buffer_putc(buffer, '"');
  for (const char *c = text; *c; c++)
    if (*c == '"' || *c == '\\')
      buffer_printf(buffer, "\\%c", *c);
    else if (*c < ' ' || *c > '~')
      buffer_printf(buffer, "\\u%04x", (unsigned char)*c);
    else
      buffer_putc(buffer, *c);
  buffer_putc(buffer, '"');
}

void watchdog_json_time(struct buffer *buffer, double seconds) {
  struct timespec now;
  struct tm tm;
  clock_gettime(CLOCK_REALTIME, &now);
  double whole = floor(seconds);
  long micros = now.tv_nsec / 1000 + (long)((seconds - whole) * 1e6);
  time_t second = now.tv_sec + (time_t)whole + micros / 1000000;
  gmtime_r(&second, &tm);
  buffer_printf(buffer, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ\"", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, micros % 1000000);
}
