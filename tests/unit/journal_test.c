#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "journal.h"
#include "journal_reader.h"
#include "redact.h"

/* Failures on order: the linker leads the journal's calls here (--wrap). */
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_ftruncate(int fd, off_t size);
int __wrap_ftruncate(int fd, off_t size);

static int write_code;         /* with which writes fail, once `write_room` bytes are written */
static size_t write_room;      /* a disk with so much room … */
static const char *until_gone; /* … as long as this file is there */
static int sync_code, truncate_code;

ssize_t __wrap_write(int fd, const void *bytes, size_t len) {
  if (!write_code || (until_gone && access(until_gone, F_OK) != 0)) return __real_write(fd, bytes, len);
  if (write_room == 0) return errno = write_code, -1;
  if (len > write_room) len = write_room;
  write_room -= len;
  return __real_write(fd, bytes, len);
}

int __wrap_fdatasync(int fd) { return sync_code ? (errno = sync_code, -1) : __real_fdatasync(fd); }
int __wrap_ftruncate(int fd, off_t size) {
  return truncate_code ? (errno = truncate_code, -1) : __real_ftruncate(fd, size);
}

static char folder[64], path[128], reserve[128];

static double clock_of_test(void) { return 1795455605.123456; }

static int setup(void **state) {
  (void)state;
  redact_clear();
  write_code = sync_code = truncate_code = 0;
  until_gone = NULL;
  snprintf(folder, sizeof folder, "/tmp/journal-test-XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/journal.jsonl", folder);
  snprintf(reserve, sizeof reserve, "%s/reserve", folder);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  redact_clear();
  unlink(path);
  unlink(reserve);
  rmdir(folder);
  return 0;
}

/* ---- Helpers ---- */

static void append(struct journal *journal, const char *event, const char *fields) {
  struct error error = {0};
  json_t *object = json_loads(fields, JSON_ALLOW_NUL, NULL);
  assert_non_null(object);
  if (!journal_append(journal, event, object, false, &error)) fail_msg("%s", error.message);
}

static struct journal *open_journal(void) {
  struct error error = {0};
  struct journal *journal = journal_open(path, NULL, true, clock_of_test, &error);
  if (!journal) fail_msg("%s", error.message);
  return journal;
}

static void write_file(const char *text, size_t len) {
  FILE *file = fopen(path, "w");
  assert_int_equal(fwrite(text, 1, len, file), len);
  fclose(file);
}

static struct buffer read_file(void) {
  struct buffer text = {0};
  char block[4096];
  size_t count;
  FILE *file = fopen(path, "r");
  while ((count = fread(block, 1, sizeof block, file)) > 0) buffer_append(&text, block, count);
  buffer_append(&text, "", 0);
  fclose(file);
  return text;
}

static bool count_event(json_t *event, void *data) {
  assert_int_equal(json_integer_value(json_object_get(event, "seq")), *(int *)data + 1);
  ++*(int *)data;
  return true;
}

/* Reads all of it; false when it is damaged. */
static bool journal_read(const char *name, bool (*each)(json_t *, void *), void *data, struct error *error) {
  struct journal_reader reader;
  if (!journal_reader_open(&reader, name, error)) fail_msg("%s", error->message);
  for (json_t *event; !reader.damaged && (event = journal_reader_next(&reader, NULL, NULL));
       json_decref(event))
    if (!reader.damaged) each(event, data);
  journal_reader_close(&reader);
  return !reader.damaged;
}

/* A journal of three events, as text. */
static struct buffer sample(void) {
  struct journal *journal = open_journal();
  append(journal, "run.started", "{\"file\":\"a.lua\",\"seed\":9007199254740993}");
  append(journal, "note", "{\"text\":\"ein \\\"Satz\\\" ö\\u0000\\n\",\"ms\":1.5}");
  append(journal, "run.ended", "{\"exit\":0,\"list\":[1,2.0,null,{}]}");
  journal_close(journal);
  return read_file();
}

static size_t line_start(const struct buffer *text, int line) {
  size_t at = 0;
  while (line-- > 0) at = (size_t)((char *)memchr(text->data + at, '\n', text->len - at) - text->data) + 1;
  return at;
}

/* ---- Tests ---- */

static void lines_are_written_as_specified(void **state) {
  struct buffer text;
  (void)state;
  struct journal *journal = open_journal();
  append(journal, "note", "{\"text\":\"x\",\"a\":1}");
  assert_int_equal(journal_seq(journal), 1);
  assert_text(journal_line(journal),
              "{\"seq\":1,\"at\":\"2026-11-23T17:40:05.123456Z\",\"event\":\"note\",\"text\":\"x\",\"a\":1,"
              "\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\"}");
  append(journal, "note", "{}");
  text = read_file();
  /* sha256sum of the first line without its newline */
  assert_non_null(strstr(text.data, "\"prev\":\"c89f98d6"));
  journal_close(journal);
  buffer_free(&text);
}

static void a_journal_goes_on_where_it_ended(void **state) {
  int count = 0;
  struct error error = {0};
  (void)state;
  for (int i = 0; i < 3; i++) {
    struct journal *journal = open_journal();
    assert_int_equal(journal_seq(journal), 2 * i);
    append(journal, "note", "{}");
    append(journal, "note", "{}");
    journal_close(journal);
  }
  assert_true(journal_read(path, count_event, &count, &error));
  assert_int_equal(count, 6);
}

static void one_writer_at_a_time(void **state) {
  struct error error = {0};
  (void)state;
  struct journal *journal = open_journal();
  assert_null(journal_open(path, NULL, true, clock_of_test, &error));
  assert_string_equal(error.kind, "usage");
  journal_close(journal);
  journal_close(open_journal());
}

static void cut_at_every_byte_a_prefix_is_left(void **state) {
  struct buffer text = sample();
  (void)state;
  for (size_t size = 0; size <= text.len; size++) {
    struct error error = {0};
    int lines = 0, count = 0;
    for (size_t i = 0; i < size; i++) lines += text.data[i] == '\n';
    /* A line that lacks only its newline is whole. */
    bool whole = size < text.len && text.data[size] == '\n';
    write_file(text.data, size);
    assert_true(journal_read(path, count_event, &count, &error));
    assert_int_equal(count, lines + whole);
    struct journal *journal = open_journal();
    assert_int_equal(journal_seq(journal), count);
    assert_int_equal(journal_cut(journal), whole ? 0 : size - line_start(&text, lines));
    append(journal, "run.resumed", "{}");
    journal_close(journal);
    count = 0;
    assert_true(journal_read(path, count_event, &count, &error));
    assert_int_equal(count, lines + whole + 1);
  }
  buffer_free(&text);
}

/* Anything changed before the last line is found. In the last it is found when it breaks the JSON, the number or the chain;
 * its own content nothing vouches for yet. */
static void every_flipped_bit_of_the_past_is_found(void **state) {
  struct buffer text = sample();
  size_t last = line_start(&text, 2);
  (void)state;
  for (size_t at = 0; at < text.len; at++)
    for (int bit = 0; bit < 8; bit++) {
      struct error error = {0};
      int count = 0;
      text.data[at] ^= (char)(1 << bit);
      write_file(text.data, text.len);
      struct journal *journal = journal_open(path, NULL, true, clock_of_test, &error);
      if (at < last) {
        assert_null(journal);
        assert_string_equal(error.kind, "protocol");
        assert_non_null(strstr(error.message, "line "));
        assert_false(journal_read(path, count_event, &count, &error));
      } else if (journal) {
        assert_true(journal_seq(journal) == 3 || (at == text.len - 1 && journal_seq(journal) == 2));
      }
      journal_close(journal);
      text.data[at] ^= (char)(1 << bit);
    }
  buffer_free(&text);
}

static void lost_and_doubled_lines_are_found(void **state) {
  struct error error = {0};
  struct buffer text = sample(), wrong = {0};
  size_t second = line_start(&text, 1), third = line_start(&text, 2);
  (void)state;
  write_file(text.data + second, text.len - second);
  assert_null(journal_open(path, NULL, true, clock_of_test, &error));
  buffer_append(&wrong, text.data, second);
  buffer_append(&wrong, text.data + third, text.len - third);
  write_file(wrong.data, wrong.len);
  assert_null(journal_open(path, NULL, true, clock_of_test, &error));
  buffer_clear(&wrong);
  buffer_append(&wrong, text.data, third);
  buffer_append(&wrong, text.data + second, text.len - second);
  write_file(wrong.data, wrong.len);
  assert_null(journal_open(path, NULL, true, clock_of_test, &error));
  assert_string_equal(error.message, "line 3 of the journal is damaged: it has another number");
  buffer_free(&text);
  buffer_free(&wrong);
}

static void secrets_are_redacted_in_keys_and_values(void **state) {
  struct error error = {0};
  (void)state;
  assert_true(redact_add("PW", "s\"3cret", 7, &error));
  struct journal *journal = open_journal();
  append(journal, "note", "{\"s\\\"3cret\":{\"s\\\"3cret\":[\"a s\\\"3cret b\"]},\"url\":\"http://u:pw@h\"}");
  assert_null(strstr(journal_line(journal)->data, "3cret"));
  assert_non_null(strstr(journal_line(journal)->data, "{\"⟦PW:plain⟧\":[\"a ⟦PW:plain⟧ b\"]}"));
  assert_non_null(strstr(journal_line(journal)->data, "\"http://u:⟦password:undeclared⟧@h\""));
  append(journal, "note", "{\"args\":\"⟦PW:plain⟧\",\"result\":{\"text\":\"⟦PW:plain⟧\"}}");
  assert_non_null(
      strstr(journal_line(journal)->data, "\"args\":\"⟦PW:plain⟧\",\"result\":{\"text\":\"⟦:⟧PW:plain⟧\"}"));
  append(journal, "note", "{\"x\":{\"s\\\"3cret\":1,\"⟦PW:plain⟧\":2}}");
  assert_non_null(strstr(journal_line(journal)->data, "{\"⟦PW:plain⟧\":1,\"⟦PW:plain⟧~\":2}"));
  journal_close(journal);
}

static void own_fields_are_refused(void **state) {
  struct error error = {0};
  (void)state;
  struct journal *journal = open_journal();
  assert_false(journal_append(journal, "note", json_pack("{s:i}", "prev", 1), true, &error));
  assert_string_equal(error.kind, "usage");
  assert_true(journal_append(journal, "note", NULL, true, &error));
  assert_int_equal(journal_seq(journal), 1);
  journal_close(journal);
}

static void a_link_or_a_device_is_no_journal(void **state) {
  struct error error = {0};
  (void)state;
  assert_int_equal(symlink("/etc/passwd", path), 0);
  assert_null(journal_open(path, NULL, true, clock_of_test, &error));
  unlink(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_null(journal_open(path, NULL, true, clock_of_test, &error));
  assert_string_equal(error.kind, "usage");
}

/* ---- Failing disks ---- */

static bool try_append(struct journal *journal, bool sync, struct error *error) {
  *error = (struct error){0};
  return journal_append(journal, "note", json_pack("{s:s}", "text", "0123456789"), sync, error);
}

static void a_line_is_written_wholly_or_not_at_all(void **state) {
  struct error error;
  int count = 0;
  (void)state;
  struct journal *journal = open_journal();
  assert_true(try_append(journal, true, &error));
  write_code = ENOSPC;
  for (size_t room = 0; room < journal_line(journal)->len; room++) {
    write_room = room;
    assert_false(try_append(journal, true, &error));
    assert_string_equal(error.kind, "limit");
    assert_true(journal_read(path, count_event, &count, &error));
    assert_int_equal(count, 1);
    count = 0;
  }
  write_code = 0; /* there is room again */
  assert_true(try_append(journal, true, &error));
  assert_true(journal_read(path, count_event, &count, &error));
  assert_int_equal(count, 2);
  journal_close(journal);
}

static void the_reserve_is_given_back_on_a_full_disk(void **state) {
  struct error error;
  int count = 0;
  (void)state;
  fclose(fopen(reserve, "w"));
  struct journal *journal = journal_open(path, reserve, true, clock_of_test, &error);
  assert_true(try_append(journal, true, &error));
  write_code = ENOSPC, write_room = 20, until_gone = reserve;
  assert_true(try_append(journal, true, &error));
  assert_int_equal(access(reserve, F_OK), -1);
  until_gone = NULL, write_room = 0; /* and full once more: there is no second reserve */
  assert_false(try_append(journal, true, &error));
  write_code = 0;
  assert_true(journal_read(path, count_event, &count, &error));
  assert_int_equal(count, 2);
  journal_close(journal);
}

static void after_a_failed_sync_nothing_is_taken(void **state) {
  struct error error;
  (void)state;
  struct journal *journal = open_journal();
  sync_code = EIO;
  assert_false(try_append(journal, true, &error));
  assert_string_equal(error.kind, "io");
  sync_code = 0;
  assert_false(try_append(journal, true, &error));
  assert_false(try_append(journal, false, &error));
  assert_non_null(strstr(error.message, "brought to disk"));
  journal_close(journal);
}

static void a_part_that_cannot_be_cut_off_ends_the_journal(void **state) {
  struct error error;
  int count = 0;
  (void)state;
  struct journal *journal = open_journal();
  assert_true(try_append(journal, true, &error));
  write_code = EIO, write_room = 10, truncate_code = EIO;
  assert_false(try_append(journal, true, &error));
  write_code = truncate_code = 0;
  assert_false(try_append(journal, true, &error));
  journal_close(journal);
  journal = open_journal(); /* a later run finds a torn line */
  assert_int_equal(journal_cut(journal), 10);
  assert_true(try_append(journal, true, &error));
  assert_true(journal_read(path, count_event, &count, &error));
  assert_int_equal(count, 2);
  journal_close(journal);
}

/* Killed at any moment: what was reported as written is there, and what is there goes on as a journal. */
static void killed_at_any_moment_nothing_reported_is_lost(void **state) {
  uint64_t seed = 3;
  (void)state;
  for (int round = 0; round < 30; round++) {
    int reports[2], count = 0;
    unsigned long long reported = 0, value;
    struct error error;
    assert_int_equal(pipe(reports), 0);
    pid_t child = fork();
    if (child == 0) {
      struct journal *journal = open_journal();
      while (try_append(journal, true, &error)) {
        value = journal_seq(journal);
        if (__real_write(reports[1], &value, sizeof value) < 0) break;
      }
      _exit(1);
    }
    close(reports[1]);
    usleep(unit_random(&seed) % 20000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(reports[0], &value, sizeof value) == sizeof value) reported = value;
    close(reports[0]);
    journal_close(open_journal());
    assert_true(journal_read(path, count_event, &count, &error));
    assert_true((unsigned long long)count >= reported);
  }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(lines_are_written_as_specified),
      CASE(a_journal_goes_on_where_it_ended),
      CASE(one_writer_at_a_time),
      CASE(cut_at_every_byte_a_prefix_is_left),
      CASE(every_flipped_bit_of_the_past_is_found),
      CASE(lost_and_doubled_lines_are_found),
      CASE(secrets_are_redacted_in_keys_and_values),
      CASE(own_fields_are_refused),
      CASE(a_link_or_a_device_is_no_journal),
      CASE(a_line_is_written_wholly_or_not_at_all),
      CASE(the_reserve_is_given_back_on_a_full_disk),
      CASE(after_a_failed_sync_nothing_is_taken),
      CASE(a_part_that_cannot_be_cut_off_ends_the_journal),
      CASE(killed_at_any_moment_nothing_reported_is_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
