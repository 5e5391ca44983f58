#include "sys_disks.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "buffer.h"
#include "offload.h"

struct look {
  struct offload offload;
  struct disks *disks;
  struct disk *disk; /* where the answer goes */
  struct statvfs space;
  int status;    /* errno */
  bool is_stuck; /* in the list below */
  struct look *next;
  char point[];
};

struct disks {
  struct disk *answers;
  struct look **looks; /* those under way */
  size_t count, waiting;
  void (*done)(void *data);
  void *data;
};

/* Abandoned looks that have not come back; their threads take themselves out. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct look *stuck;

static bool stuck_has(const char *point) {
  bool found = false;
  pthread_mutex_lock(&lock);
  for (const struct look *look = stuck; look && !found; look = look->next)
    found = strcmp(look->point, point) == 0;
  pthread_mutex_unlock(&lock);
  return found;
}

static void stuck_add(struct look *look) {
  pthread_mutex_lock(&lock);
  look->is_stuck = true;
  look->next = stuck;
  stuck = look;
  pthread_mutex_unlock(&lock);
}

static void stuck_remove(struct look *look) {
  pthread_mutex_lock(&lock);
  struct look **link = &stuck;
  while (*link && *link != look) link = &(*link)->next;
  if (*link) *link = look->next;
  pthread_mutex_unlock(&lock);
}

static void look_run(struct offload *offload) {
  struct look *look = (struct look *)offload;
  look->status = statvfs(look->point, &look->space) == 0 ? 0 : errno;
}

static void look_destroy(struct offload *offload) {
  struct look *look = (struct look *)offload;
  if (look->is_stuck) stuck_remove(look);
  free(look);
}

static void look_done(struct offload *offload) {
  struct look *look = (struct look *)offload;
  struct disks *disks = look->disks;
  look->disk->state = look->status ? DISK_FAILED : DISK_ANSWERED;
  look->disk->space = look->space;
  if (look->status) error_set_code(&look->disk->error, look->status, look->point);
  disks->looks[look->disk - disks->answers] = NULL;
  free(look);
  if (--disks->waiting == 0) disks->done(disks->data);
}

static void look_start(uv_loop_t *loop, struct disks *disks, size_t index, const char *point) {
  struct disk *disk = &disks->answers[index];
  if (stuck_has(point)) {
    disk->state = DISK_STUCK;
    return;
  }
  struct look *look = xcalloc(1, sizeof *look + strlen(point) + 1);
  strcpy(look->point, point);
  look->offload.run = look_run;
  look->offload.done = look_done;
  look->offload.destroy = look_destroy;
  look->disks = disks;
  look->disk = disk;
  if (offload_start(loop, &look->offload, &disk->error)) {
    disks->looks[index] = look;
    disks->waiting++;
  } else {
    disk->state = DISK_FAILED;
    free(look);
  }
}

struct disks *disks_ask(uv_loop_t *loop, char *const *points, size_t count, void (*done)(void *),
                        void *data) {
  struct disks *disks = xcalloc(1, sizeof *disks);
  disks->count = count;
  disks->answers = xcalloc(count + 1, sizeof *disks->answers);
  disks->looks = xcalloc(count + 1, sizeof *disks->looks);
  disks->done = done;
  disks->data = data;
  for (size_t i = 0; i < count; i++) look_start(loop, disks, i, points[i]);
  return disks;
}

bool disks_waiting(const struct disks *disks) { return disks->waiting > 0; }
const struct disk *disks_answer(const struct disks *disks, size_t index) { return &disks->answers[index]; }

void disks_give_up(struct disks *disks) {
  for (size_t i = 0; i < disks->count; i++) {
    struct look *look = disks->looks[i];
    if (!look) continue;
    disks->looks[i] = NULL;
    stuck_add(look);
    offload_abandon(&look->offload);
  }
  disks->waiting = 0;
}

void disks_free(struct disks *disks) {
  if (!disks) return;
  disks_give_up(disks);
  free(disks->answers);
  free(disks->looks);
  free(disks);
}
