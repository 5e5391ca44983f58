/* limit BASE SOCKET CONTAINER DSN REDIS_PORT PATTERN [measure] [exec]: everything that bench/diagnosis.lua looks at, all at
 * once, with nothing around it: libcurl for HTTP and Docker's socket, libpq, hiredis and /proc on a thread each. It judges
 * nothing, writes no journal and prints what came back: no program over these libraries can be much faster.
 *
 * measure: the CPU of process and container, over as long as the runbook measures it.   exec: a file of the container. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/statvfs.h>
#include <curl/curl.h>
#include <hiredis.h>
#include <libpq-fe.h>

#define MEASURE_MILLIS 100 /* as effects/docker_stats.lua and effects/sysinfo_process.lua */
#define REQUESTS_MAX 8

static char *base, *docker_socket, *container, *dsn, *pattern;
static int redis_port;
static bool measures, executes;

static void fail(const char *what) {
  fprintf(stderr, "limit: %s\n", what);
  exit(1);
}

static void pause_millis(long millis) { nanosleep(&(struct timespec){0, millis * 1000000}, NULL); }

/* ---- HTTP ---- */

struct request {
  CURL *easy;
  char url[1024];
  char *text;
  size_t len;
};

static size_t keep(char *data, size_t size, size_t count, void *to) {
  struct request *request = to;
  size_t len = size * count;
  request->text = realloc(request->text, request->len + len + 1);
  if (!request->text) fail("out of memory");
  memcpy(request->text + request->len, data, len);
  request->len += len;
  request->text[request->len] = '\0';
  return len;
}

static CURL *open_request(struct request *request) {
  CURL *easy = request->easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, request->url);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10000L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  return easy;
}

static void head(struct request *request, const char *path) {
  snprintf(request->url, sizeof request->url, "%s%s", base, path);
  CURL *easy = open_request(request);
  curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, keep);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
}

static CURL *engine(struct request *request, const char *before, const char *name, const char *after) {
  snprintf(request->url, sizeof request->url, "http://docker/v1.41/%s/%s/%s", before, name, after);
  curl_easy_setopt(open_request(request), CURLOPT_UNIX_SOCKET_PATH, docker_socket);
  return request->easy;
}

static void perform(CURLM *multi) {
  int running = 1;
  while (running) {
    curl_multi_perform(multi, &running);
    if (running) curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
}

static void *look_at_web(void *unused) {
  struct request requests[REQUESTS_MAX] = {0}, *inspect = &requests[3];
  CURLM *multi = curl_multi_init();
  head(&requests[0], "/health");
  head(&requests[1], "/health/ready");
  head(&requests[2], "/health/live");
  engine(inspect, "containers", container, "json");
  engine(&requests[4], "containers", container, "logs?stdout=1&stderr=1&tail=100");
  for (int i = 0; i < 5; i++) curl_multi_add_handle(multi, requests[i].easy);
  perform(multi);
  for (int i = 0; i < 5; i++) {
    long status = 0;
    curl_easy_getinfo(requests[i].easy, CURLINFO_RESPONSE_CODE, &status);
    printf("%s: %ld, %zu bytes\n", requests[i].url, status, requests[i].len);
    if (status != 200) fail("not everything answers 200");
  }
  return unused;
}

/* The value of the first "NAME":"…" of a JSON text. */
static bool find_text(const struct request *request, const char *name, char *value, size_t size) {
  char wanted[64];
  snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
  const char *from = request->text ? strstr(request->text, wanted) : NULL;
  const char *to = from ? strchr(from + strlen(wanted), '"') : NULL;
  if (!to) return false;
  snprintf(value, size, "%.*s", (int)(to - from - (long)strlen(wanted)), from + strlen(wanted));
  return true;
}

static void post(CURL *easy, const char *json, struct curl_slist *headers) {
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, json);
  if (curl_easy_perform(easy) != CURLE_OK) fail("docker exec");
}

static void *run_in_container(void *unused) {
  struct request made = {0}, output = {0}, ended = {0};
  char id[128];
  struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
  post(engine(&made, "containers", container, "exec"),
       "{\"AttachStdout\":true,\"AttachStderr\":true,\"Cmd\":[\"cat\",\"appsettings.json\"]}", headers);
  if (!find_text(&made, "Id", id, sizeof id)) fail("docker exec gave no id");
  post(engine(&output, "exec", id, "start"), "{}", headers);
  curl_easy_perform(engine(&ended, "exec", id, "json"));
  printf("exec: %zu bytes\n%s\n", output.len, ended.text);
  return unused;
}

/* ---- PostgreSQL, Redis ---- */

static void *look_at_postgres(void *unused) {
  PGconn *connection = PQconnectdb(dsn);
  if (PQstatus(connection) != CONNECTION_OK) fail(PQerrorMessage(connection));
  PGresult *result =
      PQexec(connection, "SELECT count(*) AS now, current_setting('max_connections')::int AS most "
                         "FROM pg_stat_activity");
  printf("postgres: %s of %s\n", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
  PQclear(result);
  PQfinish(connection);
  return unused;
}

static void *look_at_redis(void *unused) {
  redisContext *context = redisConnect("127.0.0.1", redis_port);
  if (!context || context->err) fail("redis");
  redisAppendCommand(context, "PING");
  redisAppendCommand(context, "INFO server");
  redisAppendCommand(context, "INFO memory");
  for (int i = 0; i < 3; i++) {
    redisReply *reply = NULL;
    if (redisGetReply(context, (void **)&reply) != REDIS_OK) fail("redis");
    printf("redis: %zu bytes\n", reply->len);
    freeReplyObject(reply);
  }
  redisFree(context);
  return unused;
}

/* ---- This machine ---- */

static ssize_t slurp(const char *path, char *text, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t len = read(fd, text, size - 1);
  close(fd);
  text[len > 0 ? len : 0] = '\0';
  return len;
}

static void look_at_disks(void) {
  FILE *mounts = setmntent("/proc/self/mounts", "r");
  struct mntent *mount;
  while (mounts && (mount = getmntent(mounts))) {
    struct statvfs room;
    if (statvfs(mount->mnt_dir, &room) == 0 && room.f_blocks)
      printf("%s: %.0f %% free\n", mount->mnt_dir, 100.0 * (double)room.f_bavail / (double)room.f_blocks);
  }
  if (mounts) endmntent(mounts);
}

static long ticks_of(const char *pid) {
  char path[64], text[1024];
  long user = 0, system = 0;
  snprintf(path, sizeof path, "/proc/%s/stat", pid);
  if (slurp(path, text, sizeof text) <= 0) return -1;
  const char *name_end = strrchr(text, ')');
  if (!name_end ||
      sscanf(name_end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) != 2)
    return -1;
  return user + system;
}

/* The pid of a process whose arguments hold the pattern; every process is looked at, as for a table of them. */
static void look_at_processes(void) {
  char path[sizeof "/proc//cmdline" + 256], text[4096], found[256] = "";
  DIR *proc = opendir("/proc");
  struct dirent *entry;
  while (proc && (entry = readdir(proc))) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    ticks_of(entry->d_name);
    snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
    ssize_t len = slurp(path, text, sizeof text);
    if (len > 0 && atoi(entry->d_name) != getpid() && memmem(text, (size_t)len, pattern, strlen(pattern)))
      snprintf(found, sizeof found, "%s", entry->d_name);
  }
  if (proc) closedir(proc);
  long before = ticks_of(found);
  if (measures) pause_millis(MEASURE_MILLIS);
  printf("process %s: %ld ticks\n", found, ticks_of(found) - before);
}

static void *look_at_machine(void *unused) {
  char text[4096];
  if (slurp("/proc/meminfo", text, sizeof text) > 0) printf("%.80s\n", text);
  look_at_disks();
  look_at_processes();
  return unused;
}

/* ---- The container's use ---- */

static bool read_cgroup(const char *id) {
  static const char *const files[] = {"/sys/fs/cgroup/memory/docker/%s/memory.usage_in_bytes",
                                      "/sys/fs/cgroup/cpuacct/docker/%s/cpuacct.usage",
                                      "/sys/fs/cgroup/system.slice/docker-%s.scope/memory.current",
                                      "/sys/fs/cgroup/system.slice/docker-%s.scope/cpu.stat",
                                      "/sys/fs/cgroup/docker/%s/memory.current",
                                      "/sys/fs/cgroup/docker/%s/cpu.stat"};
  int found = 0;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[512], text[1024], *name = strstr(files[i], "%s");
    snprintf(path, sizeof path, "%.*s%s%s", (int)(name - files[i]), files[i], id, name + 2);
    if (slurp(path, text, sizeof text) <= 0) continue;
    printf("%.40s\n", text);
    found++;
  }
  return found > 0;
}

static void *measure_container(void *unused) {
  struct request inspect = {0};
  char id[128];
  curl_easy_perform(engine(&inspect, "containers", container, "json"));
  if (!find_text(&inspect, "Id", id, sizeof id)) fail("the container has no id");
  if (!read_cgroup(id)) fail("the container's cgroup was not found");
  pause_millis(MEASURE_MILLIS);
  read_cgroup(id);
  return unused;
}

int main(int argc, char **argv) {
  void *(*const looks[])(void *) = {look_at_web,     look_at_postgres,  look_at_redis,
                                    look_at_machine, measure_container, run_in_container};
  pthread_t threads[6];
  if (argc < 7)
    return fputs("usage: limit BASE SOCKET CONTAINER DSN REDIS_PORT PATTERN [measure] [exec]\n", stderr), 2;
  base = argv[1], docker_socket = argv[2], container = argv[3], dsn = argv[4];
  redis_port = atoi(argv[5]), pattern = argv[6];
  for (int i = 7; i < argc; i++) {
    measures |= strcmp(argv[i], "measure") == 0;
    executes |= strcmp(argv[i], "exec") == 0;
  }
  curl_global_init(CURL_GLOBAL_NOTHING);
  bool wanted[] = {true, true, true, true, measures, executes};
  for (int i = 0; i < 6; i++)
    if (wanted[i] && pthread_create(&threads[i], NULL, looks[i], NULL) != 0) fail("a thread");
  for (int i = 0; i < 6; i++)
    if (wanted[i]) pthread_join(threads[i], NULL);
  fflush(stdout);
  _exit(0); /* what the kernel frees faster */
}
