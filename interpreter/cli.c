#include "cli.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <lauxlib.h>

enum kind { FLAG, VALUE, OPTIONAL, LIST };

struct option {
  const char *name, *field;
  enum kind kind;
  char letter;
  const char *one_of; /* "|low|medium|high|", or NULL */
  const char *help;
};

struct command {
  const char *name, *arguments;
  int least, most; /* positional arguments */
  const struct option *options;
  const char *help;
};

static const struct option run_options[] = {
    {"dry-run", "dry_run", OPTIONAL, 'n', "|true|strict|",
     "look for real, show each change instead of making it"},
    {"env", "env", VALUE, 0, NULL, "NAME: environment of the config"},
    {"param", "param", LIST, 'p', NULL, "KEY=VALUE: set a parameter"},
    {"params", "params", VALUE, 0, NULL, "FILE: parameters, Lua or JSON"},
    {"scenario", "scenario", VALUE, 0, NULL, "FILE[:NAME]: run against a scripted world"},
    {"yes", "yes", VALUE, 0, "|low|medium|high|", "low|medium|high: approve remedies up to this risk"},
    {"answers", "answers", VALUE, 0, NULL, "FILE: answers to questions, Lua or JSON"},
    {"no-input", "no_input", FLAG, 0, NULL, "never ask: suspend at the first question"},
    {"here", "here", FLAG, 0, NULL, "allow writes to this machine"},
    {"alongside", "alongside", FLAG, 0, NULL, "run although another run of this runbook is under way"},
    {"alert-started", "alert_started", VALUE, 0, NULL, "TIME: when the alert began, RFC 3339"},
    {"verbose", "verbose", FLAG, 'v', NULL, "show every read, and the command that does it by hand"},
    {"format", "format", VALUE, 0, "|text|jsonl|", "text|jsonl"},
    {0},
};
static const struct option audit_options[] = {
    {"env", "env", VALUE, 0, NULL, "NAME: environment of the config"},
    {"param", "param", LIST, 'p', NULL, "KEY=VALUE: set a parameter"},
    {"params", "params", VALUE, 0, NULL, "FILE: parameters, Lua or JSON"},
    {"verbose", "verbose", FLAG, 'v', NULL, "show every read, and the command that does it by hand"},
    {"format", "format", VALUE, 0, "|text|jsonl|", "text|jsonl"},
    {0},
};
static const struct option doctor_options[] = {
    {"env", "env", VALUE, 0, NULL, "NAME: environment of the config"},
    {"param", "param", LIST, 'p', NULL, "KEY=VALUE: set a parameter"},
    {"params", "params", VALUE, 0, NULL, "FILE: parameters, Lua or JSON"},
    {"here", "here", FLAG, 0, NULL, "as for run: writes to this machine will be allowed"},
    {"format", "format", VALUE, 0, "|text|jsonl|", "text|jsonl"},
    {0},
};
static const struct option no_options[] = {{0}};

static const struct command commands[] = {
    {"run", "FILE", 1, 1, run_options, "run a runbook"},
    {"ack", "RUN", 1, 1, no_options, "I own it: no later escalation level fires"},
    {"abort", "RUN", 1, 1, no_options, "the incident is over"},
    {"audit", "FILE", 1, 1, audit_options, "what would keep it from happening again: is it in place?"},
    {"doctor", "FILE", 1, 1, doctor_options, "what a run would need: is it there? Reads only"},
    {"trust", "[DIR]", 0, 1, no_options,
     "run what lies in DIR although others can change it; without DIR: what is trusted"},
    {"effects", "[NAME]", 0, 1, no_options, "the catalogue of effects"},
    {"_escalate", NULL, 2, 2, no_options, NULL}, /* the watchdog's: a level of a run */
    {"_deliver", NULL, 1, 1, no_options, NULL},  /* the watchdog's: the outbox of a run */
    {0},
};

static void usage(FILE *out, const struct command *command) {
  if (command) {
    fprintf(out, "usage: runbook %s %s\n", command->name, command->arguments);
    for (const struct option *o = command->options; o->name; o++)
      fprintf(out, "  --%s%s%.1s  %s\n", o->name, o->letter ? ", -" : "", &o->letter, o->help);
    return;
  }
  fputs("usage: runbook COMMAND …\n\n", out);
  for (const struct command *c = commands; c->name; c++)
    if (c->help) fprintf(out, "  %-8s %-8s %s\n", c->name, c->arguments, c->help);
  fputs("\n`runbook COMMAND --help` says more. Exit codes: 0 resolved, 1 unresolved, 2 usage, 3 the runbook "
        "is wrong,\n"
        "4 aborted, 5 suspended, 6 refused, 70 a defect of this program.\n",
        out);
}

static const struct command *find_command(const char *name) {
  for (const struct command *c = commands; c->name; c++)
    if (strcmp(c->name, name) == 0) return c;
  return NULL;
}

static const struct option *find_option(const struct command *command, const char *name, size_t len,
                                        char letter) {
  for (const struct option *o = command->options; o->name; o++) {
    if (letter && o->letter == letter) return o;
    if (!letter && strlen(o->name) == len && strncmp(o->name, name, len) == 0) return o;
  }
  return NULL;
}

/* "runbook: WHAT DETAIL", then how it is used. */
static struct cli wrong(const struct command *command, const char *what, const char *detail) {
  fprintf(stderr, "runbook: %s %s\n", what, detail);
  usage(stderr, command);
  return (struct cli){.exit = 2};
}

static bool allowed(const struct option *option, const char *value) {
  char wanted[64];
  if (!option->one_of) return true;
  return snprintf(wanted, sizeof wanted, "|%s|", value) < (int)sizeof wanted &&
         strstr(option->one_of, wanted);
}

/* options[field] = value, or appended to the list there. The options table is on top. */
static void set(lua_State *L, const struct option *option, const char *value) {
  if (option->kind != LIST) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, option->field);
    return;
  }
  if (lua_getfield(L, -1, option->field) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, option->field);
  }
  lua_pushstring(L, value);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

/* Reads one option at argv[*i]; false and a message when it is wrong. */
static bool read_option(lua_State *L, const struct command *command, char **argv, int *i, struct cli *cli) {
  const char *word = argv[*i], *value = NULL;
  bool is_long = word[1] == '-';
  const char *name = word + 1 + is_long, *equals = strchr(name, '=');
  size_t len = equals && is_long ? (size_t)(equals - name) : strlen(name);
  const struct option *option = find_option(command, name, len, is_long ? 0 : name[0]);
  if (!option) return *cli = wrong(command, "unknown option", word), false;
  if (is_long && equals)
    value = equals + 1;
  else if (!is_long && name[1])
    value = name + 1;
  else if (option->kind == OPTIONAL || option->kind == FLAG)
    value = "true";
  else
    value = argv[++*i];
  if (!value) return *cli = wrong(command, "a value is missing for", word), false;
  if (!allowed(option, value)) return *cli = wrong(command, "not a value it takes:", word), false;
  set(L, option, value);
  return true;
}

static struct cli read_command(lua_State *L, const struct command *command, char **argv, int i) {
  struct cli cli = {.command = command->name, .exit = 0};
  int count = 0;
  bool only_arguments = false;
  lua_newtable(L);
  lua_newtable(L);
  for (; argv[i]; i++) {
    if (!only_arguments && strcmp(argv[i], "--") == 0)
      only_arguments = true;
    else if (!only_arguments && strcmp(argv[i], "--help") == 0)
      return usage(stdout, command), (struct cli){0};
    else if (!only_arguments && argv[i][0] == '-' && argv[i][1]) {
      if (!read_option(L, command, argv, &i, &cli)) return cli;
    } else {
      lua_pushstring(L, argv[i]);
      lua_rawseti(L, -3, ++count);
    }
  }
  if (count < command->least)
    return wrong(command, "missing:", command->arguments ? command->arguments : "RUN");
  if (count > command->most) return wrong(command, "too many arguments for", command->name);
  return cli;
}

const char *cli_stdlib(int argc, char **argv) {
  return argc > 2 && strcmp(argv[1], "--stdlib") == 0 ? argv[2] : NULL;
}

struct cli cli_read(lua_State *L, int argc, char **argv) {
  int first = cli_stdlib(argc, argv) ? 3 : 1;
  const char *name = argv[first];
  if (!name) return wrong(NULL, "missing:", "a command");
  if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) return usage(stdout, NULL), (struct cli){0};
  if (strcmp(name, "--version") == 0) return puts("runbook " RUNBOOK_VERSION), (struct cli){0};
  const struct command *command = find_command(name);
  if (!command) return wrong(NULL, "unknown command", name);
  return read_command(L, command, argv, first + 1);
}
