#include "unit.h"
#include "base64.h"
#include "redact.h"

#define SECRET "p4ss/w\"ö d+\\x" /* something to escape in every encoding */

static void add(const char *name, const char *value) {
  struct error error;
  assert_true(redact_add(name, value, strlen(value), &error));
}

static int setup(void **state) {
  (void)state;
  redact_clear();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  redact_clear();
  return 0;
}

static void applies(const char *text, const char *wanted) {
  struct buffer out = {0}, again = {0};
  redact_apply(&out, text, strlen(text));
  assert_text(&out, wanted);
  redact_apply(&again, wanted, strlen(wanted));
  assert_text(&again, wanted); /* twice is once */
  buffer_free(&out);
  buffer_free(&again);
}

/* Fed in two chunks, split everywhere, and byte by byte, the outcome is that of the whole. */
static void streams_alike(const char *text, size_t len) {
  struct buffer whole = {0}, out = {0};
  struct redact_stream stream = {0};
  redact_apply(&whole, text, len);
  for (size_t split = 0; split <= len; split++) {
    buffer_clear(&out);
    redact_stream_feed(&stream, &out, text, split);
    redact_stream_feed(&stream, &out, text + split, len - split);
    redact_stream_end(&stream, &out);
    assert_int_equal(out.len, whole.len);
    if (len) assert_memory_equal(out.data, whole.data, whole.len);
  }
  buffer_clear(&out);
  for (size_t i = 0; i < len; i++) redact_stream_feed(&stream, &out, text + i, 1);
  redact_stream_end(&stream, &out);
  if (len) assert_string_equal(out.data, whole.data);
  buffer_free(&whole);
  buffer_free(&out);
}

/* Redacted as `wanted` between other text, wherever a stream is split, and put back when `restorable`. */
static void hides(const char *written, const char *mark, bool restorable) {
  struct buffer text = {0}, wanted = {0}, out = {0}, back = {0};
  buffer_printf(&text, "before %s, after", written);
  buffer_printf(&wanted, "before %s, after", mark);
  applies(text.data, wanted.data);
  streams_alike(text.data, text.len);
  redact_quote(&out, text.data, text.len);
  assert_int_equal(redact_restore(&back, out.data, out.len), restorable);
  if (restorable) assert_text(&back, text.data);
  buffer_free(&text);
  buffer_free(&wanted);
  buffer_free(&out);
  buffer_free(&back);
}

static void every_form_is_hidden(void **state) {
  (void)state;
  add("S", SECRET);
  hides("p4ss/w\"ö d+\\x", "⟦S:plain⟧", true);
  hides("p4ss%2Fw%22%C3%B6%20d%2B%5Cx", "⟦S:url⟧", true);
  hides("p4ss%2fw%22%c3%b6%20d%2b%5cx", "⟦S:url-lower⟧", true);
  hides("p4ss%2Fw%22%C3%B6+d%2B%5Cx", "⟦S:form⟧", true);
  hides("p4ss/w%22%c3%B6%20d+%5cx", "⟦S:url-like⟧", false);
  hides("p4ss/w\\\"ö d+\\\\x", "⟦S:json⟧", true);
  hides("p4ss\\/w\\\"ö d+\\\\x", "⟦S:json-slash⟧", true);
  hides("p4ss\\u002Fw\\u0022\\u00f6 d\\u002b\\u005cx", "⟦S:json-like⟧", false);
  hides("703473732f7722c3b620642b5c78", "⟦S:hex⟧", true);
  hides("703473732F7722C3B620642B5C78", "⟦S:hex-upper⟧", true);
  hides("703473732F7722C3B620642b5c78", "⟦S:hex-like⟧", false);
}

static void an_emoji_may_be_two_escapes(void **state) {
  (void)state;
  add("S", "ab😀cd");
  hides("ab\\ud83d\\uDE00cd", "⟦S:json-like⟧", false);
}

static void base64_is_hidden_at_every_alignment(void **state) {
  static const char *const before[] = {"", "u", "u:", "abc", "abcd"}, *const after[] = {"", "x", "yz", "123"};
  (void)state;
  add("S", SECRET);
  for (size_t b = 0; b < COUNT(before); b++)
    for (size_t a = 0; a < COUNT(after); a++)
      for (int alphabet = 0; alphabet < 2; alphabet++) {
        struct buffer plain = {0}, text = {0}, out = {0};
        buffer_printf(&plain, "%s" SECRET "%s", before[b], after[a]);
        base64_encode(&text, plain.data, plain.len, (enum base64_alphabet)alphabet);
        redact_apply(&out, text.data, text.len);
        assert_non_null(strstr(out.data, "⟦S:base64"));
        /* At most the digits of what stood around it are left. */
        assert_true(out.len <=
                    strlen("⟦S:base64-like⟧") + 4 * strlen(before[b]) / 3 + 1 + 4 * strlen(after[a]) / 3 + 4);
        streams_alike(text.data, text.len);
        buffer_free(&plain);
        buffer_free(&text);
        buffer_free(&out);
      }
}

static void base64_alone_is_put_back(void **state) {
  (void)state;
  add("S", SECRET);
  hides("cDRzcy93IsO2IGQrXHg=", "⟦S:base64⟧=", true);
  hides("cDRzcy93IsO2IGQrXHg", "⟦S:base64⟧", true);
  hides("cDRzcy93\nIsO2IGQrXHg=", "⟦S:base64-like⟧=", false);
  hides("cDRzcy93\\r\\nIsO2IGQrXHg=", "⟦S:base64-like⟧=", false);
  hides("cDRzcy93IsO2IGQrXHg%3D", "⟦S:base64⟧%3D", true);
  add("T", "\xff\xff\xff~~~");
  hides("////fn5+", "⟦T:base64⟧", true);
  hides("____fn5-", "⟦T:base64url⟧", true);
  hides("\\/\\/\\/\\/fn5+", "⟦T:base64-like⟧", false);
  hides("%2F%2F%2f%2Ffn5%2B", "⟦T:base64-like⟧", false);
}

static void the_longest_wins_and_none_shows(void **state) {
  (void)state;
  add("SHORT", "swordfish");
  add("LONG", "swordfish-and-chips");
  add("TAIL", "chips-and-peas");
  applies("swordfish", "⟦SHORT:plain⟧");
  applies("swordfish-and-chips", "⟦LONG:plain⟧");
  applies("swordfish-and-chips-and-peas.", "⟦LONG:plain⟧⟦TAIL:part⟧.");
  streams_alike("xswordfish-and-chips-and-peas swordfish-and-chip swordfis", 58);
}

static void a_rotated_secret_is_hidden_in_both_values(void **state) {
  struct buffer back = {0};
  (void)state;
  add("S", "old-value");
  add("S", "new-value");
  applies("old-value new-value", "⟦S:plain⟧ ⟦S:plain⟧");
  assert_true(redact_restore(&back, "⟦S:plain⟧", strlen("⟦S:plain⟧")));
  assert_text(&back, "new-value");
  buffer_free(&back);
}

static void urls_give_their_secrets_away(void **state) {
  (void)state;
  applies("postgres://conduit:hunter2@db1/conduit", "postgres://conduit:⟦url⟧@db1/conduit");
  applies("redis://:pa#s?s@h:6379/0", "redis://:⟦url⟧@h:6379/0");
  applies("\"http:\\/\\/u:pw@h\\/x\"", "\"http:\\/\\/u:⟦url⟧@h\\/x\"");
  applies("https://ghp_0123456789abcdefghij@github.com/x", "https://⟦url⟧@github.com/x");
  applies("ssh://git@github.com/x", "ssh://git@github.com/x");
  applies("https://h:8080/a?mail=me@x.org", "https://h:8080/a?mail=me@x.org");
  applies("http://h:8080 and me@x.org", "http://h:8080 and me@x.org");
  applies("https://hooks.slack.com/services/T0/B0/xyz, then", "https://hooks.slack.com/services/⟦url⟧ then");
  applies("\"https:\\/\\/hooks.slack.com\\/services\\/T0\\/B\",",
          "\"https:\\/\\/hooks.slack.com\\/services\\/⟦url⟧\",");
  applies("https://Discord.com:443/api/webhooks/1/abc", "https://Discord.com:443/api/webhooks/⟦url⟧");
  applies("https://hooks.slack.com.evil/services/x", "https://hooks.slack.com.evil/services/x");
  applies("a :// b ://", "a :// b ://");
  static const char text[] =
      "see postgres://conduit:hunter2@db1/x, https://hooks.slack.com/services/T/B/x :// done";
  streams_alike(text, sizeof text - 1);
}

static void a_named_secret_in_a_url_keeps_its_name(void **state) {
  (void)state;
  add("PW", "hunter22");
  applies("postgres://conduit:hunter22@db1/x", "postgres://conduit:⟦PW:plain⟧@db1/x");
  applies("postgres://conduit:hunter22!@db1/x", "postgres://conduit:⟦url⟧@db1/x");
  applies("postgres://hunter22:other@db1/x", "postgres://⟦PW:plain⟧:⟦url⟧@db1/x");
}

static void foreign_marks_do_not_become_secrets(void **state) {
  static const char *const texts[] = {"⟦DB:plain⟧", "⟦⟦DB:plain⟧",          "⟦:⟧DB:plain⟧",      "⟦DB:plain",
                                      "⟦",          "⟦DB:⟧s3cret-value⟧",   "⟦DB:s3cret-value⟧", "\xE2\x9F",
                                      "⟦url⟧x",     "⟦X:plain⟧ ⟦OTHER:url⟧"};
  (void)state;
  add("DB", "s3cret-value");
  add("ODD", "⟦DB:plain⟧ and ⟦");
  for (size_t i = 0; i < COUNT(texts); i++) {
    struct buffer out = {0}, back = {0};
    redact_quote(&out, texts[i], strlen(texts[i]));
    assert_null(strstr(out.data, "s3cret-value"));
    redact_restore(&back, out.data, out.len);
    assert_text(&back, texts[i]);
    streams_alike(texts[i], strlen(texts[i]));
    buffer_free(&out);
    buffer_free(&back);
  }
  applies("⟦DB:s3cret-value⟧", "⟦DB:⟦DB:plain⟧⟧");
  hides("⟦DB:plain⟧ and ⟦", "⟦ODD:plain⟧", true);
}

static void bad_secrets_are_refused(void **state) {
  struct error error;
  (void)state;
  assert_false(redact_add("S", "abc", 3, &error));
  assert_string_equal(error.kind, "usage");
  assert_false(redact_add("", "abcdef", 6, &error));
  assert_false(redact_add("a b", "abcdef", 6, &error));
  assert_false(redact_add("a:b", "abcdef", 6, &error));
  applies("abc abcdef", "abc abcdef");
}

static void hashes_tell_values_apart(void **state) {
  struct buffer hash = {0}, other = {0};
  (void)state;
  assert_false(redact_hash(&hash, "S"));
  add("S", "value-one");
  assert_true(redact_hash(&hash, "S"));
  assert_true(redact_hash(&other, "S"));
  assert_string_not_equal(hash.data, other.data);
  assert_true(redact_matches("S", hash.data));
  assert_true(redact_matches("S", other.data));
  assert_false(redact_matches("S", "x"));
  add("S", "value-two");
  assert_false(redact_matches("S", hash.data));
  buffer_free(&hash);
  buffer_free(&other);
}

/* Texts of few letters, in which secrets, their pieces and their forms abound. */
static void random_texts_hold_no_secret(void **state) {
  static const char *const pieces[] = {"ab/a", "ba/b",   "ab%2Fa",   "%2",  "\\/", "YWIvY",  "YmEvYg==", "⟦",
                                       "⟦A:",  "plain⟧", "61622F61", "a",   "b",   "/",      "://",      "@",
                                       ":",    "u",      "\n",       "ab/", "a/b", "\\u0061"};
  uint64_t seed = 7;
  (void)state;
  add("A", "ab/a");
  add("B", "ba/b");
  for (int round = 0; round < 3000; round++) {
    struct buffer text = {0}, out = {0}, back = {0};
    for (uint32_t n = unit_random(&seed) % 9 + 1; n; n--)
      buffer_puts(&text, pieces[unit_random(&seed) % COUNT(pieces)]);
    redact_quote(&out, text.data, text.len);
    assert_null(strstr(out.data, "ab/a"));
    assert_null(strstr(out.data, "ba/b"));
    assert_null(strstr(out.data, "ab%2Fa"));
    assert_null(strstr(out.data, "61622F61"));
    if (redact_restore(&back, out.data, out.len)) assert_text(&back, text.data);
    streams_alike(text.data, text.len);
    buffer_free(&text);
    buffer_free(&out);
    buffer_free(&back);
  }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(every_form_is_hidden),
      CASE(an_emoji_may_be_two_escapes),
      CASE(base64_is_hidden_at_every_alignment),
      CASE(base64_alone_is_put_back),
      CASE(the_longest_wins_and_none_shows),
      CASE(a_rotated_secret_is_hidden_in_both_values),
      CASE(urls_give_their_secrets_away),
      CASE(a_named_secret_in_a_url_keeps_its_name),
      CASE(foreign_marks_do_not_become_secrets),
      CASE(bad_secrets_are_refused),
      CASE(hashes_tell_values_apart),
      CASE(random_texts_hold_no_secret),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
