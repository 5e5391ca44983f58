/* The command line: one table of commands and options, read into a Lua table. */
#ifndef CLI_H
#define CLI_H
#include <lua.h>

/* What the command line asked for. */
struct cli {
  const char *command; /* NULL: show help or version and end with `exit` */
  const char *stdlib;  /* --stdlib DIR */
  int exit;
};

/* Reads argv. On a command it pushes two tables: the positional arguments, and the options by name (a string,
 * true, or a list for options that repeat). Wrong usage is told on standard error, with exit 2. [-0, +(0|2),
 * m] */
struct cli cli_read(lua_State *L, int argc, char **argv);
/* The folder of the stdlib given by --stdlib, or NULL; looked at before there is a Lua state. */
const char *cli_stdlib(int argc, char **argv);
/* The table of commands for Lua, as a list of {name=, arguments=, help=, options={{name=, letter=, help=, takes_value=,
 * values=}, …}}; without those that only this program calls. A lua_CFunction. */
int cli_commands(lua_State *L);

#endif
