"""An imitation of PagerDuty's Events API v2 and of the incidents of its REST API: checks events as PagerDuty does, and keeps
its alerts.

`alerts` maps (routing_key, dedup_key) to a dict: status (triggered, acknowledged, resolved), opened (how many alerts
that key has opened: more than one means that somebody was paged twice), events (the accepted ones, in order).
"""

import json
import urllib.parse
import uuid

from .web import Scripted

MAX_EVENT = 512 * 1000
MAX_SUMMARY = 1024
MAX_DEDUP_KEY = 255
ROUTING_KEY = "0123456789abcdef0123456789abcdef"  # one that is accepted; every 32-character key is
SEVERITIES = ("critical", "error", "warning", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")
READ_TOKEN = "u+lab-read-token-0123"  # of the REST API


class PagerDuty(Scripted):
    routing_key = ROUTING_KEY

    def __init__(self):
        super().__init__()
        self.alerts = {}
        self.read_token = READ_TOKEN
        self.reads = []            # of the REST API: (method, path), in order
        self.read_failures = []    # functions (handler) that answer the next reads
        self.more_incidents = []   # what every list holds besides

    @property
    def events(self):
        """The events accepted, in order."""
        return [event for alert in self.alerts.values() for event in alert["events"]]

    def take(self, status="acknowledged", by="Ada Example"):
        """Somebody takes every alert in the pager, by telephone as it were."""
        with self.lock:
            for alert in self.alerts.values():
                alert.update(status=status, by=by)

    def answer(self, handler, request):
        if not request.path.startswith("/incidents"):
            return super().answer(handler, request)
        with self.lock:
            self.reads.append((request.method, request.path))
            failure = self.read_failures.pop(0) if self.read_failures else None
        if failure:
            return failure(handler)
        if request.headers.get("Authorization") != f"Token token={self.read_token}":
            return handler.reply(401, {"error": {"message": "Unauthorized", "code": 2006}})
        query = urllib.parse.parse_qs(request.path.partition("?")[2])
        handler.reply(200, {"incidents": self._incidents(query.get("incident_key", [None])[0]), "limit": 25, "more": False})

    def _incidents(self, asked):
        """As the service tells them: an incident with alerts has no key of its own."""
        list_ = [{"id": "P" + key[-4:], "status": alert["status"], "created_at": "2026-11-23T17:40:05Z", "incident_key": None,
                  "acknowledgements": [{"acknowledger": {"summary": alert.get("by")}}] if "by" in alert else []}
                 for (_, key), alert in self.alerts.items() if asked in (None, key)]
        return list_ + self.more_incidents

    def carry_out(self, request):
        if request.method != "POST" or request.path not in ("/v2/enqueue", "/v2/change/enqueue"):
            return 404, "not found"
        if len(request.body) > MAX_EVENT:
            return 413, "request entity too large"
        try:
            event = json.loads(request.body)
            assert isinstance(event, dict)
        except (ValueError, AssertionError):
            return _invalid("JSON is invalid")
        errors = _change_errors(event) if "change" in request.path else _errors(event)
        if errors:
            return _invalid(*errors)
        key = event.get("dedup_key") or uuid.uuid4().hex
        if "change" not in request.path:
            with self.lock:
                self._apply((event["routing_key"], key), event)
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def _apply(self, key, event):
        alert = self.alerts.get(key)
        if alert is None and event["event_action"] != "trigger":
            return  # dropped in silence, as PagerDuty does
        if alert is None or (alert["status"] == "resolved" and event["event_action"] == "trigger"):
            alert = self.alerts.setdefault(key, {"status": "triggered", "opened": 0, "events": []})
            alert["opened"] += 1
            alert["status"] = "triggered"
        elif alert["status"] != "resolved" and event["event_action"] != "trigger":
            alert["status"] = {"acknowledge": "acknowledged", "resolve": "resolved"}[event["event_action"]]
        alert["events"].append(event)


def _invalid(*errors):
    return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}


def _text(value, longest):
    return isinstance(value, str) and 0 < len(value) <= longest


def _errors(event):
    rules = [
        (_text(event.get("routing_key"), 32) and len(event["routing_key"]) == 32, "'routing_key' is invalid"),
        (event.get("event_action") in ACTIONS, "'event_action' is invalid"),
        (event.get("dedup_key") is None or _text(event["dedup_key"], MAX_DEDUP_KEY), "'dedup_key' is invalid"),
    ]
    if event.get("event_action") == "trigger":
        rules += _payload_rules(event.get("payload"))
    else:
        rules.append(("dedup_key" in event, "'dedup_key' is missing"))
    return [message for holds, message in rules if not holds]


def _payload_rules(payload):
    if not isinstance(payload, dict):
        return [(False, "'payload' is missing or blank")]
    return [
        (_text(payload.get("summary"), MAX_SUMMARY), "'payload.summary' is missing, blank or too long"),
        (_text(payload.get("source"), 255), "'payload.source' is missing or blank"),
        (payload.get("severity") in SEVERITIES, "'payload.severity' is invalid"),
        (isinstance(payload.get("custom_details", {}), dict), "'payload.custom_details' must be an object"),
    ]


def _change_errors(event):
    payload = event.get("payload")
    if not isinstance(payload, dict) or not _text(payload.get("summary"), MAX_SUMMARY):
        return ["'payload.summary' is missing or blank"]
    return [] if _text(event.get("routing_key"), 32) else ["'routing_key' is invalid"]
