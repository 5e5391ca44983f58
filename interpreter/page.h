/* The built-in page: what goes out when the script's own escalation has failed. Without Lua, from what was
 * prepared while all was well: handed over by the watchdog on descriptor 3 as the secret ":page", else in the file
 * RUNDIR/escalation/page-LEVEL.json:
 *
 *   {"requests": [{"backend": "pagerduty" | "slack" | "webhook", "url": "...", "headers": {...},
 *                  "body": {...} | "...", "accepted": "...", "timeout": 10, "connect_to": "HOST:PORT"}]}
 *
 * In any string ⟦NAME:plain⟧ stands for a secret, read from descriptor 3 (watchdog_protocol.h), ⟦findings⟧ for what
 * the run's journal says is wrong, and ⟦headline⟧ for the first of it in one line. They are put in once: what they
 * bring is not looked at again. With ⟦headline:120⟧ so many characters of it at the most. A body that is a string goes out as it
 * is; what a webhook's answer must hold is `accepted` (optional), in which * is anything.
 * `proxy` and `ca_file` (optional) are the config's: how it gets out, and what it trusts beside the system.
 * `connect_to` (optional) is the config's `hosts` entry: the real name at another address.
 *
 * Requests are sent in rounds, so that one that hangs doesn't keep the others from going out. What was
 * delivered is noted in escalation/page-LEVEL.done, a request's number a line, and not sent again; what
 * failed, in escalation/page-LEVEL.log. The run's folder may be gone or hang: what is read of it and written to it is
 * a child's work, with a deadline.
 */
#ifndef PAGE_H
#define PAGE_H
#include <stdbool.h>
#include <jansson.h>
#include "buffer.h"
#include "error.h"
#include "watchdog_protocol.h"

#define PAGE_BUDGET_SECONDS 50.0 /* below WATCHDOG_CHILD_SECONDS, after which the watchdog kills us */
#define PAGE_ROUNDS 3
#define PAGE_TIMEOUT_SECONDS 10.0     /* of one request, unless it says otherwise */
#define PAGE_REQUESTS 32              /* in one file; more are not sent, and that is a failure */
#define PAGE_FINDINGS_BYTES 4096      /* of findings in a page */
#define PAGE_LINE_CHARACTERS 300      /* of one text of a finding */
#define PAGE_SUMMARY_CHARACTERS 1024  /* PagerDuty's limit */
#define PAGE_BODY_BYTES 512000        /* PagerDuty's limit; Alertmanager counts it the same way */
#define PAGE_ANSWER_BYTES (64 * 1024) /* of an answer that is looked at */
#define PAGE_SECRETS_BYTES (1024 * 1024)
#define PAGE_FOLDER_SECONDS 3.0 /* how long one piece of work on the run's folder is waited for */

/* page_folder.c: carries `work` out in a child and gives what it wrote to `out`; false when it failed, or did not come
 * back within PAGE_FOLDER_SECONDS: from then on nothing more is tried there. */
bool page_folder(struct buffer *out, void (*work)(struct buffer *out, void *data), void *data);
/* Monotonic seconds. */
double page_clock(void);

/* page_text.c: secrets and findings. */
struct page_text {
  struct buffer secrets;            /* as read from descriptor 3 */
  struct buffer headline, findings; /* plain text, made inert */
};
void page_text_read(struct page_text *text, const char *rundir);
/* What the watchdog handed over as `name`, or NULL. */
const char *page_text_given(const struct page_text *text, const char *name, size_t *len);
void page_text_free(struct page_text *text);
/* A copy of `value` with the marks in its strings put back, escaped for `backend`; NULL with `error` when a
 * secret is not at hand. The caller's. */
json_t *page_text_fill(const struct page_text *text, json_t *value, const char *backend, struct error *error);

/* page_findings.c: each check of RUNDIR/journal.jsonl as it last was, the failed ones, then the unknown probes, one a
 * line, cut at PAGE_FINDINGS_BYTES; a headline made of the first. What stands before and behind a damaged line is
 * used, and the damage said: this is the last resort, it takes what it gets. */
void page_findings(struct buffer *headline, struct buffer *findings, const char *rundir);

/* page_request.c: one attempt. */
struct page_result {
  bool delivered, repeat; /* repeat: another attempt may help */
  double retry_after;     /* seconds the other side asked us to wait; 0 none */
  char why[512];          /* without secrets */
};
/* `request` is an entry of the file; takes `seconds` at most. */
void page_request_send(json_t *request, const struct page_text *text, double seconds,
                       struct page_result *result);

/* page.c: all of it; returns an exit code. */
int page_send(const char *rundir, int level);

#endif
