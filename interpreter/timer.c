/* Timers in a list sorted by due time: there are seldom more than a few hundred, and the earliest is what is
 * asked for. */
#include <stdlib.h>
#include "buffer.h"
#include "runtime.h"

struct timer {
  struct timer *next, **link; /* link: what points here, so that a stop is O(1) */
  double due;
  void (*fire)(void *data);
  void *data;
};

static struct timer *earliest;

static void timer_unlink(struct timer *timer) {
  *timer->link = timer->next;
  if (timer->next) timer->next->link = timer->link;
}

struct timer *timer_start(double seconds, void (*fire)(void *), void *data) {
  struct timer *timer = xcalloc(1, sizeof *timer);
  struct timer **link = &earliest;
  *timer = (struct timer){.due = runtime_now() + seconds, .fire = fire, .data = data};
  while (*link && (*link)->due <= timer->due) link = &(*link)->next;
  timer->next = *link;
  timer->link = link;
  if (timer->next) timer->next->link = &timer->next;
  *link = timer;
  return timer;
}

void timer_stop(struct timer *timer) {
  if (!timer) return;
  timer_unlink(timer);
  free(timer);
}

bool timer_next(double *due) {
  if (!earliest) return false;
  *due = earliest->due;
  return true;
}

void timer_fire_due(double now) {
  while (earliest && earliest->due <= now) {
    struct timer *timer = earliest;
    timer_unlink(timer);
    timer->fire(timer->data);
    free(timer);
  }
}
