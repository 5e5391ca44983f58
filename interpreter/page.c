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

static void get_done(struct buffer *out, void *data) {
  FILE *file = open_file(data, "done", "re");
  int number;
  while (file && fscanf(file, "%d", &number) == 1) buffer_printf(out, "%d ", number);
  if (file) fclose(file);
}

static void read_done(struct page *page) {
  struct buffer text = {0};
  int number, len;
  page_folder(&text, get_done, page);
  for (const char *at = text.data; at && sscanf(at, "%d%n", &number, &len) == 1; at += len)
    if (number >= 0 && number < PAGE_REQUESTS) page->done[number] = true;
  buffer_free(&text);
}

struct note {
  const struct page *page;
  const char *suffix, *line;
};

static void put_note(struct buffer *out, void *data) {
  const struct note *note = data;
  FILE *file = open_file(note->page, note->suffix, "ae");
  (void)out;
  if (!file) return;
  fputs(note->line, file);
  fflush(file);
  fsync(fileno(file));
  fclose(file);
}

static void write_note(const struct page *page, const char *suffix, const char *line) {
  struct note note = {page, suffix, line};
  struct buffer nothing = {0};
  page_folder(&nothing, put_note, &note);
  buffer_free(&nothing);
}

/* On disk at once: an attempt after a crash must not post again. A disk that refuses costs a repetition, no
 * more. */
static void note_done(struct page *page, size_t number) {
  char line[24];
  page->done[number] = true;
  snprintf(line, sizeof line, "%zu\n", number);
  write_note(page, "done", line);
}

static void note_failed(const struct page *page, size_t number, const char *why) {
  char at[32], line[640];
  time_t now = time(NULL);
  strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
  snprintf(line, sizeof line, "%s request %zu: %s\n", at, number, why);
  fprintf(stderr, "request %zu: %s\n", number, why);
  write_note(page, "log", line);
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
    double rest = page->end - page_clock();
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
    if (page_clock() + page->wait >= page->end) return;
  }
}

/* ---- All of it ---- */

static void get_file(struct buffer *out, void *data) {
  char *path = path_of(data, "json"), block[4096];
  FILE *file = fopen(path, "re");
  if (!file && errno != ENOENT) _exit(1);
  for (size_t len; file && (len = fread(block, 1, sizeof block, file)) > 0;) buffer_append(out, block, len);
  if (file) fclose(file);
  free(path);
}

/* What was handed over, else what the file says. False when neither can be read; nothing prepared is `text` empty. */
static bool get_page(const struct page *page, struct buffer *text) {
  size_t len;
  const char *given = page_text_given(&page->text, ":page", &len);
  if (!given) return page_folder(text, get_file, (void *)page);
  buffer_append(text, given, len);
  return true;
}

static int send_requests(struct page *page) {
  if (json_array_size(page->requests) == 0) return PAGE_NOTHING_CONFIGURED;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  page->end = page_clock() + PAGE_BUDGET_SECONDS;
  read_done(page);
  attempt_rounds(page);
  curl_global_cleanup();
  return count_where(page, is_undelivered) ? PAGE_FAILED : PAGE_DELIVERED;
}

int page_send(const char *rundir, int level) {
  struct page page = {.rundir = rundir, .level = level};
  struct buffer text = {0};
  int code = PAGE_FAILED;
  page_text_read(&page.text, rundir);
  if (get_page(&page, &text)) {
    json_t *file = json_loadb(text.data ? text.data : "", text.len, 0, NULL);
    page.requests = json_object_get(file, "requests");
    code = text.len == 0                  ? PAGE_NOTHING_CONFIGURED
           : json_is_array(page.requests) ? send_requests(&page)
                                          : PAGE_FAILED;
    json_decref(file);
  }
  buffer_free(&text);
  page_text_free(&page.text);
  return code;
}
