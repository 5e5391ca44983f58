/* runbook: runs incident runbooks written in Lua. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <lauxlib.h>
#include "cli.h"
#include "descriptors.h"
#include "libs.h"
#include "luautil.h"
#include "loader.h"
#include "rlimit.h"
#include "runtime.h"
#include "tty.h"
#include "watchdog_protocol.h"

#define EXIT_DEFECT 70    /* EX_SOFTWARE: a defect of this program */
#define EXIT_UNWRITTEN 74 /* EX_IOERR: its words could not be written */
#define EXIT_REFUSED 6

static struct cli cli;
static char **words; /* of the command line */

static int l_getenv(lua_State *L) {
  lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
  return 1;
}

/* secrets() → { NAME = value }: what the watchdog hands to its children on descriptor 3
 * (watchdog_protocol.h). */
static int l_secrets(lua_State *L) {
  luaL_Buffer text;
  char block[4096], name[256];
  ssize_t count;
  size_t len, used = 0;
  luaL_buffinit(L, &text);
  while ((count = read(WATCHDOG_FD, block, sizeof block)) > 0) luaL_addlstring(&text, block, (size_t)count);
  luaL_pushresult(&text);
  const char *at = lua_tolstring(L, -1, &len), *end = at + len;
  lua_newtable(L);
  int header = 0;
  while (at < end && sscanf(at, "%255s %zu%n", name, &used, &header) == 2 &&
         used <= (size_t)(end - at) - (size_t)header - 1) {
    set_string(L, name, at + header + 1, used);
    at += (size_t)header + 1 + used;
  }
  return 1;
}

/* What only C knows of this process. */
static void push_host(lua_State *L) {
  char path[PATH_MAX];
  lua_newtable(L);
  lua_pushcfunction(L, l_getenv);
  lua_setfield(L, -2, "getenv");
  lua_pushcfunction(L, l_secrets);
  lua_setfield(L, -2, "secrets");
  lua_pushcfunction(L, cli_commands);
  lua_setfield(L, -2, "commands");
  ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
  if (len > 0) set_string(L, "program", path, (size_t)len);
  set_text(L, "libdir", loader_libdir());
  set_text(L, "folder", getcwd(path, sizeof path)); /* NULL, so no field, when it is gone or can't be told */
  set_text(L, "version", RUNBOOK_VERSION);
  set_integer(L, "uid", (long long)getuid());
  set_integer(L, "pid", (long long)getpid());
  lua_newtable(L);
  for (int i = 0; words[i]; i++) {
    lua_pushstring(L, words[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "command_line");
}

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* The root task's end: boot.main's exit code, or a defect with its traceback. */
static int finish(lua_State *L, int status, lua_KContext context) {
  (void)context;
  if (status == LUA_OK || status == LUA_YIELD) return 1;
  fprintf(stderr, "runbook: a defect of this program: %s\n", lua_tostring(L, -1));
  lua_pushinteger(L, EXIT_DEFECT);
  return 1;
}

static int l_main(lua_State *L) {
  lua_pushcfunction(L, traceback);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "boot");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_remove(L, -2);
  lua_pushstring(L, cli.command);
  lua_getfield(L, LUA_REGISTRYINDEX, "cli.arguments");
  lua_getfield(L, LUA_REGISTRYINDEX, "cli.options");
  push_host(L);
  return finish(L, lua_pcallk(L, 4, 1, 1, 0, finish), 0);
}

/* Every task has ended by now and put its things in order. What is left is memory and descriptors, which go with the process
 * ten times as fast as one by one; only a leak checker wants to see them go. */
static void leave(lua_State *L) {
#ifdef __SANITIZE_ADDRESS__
  lua_close(L);
  runtime_close();
#else
  (void)L;
#endif
}

/* What the surroundings may have left closed or open. With 0 to 2 closed, the loop's own descriptors would take their places
 * and be written into; what our parent left open would be held by everything that a remedy starts. */
static void settle_descriptors(void) {
  int null = open("/dev/null", O_RDWR);
  while (null >= 0 && null <= STDERR_FILENO) null = open("/dev/null", O_RDWR);
  if (null >= 0) close(null);
  descriptors_close_on_exec(STDERR_FILENO + 1);
}

/* Words that could not be written were not told, whatever the code says. An ending that is bad already says more. */
static int check_output(int code) {
  int lost = tty_lost();
  if (!lost && (fflush(stdout) != 0 || ferror(stdout))) lost = errno ? errno : EIO;
  if (!lost) return code;
  fprintf(stderr, "runbook: its words could not be written to standard output: %s\n", strerror(lost));
  return code ? code : EXIT_UNWRITTEN;
}

int main(int argc, char **argv) {
  struct error error;
  settle_descriptors();
  if (!rlimit_settle(&error)) return fprintf(stderr, "runbook: %s\n", error.message), EXIT_REFUSED;
  prctl(PR_SET_DUMPABLE, 0); /* a core would hold every secret; a program that is started decides anew */
  mallopt(M_ARENA_MAX, 1);   /* each thread would else reserve 128 MB for the little it allocates */
  lua_State *L = libs_state(cli_stdlib(argc, argv));
  words = argv;
  cli = cli_read(L, argc, argv);
  if (!cli.command) return lua_close(L), check_output(cli.exit);
  lua_setfield(L, LUA_REGISTRYINDEX, "cli.options");
  lua_setfield(L, LUA_REGISTRYINDEX, "cli.arguments");
  runtime_open(L);
  runtime_signals();
  lua_pushcfunction(L, l_main);
  int status = runtime_run(L);
  int code = status == LUA_OK ? (int)lua_tointeger(L, -1) : EXIT_DEFECT;
  leave(L);
  return check_output(code);
}
