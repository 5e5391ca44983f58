/* raw.yaml: decode(text) → documents | nil, {kind=, message=}: YAML 1.1 as libyaml reads it, for files of texts such
 * as Prometheus' rules; opened at first use, as it links libyaml.
 *
 * A list of documents. Every scalar is a text; one that is empty, ~ or null without quotes is not there. A mapping's
 * [0] is the line that it begins in. What an alias stands for is the same table as its anchor's. */
#include <string.h>
#include <lauxlib.h>
#include <yaml.h>
#include "error.h"
#include "libs.h"
#include "luautil.h"

#define DEPTH_MAX 100 /* mappings and lists in one another: more would use up the C stack */

enum { MADE = 2 }; /* where the tables of nodes stand on the stack of `build`, by the node's number */

static int line_of(const yaml_node_t *node) { return (int)node->start_mark.line + 1; }

static bool is_nothing(const yaml_node_t *node) {
  if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
  const char *text = (const char *)node->data.scalar.value;
  return !*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static void push_node(lua_State *L, yaml_document_t *document, int number, int depth);

static void fill_list(lua_State *L, yaml_document_t *document, const yaml_node_t *node, int depth) {
  lua_Integer count = 0;
  for (const int *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
    push_node(L, document, *item, depth);
    lua_rawseti(L, -2, ++count);
  }
}

static void fill_mapping(lua_State *L, yaml_document_t *document, const yaml_node_t *node, int depth) {
  lua_pushinteger(L, line_of(node));
  lua_rawseti(L, -2, 0);
  for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
    const yaml_node_t *key = yaml_document_get_node(document, pair->key);
    const yaml_node_t *value = yaml_document_get_node(document, pair->value);
    if (key->type != YAML_SCALAR_NODE) luaL_error(L, "line %d: a key is no text", line_of(key));
    lua_pushlstring(L, (const char *)key->data.scalar.value, key->data.scalar.length);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL)
      luaL_error(L, "line %d: the key %s stands twice", line_of(key), lua_tostring(L, -2));
    lua_pop(L, 1);
    if (is_nothing(value))
      lua_pushnil(L);
    else
      push_node(L, document, pair->value, depth);
    lua_rawset(L, -3);
  }
}

/* A node's value on the stack. Made once: an alias costs nothing, however often it stands. [-0, +1, e] */
static void push_node(lua_State *L, yaml_document_t *document, int number, int depth) {
  const yaml_node_t *node = yaml_document_get_node(document, number);
  luaL_checkstack(L, 6, NULL);
  if (depth > DEPTH_MAX) luaL_error(L, "line %d: more than %d levels", line_of(node), DEPTH_MAX);
  if (node->type == YAML_SCALAR_NODE) {
    lua_pushlstring(L, (const char *)node->data.scalar.value, node->data.scalar.length);
    return;
  }
  if (lua_rawgeti(L, MADE, number) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, MADE, number);
  if (node->type == YAML_SEQUENCE_NODE)
    fill_list(L, document, node, depth + 1);
  else
    fill_mapping(L, document, node, depth + 1);
}

/* build(document) → its value. [-1, +1, e] */
static int build(lua_State *L) {
  yaml_document_t *document = lua_touserdata(L, 1);
  lua_settop(L, 1);
  lua_newtable(L);
  push_node(L, document, 1, 0);
  return 1;
}

/* The next document appended to the list on top; 1, 0 at the end of the text, -1 and a message on top. [-0, +0|1, m] */
static int read_document(lua_State *L, yaml_parser_t *parser) {
  yaml_document_t document;
  if (!yaml_parser_load(parser, &document)) {
    lua_pushfstring(L, "line %d: %s", (int)parser->problem_mark.line + 1,
                    parser->problem ? parser->problem : "no YAML");
    return -1;
  }
  if (!yaml_document_get_root_node(&document)) return yaml_document_delete(&document), 0;
  lua_pushcfunction(L, build);
  lua_pushlightuserdata(L, &document);
  int status = lua_pcall(L, 1, 1, 0);
  yaml_document_delete(&document);
  if (status != LUA_OK) return -1;
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 1;
}

static int l_decode(lua_State *L) {
  size_t len;
  struct error error = {0};
  yaml_parser_t parser;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_settop(L, 1);
  lua_newtable(L);
  if (!yaml_parser_initialize(&parser)) return luaL_error(L, "not enough memory");
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
  int more;
  do more = read_document(L, &parser);
  while (more > 0);
  yaml_parser_delete(&parser);
  if (more == 0) return 1;
  error_set(&error, "usage", "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "no YAML");
  return push_failure(L, &error);
}

__attribute__((visibility("default"))) int luaopen_raw_yaml(lua_State *L);

int luaopen_raw_yaml(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", l_decode}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
