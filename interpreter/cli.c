#include "cli.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <lauxlib.h>
#include "luautil.h"
#include "text.h"

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
    {"require-approval", "require_approval", VALUE, 0, NULL, "N: so many people must say yes to a remedy"},
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
    {"page", "page", FLAG, 0, NULL, "also send a page and messages marked as a test, for real"},
    {"format", "format", VALUE, 0, "|text|jsonl|", "text|jsonl"},
    {0},
};
static const struct option test_options[] = {
    {"filter", "filter", VALUE, 0, NULL,
     "PATTERN: only scenarios whose name holds it; * stands for anything"},
    {"failed", "failed", FLAG, 0, NULL, "only scenarios that failed when they were last carried out"},
    {"watch", "watch", FLAG, 0, NULL, "again whenever one of the files changes"},
    {"min-coverage", "min_coverage", VALUE, 0, NULL,
     "PERCENT: fail when the scenarios try less of the runbooks"},
    {"verbose", "verbose", FLAG, 'v', NULL, "show the story of each scenario, and all that none tried"},
    {"format", "format", VALUE, 0, "|text|junit|tap|", "text|junit|tap"},
    {0},
};
static const struct option check_options[] = {
    {"format", "format", VALUE, 0, "|text|json|github|gitlab|sarif|", "text|json|github|gitlab|sarif"},
    {"declared", "declared", FLAG, 0, NULL, "instead: the reads on the author's word, by program"},
    {"baseline", "baseline", VALUE, 0, NULL, "FILE: leave out the findings that it knows"},
    {"write-baseline", "write_baseline", VALUE, 0, NULL, "FILE: know today's findings from now on"},
    {0},
};
static const struct option list_options[] = {
    {"format", "format", VALUE, 0, "|text|json|", "text|json"},
    {0},
};
static const struct option coverage_options[] = {
    {"rules", "rules", LIST, 0, NULL, "FILE: rules of Prometheus, or a folder of them; may be repeated"},
    {"prometheus", "prometheus", VALUE, 0, NULL, "URL: the rules that this server evaluates"},
    {"format", "format", VALUE, 0, "|text|json|", "text|json"},
    {0},
};
static const struct option init_options[] = {
    {"alert", "alert", VALUE, 0, NULL, "FILE: a runbook for the alert NAME of these rules of Prometheus"},
    {0},
};
static const struct option doc_options[] = {
    {"graph", "graph", FLAG, 0, NULL, "and every way that it can go, as a graph in Mermaid's language"},
    {"faults", "faults", VALUE, 0, NULL, "N|all: as for explore"},
    {"env", "env", VALUE, 0, NULL, "NAME: environment of the config"},
    {"param", "param", LIST, 'p', NULL, "KEY=VALUE: set a parameter"},
    {"params", "params", VALUE, 0, NULL, "FILE: parameters, Lua or JSON"},
    {0},
};
static const struct option effects_options[] = {
    {"format", "format", VALUE, 0, "|markdown|luals|", "markdown|luals: for people, or for an editor"},
    {0},
};
static const struct option ack_options[] = {
    {"for", "for", VALUE, 0, NULL, "DURATION: the levels wait so long, then the clock goes on"},
    {0},
};
static const struct option resume_options[] = {
    {"param", "param", LIST, 'p', NULL, "KEY=VALUE: a parameter that held a secret, again"},
    {"params", "params", VALUE, 0, NULL, "FILE: such parameters, Lua or JSON"},
    {"yes", "yes", VALUE, 0, "|low|medium|high|", "low|medium|high: approve remedies up to this risk"},
    {"answers", "answers", VALUE, 0, NULL, "FILE: answers to questions, Lua or JSON"},
    {"require-approval", "require_approval", VALUE, 0, NULL, "N: so many people must say yes to a remedy"},
    {"no-input", "no_input", FLAG, 0, NULL, "never ask: suspend at the first question"},
    {"here", "here", FLAG, 0, NULL, "allow writes to this machine"},
    {"script", "script", VALUE, 0, "|new|", "new: today's file, as far as it goes the same way as before"},
    {"force", "force", FLAG, 0, NULL,
     "go on with another version of this program, or after it was interrupted at one place again and again"},
    {"verbose", "verbose", FLAG, 'v', NULL, "show every read, and the command that does it by hand"},
    {"format", "format", VALUE, 0, "|text|jsonl|", "text|jsonl"},
    {0},
};
static const struct option approve_options[] = {
    {"plan", "plan", VALUE, 0, NULL, "HASH: of the plan that was read, as the question shows it"},
    {"typed", "typed", VALUE, 0, NULL, "TARGET: its name, where it must be typed"},
    {"for", "for", VALUE, 0, NULL, "DURATION: the yes counts so long; 1h"},
    {0},
};
static const struct option reply_options[] = {
    {"for", "for", VALUE, 0, NULL, "DURATION: the answer counts so long; 1h"},
    {0},
};
static const struct option explore_options[] = {
    {"faults", "faults", VALUE, 0, NULL, "N|all: deviations from a healthy world that one way may have; 2"},
    {"env", "env", VALUE, 0, NULL, "NAME: environment of the config"},
    {"param", "param", LIST, 'p', NULL, "KEY=VALUE: set a parameter"},
    {"params", "params", VALUE, 0, NULL, "FILE: parameters, Lua or JSON"},
    {"verbose", "verbose", FLAG, 'v', NULL, "show every row of the table"},
    {"format", "format", VALUE, 0, "|text|dot|mermaid|json|", "text|dot|mermaid|json"},
    {0},
};
static const struct option mutate_options[] = {
    {"seed", "seed", VALUE, 0, NULL, "N: which mutants are chosen when there are more than --max; 1"},
    {"max", "max", VALUE, 0, NULL, "N: so many mutants at most; 100"},
    {"min-score", "min_score", VALUE, 0, NULL, "PERCENT: fail when fewer of the mutants are noticed"},
    {"format", "format", VALUE, 0, "|text|json|", "text|json"},
    {0},
};
static const struct option freeze_options[] = {
    {"until", "until", VALUE, 0, NULL, "TIME: a duration like 2h, or RFC 3339; without it until thaw"},
    {"shared", "shared", FLAG, 0, NULL, "for all who share the config's shared_dir"},
    {0},
};
static const struct option runs_options[] = {
    {"of", "of", VALUE, 0, NULL, "FILE: runs of this runbook alone"},
    {"all", "all", FLAG, 0, NULL, "not the newest 30 alone"},
    {"format", "format", VALUE, 0, "|text|json|", "text|json"},
    {0},
};
static const struct option show_options[] = {
    {"verbose", "verbose", FLAG, 'v', NULL, "show every read, and the command that does it by hand"},
    {"format", "format", VALUE, 0, "|text|jsonl|", "text|jsonl"},
    {0},
};
static const struct option thaw_options[] = {
    {"shared", "shared", FLAG, 0, NULL, "for all who share the config's shared_dir"},
    {0},
};
static const struct option no_options[] = {{0}};

#define PATHS_MAX 1000 /* that one command takes */
#define WORDS_MAX 1000 /* of a command line that a shell completes */

static const struct command commands[] = {
    {"run", "FILE", 1, 1, run_options, "run a runbook"},
    {"resume", "RUN", 1, 1, resume_options, "go on with a run that was interrupted or suspended"},
    {"ack", "RUN", 1, 1, ack_options, "I own it: no later escalation level fires"},
    {"abort", "RUN", 1, 1, no_options, "the incident is over"},
    {"approve", "RUN", 1, 1, approve_options, "yes to the plan that a run waits with, from another terminal"},
    {"deny", "RUN [WHY…]", 1, WORDS_MAX, reply_options, "no to it"},
    {"answer", "RUN ANSWER", 2, WORDS_MAX, reply_options, "an answer to what a run asks"},
    {"note", "RUN TEXT…", 2, WORDS_MAX, no_options, "a line into the journal of a run"},
    {"freeze", "[WHY…]", 0, WORDS_MAX, freeze_options,
     "nothing is changed by any run without being asked for"},
    {"thaw", "", 0, 0, thaw_options, "writes are free again"},
    {"list", "[ALERT]", 0, 1, list_options, "the runbooks below this folder, or the one for an alert"},
    {"check", "FILE…", 1, PATHS_MAX, check_options, "what is wrong with runbooks, without running them"},
    {"test", "[PATH…]", 0, PATHS_MAX, test_options, "carry out the scenarios of *.test.lua"},
    {"explore", "FILE", 1, 1, explore_options, "every way the runbook can go, and what is wrong with any"},
    {"mutate", "FILE", 1, 1, mutate_options, "break the runbook in many ways: which would nobody notice?"},
    {"init", "DIR|NAME", 1, 1, init_options,
     "a repository of runbooks to begin with, or a runbook for an alert"},
    {"coverage", "[DIR]", 0, 1, coverage_options, "alerts without a runbook, runbooks without an alert"},
    {"doc", "FILE", 1, 1, doc_options, "the runbook as the page that people read, in Markdown"},
    {"runs", "", 0, 0, runs_options, "past runs and those under way, the newest first"},
    {"show", "RUN", 1, 1, show_options, "the story of a run, from its journal"},
    {"verify", "RUN", 1, 1, no_options, "is what a run wrote down as it was written?"},
    {"audit", "FILE", 1, 1, audit_options, "what would keep it from happening again: is it in place?"},
    {"doctor", "FILE", 1, 1, doctor_options, "what a run would need: is it there? Reads only"},
    {"trust", "[DIR]", 0, 1, no_options,
     "run what lies in DIR although others can change it; without DIR: what is trusted"},
    {"effects", "[NAME]", 0, 1, effects_options, "the catalogue of effects"},
    {"completion", "SHELL", 1, 1, no_options,
     "completion for bash, zsh or fish: what they read, on standard output"},
    {"_complete", "WORD…", 1, WORDS_MAX, no_options,
     NULL}, /* a shell's: what could follow; the last word is begun */
    {"_escalate", "RUNDIR LEVEL", 2, 3, no_options, NULL}, /* the watchdog's: a level of a run */
    {"_rehearse", "RUNDIR", 1, 1, no_options, NULL},       /* the watchdog's: all of them, dry */
    {"_deliver", "RUNDIR", 1, 1, no_options, NULL},        /* the watchdog's: the outbox of a run */
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
        "4 aborted, 5 suspended, 6 refused, 70 a defect of this program, 74 its words could not be "
        "written.\n",
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

#define DETAIL_MAX 200 /* characters shown of what was typed: it may have been pasted */

/* What was wrong about a command line. */
struct complaint {
  const struct command *command; /* NULL: no command is known yet */
  const char *what, *detail;     /* "unknown command", "rnu" */
  const char *hint;              /* " (did you mean 'run'?)", or NULL */
};

/* "runbook: WHAT DETAIL HINT", then how it is used. */
static struct cli wrong(struct complaint it) {
  struct buffer detail = {0};
  text_inert(&detail, it.detail, strlen(it.detail), DETAIL_MAX, false);
  fprintf(stderr, "runbook: %s %s%s\n", it.what, detail.data ? detail.data : "", it.hint ? it.hint : "");
  usage(stderr, it.command);
  buffer_free(&detail);
  return (struct cli){.exit = 2};
}

/* The names of all commands, or of a command's options, as a list on the stack. [-0, +1, e] */
static void push_names(lua_State *L, const struct command *command) {
  lua_newtable(L);
  for (const struct command *c = commands; !command && c->name; c++) {
    if (!c->help) continue;
    lua_pushstring(L, c->name);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  for (const struct option *o = command ? command->options : no_options; o->name; o++) {
    lua_pushfstring(L, "--%s", o->name);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
}

/* " (did you mean 'run'?)" for a name of that list, or "", on the stack. Which is near is stdlib/blame.lua's to say. [-0, +1, m] */
static const char *push_hint(lua_State *L, const struct command *command, const char *name) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "blame");
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) return "";
  lua_getfield(L, -1, "nearest");
  lua_pushstring(L, name);
  push_names(L, command);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK || !lua_isstring(L, -1)) return "";
  return lua_pushfstring(L, " (did you mean '%s'?)", lua_tostring(L, -1));
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

/* " (it takes low, medium or high)" of "|low|medium|high|". */
static void list_values(struct buffer *out, const char *one_of) {
  const char *at = one_of + 1, *separator = " (it takes ";
  for (const char *end; (end = strchr(at, '|')) != NULL; at = end + 1) {
    buffer_printf(out, "%s%.*s", separator, (int)(end - at), at);
    const char *next = strchr(end + 1, '|');
    separator = next && next[1] ? ", " : " or ";
  }
  buffer_putc(out, ')');
}

static struct cli wrong_value(const struct command *command, const struct option *option, const char *value) {
  struct buffer typed = {0}, hint = {0};
  buffer_printf(&typed, "--%s %s", option->name, value);
  list_values(&hint, option->one_of);
  struct cli cli = wrong((struct complaint){command, "not a value it takes:", typed.data, hint.data});
  buffer_free(&typed);
  buffer_free(&hint);
  return cli;
}

/* Where an option's value stands: after `=` or the letter (`attached`), or in the next word. NULL: it is missing. */
static const char *find_value(const struct option *option, const char *attached, char **argv, int *i) {
  if (attached) return attached;
  if (option->kind == OPTIONAL || option->kind == FLAG) return "true";
  return argv[*i + 1] ? argv[++*i] : NULL;
}

/* Reads one option at argv[*i]; false and a message when it is wrong. */
static bool read_option(lua_State *L, const struct command *command, char **argv, int *i, struct cli *cli) {
  const char *word = argv[*i];
  bool is_long = word[1] == '-';
  const char *name = word + 1 + is_long, *equals = is_long ? strchr(name, '=') : NULL;
  size_t len = equals ? (size_t)(equals - name) : strlen(name);
  const struct option *option = find_option(command, name, len, is_long ? 0 : name[0]);
  if (!option) {
    const char *typed = lua_pushlstring(L, word, len + 1 + is_long);
    const char *hint = push_hint(L, command, typed);
    return *cli = wrong((struct complaint){command, "unknown option", word, hint}), false;
  }
  const char *attached = equals ? equals + 1 : !is_long && name[1] ? name + 1 : NULL;
  if (attached && option->kind == FLAG)
    return *cli = wrong((struct complaint){command, "this option takes no value:", word, NULL}), false;
  const char *value = find_value(option, attached, argv, i);
  if (!value || (option->kind == VALUE && !*value))
    return *cli = wrong((struct complaint){command, "a value is missing for", word, NULL}), false;
  if (!allowed(option, value)) return *cli = wrong_value(command, option, value), false;
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
  if (count < command->least) return wrong((struct complaint){command, "missing:", command->arguments, NULL});
  if (count > command->most)
    return wrong((struct complaint){command, "too many arguments for", command->name, NULL});
  return cli;
}

const char *cli_stdlib(int argc, char **argv) {
  return argc > 2 && strcmp(argv[1], "--stdlib") == 0 ? argv[2] : NULL;
}

struct cli cli_read(lua_State *L, int argc, char **argv) {
  int first = cli_stdlib(argc, argv) ? 3 : 1;
  const char *name = argv[first];
  if (!name) return wrong((struct complaint){NULL, "missing:", "a command", NULL});
  if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) return usage(stdout, NULL), (struct cli){0};
  if (strcmp(name, "--version") == 0) return puts("runbook " RUNBOOK_VERSION), (struct cli){0};
  const struct command *command = find_command(name);
  if (!command) return wrong((struct complaint){NULL, "unknown command", name, push_hint(L, NULL, name)});
  return read_command(L, command, argv, first + 1);
}

/* |a|b| → {"a", "b"} in the field `values` of the table on top. */
static void push_values(lua_State *L, const char *one_of) {
  lua_newtable(L);
  for (const char *at = one_of + 1, *end; (end = strchr(at, '|')) != NULL; at = end + 1) {
    lua_pushlstring(L, at, (size_t)(end - at));
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  lua_setfield(L, -2, "values");
}

static void push_option(lua_State *L, const struct option *option) {
  lua_createtable(L, 0, 5);
  set_text(L, "name", option->name);
  set_text(L, "help", option->help);
  set_bool(L, "takes_value", option->kind == VALUE || option->kind == LIST);
  if (option->letter) set_string(L, "letter", &option->letter, 1);
  if (option->one_of) push_values(L, option->one_of);
}

int cli_commands(lua_State *L) {
  lua_newtable(L);
  for (const struct command *c = commands; c->name; c++) {
    if (!c->help) continue;
    lua_createtable(L, 0, 4);
    set_text(L, "name", c->name);
    set_text(L, "arguments", c->arguments);
    set_text(L, "help", c->help);
    lua_newtable(L);
    for (const struct option *o = c->options; o->name; o++) {
      push_option(L, o);
      lua_rawseti(L, -2, o - c->options + 1);
    }
    lua_setfield(L, -2, "options");
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  }
  return 1;
}
