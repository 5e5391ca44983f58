#include "unit.h"
#include <stdlib.h>
#include <time.h>
#include "linescan.h"
#include "linetime.h"

/* The scan of `text`, fed in pieces of `piece` bytes. */
static struct linescan *scanned(const struct linescan_spec *spec, const char *text, size_t len,
                                size_t piece) {
  struct error error = {0};
  struct linescan *scan = linescan_new(spec, &error);
  if (!scan) fail_msg("%s", error.message);
  for (size_t at = 0; at < len; at += piece)
    linescan_feed(scan, text + at, at + piece < len ? piece : len - at);
  return scan;
}

static void expect(const struct linescan_spec *spec, const char *text, size_t len, const char *kept,
                   unsigned lines, unsigned matched) {
  for (size_t piece = 1; piece <= len + 1; piece = piece < 20 ? piece + 1 : piece * 3) {
    struct linescan *scan = scanned(spec, text, len, piece);
    const struct linescan_result *result = linescan_end(scan);
    assert_string_equal(result->error.message, "");
    assert_int_equal(result->lines, lines);
    assert_int_equal(result->matched, matched);
    assert_string_equal(result->text.data ? result->text.data : "", kept);
    linescan_free(scan);
  }
}

#define PATTERN(text) .pattern = text, .pattern_len = sizeof text - 1, .max = 1000
#define EXPECT(spec, text, kept, lines, matched) expect(&(spec), text, sizeof text - 1, kept, lines, matched)

static void lines_are_the_same_in_any_pieces(void **state) {
  (void)state;
  struct linescan_spec errors = {PATTERN("ERROR")}, ends = {PATTERN("^b.$")}, all = {.max = 1000};
  EXPECT(errors, "INFO a\nERROR b\nINFO c\nERROR d", "ERROR b\nERROR d\n", 4, 2);
  EXPECT(ends, "b1\r\nxb2\nb3\nb\n\nb4\r", "b1\r\nb3\nb4\r\n", 6, 3);
  EXPECT(all, "a\n\nb", "a\n\nb\n", 3, 3);
  EXPECT(all, "", "", 0, 0);
}

/* A match stays in its line, whatever the pattern could reach. */
static void a_match_stays_in_its_line(void **state) {
  (void)state;
  struct linescan_spec across = {PATTERN("a\\s+b")}, ahead = {PATTERN("a(?![\\s\\S]*b)")},
                       whole = {PATTERN("\\Aa\\z")};
  EXPECT(across, "a\nb\na b\n", "a b\n", 3, 1);
  EXPECT(ahead, "a\nb\nab\n", "a\n", 3, 1);
  EXPECT(whole, "a\nba\na\n", "a\na\n", 3, 2);
}

static void bytes_that_are_no_text_are_bytes(void **state) {
  (void)state;
  struct linescan_spec after = {PATTERN("x$"), .count_only = true},
                       umlaut = {PATTERN("^.x"), .count_only = true};
  EXPECT(after, "\xff\xfe\0x\n\xc3x\nab\n", "", 3, 2);
  EXPECT(umlaut, "\xc3\xa4x\n\xc3x\nax\n", "", 3, 2);
}

static void the_newest_lines_are_kept_whole(void **state) {
  (void)state;
  struct linescan_spec spec = {.max = 10};
  struct linescan *scan = scanned(&spec, "first line\nlong second one\n3\n4\n5\n", 33, 7);
  const struct linescan_result *result = linescan_end(scan);
  assert_string_equal(result->text.data, "3\n4\n5\n");
  assert_true(result->cut);
  linescan_free(scan);
  spec.max = 33;
  scan = scanned(&spec, "first line\nlong second one\n3\n4\n5\n", 33, 7);
  assert_false(linescan_end(scan)->cut);
  linescan_free(scan);
}

static void a_line_is_looked_at_up_to_its_limit(void **state) {
  (void)state;
  struct linescan_spec ends = {PATTERN("x$"), .count_only = true};
  char *text = malloc(LINESCAN_LINE_MAX + 3);
  for (int over = 0; over < 2; over++) {
    memset(text, 'a', LINESCAN_LINE_MAX + 1);
    text[LINESCAN_LINE_MAX - 1 + over] = 'x';
    strcpy(text + LINESCAN_LINE_MAX + over, "\n");
    for (size_t piece = 1000; piece < 200000; piece *= 199) {
      struct linescan *scan = scanned(&ends, text, LINESCAN_LINE_MAX + (size_t)over + 1, piece);
      const struct linescan_result *result = linescan_end(scan);
      assert_int_equal(result->lines, 1);
      assert_int_equal(result->matched, over ? 0 : 1);
      linescan_free(scan);
    }
  }
  free(text);
}

/* ---- Frames ---- */

#define OUT(len) "\1\0\0\0\0\0\0" len
#define ERR(len) "\2\0\0\0\0\0\0" len

static void each_framed_stream_has_lines_of_its_own(void **state) {
  (void)state;
  struct linescan_spec spec = {PATTERN("^(out|err) one$"), .framed = true};
  EXPECT(spec,
         OUT("\4") "out " ERR("\x8") "err one\n" OUT("\x8") "one\nout " ERR("\1") "\n" OUT("\4") "two\n",
         "err one\nout one\n", 4, 2);
}

static void what_has_no_frames_is_read_as_it_is(void **state) {
  (void)state;
  struct linescan_spec spec = {PATTERN("one"), .framed = true};
  EXPECT(spec, "one line\nof a terminal\none more", "one line\none more\n", 3, 2);
  EXPECT(spec, "one", "one\n", 1, 1);
}

static void broken_frames_are_said(void **state) {
  (void)state;
  struct linescan_spec spec = {PATTERN("one"), .framed = true};
  struct linescan *scan = scanned(&spec,
                                  OUT("\4") "one\n"
                                            "garbage that is no header",
                                  8 + 4 + 25, 5);
  assert_string_equal(linescan_end(scan)->error.kind, "protocol");
  linescan_free(scan);
}

/* ---- Patterns ---- */

static void a_wrong_pattern_is_refused(void **state) {
  (void)state;
  struct error error = {0};
  assert_null(linescan_new(&(struct linescan_spec){PATTERN("a(b")}, &error));
  assert_string_equal(error.kind, "usage");
  char *long_one = calloc(1, LINESCAN_PATTERN_MAX + 1);
  memset(long_one, 'a', LINESCAN_PATTERN_MAX + 1); /* most of it a comment, or PCRE2 has a limit of its own */
  memcpy(long_one, "(?#", 3);
  long_one[LINESCAN_PATTERN_MAX - 1] = ')';
  struct linescan_spec spec = {.pattern = long_one, .pattern_len = LINESCAN_PATTERN_MAX + 1};
  assert_null(linescan_new(&spec, &error));
  spec.pattern_len--;
  struct linescan *scan = linescan_new(&spec, &error);
  assert_non_null(scan);
  linescan_free(scan);
  free(long_one);
}

static void a_pattern_that_never_ends_is_stopped(void **state) {
  (void)state;
  struct linescan_spec spec = {PATTERN("^(a+)+$")};
  char text[4001];
  memset(text, 'a', sizeof text);
  memcpy(text + sizeof text - 3, "b\n", 3);
  clock_t began = clock();
  struct linescan *scan = scanned(&spec, text, 4000, 4000);
  assert_string_equal(linescan_end(scan)->error.kind, "usage");
  assert_true(clock() - began < 10 * CLOCKS_PER_SEC);
  linescan_free(scan);
}

/* ---- Since ---- */

static void lines_from_a_time_on(void **state) {
  (void)state;
  struct linescan_spec spec = {PATTERN("x"), .since = 1000000000};
  EXPECT(spec,
         "x\n2001-09-09T01:46:39.999Z x\nx\n2001-09-09T01:46:40Z x\n  at x\n[2001-09-09 01:46:39+00:00] x\n",
         "2001-09-09T01:46:40Z x\n  at x\n", 2, 2);
  struct linescan *scan = scanned(&spec, "no time x\n", 10, 100);
  assert_false(linescan_end(scan)->timed);
  linescan_free(scan);
}

static void after_the_mark(void **state) {
  (void)state;
  struct linescan_spec spec = {PATTERN("x"), .after = "mark:1"};
  EXPECT(spec, "x\nxmark:1\nx1\nmark:1 x\n", "x1\nmark:1 x\n", 2, 2);
}

static void time_is(const char *line, double wanted) {
  struct linetime last = {0};
  double at = -1;
  bool found = linetime_read(&last, line, strlen(line), &at);
  if (wanted < 0 ? found : !found || at < wanted - 1e-6 || at > wanted + 1e-6)
    fail_msg("%s: %f", line, found ? at : -1);
}

static void times_of_lines(void **state) {
  (void)state;
  setenv("TZ", "XXX-2", 1);
  tzset();
  time_is("2001-09-09T01:46:40Z", 1e9);
  time_is("2001-09-09T01:46:40.25Z INFO x", 1e9 + 0.25);
  time_is("[2001-09-09T03:16:40,5+01:30] x", 1e9 + 0.5);
  time_is("2001-09-08 20:46:40 -0500 x", 1e9);
  time_is("2001-09-09 03:46:40 x", 1e9); /* this machine's */
  time_is("2001-09-09 03:46:40 +x", 1e9);
  static const char *const none[] = {"",
                                     "x",
                                     "2001-09-09",
                                     "2001-09-09x01:46:40Z",
                                     "2001/09/09 01:46:40",
                                     "Sep  9 01:46",
                                     "See  9 01:46:40 x",
                                     "12345678901234567890",
                                     "  2001-09-09T01:46:40Z",
                                     "Sep99999999999999"};
  for (size_t i = 0; i < COUNT(none); i++) time_is(none[i], -1);
}

/* The year is the one in which the time is not to come. */
static void syslogs_times_have_no_year(void **state) {
  (void)state;
  time_t now = time(NULL);
  for (int days = -300; days <= 60; days += 60) {
    time_t then = now + days * 86400;
    char line[64];
    strftime(line, sizeof line, "%b %e %H:%M:%S host x", localtime(&then));
    struct linetime last = {0};
    double at = 0;
    assert_true(linetime_read(&last, line, strlen(line), &at));
    if (days <= 0) assert_true(at > (double)then - 7300 && at < (double)then + 7300); /* summer time */
    if (days > 0) assert_true(at < (double)now);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_the_same_in_any_pieces),
      cmocka_unit_test(a_match_stays_in_its_line),
      cmocka_unit_test(bytes_that_are_no_text_are_bytes),
      cmocka_unit_test(the_newest_lines_are_kept_whole),
      cmocka_unit_test(a_line_is_looked_at_up_to_its_limit),
      cmocka_unit_test(each_framed_stream_has_lines_of_its_own),
      cmocka_unit_test(what_has_no_frames_is_read_as_it_is),
      cmocka_unit_test(broken_frames_are_said),
      cmocka_unit_test(a_wrong_pattern_is_refused),
      cmocka_unit_test(a_pattern_that_never_ends_is_stopped),
      cmocka_unit_test(lines_from_a_time_on),
      cmocka_unit_test(after_the_mark),
      cmocka_unit_test(times_of_lines),
      cmocka_unit_test(syslogs_times_have_no_year),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
