#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "sys.h"

bool sys_read(const char *path, size_t max, struct buffer *text) {
  char chunk[8192];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  buffer_clear(text);
  ssize_t len = 1;
  while (text->len < max && len != 0) {
    size_t want = max - text->len < sizeof chunk ? max - text->len : sizeof chunk;
    len = read(fd, chunk, want);
    if (len < 0 && errno == EINTR) continue;
    if (len < 0) break;
    buffer_append(text, chunk, (size_t)len);
  }
  int saved = errno;
  close(fd);
  errno = saved;
  return len >= 0;
}

static bool read_or_explain(const char *path, struct buffer *text, struct error *error) {
  if (sys_read(path, SYS_FILE_BYTES, text) && text->len) return true;
  error_set_code(error, errno ? errno : EIO, path);
  buffer_free(text);
  return false;
}

void sys_sleep(double seconds, atomic_bool *stop) {
  static const double step = 0.05;
  for (; seconds > 0 && !atomic_load(stop); seconds -= step) {
    struct timespec pause = {0, (long)((seconds < step ? seconds : step) * 1e9)};
    nanosleep(&pause, NULL);
  }
}

/* The number behind "Name:" at the start of a line, in bytes. */
static bool meminfo(const char *text, const char *name, uint64_t *bytes) {
  size_t len = strlen(name);
  unsigned long long kib;
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, name, len) == 0 && line[len] == ':' && sscanf(line + len + 1, "%llu", &kib) == 1) {
      *bytes = kib * 1024;
      return true;
    }
  }
  return false;
}

bool sys_memory(struct sys_memory *memory, struct error *error) {
  static const char path[] = "/proc/meminfo";
  struct buffer text = {0};
  if (!read_or_explain(path, &text, error)) return false;
  bool well = meminfo(text.data, "MemTotal", &memory->total) && memory->total > 0 &&
              meminfo(text.data, "MemAvailable", &memory->available);
  meminfo(text.data, "SwapTotal", &memory->swap_total);
  meminfo(text.data, "SwapFree", &memory->swap_free);
  buffer_free(&text);
  memory->available = sys_part(memory->available, memory->total);
  memory->swap_free = sys_part(memory->swap_free, memory->swap_total);
  return well || error_set(error, "io", "%s says nothing of the memory", path);
}

bool sys_load(struct sys_load *load, struct error *error) {
  static const char path[] = "/proc/loadavg";
  struct buffer text = {0};
  if (!read_or_explain(path, &text, error)) return false;
  bool well = sscanf(text.data, "%lf %lf %lf", &load->one, &load->five, &load->fifteen) == 3;
  load->cpus = sysconf(_SC_NPROCESSORS_ONLN);
  buffer_free(&text);
  return well || error_set(error, "io", "%s is not understood", path);
}

bool sys_uptime(struct sys_uptime *uptime, struct error *error) {
  static const char path[] = "/proc/uptime", boot[] = "/proc/sys/kernel/random/boot_id";
  struct buffer text = {0};
  if (!read_or_explain(path, &text, error)) return false;
  bool well =
      sscanf(text.data, "%lf", &uptime->seconds) == 1 || error_set(error, "io", "%s is not understood", path);
  if (well && (well = read_or_explain(boot, &text, error)))
    snprintf(uptime->boot_id, sizeof uptime->boot_id, "%.*s", (int)strcspn(text.data, "\n"), text.data);
  buffer_free(&text);
  return well;
}

/* ---- The CPUs ---- */

struct ticks {
  unsigned long long user, nice, system, idle, iowait, irq, softirq, steal;
};

static bool read_ticks(struct ticks *ticks, struct error *error) {
  static const char path[] = "/proc/stat";
  struct buffer text = {0};
  if (!read_or_explain(path, &text, error)) return false;
  int found =
      sscanf(text.data, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks->user, &ticks->nice,
             &ticks->system, &ticks->idle, &ticks->iowait, &ticks->irq, &ticks->softirq, &ticks->steal);
  buffer_free(&text);
  return found == 8 || error_set(error, "io", "%s is not understood", path);
}

/* proc(5): iowait may even go down. */
static double grown(unsigned long long before, unsigned long long after) {
  return after > before ? (double)(after - before) : 0;
}

bool sys_cpu(double interval, atomic_bool *stop, struct sys_cpu *cpu, struct error *error) {
  struct ticks a, b;
  if (!read_ticks(&a, error)) return false;
  sys_sleep(interval, stop);
  if (!read_ticks(&b, error)) return false;
  double steal = grown(a.steal, b.steal), iowait = grown(a.iowait, b.iowait);
  double used = grown(a.user, b.user) + grown(a.nice, b.nice) + grown(a.system, b.system) +
                grown(a.irq, b.irq) + grown(a.softirq, b.softirq) + steal;
  double total = used + grown(a.idle, b.idle) + iowait;
  if (total <= 0) return error_set(error, "io", "the CPU counters did not move within %g s", interval);
  *cpu = (struct sys_cpu){100 * used / total, 100 * iowait / total, 100 * steal / total};
  return true;
}
