#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "redact_find.h"

#define URL_MAX 2048     /* bytes looked at behind :// for its secrets */
#define URL_TOKEN_MIN 20 /* a user without a password, of that length, is a token */
#define HOOK_MIN 26      /* bytes behind the path of a webhook on a host that is not known */
#define PASSWORD_MAX 256 /* bytes of a password that was put into a URL as it is */

static const struct {
  const char *host,
      *path; /* what follows the path is the secret; a host that begins with a dot ends that way */
} webhooks[] = {
    {"hooks.slack.com", "/services/"},
    {"hooks.slack.com", "/workflows/"},
    {"hooks.slack.com", "/triggers/"},
    {"discord.com", "/api/webhooks/"},
    {"discordapp.com", "/api/webhooks/"},
    {"api.telegram.org", "/bot"},
    {"outlook.office.com", "/webhook/"},
    {"chat.googleapis.com", "/v1/spaces/"},
    {".webhook.office.com", "/webhookb2/"},
    {".logic.azure.com", "/workflows/"},
    {"events.pagerduty.com", "/integration/"},
    {"api.opsgenie.com", "/v1/json/"},
    {"hc-ping.com", "/"},
    {"hooks.slack-gov.com", "/services/"},
    {"ptb.discord.com", "/api/webhooks/"},
    {"canary.discord.com", "/api/webhooks/"},
    {"hooks.zapier.com", "/hooks/"},
    {"maker.ifttt.com", "/trigger/"},
    {"open.feishu.cn", "/open-apis/bot/v2/hook/"},
    {"open.larksuite.com", "/open-apis/bot/v2/hook/"},
    {"webexapis.com", "/v1/webhooks/incoming/"},
    {"alert.victorops.com", "/integrations/"},
    {"api.squadcast.com", "/v2/incidents/"},
    {"nosnch.in", "/"},
    {"ntfy.sh", "/"},
    {"", "/hooks/"}, /* Mattermost and Rocket.Chat, on anybody's host */
};

/* "//" or, inside JSON, "\/\/": its length; 0 when it isn't there. */
static size_t slashes(const char *text, size_t len) {
  if (len >= 2 && memcmp(text, "//", 2) == 0) return 2;
  return len >= 4 && memcmp(text, "\\/\\/", 4) == 0 ? 4 : 0;
}

/* Whether text[at] still belongs to a URL: generous, since passwords are often put there as they are. */
static bool in_url(const char *text, size_t len, size_t at) {
  unsigned char c = (unsigned char)text[at];
  if (c == '\\') return at + 1 < len && text[at + 1] == '/';
  return c > ' ' && c != 127 && !strchr("\"'<>", c);
}

/* Where the path's text `wanted` ends behind text[at], slashes escaped or not; 0 when it isn't there. */
static size_t skip_path(const char *text, size_t len, size_t at, const char *wanted) {
  for (; *wanted; wanted++, at++) {
    if (at + 1 < len && text[at] == '\\' && text[at + 1] == '/') at++;
    if (at >= len || text[at] != *wanted) return 0;
  }
  return at;
}

static bool is_host(const char *host, size_t len, const char *wanted) {
  const char *port = memchr(host, ':', len);
  size_t n = strlen(wanted), have = port ? (size_t)(port - host) : len;
  if (!*wanted) return true;
  if (*wanted == '.') return have > n && strncasecmp(host + have - n, wanted, n) == 0;
  return have == n && strncasecmp(host, wanted, n) == 0;
}

static bool find_webhook(const char *text, size_t host, size_t host_end, size_t end,
                         struct redact_span *span) {
  for (size_t i = 0; i < sizeof webhooks / sizeof *webhooks; i++) {
    if (!is_host(text + host, host_end - host, webhooks[i].host)) continue;
    size_t from = skip_path(text, end, host_end, webhooks[i].path);
    if (!from || from == end || (!*webhooks[i].host && end - from < HOOK_MIN)) continue;
    *span = (struct redact_span){from, end, "token"};
    return true;
  }
  return false;
}

/* ---- User-info ---- */

/* The first colon of [from, to) outside of a mark: a user may be masked already. */
static size_t find_colon(const char *text, size_t from, size_t to) {
  for (size_t at = from; at < to; at++) {
    if (text[at] == ':') return at;
    const char *close = to - at > 3 && memcmp(text + at, "\xE2\x9F\xA6", 3) == 0 /* ⟦ */
                            ? memmem(text + at, to - at, "\xE2\x9F\xA7", 3)      /* ⟧ */
                            : NULL;
    if (close) at = (size_t)(close - text) + 2;
  }
  return to;
}

static bool is_host_char(char c) { return isalnum((unsigned char)c) || c == '.' || c == '-' || c == '_'; }

/* image:2@sha256:… */
static bool is_digest(const struct redact_scene *scene, size_t at) {
  return scene->len - at > 7 && memcmp(scene->text + at, "sha256:", 7) == 0;
}

/* The length of the host's name behind an @. */
static size_t host_length(const struct redact_scene *scene, size_t at) {
  size_t end = at;
  while (end < scene->len && is_host_char(scene->text[end])) end++;
  return is_digest(scene, at) ? 0 : end - at;
}

/* user:PASSWORD@ or TOKEN@ in [from, at_sign). */
static bool find_userinfo(const struct redact_scene *scene, size_t from, size_t at_sign,
                          struct redact_span *span) {
  const char *text = scene->text;
  size_t colon = find_colon(text, from, at_sign), start = colon < at_sign ? colon + 1 : from;
  if (start == at_sign || (start == from && at_sign - from < URL_TOKEN_MIN)) return false;
  if (is_digest(scene, at_sign + 1) || redact_is_stand_in(text + start, at_sign - start)) return false;
  *span = (struct redact_span){start, at_sign, "password"};
  return true;
}

/* ":8080" of a host that has a name, and nothing else up to the path. */
static bool is_port(const struct redact_scene *scene, size_t from, size_t colon) {
  size_t at = colon + 1;
  while (at < scene->len && isdigit((unsigned char)scene->text[at])) at++;
  return colon > from && at > colon + 1 && (at == scene->len || scene->text[at] != '@') &&
         !(at < scene->len && is_host_char(scene->text[at]));
}

/* Whether a quote at `at` ends a string of JSON rather than belonging to a password. */
static bool ends_string(const struct redact_scene *scene, size_t at) {
  if (scene->text[at] != '"') return false;
  while (++at < scene->len && scene->text[at] == ' ') {
  }
  return at == scene->len || strchr(",}]:\n", scene->text[at]);
}

/* The @ that ends a password with characters no URL may have, which begins at `from`: the last one of its word, else the
 * first on its line. 0: none. */
static size_t odd_at_sign(const struct redact_scene *scene, size_t from) {
  size_t found = 0;
  for (size_t at = from; at < scene->len && at - from < PASSWORD_MAX; at++) {
    char c = scene->text[at];
    if (c == '\n' || c == '\0' || ends_string(scene, at)) break;
    if (c == ':' && slashes(scene->text + at + 1, scene->len - at - 1)) break;
    if (found && c == ' ') break;
    if (c == '@' && host_length(scene, at + 1)) found = at;
  }
  return found;
}

/* user:pass/word@host */
static bool find_odd_password(const struct redact_scene *scene, size_t from, size_t to,
                              struct redact_span *span) {
  size_t colon = scene->text[from] == '[' ? to : find_colon(scene->text, from, to);
  if (colon >= to || is_port(scene, from, colon)) return false;
  size_t at_sign = odd_at_sign(scene, colon + 1);
  *span = (struct redact_span){colon + 1, at_sign, "password"};
  return at_sign > colon + 1;
}

static bool find_in_url(const struct redact_scene *scene, size_t from, struct redact_span *span) {
  const char *text = scene->text;
  size_t end = from, host_end = from;
  while (end < scene->len && end - from < URL_MAX && in_url(text, scene->len, end)) end++;
  while (host_end < end && !strchr("/\\", text[host_end])) host_end++;
  const char *at_sign = memrchr(text + from, '@', host_end - from);
  if (at_sign && find_userinfo(scene, from, (size_t)(at_sign - text), span)) return true;
  size_t host = at_sign ? (size_t)(at_sign - text) + 1 : from;
  return find_webhook(text, host, host_end, end, span) ||
         (!at_sign && from < scene->len && find_odd_password(scene, from, host_end, span));
}

/* ---- user:password@host:port and user:password@host/path without a scheme ---- */

#define BARE_MIN 4 /* bytes of such a password */

static bool is_user_of_mail(const char *user, size_t len) {
  static const char *const schemes[] = {"mailto", "sip", "sips", "xmpp", "im", "tel", "acct", "ssh", "git"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (strlen(schemes[i]) == len && strncasecmp(schemes[i], user, len) == 0) return true;
  return false;
}

/* Whether a port or a path follows at `at`. */
static bool is_place(const struct redact_scene *scene, size_t at) {
  size_t digits = at + 1;
  if (at >= scene->len) return false;
  if (scene->text[at] == '/') return true;
  while (digits < scene->len && isdigit((unsigned char)scene->text[digits])) digits++;
  return scene->text[at] == ':' && digits > at + 1 && digits - at <= 6 &&
         !(digits < scene->len && is_host_char(scene->text[digits]));
}

static bool find_bare(const struct redact_scene *scene, size_t colon, struct redact_span *span) {
  size_t user = colon, at = colon + 1, host;
  while (user > 0 && is_host_char(scene->text[user - 1])) user--;
  if (user == colon || is_user_of_mail(scene->text + user, colon - user)) return false;
  if (user > 0 && strchr("/@:", scene->text[user - 1])) return false;
  while (at < scene->len && at - colon < PASSWORD_MAX && scene->text[at] > ' ' &&
         !strchr("\"'<>@/\\:", scene->text[at]))
    at++;
  if (at - colon <= BARE_MIN || at >= scene->len || scene->text[at] != '@') return false;
  host = host_length(scene, at + 1);
  *span = (struct redact_span){colon + 1, at, "password"};
  return host > 0 && is_place(scene, at + 1 + host);
}

bool redact_find_url(const struct redact_scene *scene, size_t colon, struct redact_span *span) {
  size_t n = slashes(scene->text + colon + 1, scene->len - colon - 1);
  return n ? find_in_url(scene, colon + 1 + n, span) : find_bare(scene, colon, span);
}
