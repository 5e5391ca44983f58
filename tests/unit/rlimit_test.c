#include "unit.h"
#include <unistd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "rlimit.h"

/* What rlimit_settle says in a process with this limit; "" when it is content, with the limit that it left in *left. */
static void settle_with(int resource, rlim_t soft, rlim_t hard, char said[512], rlim_t *left) {
  struct told {
    char said[512];
    rlim_t left;
  } told = {{0}, 0};
  int ends[2], status;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    struct error error = {0};
    struct rlimit is = {soft, hard};
    if (setrlimit(resource, &is) != 0) _exit(1);
    if (!rlimit_settle(&error)) memcpy(told.said, error.message, sizeof told.said);
    getrlimit(resource, &is);
    told.left = is.rlim_cur;
    _exit(write(ends[1], &told, sizeof told) != (ssize_t)sizeof told);
  }
  close(ends[1]);
  assert_int_equal(read(ends[0], &told, sizeof told), sizeof told);
  close(ends[0]);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  memcpy(said, told.said, sizeof told.said);
  *left = told.left;
}

/* Broken by: each row of `limits` left out; a row's least as 0. */
static void what_is_too_little_is_refused(void **state) {
  (void)state;
  static const struct {
    int resource;
    rlim_t limit;
    const char *said;
  } cases[] = {
      {RLIMIT_NOFILE, 20, "too few file descriptors (20): at least 64 are needed (ulimit -n)"},
      {RLIMIT_DATA, 3 << 20, "too little memory (3 MB): at least 32 MB are needed (ulimit -d)"},
      {RLIMIT_AS, 12 << 20, "too little address space (12 MB): at least 64 MB are needed (ulimit -v)"},
      {RLIMIT_STACK, 64 << 10, "too small a stack (64 KB): at least 512 KB are needed (ulimit -s)"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char said[512];
    rlim_t left;
    settle_with(cases[i].resource, cases[i].limit, cases[i].limit, said, &left);
    assert_string_equal(said, cases[i].said);
    assert_int_equal(left, cases[i].limit);
  }
}

/* Broken by: settle_one that refuses before it raises; that asks for all descriptors there can be. */
static void what_may_be_raised_is_raised(void **state) {
  (void)state;
  char said[512];
  rlim_t left;
  settle_with(RLIMIT_NOFILE, 20, 100, said, &left);
  assert_string_equal(said, "");
  assert_int_equal(left, 100);
  settle_with(RLIMIT_NOFILE, 20, 1000, said, &left);
  assert_int_equal(left, 256);
  settle_with(RLIMIT_DATA, 1 << 20, RLIM_INFINITY, said, &left);
  assert_string_equal(said, "");
  assert_true(left == RLIM_INFINITY);
}

static void what_is_enough_stays(void **state) {
  (void)state;
  char said[512];
  rlim_t left;
  settle_with(RLIMIT_NOFILE, 64, 200, said, &left);
  assert_string_equal(said, "");
  assert_int_equal(left, 64);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_too_little_is_refused),
      cmocka_unit_test(what_may_be_raised_is_raised),
      cmocka_unit_test(what_is_enough_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
