#define PCRE2_CODE_UNIT_WIDTH 8
#include "linescan.h"
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "linetime.h"

#define MATCH_LIMIT 5000000 /* steps of one match */
#define STACK_MIN 32768     /* bytes of the JIT's stack: as it begins, and at most */
#define STACK_MAX (8 << 20)
#define LOOKS 64 /* lines between two looks at the clock */

/* A stream's line that has not ended yet. */
struct line {
  struct buffer bytes;
  bool overlong; /* what came after LINESCAN_LINE_MAX was left out */
};

/* Docker's frames: stream, three zeros, length as four bytes, big-endian. */
struct frames {
  unsigned char head[8];
  size_t head_len; /* bytes of a header that came already */
  size_t left;     /* bytes of the frame's content that are still to come */
  int stream;
  bool plain; /* the stream turned out to have none */
  bool begun;
};

struct linescan {
  struct linescan_spec spec;
  struct linescan_result result;
  pcre2_code *code;
  pcre2_match_data *data;
  pcre2_match_context *limits;
  pcre2_jit_stack *stack;
  char after[LINESCAN_AFTER_MAX + 1]; /* empty once the stream has begun */
  bool jit, late;                     /* late: the lines that pass now are from `since` on */
  struct line lines[2];
  struct frames frames;
  struct linetime time;
  double deadline; /* CPU seconds */
  unsigned looks;
};

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- The pattern ---- */

static bool compile(struct linescan *scan, struct error *error) {
  int code;
  PCRE2_SIZE at;
  PCRE2_UCHAR message[128];
  if (!scan->spec.pattern) return true;
  if (scan->spec.pattern_len > LINESCAN_PATTERN_MAX)
    return error_set(error, "usage", "a pattern of more than %d bytes", LINESCAN_PATTERN_MAX);
  scan->code = pcre2_compile((PCRE2_SPTR)scan->spec.pattern, scan->spec.pattern_len,
                             PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &code, &at, NULL);
  if (!scan->code) {
    pcre2_get_error_message(code, message, sizeof message);
    return error_set(error, "usage", "wrong pattern at character %d: %s", (int)at + 1, (const char *)message);
  }
  scan->jit = pcre2_jit_compile(scan->code, PCRE2_JIT_COMPLETE) == 0;
  scan->data = pcre2_match_data_create_from_pattern(scan->code, NULL);
  scan->limits = pcre2_match_context_create(NULL);
  pcre2_set_match_limit(scan->limits, MATCH_LIMIT);
  scan->stack = pcre2_jit_stack_create(STACK_MIN, STACK_MAX, NULL);
  pcre2_jit_stack_assign(scan->limits, NULL, scan->stack);
  return true;
}

struct linescan *linescan_new(const struct linescan_spec *spec, struct error *error) {
  struct linescan *scan = xcalloc(1, sizeof *scan);
  scan->spec = *spec;
  scan->late = spec->since <= 0;
  if (spec->after) snprintf(scan->after, sizeof scan->after, "%s", spec->after);
  if (compile(scan, error)) return scan;
  linescan_free(scan);
  return NULL;
}

void linescan_free(struct linescan *scan) {
  if (!scan) return;
  pcre2_code_free(scan->code);
  pcre2_match_data_free(scan->data);
  pcre2_match_context_free(scan->limits);
  if (scan->stack) pcre2_jit_stack_free(scan->stack);
  for (int i = 0; i < 2; i++) buffer_free(&scan->lines[i].bytes);
  buffer_free(&scan->result.text);
  free(scan);
}

static bool too_much_work(struct linescan *scan) {
  return error_set(&scan->result.error, "usage", "the pattern needs too much work on line %llu",
                   (unsigned long long)scan->result.lines);
}

/* The direct call of the JIT's code saves half of the time of a short line; it takes any bytes, as compiled here. */
static bool matches(struct linescan *scan, const char *line, size_t len) {
  if (!scan->code) return true;
  if (++scan->looks % LOOKS == 0 && cpu_seconds() > scan->deadline) return too_much_work(scan);
  int rc = scan->jit ? pcre2_jit_match(scan->code, (PCRE2_SPTR)line, len, 0, 0, scan->data, scan->limits)
                     : pcre2_match(scan->code, (PCRE2_SPTR)line, len, 0, 0, scan->data, scan->limits);
  if (rc >= 0) return true;
  if (rc != PCRE2_ERROR_NOMATCH) too_much_work(scan);
  return false;
}

/* ---- Lines ---- */

/* Up to twice as much as is wanted is held, so that each byte is moved once at most; then from a line's beginning on. */
static void trim(struct linescan *scan, size_t most) {
  struct buffer *text = &scan->result.text;
  if (text->len <= most) return;
  const char *from = text->data + (text->len - scan->spec.max);
  const char *newline = from[-1] == '\n' ? from - 1 : memchr(from, '\n', scan->spec.max);
  size_t gone = newline ? (size_t)(newline + 1 - text->data) : text->len;
  memmove(text->data, text->data + gone, text->len - gone);
  text->len -= gone;
  text->data[text->len] = '\0';
  scan->result.cut = true;
}

static void keep(struct linescan *scan, const char *line, size_t len) {
  if (scan->spec.count_only) return;
  buffer_append(&scan->result.text, line, len);
  buffer_putc(&scan->result.text, '\n');
  trim(scan, 2 * scan->spec.max + LINESCAN_LINE_MAX);
}

/* A line without a time belongs to the one before. */
static bool in_time(struct linescan *scan, const char *line, size_t len) {
  double at;
  if (scan->spec.since <= 0) return true;
  if (linetime_read(&scan->time, line, len, &at)) {
    scan->result.timed = true;
    scan->late = at >= scan->spec.since;
  }
  return scan->late;
}

/* What a login prints before the answer to it. */
static bool is_before(struct linescan *scan, const char *line, size_t len) {
  size_t wanted = strlen(scan->after);
  if (!wanted) return false;
  if (len >= wanted && memcmp(line + len - wanted, scan->after, wanted) == 0) scan->after[0] = '\0';
  return true;
}

static void take_line(struct linescan *scan, const char *line, size_t len, bool overlong) {
  if (is_before(scan, line, len)) return;
  if (scan->result.error.kind[0] || !in_time(scan, line, len)) return;
  scan->result.lines++;
  size_t bare = len && line[len - 1] == '\r' ? len - 1 : len;
  if (!matches(scan, line, bare)) return;
  scan->result.matched++;
  scan->result.cut |= overlong;
  keep(scan, line, len);
}

static void put_begun(struct line *line, const char *bytes, size_t len) {
  size_t room = LINESCAN_LINE_MAX - line->bytes.len;
  line->overlong |= len > room;
  buffer_append(&line->bytes, bytes, len < room ? len : room);
}

static void end_begun(struct linescan *scan, struct line *line) {
  take_line(scan, line->bytes.data ? line->bytes.data : "", line->bytes.len, line->overlong);
  buffer_clear(&line->bytes);
  line->overlong = false;
}

static void take_text(struct linescan *scan, struct line *begun, const char *bytes, size_t len) {
  const char *end = bytes + len, *newline;
  while (bytes < end && (newline = memchr(bytes, '\n', (size_t)(end - bytes)))) {
    size_t line_len = (size_t)(newline - bytes);
    if (begun->bytes.len || begun->overlong) {
      put_begun(begun, bytes, line_len);
      end_begun(scan, begun);
    } else {
      bool overlong = line_len > LINESCAN_LINE_MAX;
      take_line(scan, bytes, overlong ? LINESCAN_LINE_MAX : line_len, overlong);
    }
    bytes = newline + 1;
  }
  if (bytes < end) put_begun(begun, bytes, (size_t)(end - bytes));
}

/* ---- Frames ---- */

static bool is_header(const unsigned char *head) {
  return head[0] >= 1 && head[0] <= 3 && !head[1] && !head[2] && !head[3];
}

/* A whole header came. What doesn't begin with one has no frames: a container with a terminal. */
static void begin_frame(struct linescan *scan) {
  struct frames *frames = &scan->frames;
  const unsigned char *head = frames->head;
  frames->head_len = 0;
  if (!is_header(head)) {
    if (frames->begun) {
      error_set(&scan->result.error, "protocol",
                "the engine's answer is broken: no frame where one should begin");
      return;
    }
    frames->plain = true;
    take_text(scan, &scan->lines[0], (const char *)head, sizeof frames->head);
    return;
  }
  frames->begun = true;
  frames->stream = head[0] == 1 ? 0 : 1;
  frames->left = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
}

static size_t take_header(struct linescan *scan, const char *bytes, size_t len) {
  struct frames *frames = &scan->frames;
  size_t wanted = sizeof frames->head - frames->head_len, taken = len < wanted ? len : wanted;
  memcpy(frames->head + frames->head_len, bytes, taken);
  frames->head_len += taken;
  if (frames->head_len == sizeof frames->head) begin_frame(scan);
  return taken;
}

static void take_framed(struct linescan *scan, const char *bytes, size_t len) {
  struct frames *frames = &scan->frames;
  while (len && !frames->plain && !scan->result.error.kind[0]) {
    size_t taken = frames->left < len ? frames->left : len;
    if (frames->left)
      take_text(scan, &scan->lines[frames->stream], bytes, taken), frames->left -= taken;
    else
      taken = take_header(scan, bytes, len);
    bytes += taken;
    len -= taken;
  }
  if (len && frames->plain) take_text(scan, &scan->lines[0], bytes, len);
}

/* ---- The stream ---- */

bool linescan_feed(struct linescan *scan, const char *bytes, size_t len) {
  if (scan->result.error.kind[0]) return false;
  scan->deadline = cpu_seconds() + LINESCAN_WORK_SECONDS * (1 + (double)(len >> 20));
  if (scan->spec.framed && !scan->frames.plain)
    take_framed(scan, bytes, len);
  else
    take_text(scan, &scan->lines[0], bytes, len);
  return !scan->result.error.kind[0];
}

struct linescan_result *linescan_end(struct linescan *scan) {
  struct frames *frames = &scan->frames;
  scan->deadline = cpu_seconds() + LINESCAN_WORK_SECONDS;
  if (frames->head_len && !frames->begun)
    take_text(scan, &scan->lines[0], (const char *)frames->head, frames->head_len);
  frames->head_len = 0;
  for (int i = 0; i < 2; i++)
    if (scan->lines[i].bytes.len) end_begun(scan, &scan->lines[i]);
  if (scan->result.text.len > scan->spec.max) trim(scan, scan->spec.max);
  return &scan->result;
}
