#include "unit.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "owner.h"

#define STRANGER 65534

static char home[64];

static const char *at(const char *name) {
  static char paths[4][PATH_MAX];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, PATH_MAX, "%s/%s", home, name);
  return path;
}

static void make_folder(const char *name, mode_t mode) {
  mkdir(at(name), 0755);
  assert_int_equal(chmod(at(name), mode), 0);
}

static void make_file(const char *name, mode_t mode) {
  FILE *file = fopen(at(name), "we");
  assert_non_null(file);
  fclose(file);
  assert_int_equal(chmod(at(name), mode), 0);
}

static void give_away(const char *name) {
  if (geteuid() != 0) skip(); /* only root can give a file to somebody else */
  assert_int_equal(lchown(at(name), STRANGER, STRANGER), 0);
}

static void assert_ours(const char *name) {
  struct error error = {0};
  if (!owner_check(at(name), &error)) fail_msg("%s: %s", name, error.message);
}

static void assert_refused(const char *name, const char *why) {
  struct error error = {0};
  if (owner_check(at(name), &error)) fail_msg("%s counts", name);
  assert_string_equal(error.kind, "owner");
  if (!strstr(error.message, why)) fail_msg("%s: %s", why, error.message);
}

static int setup(void **state) {
  (void)state;
  umask(022);
  snprintf(home, sizeof home, "/tmp/owner-test-XXXXXX");
  assert_non_null(mkdtemp(home));
  setenv("XDG_CONFIG_HOME", at("config"), 1);
  unsetenv("SUDO_UID");
  make_folder("books", 0755);
  make_file("books/a.lua", 0644);
  return 0;
}

static int teardown(void **state) {
  char command[128];
  (void)state;
  snprintf(command, sizeof command, "rm -r %s", home);
  return chdir("/") || system(command);
}

static void our_own_file_counts(void **state) {
  (void)state;
  assert_ours("books/a.lua");
  assert_ours("books/../books/./a.lua");
  assert_int_equal(chdir(home), 0);
  struct error error = {0};
  assert_true(owner_check("books/a.lua", &error));
}

static void what_is_not_there_is_missing(void **state) {
  struct error error = {0};
  (void)state;
  assert_false(owner_check(at("books/b.lua"), &error));
  assert_string_equal(error.kind, "missing");
}

static void a_strangers_file_is_refused(void **state) {
  (void)state;
  give_away("books/a.lua");
  assert_refused("books/a.lua", "belongs to");
}

static void a_file_that_others_can_write_is_refused(void **state) {
  (void)state;
  chmod(at("books/a.lua"), 0666);
  assert_refused("books/a.lua", "can be written by others (mode 666)");
  chmod(at("books/a.lua"), 0664);
  if (geteuid() == 0) {
    assert_int_equal(chown(at("books/a.lua"), 0, STRANGER), 0);
    assert_refused("books/a.lua", "can be written by others (mode 664)");
  }
}

static void a_group_of_ones_own_counts(void **state) {
  (void)state;
  if (geteuid() != 0) skip();
  chmod(at("books/a.lua"), 0664); /* root:root */
  chmod(at("books"), 0775);
  assert_ours("books/a.lua");
}

static void a_folder_above_that_others_can_change_is_refused(void **state) {
  (void)state;
  chmod(at("books"), 0777);
  assert_refused("books/a.lua", "books can be written by others (mode 777)");
  chmod(at("books"), 01777);
  assert_ours("books/a.lua");
  chmod(at("books"), 0755);
  give_away("books");
  assert_refused("books/a.lua", "books belongs to");
}

static void in_a_sticky_folder_the_owner_of_each_entry_counts(void **state) {
  (void)state;
  make_folder("shared", 01777);
  make_folder("shared/team", 0755);
  make_file("shared/team/a.lua", 0644);
  assert_ours("shared/team/a.lua");
  give_away("shared/team");
  assert_refused("shared/team/a.lua", "team belongs to");
}

static void a_link_counts_as_what_it_leads_through(void **state) {
  (void)state;
  assert_int_equal(symlink("books", at("link")), 0);
  assert_int_equal(symlink("../link/a.lua", at("books/b.lua")), 0);
  assert_ours("link/a.lua");
  assert_ours("books/b.lua");
  make_folder("others", 0777);
  assert_int_equal(symlink(at("others"), at("far")), 0);
  assert_int_equal(symlink(at("books/a.lua"), at("others/a.lua")), 0);
  assert_refused("far/a.lua", "others can be written");
  assert_int_equal(symlink("loop", at("loop")), 0);
  struct error error = {0};
  assert_false(owner_check(at("loop"), &error));
}

static void a_strangers_link_is_refused(void **state) {
  (void)state;
  make_folder("shared", 01777);
  assert_int_equal(symlink(at("books/a.lua"), at("shared/a.lua")), 0);
  give_away("shared/a.lua");
  assert_refused("shared/a.lua", "belongs to");
}

static void under_sudo_the_caller_counts(void **state) {
  (void)state;
  give_away("books/a.lua");
  give_away("books");
  setenv("SUDO_UID", "65534", 1);
  assert_ours("books/a.lua");
  setenv("SUDO_UID", "65533", 1);
  assert_refused("books/a.lua", "belongs to");
  setenv("SUDO_UID", "0x", 1);
  assert_refused("books/a.lua", "belongs to");
}

static void a_trusted_folder_counts_as_long_as_its_owner_stays(void **state) {
  char real[PATH_MAX];
  uid_t uid;
  struct error error = {0};
  (void)state;
  give_away("books");
  give_away("books/a.lua");
  chmod(at("books"), 02775);
  assert_refused("books/a.lua", "belongs to");
  assert_true(owner_trust(at("books"), real, &uid, &error));
  assert_true(owner_trust(at("books/."), real, &uid, &error));
  assert_int_equal(uid, STRANGER);
  assert_ours("books/a.lua");
  make_folder("books2", 0755);
  make_file("books2/a.lua", 0644);
  give_away("books2/a.lua");
  assert_refused("books2/a.lua", "belongs to"); /* its name only begins like a trusted one's */
  chmod(at("books/a.lua"), 0666);
  assert_refused("books/a.lua", "can be written by others");
  chmod(at("books/a.lua"), 0644);
  assert_int_equal(chown(at("books"), STRANGER - 1, 0), 0);
  assert_refused("books/a.lua", "belongs to");
}

static void a_list_that_others_could_have_written_trusts_nobody(void **state) {
  char real[PATH_MAX];
  uid_t uid;
  struct error error = {0};
  (void)state;
  give_away("books/a.lua");
  assert_true(owner_trust(at("books"), real, &uid, &error));
  make_folder("config", 0777);
  assert_refused("books/a.lua", "belongs to");
}

#define owner_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      owner_test(our_own_file_counts),
      owner_test(what_is_not_there_is_missing),
      owner_test(a_strangers_file_is_refused),
      owner_test(a_file_that_others_can_write_is_refused),
      owner_test(a_group_of_ones_own_counts),
      owner_test(a_folder_above_that_others_can_change_is_refused),
      owner_test(in_a_sticky_folder_the_owner_of_each_entry_counts),
      owner_test(a_link_counts_as_what_it_leads_through),
      owner_test(a_strangers_link_is_refused),
      owner_test(under_sudo_the_caller_counts),
      owner_test(a_trusted_folder_counts_as_long_as_its_owner_stays),
      owner_test(a_list_that_others_could_have_written_trusts_nobody),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
