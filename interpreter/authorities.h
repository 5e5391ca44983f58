/* Whose certificates are trusted over HTTPS: the system's, or those of a file that the operator's shell names as curl and
 * OpenSSL read it. A company's own authority stands there. */
#ifndef AUTHORITIES_H
#define AUTHORITIES_H

/* CURL_CA_BUNDLE, else SSL_CERT_FILE; NULL when neither names a file: the system's. */
const char *authorities_file(void);

#endif
