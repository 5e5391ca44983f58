/* Journals that were damaged. Of any bytes: a reader comes to its end with every byte of the file accounted for, and what is
 * wrong has a line and a reason. Of a whole journal in which bytes were changed, before its last line: that is said. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include "buffer.h"
#include "journal_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES 4
#define AS_CHANGES '#' /* the first byte of an input that says what is changed in a whole journal */

static int file_of(const char *text, size_t len) {
  int fd = memfd_create("journal", MFD_CLOEXEC);
  if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0) abort();
  return fd;
}

/* Whether the journal is said to be as it was written. */
static bool is_whole(const char *text, size_t len) {
  struct journal_reader reader;
  struct error error = {0};
  json_t *event;
  unsigned long long events = 0;
  if (!journal_reader_adopt(&reader, file_of(text, len), &error)) abort();
  for (; (event = journal_reader_next(&reader, NULL, NULL)) != NULL; events++) json_decref(event);
  if (journal_reader_failed(&reader)) abort();
  if (reader.whole + (off_t)reader.torn != (off_t)len) abort();
  if (!reader.damaged && (events != reader.lines || events != reader.seq)) abort();
  if (reader.damaged > reader.lines || (reader.damaged && (!reader.why || !reader.expected[0]))) abort();
  bool whole = !reader.damaged && !reader.torn;
  journal_reader_close(&reader);
  return whole;
}

static void write_journal(struct buffer *journal) {
  char prev[SHA256_DIGEST_STRING_LENGTH];
  memset(prev, '0', sizeof prev - 1);
  prev[sizeof prev - 1] = '\0';
  for (int i = 1; i <= LINES; i++) {
    size_t from = journal->len;
    buffer_printf(journal,
                  "{\"seq\":%d,\"at\":\"2026-11-23T17:40:0%d.000000Z\",\"event\":\"check\",\"label\":\"l%d\","
                  "\"passed\":false,\"prev\":\"%s\"}",
                  i, i, i, prev);
    SHA256Data((const uint8_t *)journal->data + from, journal->len - from, prev);
    buffer_putc(journal, '\n');
  }
}

/* Three bytes a change: where (two), and the byte that stands there then. */
static void changes_are_said(const uint8_t *data, size_t size) {
  struct buffer before = {0}, after = {0};
  write_journal(&before);
  if (!is_whole(before.data, before.len)) abort();
  const char *last = memrchr(before.data, '\n', before.len - 1);
  size_t known = (size_t)(last - before.data);
  buffer_append(&after, before.data, before.len);
  for (size_t i = 0; i + 2 < size; i += 3)
    after.data[(data[i] * 256u + data[i + 1]) % known] = (char)data[i + 2];
  bool same = memcmp(before.data, after.data, before.len) == 0;
  if (is_whole(after.data, after.len) != same) abort();
  buffer_free(&before);
  buffer_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  is_whole((const char *)data, size);
  if (size > 0 && data[0] == AS_CHANGES) changes_are_said(data + 1, size - 1);
  return 0;
}
