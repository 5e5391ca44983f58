/* What the interpreter, the watchdog and its children agree on.
 *
 * `runbook-watchdog RUNDIR` is started with one end of a SOCK_SEQPACKET pair as descriptor 3 and an empty
 * environment. Each packet is one message: a word, a blank, the rest. The interpreter says
 *
 *   self PATH          the runbook binary whose _escalate and _deliver are run
 *   env NAME=VALUE     one variable of the children's whole environment
 *   secret NAME=VALUE  for the children, never on disk; exact bytes; a later one replaces an earlier
 *   page N JSON        the built-in page of level N (page.h), held in memory
 *   arm N SECONDS ...  the levels that have not fired yet are now these
 *   rehearse           the children's program tries all levels, telling nobody
 *   fire N             level N is due now
 *   stop WHY           no level fires any more; WHY is resolved, ack, abort
 *   deliver            the outbox is the watchdog's from now on
 *
 * and hears "armed PID" (to each arm), "error KIND WHY", "fired N", "delivered N BY", "failed N BY", "held N" (the goal holds: N
 * waits), "put_off SECONDS" (somebody has it in hand: no level fires before), "rehearsed CODE", "stopped
 * WHY", and "working" as often as the lease is renewed: a watchdog that is stopped or frozen says nothing. The end of the socket means that the interpreter is gone: the clock goes on, the outbox is the watchdog's.
 *
 * Children find the secrets on descriptor 3, one after another as "NAME LENGTH\nBYTES", up to its end; runbook-page its
 * page behind them as ":page". Their
 * standard streams are /dev/null, their working directory is /. The argument vectors are
 *
 *   SELF _escalate RUNDIR LEVEL  the level as the script has it, run from source/; with a further word "now" whether or
 *                                not the goal holds
 *   SELF _rehearse RUNDIR        all levels, dry; exit code 0, or 6 and the reason in escalation/rehearsal.failed
 *   SELF _deliver RUNDIR         all of outbox/; NAME.json is done with when NAME.done stands beside it; exit
 *                                code 75 when some of it still waits
 *   runbook-page RUNDIR LEVEL    the built-in page, page.h
 */
#ifndef WATCHDOG_PROTOCOL_H
#define WATCHDOG_PROTOCOL_H

#define WATCHDOG_PAGE ":page"
#define WATCHDOG_FD 3 /* the control socket; in children the secrets */

/* Exit codes of `SELF _escalate`; any other but 0 brings the built-in page. */
#define WATCHDOG_EXIT_QUEUED 75    /* all of it is in the outbox, some of it undelivered */
#define WATCHDOG_EXIT_HELD 76      /* `recovered` held when it looked: nobody was told */
#define WATCHDOG_HELD_SECONDS 60.0 /* then the level waits so long ... */
#define WATCHDOG_HELD_LOOKS 3      /* ... and after so many looks in a row nothing fires any more */
#define WATCHDOG_EXIT_TAKEN                                                                                  \
  77 /* somebody acknowledged it in the pager: nobody was told, nothing fires any more */
#define WATCHDOG_PUT_OFF_SECONDS 86400 /* levels can be put off for so long at once */

/* Exit codes of runbook-page. */
#define PAGE_DELIVERED 0
#define PAGE_FAILED 1
#define PAGE_USAGE 2
#define PAGE_NOTHING_CONFIGURED 3

#define WATCHDOG_LEVELS 16                /* of one run; their numbers are 1 to this */
#define WATCHDOG_AFTER_SECONDS 31622400.0 /* the farthest a level can be: a year */
#define WATCHDOG_SECRETS_BYTES                                                                               \
  (64 * 1024) /* all of them as children read them: a socket holds that at once */
#define WATCHDOG_MESSAGE_BYTES (WATCHDOG_SECRETS_BYTES + 256)
#define WATCHDOG_WORD_BYTES 32           /* of a reason */
#define WATCHDOG_ARM_SECONDS 2.0         /* how long the interpreter waits for "armed" */
#define WATCHDOG_CHILD_SECONDS 60.0      /* a child is killed after it */
#define WATCHDOG_PAUSE_SECONDS 1.0       /* before the second attempt; doubled for each further one ... */
#define WATCHDOG_PAUSE_MOST 300.0        /* ... up to this */
#define WATCHDOG_GIVE_UP_SECONDS 86400.0 /* a delivery that has not succeeded by then is given up */
#define WATCHDOG_DISK_SECONDS 1.5   /* how long the run's folder is waited for: then it counts as stuck */
#define WATCHDOG_LEASE_SECONDS 30.0 /* a holder that hasn't renewed its lock for so long is stuck ... */
#define WATCHDOG_RENEW_SECONDS 10.0 /* ... for it does so this often */

#endif
