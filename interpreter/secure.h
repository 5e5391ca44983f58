/* TLS as a client over a transport of somebody else's: bytes from the server go in, bytes for it come out; no socket, no
 * clock, no Lua. secure.c makes one, in a module that is opened when TLS is first asked for; who has one calls it through
 * these pointers alone, so that OpenSSL is linked into nothing else. */
#ifndef SECURE_H
#define SECURE_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "buffer.h"
#include "error.h"

struct secure {
  /* Takes what came from the server. */
  void (*feed)(struct secure *secure, const char *bytes, size_t len);
  /* Goes on with the handshake: 1 it is done, 0 it waits for the server, -1 `error` says why there will be none. */
  int (*shake)(struct secure *secure, struct error *error);
  /* The server's next words in clear: their number, 0 when more must come first, -1 with `error`: it is over. */
  ssize_t (*read)(struct secure *secure, char *plain, size_t size, struct error *error);
  /* Seals words for the server. */
  bool (*write)(struct secure *secure, const char *plain, size_t len, struct error *error);
  /* Appends what is to be sent now. After -1 too: the server is told why. */
  void (*drain)(struct secure *secure, struct buffer *out);
  void (*free)(struct secure *secure);
};

/* A host with port, for messages; the name in the certificate; PEM files, NULL for none. */
struct secure_options {
  const char *target, *name;
  const char *ca;   /* these authorities alone, instead of the system's */
  const char *more; /* authorities beside them */
  const char *cert, *key;
};

/* NULL with `error`: one of the files can't be used. */
struct secure *secure_new(const struct secure_options *options, struct error *error);

#endif
