/* A walk through a folder by directory descriptors: no symbolic link is followed, no other file system
 * entered, nothing is resolved by path twice, so what is swapped under the walk can't lead it elsewhere.
 * Blocking: for an offload's thread.
 */
#ifndef TREE_H
#define TREE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include "error.h"

/* Folders in folders; deeper ones are counted as errors. Each level holds a descriptor. */
#define TREE_DEPTH_MAX 128

struct tree_entry {
  const char *name; /* in its folder */
  const char *path; /* from the root given */
  const struct stat *info;
};

/* What could not be looked at. */
struct tree_errors {
  size_t count;
  char first[512];
};

struct tree_walk {
  /* Called for everything but the root, folders before what is in them; false ends the walk. */
  bool (*visit)(void *data, const struct tree_entry *entry);
  void *data;
  bool flat;         /* only what lies in the root itself */
  atomic_bool *stop; /* looked at before every entry */
  struct tree_errors errors;
};

/* Opens the folder at `path`, which must not itself be a symbolic link; -1 with `error` filled (missing,
 * permission, usage). */
int tree_open(const char *path, struct error *error);
/* False with `error` filled if the root can't be read. What can't be read below it is counted in
 * walk->errors. */
bool tree_walk(const char *root, struct tree_walk *walk, struct error *error);
/* `path` without slashes at its end, malloc'ed. */
char *tree_trim(const char *path);
/* Whether one of the path's components is `..`. */
bool tree_has_dotdot(const char *path);

#endif
