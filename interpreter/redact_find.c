#include "redact_find.h"

const char redact_anchors[][3] = {":",  "=",  "}",  "--", "AK", "AS", "AI", "GO", "ya", "gh", "gi", "gl",
                                  "xo", "xa", "sk", "rk", "wh", "np", "py", "hv", "SG", "dc", "do", "sh",
                                  "NR", "ey", "Be", "Ba", "re", "ma", "se", "tl", "hf", "AT", "AG", "pd",
                                  "$2", "$5", "$6", "$y", "$a", "pa", "Pa", "PA", "by", "By", "BY", "-p",
                                  "-P", "-a", "-u", "-U", "-w", "-s", "-k", "-d", "%3", ">",  "#",  ""};

bool redact_find(struct redact_scene *scene, size_t at, struct redact_span *span) {
  switch (scene->text[at]) {
  case ':':
    return redact_find_url(scene, at, span) || redact_find_value(scene, at, span) ||
           redact_find_colon(scene, at, span);
  case '=':
  case '}':
    return redact_find_value(scene, at, span);
  case '-':
    return redact_find_shape(scene, at, span) ||
           (at + 1 < scene->len && scene->text[at + 1] == '-' && redact_find_value(scene, at, span)) ||
           redact_find_option(scene, at, span);
  case '>':
  case '#':
    return redact_find_right(scene, at, span);
  case '%':
    return redact_find_encoded(scene, at, span);
  default:
    return redact_find_shape(scene, at, span) || redact_find_word(scene, at, span);
  }
}
