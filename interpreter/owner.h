/* Whose file is it? What decides what is done with our rights (a config, a runbook, the folder of the runs) counts only when
 * nobody but us and root can change it: the file, each folder it lies in, and each link on the way belong to us or to root
 * and are writable by nobody else. Under sudo, who called it counts as us. No Lua here.
 *
 * What counts as safe besides: a folder where only the owner of an entry may rename it (sticky, as /tmp), a group that has
 * nobody but the owner in it (umask 002), what lies on a read-only mount, and what `runbook trust` has named.
 */
#ifndef OWNER_H
#define OWNER_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "error.h"

#define OWNER_LINKS_MAX 40 /* links followed for one path, as the kernel's own limit */

/* False when somebody else could change what `path` names: kind "owner", and a message that says what belongs to whom and
 * what can be done. Other failures are those of lstat(2). Blocks; safe on any thread. */
bool owner_check(const char *path, struct error *error);

/* Where `runbook trust` keeps its folders: a line each, "UID PATH". False when no home is known. */
bool owner_trust_file(char *path, size_t size, struct error *error);

/* Adds a folder to that file, with whose it is at this moment: one that changes hands is trusted no longer. `real` gets its path
 * without links, PATH_MAX bytes. Idempotent. */
bool owner_trust(const char *folder, char *real, uid_t *uid, struct error *error);

#endif
