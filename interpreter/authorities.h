/* Whose certificates are trusted: the system's, or those of a file that the operator's shell names as curl and OpenSSL read
 * it. A company's own authority stands there. */
#ifndef AUTHORITIES_H
#define AUTHORITIES_H

/* CURL_CA_BUNDLE, else SSL_CERT_FILE, else the file that the TLS library was built with (`built_in`, NULL for none), else the
 * first that a distribution keeps. NULL: none can be read, and the library's folder of certificates is all that there may be.
 * Static, or the environment's. */
const char *authorities_file(const char *built_in);

#endif
