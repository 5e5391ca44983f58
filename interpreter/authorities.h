/* Whose certificates are trusted over HTTPS: the system's, or those of a file that the operator's shell names as curl and
 * OpenSSL read it. A company's own authority stands there. */
#ifndef AUTHORITIES_H
#define AUTHORITIES_H
#include <stdbool.h>
#include <curl/curl.h>

/* CURL_CA_BUNDLE, else SSL_CERT_FILE, else curl's own file, else the first that a distribution keeps. NULL: none can be
 * read, and curl's folder of certificates is all that there may be. Static, or the environment's. */
const char *authorities_file(void);

/* A curl handle trusts them, of a proxy too, and beside them the PEM file `extra` unless that is NULL. False, with errno
 * set: `extra` can't be read, and the system's alone are trusted. */
bool authorities_use(CURL *curl, const char *extra);

#endif
