#include "authorities.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Where the distributions keep the system's authorities in one file: a program that was built on one of them runs on
 * all of them, and curl knows only where it was built. */
static const char *const places[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Arch, Gentoo */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora, RHEL, Amazon */
    "/etc/ssl/ca-bundle.pem",             /* SUSE */
    "/etc/ssl/cert.pem",                  /* Alpine */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
};

static bool can_read(const char *path) { return path && access(path, R_OK) == 0; }

static const char *named(void) {
  static const char *const variables[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    const char *path = getenv(variables[i]);
    if (path && *path) return path;
  }
  return NULL;
}

const char *authorities_file(const char *built_in) {
  if (named()) return named();
  if (can_read(built_in)) return built_in;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (can_read(places[i])) return places[i];
  return NULL;
}
