/* Texts that mean harm to the masker. Of any bytes: no declared secret is left in what comes out, masked once or twice, and
 * what was masked and can be put back is the very text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const secrets[] = {"s3cret-of-some-length", "geh\"eim\\nis wört", "postgres://u:pw@h/d",
                                      "line-one-of-a-key\nbGluZS10d28tb2Yta2V5\n"};
#define COUNT (sizeof secrets / sizeof *secrets)

static void declare(void) {
  static const char *const names[COUNT] = {"TOKEN", "ODD", "DSN", "KEY"};
  struct error error;
  for (size_t i = 0; i < COUNT; i++)
    if (!redact_known(names[i]) && !redact_add(names[i], secrets[i], strlen(secrets[i]), &error)) abort();
}

static void no_secret_is_left(const struct buffer *out) {
  for (size_t i = 0; i < COUNT; i++)
    if (out->len && memmem(out->data, out->len, secrets[i], strlen(secrets[i]))) abort();
}

static bool is_same(const struct buffer *a, const char *text, size_t len) {
  return a->len == len && (len == 0 || memcmp(a->data, text, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  struct buffer once = {0}, twice = {0}, quoted = {0}, back = {0};
  declare();
  redact_apply(&once, text, size);
  no_secret_is_left(&once);
  redact_apply(&twice, once.data ? once.data : "", once.len);
  no_secret_is_left(&twice);
  redact_quote(&quoted, text, size);
  no_secret_is_left(&quoted);
  if (redact_restore(&back, quoted.data ? quoted.data : "", quoted.len) && !is_same(&back, text, size))
    abort();
  if (redact_torn_end(text, size) > size || redact_torn_beginning(text, size) > size) abort();
  buffer_free(&once);
  buffer_free(&twice);
  buffer_free(&quoted);
  buffer_free(&back);
  return 0;
}
