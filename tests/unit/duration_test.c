#include "unit.h"
#include <math.h>
#include "base64.h"
#include "duration.h"

static void duration_is(const char *text, double wanted, const char *formatted) {
  struct error error = {0};
  struct buffer out = {0};
  double seconds = -1;
  if (!duration_parse(text, strlen(text), &seconds, &error)) fail_msg("%s", error.message);
  assert_true(fabs(seconds - wanted) < 1e-9);
  duration_format(&out, seconds);
  assert_text(&out, formatted);
  buffer_free(&out);
}

static void durations_are_read_and_written(void **state) {
  (void)state;
  duration_is("15m", 900, "15m");
  duration_is("0s", 0, "0s");
  duration_is("0ms", 0, "0s");
  duration_is("250ms", 0.25, "250ms");
  duration_is("1500ms", 1.5, "1.5s");
  duration_is("0.5ms", 0.0005, "0.5ms");
  duration_is("90s", 90, "1m30s");
  duration_is("1h30m", 5400, "1h30m");
  duration_is("7d", 604800, "7d");
  duration_is("1d1h1m1s1ms", 90061.001, "1d1h1m1.001s");
  duration_is("3652d", 315532800, "3652d");
}

static void wrong_durations_are_refused(void **state) {
  static const char *const wrong[] = {
      "",    "15",    "m",    "15 m", " 15m", "15m ", "-15m", "+1m",  "1m1m", "1m1h",  "1.s",
      ".5s", "1..5s", "1e3s", "15M",  "15w",  "1h30", "∞",    "infs", "15m,", "3653d", "9999999999999999s"};
  (void)state;
  for (size_t i = 0; i < COUNT(wrong); i++) {
    struct error error = {0};
    double seconds = 42;
    if (duration_parse(wrong[i], strlen(wrong[i]), &seconds, &error)) fail_msg("%s was taken", wrong[i]);
    assert_string_equal(error.kind, "usage");
    assert_true(seconds == 42);
  }
}

static void the_text_of_any_duration_reads_back(void **state) {
  uint64_t seed = 5;
  (void)state;
  for (int round = 0; round < 20000; round++) {
    struct buffer out = {0};
    struct error error = {0};
    double back, seconds = (double)(unit_random(&seed) >> unit_random(&seed) % 31) /
                           (double)(1 << unit_random(&seed) % 20);
    if (seconds > DURATION_MAX_SECONDS - 1) continue;
    duration_format(&out, seconds);
    if (!duration_parse(out.data, out.len, &back, &error)) fail_msg("%s", error.message);
    assert_true(fabs(back - seconds) <= 1e-6);
    buffer_free(&out);
  }
}

static void odd_numbers_have_a_text(void **state) {
  struct buffer out = {0};
  (void)state;
  duration_format(&out, -90);
  buffer_putc(&out, ' ');
  duration_format(&out, INFINITY);
  buffer_putc(&out, ' ');
  duration_format(&out, NAN);
  buffer_putc(&out, ' ');
  duration_format(&out, 59.9999999);
  assert_text(&out, "-1m30s forever unknown 1m");
  buffer_free(&out);
}

static void sizes_are_read_and_written(void **state) {
  static const struct {
    const char *text;
    int64_t bytes;
    const char *formatted;
  } sizes[] = {
      {"0", 0, "0 B"},
      {"512", 512, "512 B"},
      {"1KB", 1024, "1 KB"},
      {"64MB", 67108864, "64 MB"},
      {"64mb", 67108864, "64 MB"},
      {"64MiB", 67108864, "64 MB"},
      {"512Mi", 536870912, "512 MB"},
      {"1.5Gi", 1610612736, "1.5 GB"},
      {"1Ti", 1099511627776, "1 TB"},
      {"1.5 GB", 1610612736, "1.5 GB"},
      {"2T", 2199023255552, "2 TB"},
      {"1048575", 1048575, "1 MB"},
      {"8191P", 9222246136947933184, "8 EB"},
  };
  static const char *const wrong[] = {"",      "MB",  "-1",    "1XB",   "1Ki b", "1Bi", "1i",
                                      "1KiBi", "1e3", "1kilo", "8192P", "1 ",    "0x10"};
  struct error error = {0};
  int64_t bytes = 42;
  (void)state;
  for (size_t i = 0; i < COUNT(sizes); i++) {
    struct buffer out = {0};
    assert_true(size_parse(sizes[i].text, strlen(sizes[i].text), &bytes, &error));
    assert_int_equal(bytes, sizes[i].bytes);
    size_format(&out, (double)bytes);
    assert_text(&out, sizes[i].formatted);
    buffer_free(&out);
  }
  for (size_t i = 0; i < COUNT(wrong); i++)
    if (size_parse(wrong[i], strlen(wrong[i]), &bytes, &error)) fail_msg("%s was taken", wrong[i]);
}

static void times_are_read_and_written(void **state) {
  static const struct {
    const char *text;
    double seconds;
    const char *formatted;
  } times[] = {
      {"1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000000Z"},
      {"2026-11-23T17:40:05.123456Z", 1795455605.123456, "2026-11-23T17:40:05.123456Z"},
      {"2026-11-23t17:40:05.5z", 1795455605.5, "2026-11-23T17:40:05.500000Z"},
      {"2026-11-23T17:40:05+01:30", 1795450205, "2026-11-23T16:10:05.000000Z"},
      {"2026-12-31T23:59:60Z", 1798761600, "2027-01-01T00:00:00.000000Z"},
      {"2024-02-29T00:00:00-00:01", 1709164860, "2024-02-29T00:01:00.000000Z"},
      {"1969-12-31T23:59:59.999999Z", -0.000001, "1969-12-31T23:59:59.999999Z"},
      {"9999-12-31T23:59:59Z", 253402300799, "9999-12-31T23:59:59.000000Z"},
      {"0000-01-01T00:00:00Z", -62167219200, "0000-01-01T00:00:00.000000Z"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT(times); i++) {
    struct error error = {0};
    struct buffer out = {0};
    double seconds;
    if (!time_parse(times[i].text, strlen(times[i].text), &seconds, &error)) fail_msg("%s", error.message);
    assert_true(fabs(seconds - times[i].seconds) < 1e-6);
    time_format(&out, seconds);
    assert_text(&out, times[i].formatted);
    buffer_free(&out);
  }
}

static void wrong_times_are_refused(void **state) {
  static const char *const wrong[] = {"",
                                      "2026-11-23",
                                      "2026-11-23T17:40:05",
                                      "2026-11-23 17:40:05Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-11-31T00:00:00Z",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T17:60:00Z",
                                      "2026-11-23T17:40:61Z",
                                      "2026-11-23T17:40:05.Z",
                                      "2026-11-23T17:40:05+0100",
                                      "2026-11-23T17:40:05+24:00",
                                      "2026-11-23T17:40:05Zx",
                                      "26-11-23T17:40:05Z",
                                      "2026-1-23T17:40:05Z"};
  struct error error = {0};
  double seconds;
  (void)state;
  for (size_t i = 0; i < COUNT(wrong); i++)
    if (time_parse(wrong[i], strlen(wrong[i]), &seconds, &error)) fail_msg("%s was taken", wrong[i]);
}

static void base64_is_read_and_written(void **state) {
  static const char *const pairs[][2] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                                         {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
  static const char *const wrong[] = {
      "Z", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v=", "Zm 9v", "Zg==Zg==", "====", "Zm9v\n"};
  struct buffer out = {0};
  (void)state;
  for (size_t i = 0; i < COUNT(pairs); i++) {
    buffer_clear(&out);
    base64_encode(&out, pairs[i][0], strlen(pairs[i][0]), BASE64_STANDARD);
    assert_text(&out, pairs[i][1]);
    buffer_clear(&out);
    assert_true(base64_decode(&out, pairs[i][1], strlen(pairs[i][1])));
    assert_text(&out, pairs[i][0]);
  }
  buffer_clear(&out);
  base64_encode(&out, "\xff\xfe\xff\xfe", 4, BASE64_URL);
  assert_text(&out, "__7__g");
  assert_true(base64_decode(&out, "__7__g", 6));
  assert_memory_equal(out.data, "__7__g\xff\xfe\xff\xfe", 10);
  for (size_t i = 0; i < COUNT(wrong); i++)
    if (base64_decode(&out, wrong[i], strlen(wrong[i]))) fail_msg("%s was taken", wrong[i]);
  assert_int_equal(out.len, 10);
  buffer_free(&out);
}

static void messages_are_cut_at_a_character(void **state) {
  struct error error;
  char text[600];
  (void)state;
  for (size_t shift = 0; shift < 4; shift++) {
    memset(text, 'a', shift);
    text[shift] = '\0';
    while (strlen(text) < 590) strcat(text, "😀");
    error_set(&error, "usage", "%s", text);
    assert_int_equal((strlen(error.message) - shift) % 4, 0);
  }
  error_set(&error, "io", "opening: %s", "x");
  error_set(&error, error.kind, "the run: %s", error.message);
  assert_string_equal(error.message, "the run: opening: x");
  error_set_code(&error, -111, "db1");
  assert_string_equal(error.message, "db1: connection refused");
  assert_string_equal(error.kind, "refused");
  assert_string_equal(error_kind_of(-3008), "dns");
  assert_string_equal(error_kind_of(28), "limit");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(durations_are_read_and_written),
      cmocka_unit_test(wrong_durations_are_refused),
      cmocka_unit_test(the_text_of_any_duration_reads_back),
      cmocka_unit_test(odd_numbers_have_a_text),
      cmocka_unit_test(sizes_are_read_and_written),
      cmocka_unit_test(times_are_read_and_written),
      cmocka_unit_test(wrong_times_are_refused),
      cmocka_unit_test(base64_is_read_and_written),
      cmocka_unit_test(messages_are_cut_at_a_character),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
