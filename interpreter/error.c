#include "error.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* libuv hands on errno negated, and has two ranges of its own: this file is linked without it. */
#define CODE_GETADDRINFO_FIRST 3000
#define CODE_GETADDRINFO_LAST 3014
#define CODE_END_OF_FILE 4095

static const struct {
  int code;
  const char *kind;
} kinds[] = {
    {ECONNREFUSED, "refused"},
    {ECONNRESET, "reset"},
    {EPIPE, "reset"},
    {ECONNABORTED, "reset"},
    {ETIMEDOUT, "timeout"},
    {ETIME, "timeout"},
    {EHOSTUNREACH, "unreachable"},
    {ENETUNREACH, "unreachable"},
    {EHOSTDOWN, "unreachable"},
    {ENETDOWN, "unreachable"},
    {EADDRNOTAVAIL, "unreachable"},
    {EACCES, "permission"},
    {EPERM, "permission"},
    {EROFS, "permission"},
    {ENOENT, "missing"},
    {ENOTDIR, "missing"},
    {ENODEV, "missing"},
    {ENXIO, "missing"},
    {ESRCH, "missing"},
    {ECANCELED, "cancelled"},
    {EMFILE, "limit"},
    {ENFILE, "limit"},
    {ENOMEM, "limit"},
    {E2BIG, "limit"},
    {EFBIG, "limit"},
    {ENOSPC, "limit"},
    {EDQUOT, "limit"},
    {EMSGSIZE, "limit"},
    {ENAMETOOLONG, "limit"},
    {EPROTO, "protocol"},
    {EILSEQ, "protocol"},
    {EBADMSG, "protocol"},
    {EINVAL, "usage"},
};

/* A message cut in the middle of a UTF-8 sequence would be damaged text wherever it is shown. */
static void drop_partial_character(char *text) {
  size_t len = strlen(text), tail = 0;
  while (tail < len && tail < 4 && ((unsigned char)text[len - 1 - tail] & 0xC0) == 0x80) tail++;
  if (tail == len) return;
  unsigned char lead = (unsigned char)text[len - 1 - tail];
  size_t wanted = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  if (tail < wanted) text[len - 1 - tail] = '\0';
}

size_t (*error_torn)(const char *text, size_t len);

/* What others say may quote a secret, and half of one would not be known any more. */
static void drop_torn(char *text) {
  size_t len = strlen(text);
  if (error_torn) text[len - error_torn(text, len)] = '\0';
}

/* The arguments may point into *error itself: "opening the run: " before its own message. */
int error_set(struct error *error, const char *kind, const char *format, ...) {
  struct error made = {0};
  va_list args;
  if (!error) return 0;
  snprintf(made.kind, sizeof made.kind, "%s", kind);
  va_start(args, format);
  int len = vsnprintf(made.message, sizeof made.message, format, args);
  va_end(args);
  if (len >= (int)sizeof made.message) drop_torn(made.message), drop_partial_character(made.message);
  *error = made;
  return 0;
}

static int positive(int code) { return code < 0 ? -code : code; }

static int is_getaddrinfo(int code) {
  return code >= CODE_GETADDRINFO_FIRST && code <= CODE_GETADDRINFO_LAST;
}

const char *error_kind_of(int code) {
  code = positive(code);
  if (is_getaddrinfo(code)) return "dns";
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].code == code) return kinds[i].kind;
  return "io";
}

static const char *words_of(int code) {
  if (is_getaddrinfo(code)) return "the name does not resolve";
  if (code == CODE_END_OF_FILE) return "end of file";
  const char *words = strerrordesc_np(code);
  return words ? words : "unknown error";
}

int error_set_code(struct error *error, int code, const char *what) {
  const char *words = words_of(positive(code));
  /* In the middle of a sentence, but "RPC …" stays. */
  char first = islower((unsigned char)words[1]) ? (char)tolower((unsigned char)words[0]) : words[0];
  return error_set(error, error_kind_of(code), "%s: %c%s", what, first, words + 1);
}
