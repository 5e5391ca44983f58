#include "base64.h"
#include <stdint.h>
#include <string.h>

static const char alphabets[][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void base64_encode(struct buffer *out, const void *data, size_t len, enum base64_alphabet alphabet) {
  const unsigned char *bytes = data;
  const char *digits = alphabets[alphabet];
  for (size_t i = 0; i < len; i += 3) {
    size_t left = len - i < 3 ? len - i : 3;
    uint32_t group = (uint32_t)bytes[i] << 16;
    if (left > 1) group |= (uint32_t)bytes[i + 1] << 8;
    if (left > 2) group |= bytes[i + 2];
    char four[4] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63],
                    digits[group & 63]};
    if (alphabet == BASE64_STANDARD) memset(four + left + 1, '=', 3 - left);
    buffer_append(out, four, alphabet == BASE64_STANDARD ? 4 : left + 1);
  }
}

static int digit_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

/* Digits without their padding, or false when the padding is wrong. */
static bool without_padding(const char *text, size_t *len) {
  size_t padded = *len;
  while (*len && text[*len - 1] == '=') --*len;
  if (padded == *len) return *len % 4 != 1;
  return padded % 4 == 0 && padded - *len <= 2;
}

bool base64_decode(struct buffer *out, const char *text, size_t len) {
  size_t before = out->len;
  uint32_t bits = 0;
  int count = 0;
  bool well = without_padding(text, &len);
  for (size_t i = 0; well && i < len; i++) {
    int value = digit_value(text[i]);
    well = value >= 0;
    bits = bits << 6 | (uint32_t)(value & 63);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    buffer_putc(out, (char)(bits >> count & 255));
    bits &= (1u << count) - 1;
  }
  if (well && bits == 0) return true;
  out->len = before;
  if (out->data) out->data[before] = '\0';
  return false;
}
