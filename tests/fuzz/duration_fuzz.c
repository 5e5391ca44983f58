/* What people type for durations, sizes and times. Of any bytes: refused with a reason, or a number within bounds whose own text
 * is read back as that number. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "duration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool taken(bool well, const struct error *error) {
  if (!well && (strcmp(error->kind, "usage") != 0 || !error->message[0])) abort();
  return well;
}

static void a_duration(const char *text, size_t len) {
  struct error error = {0};
  struct buffer out = {0};
  double seconds = 0, back = 0;
  if (!taken(duration_parse(text, len, &seconds, &error), &error)) return;
  if (!(seconds >= 0 && seconds <= DURATION_MAX_SECONDS)) abort();
  duration_format(&out, seconds);
  if (!duration_parse(out.data, out.len, &back, &error) || fabs(back - seconds) > 1e-6) abort();
  buffer_free(&out);
}

static void a_size(const char *text, size_t len) {
  struct error error = {0};
  struct buffer out = {0};
  int64_t bytes = 0, back = 0;
  if (!taken(size_parse(text, len, &bytes, &error), &error)) return;
  if (bytes < 0) abort();
  size_format(&out, (double)bytes);
  if (bytes < (int64_t)1 << 50 && !size_parse(out.data, out.len, &back, &error)) abort();
  if (fabs((double)back - (double)bytes) > (double)bytes / 10 && bytes < (int64_t)1 << 50) abort();
  buffer_free(&out);
}

static void a_time(const char *text, size_t len) {
  struct error error = {0};
  struct buffer out = {0};
  double seconds = 0, back = 0;
  if (!taken(time_parse(text, len, &seconds, &error), &error)) return;
  time_format(&out, seconds);
  if (!time_parse(out.data, out.len, &back, &error)) abort();
  buffer_clear(&out);
  clock_format(&out, seconds);
  buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  a_duration(text, size);
  a_size(text, size);
  a_time(text, size);
  return 0;
}
