/* The authorities that curl trusts. */
#ifndef AUTHORITIES_CURL_H
#define AUTHORITIES_CURL_H
#include <stdbool.h>
#include <curl/curl.h>

/* A curl handle trusts the system's, of a proxy too, and beside them the PEM file `extra` unless that is NULL. False, with
 * errno set: `extra` can't be read, and the system's alone are trusted. */
bool authorities_use(CURL *curl, const char *extra);

#endif
