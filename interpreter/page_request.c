#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <curl/curl.h>
#include "authorities_curl.h"
#include "page.h"

#define SUMMARY_CUT "\xe2\x80\xa6" /* … */

struct exchange {
  CURL *curl;
  struct curl_slist *headers, *connect_to;
  char *body;
  const char *accepted; /* what an answer must hold; NULL: nothing */
  struct buffer answer;
  struct page_result *result;
};

/* `what` holds no secret: our own words, a status, curl's generic text for a code. */
static void fail(struct page_result *result, bool repeat, const char *what) {
  result->repeat = repeat;
  snprintf(result->why, sizeof result->why, "%s", what);
}

/* ---- Bodies ---- */

/* Cuts at a limit of characters, not of bytes. */
static json_t *shortened(const char *text, size_t limit) {
  size_t characters = 0;
  const char *cut = text;
  for (const char *c = text; *c; c++) {
    if (((unsigned char)*c & 0xc0) == 0x80) continue;
    if (characters++ == limit - 1) cut = c;
  }
  if (characters <= limit) return NULL;
  struct buffer out = {0};
  buffer_append(&out, text, (size_t)(cut - text));
  buffer_puts(&out, SUMMARY_CUT);
  json_t *string = json_string(out.data);
  buffer_free(&out);
  return string;
}

/* PagerDuty refuses a long summary, and a long body altogether: the page must go out, so the details yield.
 */
static void fit_pagerduty(json_t *body) {
  json_t *payload = json_object_get(body, "payload");
  const char *summary = json_string_value(json_object_get(payload, "summary"));
  json_t *shorter = summary ? shortened(summary, PAGE_SUMMARY_CHARACTERS) : NULL;
  if (shorter) json_object_set_new(payload, "summary", shorter);
  if (json_dumpb(body, NULL, 0, JSON_COMPACT) > PAGE_BODY_BYTES && payload)
    json_object_set_new(
        payload, "custom_details",
        json_pack("{s:s}", "error", "the details were too long for PagerDuty; see the run's journal"));
}

/* ---- Headers ---- */

static bool is_header(const char *name, const char *value) {
  return *name && !strpbrk(name, ":\r\n ") && !strpbrk(value, "\r\n");
}

static bool add_headers(struct exchange *exchange, json_t *headers) {
  const char *name;
  json_t *value;
  bool typed = false;
  exchange->headers = curl_slist_append(NULL, "Expect:"); /* no pause before the body */
  json_object_foreach(headers, name, value) {
    struct buffer line = {0};
    typed |= strcasecmp(name, "Content-Type") == 0;
    const char *text = json_string_value(value);
    if (!text || !is_header(name, text)) return false;
    buffer_printf(&line, "%s: %s", name, text);
    exchange->headers = curl_slist_append(exchange->headers, line.data);
    explicit_bzero(line.data, line.len);
    buffer_free(&line);
  }
  if (!typed)
    exchange->headers = curl_slist_append(exchange->headers, "Content-Type: application/json; charset=utf-8");
  return true;
}

/* ---- The exchange ---- */

static size_t take_answer(char *bytes, size_t size, size_t count, void *data) {
  struct exchange *exchange = data;
  size_t room = PAGE_ANSWER_BYTES - exchange->answer.len, len = size * count;
  buffer_append(&exchange->answer, bytes, len < room ? len : room);
  return len;
}

static void set_up(struct exchange *exchange, json_t *request, double seconds) {
  CURL *curl = exchange->curl;
  const char *connect_to = json_string_value(json_object_get(request, "connect_to"));
  curl_easy_setopt(curl, CURLOPT_URL, json_string_value(json_object_get(request, "url")));
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* a page goes where it was sent, or failed */
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  const char *proxy = json_string_value(json_object_get(request, "proxy"));
  const char *ca_file = json_string_value(json_object_get(request, "ca_file"));
  curl_easy_setopt(curl, CURLOPT_PROXY, proxy ? proxy : ""); /* never one that the environment names */
  (void)authorities_use(curl, ca_file);                      /* without its own it may go out all the same */
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(seconds * 1e3));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "runbook/" RUNBOOK_VERSION);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, exchange->body);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(exchange->body));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
  if (!connect_to) return;
  struct buffer line = {0};
  buffer_printf(&line, "::%s", connect_to);
  exchange->connect_to = curl_slist_append(NULL, line.data);
  curl_easy_setopt(curl, CURLOPT_CONNECT_TO, exchange->connect_to);
  buffer_free(&line);
}

/* ---- Answers: done is what the service says is done; a proxy or a login page answers 200 to everything ---- */

/* Slack's error words are like `channel_not_found`; anything else is not repeated by us. */
static void slack_error(struct page_result *result, const char *word) {
  char what[80];
  size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyz_");
  snprintf(what, sizeof what, "Slack says %.*s", len > 60 ? 60 : (int)len, len ? word : "no");
  fail(result, true, what);
}

/* The Web API answers JSON with ok = true or false, always as 200; incoming webhooks answer the text "ok". */
static void judge_slack(struct exchange *exchange, long status, json_t *json) {
  const struct buffer *answer = &exchange->answer;
  const char *word = json_string_value(json_object_get(json, "error"));
  if (status != 200) return;
  if (json_is_true(json_object_get(json, "ok")) || (answer->len == 2 && memcmp(answer->data, "ok", 2) == 0))
    exchange->result->delivered = true;
  else
    slack_error(exchange->result, word ? word : "");
}

/* 202 and "status": "success". */
static void judge_pagerduty(struct exchange *exchange, long status, json_t *json) {
  const char *word = json_string_value(json_object_get(json, "status"));
  exchange->result->delivered = status == 202 && word && strcmp(word, "success") == 0;
  if (status >= 200 && status < 300) fail(exchange->result, true, "the answer is not PagerDuty's");
}

/* Whether each piece of a pattern stands in the answer, one behind the other; * is anything. */
static bool holds(const struct buffer *answer, const char *pattern) {
  const char *at = answer->data, *end = at + answer->len;
  for (size_t len; *pattern; pattern += len) {
    pattern += strspn(pattern, "*");
    len = strcspn(pattern, "*");
    if (len && (!at || !(at = memmem(at, (size_t)(end - at), pattern, len)))) return false;
    if (len) at += len;
  }
  return true;
}

/* Any 2xx but a web page: what takes messages answers none. Or an answer that holds what the config says it must. */
static void judge_webhook(struct exchange *exchange, long status, json_t *json) {
  const char *type = NULL;
  (void)json;
  if (status < 200 || status >= 300) return;
  curl_easy_getinfo(exchange->curl, CURLINFO_CONTENT_TYPE, &type);
  bool page = type && strncasecmp(type, "text/html", 9) == 0;
  exchange->result->delivered = exchange->accepted ? holds(&exchange->answer, exchange->accepted) : !page;
  fail(exchange->result, true,
       page ? "the answer is a web page" : "the answer does not hold what the config says");
}

/* A redirect, a proxy's or a busy server's answer: what stands behind it may take the page later. */
static bool is_passing(long status) {
  return status < 400 || status == 407 || status == 408 || status == 429 || status >= 500;
}

static void judge(struct exchange *exchange, const char *backend) {
  char what[40];
  long status = 0;
  curl_off_t wait = 0;
  const struct buffer *answer = &exchange->answer;
  json_t *json = json_loadb(answer->data ? answer->data : "", answer->len, 0, NULL);
  curl_easy_getinfo(exchange->curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(exchange->curl, CURLINFO_RETRY_AFTER, &wait);
  if (strcmp(backend, "slack") == 0)
    judge_slack(exchange, status, json);
  else if (strcmp(backend, "pagerduty") == 0)
    judge_pagerduty(exchange, status, json);
  else
    judge_webhook(exchange, status, json);
  json_decref(json);
  if (exchange->result->delivered || exchange->result->why[0]) return;
  snprintf(what, sizeof what, "HTTP status %ld", status);
  fail(exchange->result, is_passing(status), what);
  exchange->result->retry_after = (double)wait;
}

static void perform(struct exchange *exchange, json_t *request, const char *backend, double seconds) {
  json_t *body = json_object_get(request, "body");
  bool is_text = json_is_string(body);
  if (!(is_text || json_is_object(body)) || !json_is_string(json_object_get(request, "url"))) {
    fail(exchange->result, false, "the prepared request is damaged");
    return;
  }
  if (strcmp(backend, "pagerduty") == 0) fit_pagerduty(body);
  exchange->accepted = json_string_value(json_object_get(request, "accepted"));
  exchange->body = is_text ? xstrdup(json_string_value(body)) : json_dumps(body, JSON_COMPACT);
  if (!exchange->body || !add_headers(exchange, json_object_get(request, "headers"))) {
    fail(exchange->result, false, "a header or the body is not valid");
    return;
  }
  set_up(exchange, request, seconds);
  CURLcode code = curl_easy_perform(exchange->curl);
  if (code == CURLE_OK)
    judge(exchange, backend);
  else
    fail(exchange->result, true, curl_easy_strerror(code));
}

void page_request_send(json_t *request, const struct page_text *text, double seconds,
                       struct page_result *result) {
  struct error error = {0};
  struct exchange exchange = {.curl = curl_easy_init(), .result = result};
  const char *backend = json_string_value(json_object_get(request, "backend"));
  double limit = json_number_value(json_object_get(request, "timeout"));
  *result = (struct page_result){0};
  if (!backend) backend = "webhook";
  if (!(limit > 0)) limit = PAGE_TIMEOUT_SECONDS;
  json_t *filled = page_text_fill(text, request, backend, &error);
  if (filled)
    perform(&exchange, filled, backend, limit < seconds ? limit : seconds);
  else
    fail(result, false, error.message);
  json_decref(filled);
  curl_easy_cleanup(exchange.curl);
  curl_slist_free_all(exchange.headers);
  curl_slist_free_all(exchange.connect_to);
  buffer_free(&exchange.answer);
  free(exchange.body);
}
