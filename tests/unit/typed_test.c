#include "unit.h"
#include "typed.h"

/* What is left of a line after these bytes, and how it stands. */
static void typed_is(const char *bytes, const char *wanted, enum typed_state state) {
  struct typed typed = {0};
  assert_int_equal(typed_feed(&typed, bytes, strlen(bytes)), state);
  assert_int_equal(typed.len, strlen(wanted));
  assert_memory_equal(typed.text, wanted, typed.len);
}

static void a_line_is_edited(void **state) {
  (void)state;
  typed_is("ye", "ye", TYPED_OPEN);
  typed_is("yes\r", "yes", TYPED_DONE);
  typed_is("yes\nno\n", "yes", TYPED_DONE);
  typed_is("yez\x7fs", "yes", TYPED_OPEN);
  typed_is("\x7f\x08y", "y", TYPED_OPEN);
  typed_is("größ\x7f\x7f", "gr", TYPED_OPEN);
  typed_is("one two \x17", "one ", TYPED_OPEN);
  typed_is("one two\x15no", "no", TYPED_OPEN);
  typed_is("y\x1b[A\x1b[3~\x1bOPn", "yn", TYPED_OPEN);
  typed_is("a\x01\x0b\tb", "ab", TYPED_OPEN);
  typed_is("\x04", "", TYPED_EOF);
  typed_is("no\x04", "no", TYPED_DONE);
}

static void a_character_may_come_in_pieces(void **state) {
  struct typed typed = {0};
  (void)state;
  typed_feed(&typed, "\xc3", 1);
  typed_feed(&typed, "\xbc", 1);
  assert_int_equal(typed_feed(&typed, "\x7f", 1), TYPED_OPEN);
  assert_int_equal(typed.len, 0);
}

static void a_line_has_an_end(void **state) {
  struct typed typed = {0};
  (void)state;
  for (size_t i = 0; i < TYPED_MAX + 10; i++) assert_int_equal(typed_feed(&typed, "x", 1), TYPED_OPEN);
  assert_int_equal(typed.len, TYPED_MAX);
}

static void draws(const char *text, const char *left, const char *right, size_t columns, const char *wanted) {
  struct typed typed = {0};
  struct buffer out = {0};
  typed_feed(&typed, text, strlen(text));
  typed_draw(&out, &typed, left, right, columns);
  assert_text(&out, wanted);
  buffer_free(&out);
}

static void a_prompt_has_its_clock_at_the_right(void **state) {
  (void)state;
  draws("", "? ", "4:51", 11, "\r? \x1b[K    4:51\r\x1b[2C");
  draws("no", "? ", "4:51", 11, "\r? no\x1b[K  4:51\r\x1b[4C");
  draws("yes", "? ", "4:51", 11, "\r? yes\x1b[K");                /* no room beside it */
  draws("a long target", "? ", "4:51", 11, "\r? g target\x1b[K"); /* its end is what is being typed */
  draws("\xe6\x97\xa5\xe6\x9c\xac", "? ", "", 6, "\r? \xe6\x9c\xac\x1b[K"); /* two columns each */
  draws("x", "a question", "1", 8, "\ra ques…\x1b[K");
  draws("", "", "", 0, "\r\x1b[K");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_line_is_edited),
      cmocka_unit_test(a_character_may_come_in_pieces),
      cmocka_unit_test(a_line_has_an_end),
      cmocka_unit_test(a_prompt_has_its_clock_at_the_right),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
