/* How full each disk is, one thread for each: a dead NFS server blocks statvfs for ever, and must neither
 * hang us nor hide the other disks. A mount that still blocks a thread of an earlier look is reported at
 * once, without another thread.
 */
#ifndef SYS_DISKS_H
#define SYS_DISKS_H
#include <stdbool.h>
#include <sys/statvfs.h>
#include <uv.h>
#include "error.h"

/* How one look ended: it is under way, answered, failed by `error`, or is stuck since an earlier look. */
enum disk_state { DISK_ASKED, DISK_ANSWERED, DISK_FAILED, DISK_STUCK };

struct disk {
  enum disk_state state;
  struct statvfs space;
  struct error error;
};
struct disks;
/* Asks for all mounts, by their points. `done` is called once, on the loop's thread and
 * never before this returns, when all have answered; with none to wait for (disks_waiting() is false) never.
 */
struct disks *disks_ask(uv_loop_t *loop, char *const *points, size_t count, void (*done)(void *data),
                        void *data);
bool disks_waiting(const struct disks *disks);
const struct disk *disks_answer(const struct disks *disks, size_t index);
/* Leaves those that haven't answered to themselves; `done` is not called any more. Frees nothing. */
void disks_give_up(struct disks *disks);
void disks_free(struct disks *disks);

#endif
