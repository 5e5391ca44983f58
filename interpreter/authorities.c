#include "authorities.h"
#include <stddef.h>
#include <stdlib.h>

const char *authorities_file(void) {
  static const char *const variables[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const char *path = getenv(variables[i]);
    if (path && *path) return path;
  }
  return NULL;
}
