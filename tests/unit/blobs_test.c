#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include "blobs.h"
#include "delta.h"

/* Failures on order: the linker leads the blobs' calls here (--wrap). */
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static int calls, failing; /* the call with that number fails */

static bool fails(void) { return ++calls == failing ? (errno = EIO, true) : false; }
ssize_t __wrap_write(int fd, const void *bytes, size_t len) {
  return fails() ? -1 : __real_write(fd, bytes, len);
}
int __wrap_fdatasync(int fd) { return fails() ? -1 : __real_fdatasync(fd); }
int __wrap_fsync(int fd) { return fails() ? -1 : __real_fsync(fd); }

#define PATH_SIZE 512

static char folder[64];

static int setup(void **state) {
  (void)state;
  failing = 0;
  snprintf(folder, sizeof folder, "/tmp/blobs-test-XXXXXX");
  assert_non_null(mkdtemp(folder));
  return 0;
}

static void in_folder(char path[static PATH_SIZE], const char *name) {
  snprintf(path, PATH_SIZE, "%s/blobs/%s", folder, name);
}

/* Calls `each` (NULL: none) with every file; how many there are. */
static int each_file(void (*each)(const char *path)) {
  char path[PATH_SIZE];
  int count = 0;
  in_folder(path, "");
  DIR *dir = opendir(path);
  for (struct dirent *it; dir && (it = readdir(dir)) != NULL;) {
    if (it->d_name[0] == '.') continue;
    count++;
    in_folder(path, it->d_name);
    if (each) each(path);
  }
  if (dir) closedir(dir);
  return count;
}

static void remove_file(const char *path) { unlink(path); }

static int teardown(void **state) {
  char path[PATH_SIZE];
  (void)state;
  each_file(remove_file);
  in_folder(path, "");
  rmdir(path);
  return rmdir(folder);
}

/* ---- Texts ---- */

/* `count` lines that are alike. */
static struct buffer make_list(int count) {
  struct buffer text = {0};
  buffer_putc(&text, '[');
  for (int i = 0; i < count; i++)
    buffer_printf(&text,
                  "%s{\"name\":\"pod-%d\",\"phase\":\"Running\",\"node\":\"node-%d\",\"text\":\"größer\"}",
                  i ? "," : "", i, i % 7);
  buffer_putc(&text, ']');
  return text;
}

static struct buffer copy_of(const struct buffer *text) {
  struct buffer copy = {0};
  buffer_append(&copy, text->data, text->len);
  return copy;
}

/* Takes out some of it and puts something in, between characters. */
static void change(struct buffer *text, uint64_t *seed) {
  static const char *const words[] = {"", "x", "\"Pending\"", "öß",
                                      "a longer text that is in neither of the two, at 12:00:00"};
  struct buffer changed = {0};
  size_t at = unit_random(seed) % text->len, gone = unit_random(seed) % 60;
  while (at > 0 && (text->data[at] & 0xC0) == 0x80) at--;
  size_t end = at + gone < text->len ? at + gone : text->len;
  while (end < text->len && (text->data[end] & 0xC0) == 0x80) end++;
  buffer_append(&changed, text->data, at);
  buffer_puts(&changed, words[unit_random(seed) % 5]);
  buffer_append(&changed, text->data + end, text->len - end);
  buffer_free(text);
  *text = changed;
}

static void keep(struct blobs *blobs, const struct buffer *text, char *hash) {
  assert_int_equal(blobs_keep(blobs, "x", text, hash), 0);
}

static void assert_read(const char *hash, const struct buffer *text) {
  struct error error = {0};
  struct buffer read = {0};
  if (!blobs_read(&read, folder, hash, &error)) fail_msg("%s", error.message);
  assert_int_equal(read.len, text->len);
  assert_memory_equal(read.data, text->data, text->len);
  buffer_free(&read);
}

static void assert_unreadable(const char *hash, const char *why) {
  struct error error = {0};
  struct buffer read = {0};
  assert_false(blobs_read(&read, folder, hash, &error));
  if (!strstr(error.message, why)) fail_msg("%s", error.message);
  assert_int_equal(read.len, 0);
}

/* ---- Tests ---- */

static void what_changed_makes_the_new_of_the_old(void **state) {
  uint64_t seed = 7;
  (void)state;
  for (int round = 0; round < 2000; round++) {
    struct buffer from = make_list(1 + round % 40), to = copy_of(&from), parts = {0}, made = {0};
    for (int i = 0; i < round % 5; i++) change(&to, &seed);
    assert_true(delta_make(&parts, &from, &to, SIZE_MAX / 2));
    json_t *json = json_loadb(parts.data, parts.len, 0, NULL);
    assert_non_null(json); /* no character was cut */
    assert_true(delta_apply(&made, &from, json));
    assert_int_equal(made.len, to.len);
    assert_memory_equal(made.data, to.data, to.len);
    json_decref(json);
    buffer_free(&from), buffer_free(&to), buffer_free(&parts), buffer_free(&made);
  }
}

static void pieces_outside_the_old_are_refused(void **state) {
  static const char *const parts[] = {
      "[[0,11]]", "[[11,1]]", "[[-1,2]]", "[[2,-1]]", "[[9223372036854775807,2]]", "[1]", "{}"};
  struct buffer from = {0}, out = {0};
  (void)state;
  buffer_puts(&from, "0123456789");
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    json_t *json = json_loads(parts[i], 0, NULL);
    assert_false(delta_apply(&out, &from, json));
    json_decref(json);
  }
  buffer_free(&from);
  buffer_free(&out);
}

static void the_same_is_kept_once(void **state) {
  char first[SHA256_DIGEST_STRING_LENGTH], second[SHA256_DIGEST_STRING_LENGTH];
  struct buffer text = make_list(100);
  (void)state;
  struct blobs *blobs = blobs_open(folder, true);
  keep(blobs, &text, first);
  keep(blobs, &text, second);
  assert_string_equal(first, second);
  blobs_close(blobs);
  blobs = blobs_open(folder, true); /* by another process too */
  keep(blobs, &text, second);
  assert_int_equal(each_file(NULL), 1);
  assert_read(first, &text);
  blobs_close(blobs);
  buffer_free(&text);
}

static off_t total;
static void add_size(const char *path) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  total += st.st_size;
}

static void what_changes_little_takes_little(void **state) {
  static char hashes[500][SHA256_DIGEST_STRING_LENGTH];
  static struct buffer texts[500];
  uint64_t seed = 11;
  struct buffer text = make_list(1000);
  (void)state;
  struct blobs *blobs = blobs_open(folder, false);
  for (int i = 0; i < 500; i++) {
    change(&text, &seed);
    texts[i] = copy_of(&text);
    keep(blobs, &text, hashes[i]);
  }
  for (int i = 0; i < 500; i++) assert_read(hashes[i], &texts[i]);
  total = 0;
  each_file(add_size);
  assert_true(total < (off_t)text.len * 6); /* of 500 */
  blobs_close(blobs);
  buffer_free(&text);
  for (int i = 0; i < 500; i++) buffer_free(&texts[i]);
}

static void what_changes_wholly_is_kept_as_a_whole(void **state) {
  char hash[SHA256_DIGEST_STRING_LENGTH], path[PATH_SIZE], name[80];
  struct buffer text = make_list(100), other = {0};
  (void)state;
  struct blobs *blobs = blobs_open(folder, true);
  keep(blobs, &text, hash);
  for (int i = 0; i < 2000; i++) buffer_printf(&other, "%d,", i * 7919);
  keep(blobs, &other, hash);
  snprintf(name, sizeof name, "%s.json", hash);
  in_folder(path, name);
  assert_int_equal(access(path, F_OK), 0);
  assert_read(hash, &other);
  blobs_close(blobs);
  buffer_free(&text), buffer_free(&other);
}

static char damaged[PATH_SIZE];
static void damage(const char *path) {
  if (strstr(path, ".json")) snprintf(damaged, sizeof damaged, "%s", path);
}

static void a_wrong_or_missing_one_is_said(void **state) {
  char first[SHA256_DIGEST_STRING_LENGTH], second[SHA256_DIGEST_STRING_LENGTH];
  uint64_t seed = 3;
  struct buffer text = make_list(100);
  (void)state;
  struct blobs *blobs = blobs_open(folder, true);
  keep(blobs, &text, first);
  change(&text, &seed);
  keep(blobs, &text, second);
  blobs_close(blobs);
  each_file(damage);
  FILE *file = fopen(damaged, "r+");
  fseek(file, 40, SEEK_SET);
  fputc('~', file);
  fclose(file);
  assert_unreadable(first, "was changed: its hash is");
  assert_unreadable(second, "was changed: its hash is");
  file = fopen(damaged, "w");
  fclose(file);
  assert_unreadable(second, "does not fit together");
  unlink(damaged);
  assert_unreadable(first, "is missing");
  assert_unreadable(second, "is missing");
  assert_unreadable("../../etc/passwd", "no name of a blob");
  buffer_free(&text);
}

static void a_circle_ends(void **state) {
  char path[PATH_SIZE], name[80], hash[SHA256_DIGEST_STRING_LENGTH];
  (void)state;
  struct buffer text = make_list(2);
  struct blobs *blobs = blobs_open(folder, true);
  keep(blobs, &text, hash);
  each_file(remove_file);
  snprintf(name, sizeof name, "%s.delta", hash);
  in_folder(path, name);
  FILE *file = fopen(path, "w");
  fprintf(file, "{\"from\":\"%s\",\"parts\":[]}", hash);
  fclose(file);
  assert_unreadable(hash, "does not fit together");
  blobs_close(blobs);
  buffer_free(&text);
}

/* Each call of writing fails in turn: then it is said, and nothing of it is left under its name. */
static void a_failing_disk_leaves_nothing(void **state) {
  char hash[SHA256_DIGEST_STRING_LENGTH];
  struct buffer text = make_list(100);
  (void)state;
  for (failing = 1; failing <= 3; failing++) {
    struct blobs *blobs = blobs_open(folder, true);
    calls = 0;
    assert_int_equal(blobs_keep(blobs, "x", &text, hash), EIO);
    assert_int_equal(each_file(NULL), 0);
    blobs_close(blobs);
  }
  assert_int_equal(calls, 3); /* there is no fourth */
  buffer_free(&text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(what_changed_makes_the_new_of_the_old),
      CASE(pieces_outside_the_old_are_refused),
      CASE(the_same_is_kept_once),
      CASE(what_changes_little_takes_little),
      CASE(what_changes_wholly_is_kept_as_a_whole),
      CASE(a_wrong_or_missing_one_is_said),
      CASE(a_circle_ends),
      CASE(a_failing_disk_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
