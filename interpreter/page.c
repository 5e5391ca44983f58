#include "page.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <curl/curl.h>

struct page {
  const char *rundir;
  int level;
  json_t *requests;
  struct page_text text;
  bool done[PAGE_REQUESTS], hopeless[PAGE_REQUESTS];
  double end;  /* of the budget */
  double wait; /* before the next round */
};

static double monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* RUNDIR/escalation/page-LEVEL.SUFFIX; the caller's to free. */
static char *path_of(const struct page *page, const char *suffix) {
  struct buffer path = {0};
  buffer_printf(&path, "%s/escalation/page-%d.%s", page->rundir, page->level, suffix);
  return path.data;
}

/* ---- What was delivered ---- */

static FILE *open_file(const struct page *page, const char *suffix, const char *mode) {
  char *path = path_of(page, suffix);
  FILE *file = fopen(path, mode);
  free(path);
  return file;
}

static void read_done(struct page *page) {
  FILE *file = open_file(page, "done", "re");
  int number;
  if (!file) return;
  while (fscanf(file, "%d", &number) == 1)
    if (number >= 0 && number < PAGE_REQUESTS) page->done[number] = true;
  fclose(file);
}

/* On disk at once: an attempt after a crash must not post again. A disk that refuses costs a repetition, no
 * more. */
static void note_done(struct page *page, size_t number) {
  FILE *file = open_file(page, "done", "ae");
  page->done[number] = true;
  if (!file) return;
  fprintf(file, "%zu\n", number);
  fflush(file);
  fsync(fileno(file));
  fclose(file);
}

static void note_failed(const struct page *page, size_t number, const char *why) {
  char at[32];
  time_t now = time(NULL);
  strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
  fprintf(stderr, "request %zu: %s\n", number, why);
  FILE *file = open_file(page, "log", "ae");
  if (!file) return;
  fprintf(file, "%s request %zu: %s\n", at, number, why);
  fclose(file);
}

/* ---- Rounds ---- */

static bool is_open(const struct page *page, size_t number) {
  return number < PAGE_REQUESTS && !page->done[number] && !page->hopeless[number];
}

static size_t count_where(const struct page *page, bool (*test)(const struct page *, size_t)) {
  size_t count = 0;
  for (size_t i = 0; i < json_array_size(page->requests); i++) count += test(page, i);
  return count;
}

static bool is_undelivered(const struct page *page, size_t number) {
  return number >= PAGE_REQUESTS || !page->done[number];
}

static void attempt(struct page *page, size_t number, double seconds) {
  struct page_result result;
  page_request_send(json_array_get(page->requests, number), &page->text, seconds, &result);
  if (result.delivered) {
    note_done(page, number);
    return;
  }
  note_failed(page, number, result.why);
  page->hopeless[number] = !result.repeat;
  if (result.retry_after > page->wait) page->wait = result.retry_after;
}

/* Each open request once; what time is left is shared, so that one that hangs leaves some to the others. */
static void attempt_all(struct page *page) {
  size_t left = count_where(page, is_open);
  for (size_t i = 0; i < json_array_size(page->requests); i++) {
    double rest = page->end - monotonic();
    if (!is_open(page, i) || rest <= 0) continue;
    attempt(page, i, rest / (double)left--);
  }
}

static void pause_for(double seconds) {
  struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&time, &time) < 0 && errno == EINTR) continue;
}

static void attempt_rounds(struct page *page) {
  double pause = 1.0;
  for (int round = 0; round < PAGE_ROUNDS && count_where(page, is_open); round++, pause *= 2) {
    if (round > 0) pause_for(page->wait);
    page->wait = pause;
    attempt_all(page);
    if (monotonic() + page->wait >= page->end) return;
  }
}

/* ---- All of it ---- */

static json_t *read_file(const struct page *page) {
  char *path = path_of(page, "json");
  json_t *file = json_load_file(path, 0, NULL);
  free(path);
  return file;
}

static bool is_absent(const struct page *page) {
  char *path = path_of(page, "json");
  bool absent = access(path, F_OK) < 0 && errno == ENOENT;
  free(path);
  return absent;
}

static int send_requests(struct page *page) {
  if (json_array_size(page->requests) == 0) return PAGE_NOTHING_CONFIGURED;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  page->end = monotonic() + PAGE_BUDGET_SECONDS;
  read_done(page);
  page_text_read(&page->text, page->rundir);
  attempt_rounds(page);
  page_text_free(&page->text);
  curl_global_cleanup();
  return count_where(page, is_undelivered) ? PAGE_FAILED : PAGE_DELIVERED;
}

int page_send(const char *rundir, int level) {
  struct page page = {.rundir = rundir, .level = level};
  if (is_absent(&page)) return PAGE_NOTHING_CONFIGURED;
  json_t *file = read_file(&page);
  page.requests = json_object_get(file, "requests");
  int code = json_is_array(page.requests) ? send_requests(&page) : PAGE_FAILED;
  json_decref(file);
  return code;
}
