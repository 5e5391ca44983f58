/* A TLS session as Lua holds it: userdata of this type with a struct secure * in it, NULL once a connection has taken it. */
#ifndef SECURE_SESSION_H
#define SECURE_SESSION_H
#define SECURE_SESSION "TLS session"
#endif
