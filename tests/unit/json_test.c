#include "unit.h"
#include <math.h>
#include <stdbool.h>
#include "jsontext.h"

static json_t *read(const char *text) {
  struct error error = {0};
  json_t *value = jsontext_read(text, strlen(text), &error);
  if (!value) fail_msg("%s: %s", text, error.message);
  return value;
}

static void reads_as(const char *text, const char *wanted) {
  struct buffer out = {0};
  json_t *value = read(text);
  jsontext_write(&out, value, false);
  assert_text(&out, wanted);
  json_decref(value);
  buffer_free(&out);
}

static void fails(const char *text, const char *message) {
  struct error error = {0};
  assert_null(jsontext_read(text, strlen(text), &error));
  assert_string_equal(error.kind, "protocol");
  if (!strstr(error.message, message)) fail_msg("%s: %s", text, error.message);
}

static void numbers_keep_their_kind(void **state) {
  (void)state;
  reads_as("[0, -1, 9223372036854775807, -9223372036854775808]",
           "[0,-1,9223372036854775807,-9223372036854775808]");
  reads_as("[1.0, 0.1, -0.0, 1e300, 97.3, 1e-7]", "[1.0,0.1,-0.0,1e+300,97.3,1e-07]");
  reads_as("[9223372036854775808, -9223372036854775809, 5, \"12345678901234567890\"]",
           "[9.223372036854776e+18,-9.223372036854776e+18,5,\"12345678901234567890\"]");
}

static void strings_keep_every_byte(void **state) {
  (void)state;
  reads_as("\"a\\u0000b\\n\\u007f\\/\\\"\\\\ \\ud83d\\ude00\"", "\"a\\u0000b\\n\\u007f/\\\"\\\\ 😀\"");
  reads_as("{\"\": []}", "{\"\":[]}");
}

static void errors_say_where(void **state) {
  (void)state;
  fails("", "empty");
  fails("{\"a\":\n  1,\n  x}", "line 3 column 3");
  fails("[1,2", "line 1 column 4");
  fails("[1] 2", "line 1");
  fails("\"\xff\"", "line 1");
  fails("[01]", "line 1");
  fails("1e999", "line 1");
  fails("\"\\ud800\"", "line 1");
  fails("{\"a\\u0000b\": 1}", "NUL byte in object key");
}

static void depth_has_a_limit(void **state) {
  struct buffer text = {0};
  struct error error = {0};
  (void)state;
  for (int extra = 0; extra < 2; extra++) {
    buffer_clear(&text);
    for (int i = 0; i < JSON_DEPTH_MAX + extra; i++) buffer_putc(&text, '[');
    for (int i = 0; i < JSON_DEPTH_MAX + extra; i++) buffer_putc(&text, ']');
    json_t *value = jsontext_read(text.data, text.len, &error);
    assert_int_equal(value != NULL, extra == 0);
    json_decref(value);
  }
  buffer_clear(&text);
  for (int i = 0; i < 100000; i++) buffer_putc(&text, '[');
  fails(text.data, "nested too deep");
  buffer_free(&text);
}

static void pretty_is_indented(void **state) {
  struct buffer out = {0};
  json_t *value = read("{\"a\":[1,{}],\"b\":[]}");
  (void)state;
  jsontext_write(&out, value, true);
  assert_text(&out, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
  json_decref(value);
  buffer_free(&out);
}

/* ---- Random values ---- */

static double random_double(uint64_t *seed) {
  union {
    uint64_t bits;
    double number;
  } value = {.bits =
                 (uint64_t)unit_random(seed) << 33 ^ (uint64_t)unit_random(seed) << 4 ^ unit_random(seed)};
  return isfinite(value.number) ? value.number : 0.5;
}

static json_t *random_string(uint64_t *seed, bool is_key) {
  static const char *const pieces[] = {"a", "\"", "\\", "/", "\n", "\x01", "\x7f",
                                       "ö", "€",  "😀", "",  "$",  "\\u"};
  struct buffer text = {0};
  buffer_append(&text, "", 0);
  for (uint32_t n = unit_random(seed) % 8; n; n--) {
    if (!is_key && unit_random(seed) % 10 == 0) buffer_append(&text, "\0", 1);
    buffer_puts(&text, pieces[unit_random(seed) % COUNT(pieces)]);
  }
  json_t *string = json_stringn(text.data, text.len);
  buffer_free(&text);
  return string;
}

static json_t *random_value(uint64_t *seed, int depth) {
  json_t *value;
  switch (unit_random(seed) % (depth ? 8 : 6)) {
  case 0:
    return json_null();
  case 1:
    return json_boolean(unit_random(seed) & 1);
  case 2:
    return json_integer((json_int_t)((uint64_t)unit_random(seed) << 33 ^ unit_random(seed)) >>
                        unit_random(seed) % 60);
  case 3:
    return json_real(random_double(seed));
  case 4:
  case 5:
    return random_string(seed, false);
  case 6:
    value = json_array();
    for (uint32_t n = unit_random(seed) % 5; n; n--)
      json_array_append_new(value, random_value(seed, depth - 1));
    return value;
  default:
    value = json_object();
    for (uint32_t n = unit_random(seed) % 5; n; n--) {
      json_t *key = random_string(seed, true);
      json_object_setn_new(value, json_string_value(key), json_string_length(key),
                           random_value(seed, depth - 1));
      json_decref(key);
    }
    return value;
  }
}

static void random_values_come_back(void **state) {
  uint64_t seed = 11;
  (void)state;
  for (int round = 0; round < 4000; round++) {
    struct buffer text = {0}, again = {0};
    struct error error = {0};
    json_t *value = random_value(&seed, 4);
    jsontext_write(&text, value, round & 1);
    json_t *back = jsontext_read(text.data, text.len, &error);
    if (!back) fail_msg("%s: %s", error.message, text.data);
    assert_true(json_equal(value, back));
    jsontext_write(&again, back, round & 1);
    assert_text(&again, text.data);
    json_decref(value);
    json_decref(back);
    buffer_free(&text);
    buffer_free(&again);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_keep_their_kind), cmocka_unit_test(strings_keep_every_byte),
      cmocka_unit_test(errors_say_where),        cmocka_unit_test(depth_has_a_limit),
      cmocka_unit_test(pretty_is_indented),      cmocka_unit_test(random_values_come_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
