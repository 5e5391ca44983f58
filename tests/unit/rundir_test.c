#include "unit.h"
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "rundir.h"

#define WALL 1795455605.5 /* 2026-11-23 17:40:05 UTC */

static char home[64];

static int setup(void **state) {
  (void)state;
  umask(0);
  mkdir(RUNDIR_MEMORY, 0700);
  snprintf(home, sizeof home, "/tmp/rundir-test-XXXXXX");
  assert_non_null(mkdtemp(home));
  setenv("XDG_STATE_HOME", home, 1);
  return 0;
}

static int teardown(void **state) {
  char command[128];
  (void)state;
  snprintf(command, sizeof command, "rm -r %s " RUNDIR_MEMORY, home);
  return system(command);
}

static struct rundir create(const char *name, bool dry, double wall) {
  struct rundir rundir;
  struct error error = {0};
  if (!rundir_create(&rundir, name, dry, wall, &error)) fail_msg("%s", error.message);
  return rundir;
}

static void assert_begins(const char *text, const char *start) {
  if (strncmp(text, start, strlen(start)) != 0) fail_msg("%s does not begin with %s", text, start);
}

static void a_run_has_its_folders(void **state) {
  static const char *const names[] = {"source", "blobs", "evidence", "outbox", "inbox", "escalation", ""};
  struct rundir rundir = create("Api Down!", false, WALL);
  char path[RUNDIR_PATH_MAX + 32];
  struct stat st;
  (void)state;
  assert_begins(rundir.id, "20261123-174005-api-down-");
  assert_int_equal(strlen(rundir.id), strlen("20261123-174005-api-down-7f3k"));
  assert_false(rundir.fallback);
  for (size_t i = 0; i < COUNT(names); i++) {
    snprintf(path, sizeof path, "%s/%s", rundir.path, names[i]);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
  }
  snprintf(path, sizeof path, "%s/" RUNDIR_RESERVE, rundir.path);
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_blocks * 512 >= RUNDIR_RESERVE_BYTES);
}

static void ids_are_made_of_safe_characters(void **state) {
  static const char *const names[][2] = {
      {"", "runbook"},
      {"../../etc", "etc"},
      {"ÄÖ", "runbook"},
      {"a--B  c/", "a-b-c"},
      {"-x-", "x"},
      {"0123456789012345678901234567890123456789xyz", "0123456789012345678901234567890123456789"}};
  (void)state;
  for (size_t i = 0; i < COUNT(names); i++) {
    char wanted[128];
    snprintf(wanted, sizeof wanted, "dry-20261123-174005-%s-", names[i][1]);
    assert_begins(create(names[i][0], true, WALL).id, wanted);
  }
}

static void find(const char *prefix, const char *wanted) {
  struct rundir rundir;
  struct error error = {0};
  if (!rundir_find(&rundir, prefix, &error)) fail_msg("%s", error.message);
  assert_string_equal(rundir.id, wanted);
  assert_int_equal(access(rundir.path, X_OK), 0);
}

static void cannot_find(const char *prefix, const char *kind, const char *message) {
  struct rundir rundir;
  struct error error = {0};
  assert_false(rundir_find(&rundir, prefix, &error));
  assert_string_equal(error.kind, kind);
  if (!strstr(error.message, message)) fail_msg("%s", error.message);
}

static void runs_are_found_by_their_beginning(void **state) {
  (void)state;
  cannot_find("last", "missing", "there are no runs yet");
  struct rundir newer = create("b", false, WALL + 3600), older = create("a", false, WALL),
                dry = create("a", true, WALL + 60);
  mkdir(strcat(strcpy((char[RUNDIR_PATH_MAX]){0}, home), "/runbook/runs/zzz"), 0700); /* somebody else's */
  find(newer.id, newer.id);
  find("20261123-1740", older.id);
  find("dry", dry.id);
  find("last", newer.id);
  cannot_find("2026", "usage", "2 runs begin with \"2026\"");
  cannot_find("2026", "usage", older.id);
  cannot_find("2027", "missing", "no run begins with \"2027\"");
  cannot_find("", "usage", "expected");
}

/* Two runs of one second: the later is the last, whatever their names say. */
static void the_last_run_is_the_last(void **state) {
  (void)state;
  for (int i = 0; i < 20; i++) {
    struct rundir rundir = create(i % 2 ? "a" : "b", false, WALL);
    find("last", rundir.id);
    usleep(10000); /* the clock of the file system's stamps ticks in milliseconds */
  }
}

static void count_run(const struct rundir *rundir, void *data) {
  assert_int_equal(access(rundir->path, X_OK), 0);
  ++*(int *)data;
}

static void a_thousand_at_once_are_all_different(void **state) {
  int count = 0, status;
  (void)state;
  for (int child = 0; child < 8; child++) {
    if (fork() != 0) continue;
    for (int i = 0; i < 125; i++) create("same", true, WALL);
    _exit(0);
  }
  while (wait(&status) > 0) assert_int_equal(status, 0);
  rundir_list(count_run, &count);
  assert_int_equal(count, 1000);
}

/* A file where the folder should be: nobody can write there, not even root. */
static void without_a_state_folder_memory_serves(void **state) {
  char path[128];
  (void)state;
  snprintf(path, sizeof path, "%s/runbook", home);
  fclose(fopen(path, "w"));
  struct rundir rundir = create("api-down", false, WALL);
  assert_true(rundir.fallback);
  assert_begins(rundir.path, RUNDIR_MEMORY "/runbook-");
  assert_non_null(strstr(rundir.warning, "in memory only"));
  assert_non_null(strstr(rundir.warning, "not a directory"));
  find(rundir.id, rundir.id);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(a_run_has_its_folders),
      CASE(ids_are_made_of_safe_characters),
      CASE(runs_are_found_by_their_beginning),
      CASE(the_last_run_is_the_last),
      CASE(a_thousand_at_once_are_all_different),
      CASE(without_a_state_folder_memory_serves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
