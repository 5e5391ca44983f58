"""An imitation of Slack's Web API: the methods an escalation uses, with Slack's own errors (HTTP 200, "ok": false).

`channels` maps ids to dicts (id, name, topic, members, is_member, is_archived), `messages` lists what was posted.
"""

import json
import re
import urllib.parse

from .web import Scripted

TOKEN = "xoxb-lab-0123456789-abcdefghijklmnop"
HOOK = "/services/T000/B000/labhooksecret"
MAX_NAME = 80
MAX_TOPIC = 250
MAX_TEXT = 40000
USERS = {"ada@example.com": "U0ADA", "bob@example.com": "U0BOB"}


class SlackError(Exception):
    """Its text is Slack's name of the error."""


class Slack(Scripted):
    token = TOKEN
    scopes = "chat:write,channels:manage,channels:read"  # what the token may; told in a header, as Slack does

    def __init__(self):
        super().__init__()
        self.webhook_url = self.url + HOOK
        self.channels, self.messages, self.errors = {}, [], []
        for name in ("general", "team-lead", "incidents"):
            self._create(name)

    def error_next(self, error, count=1, method=None):
        """The next `count` calls (of one method, or any) answer {"ok": false, "error": error} and change nothing."""
        with self.lock:
            self.errors += [(method, error)] * count

    def channel(self, name):
        """The channel of that name (with or without '#') or id, or None."""
        wanted = name.lstrip("#")
        return next((c for c in self.channels.values() if wanted in (c["name"], c["id"])), None)

    def texts(self, name):
        """The texts posted to a channel, in order."""
        return [m["text"] for m in self.messages if m["channel"] == self.channel(name)["id"]]

    def carry_out(self, request):
        if request.path == HOOK:
            return self._hook(request)
        method = urllib.parse.urlsplit(request.path).path.rsplit("/", 1)[-1]
        with self.lock:
            try:
                self._authorized(request)
                self._told_to_fail(method)
                action = METHODS.get(method)
                if action is None:
                    raise SlackError("unknown_method")
                return 200, {"ok": True, **(action(self, _arguments(request)) or {})}, {"X-OAuth-Scopes": self.scopes}
            except SlackError as error:
                return 200, {"ok": False, "error": str(error)}

    def _authorized(self, request):
        given = request.headers.get("Authorization")
        if not given:
            raise SlackError("not_authed")
        if given != "Bearer " + self.token:
            raise SlackError("invalid_auth")

    def _told_to_fail(self, method):
        for entry in self.errors:
            if entry[0] in (None, method):
                self.errors.remove(entry)
                raise SlackError(entry[1])

    def _hook(self, request):
        try:
            text = json.loads(request.body)["text"]
        except (ValueError, KeyError, TypeError):
            return 400, "invalid_payload"
        with self.lock:
            self.messages.append({"channel": self.channel("general")["id"], "text": text, "ts": self._ts()})
        return 200, "ok"

    def _ts(self):
        return f"1700000000.{len(self.messages) + 1:06d}"

    def _create(self, name):
        channel = {"id": f"C{len(self.channels) + 1:08d}", "name": name, "topic": "", "members": [], "is_member": True,
                   "is_archived": False}
        self.channels[channel["id"]] = channel
        return channel

    def _joined(self, arguments):
        """The channel that a call names, when the caller may write to it."""
        channel = self.channel(str(arguments.get("channel", "")))
        if channel is None:
            raise SlackError("channel_not_found")
        if channel["is_archived"]:
            raise SlackError("is_archived")
        if not channel["is_member"]:
            raise SlackError("not_in_channel")
        return channel

    def auth_test(self, _):
        return {"url": "https://lab.slack.com/", "team": "Lab", "user": "runbook", "team_id": "T000", "user_id": "U000"}

    def post_message(self, arguments):
        text = arguments.get("text") or ""
        if not text and not arguments.get("blocks"):
            raise SlackError("no_text")
        if len(text) > MAX_TEXT:
            raise SlackError("msg_too_long")
        message = {"channel": self._joined(arguments)["id"], "text": text, "ts": self._ts(),
                   "thread_ts": arguments.get("thread_ts"), "blocks": arguments.get("blocks")}
        self.messages.append(message)
        return {"channel": message["channel"], "ts": message["ts"], "message": message}

    def update_message(self, arguments):
        channel = self._joined(arguments)
        for message in self.messages:
            if (message["channel"], message["ts"]) == (channel["id"], arguments.get("ts")):
                message["text"] = arguments.get("text", "")
                return {"channel": channel["id"], "ts": message["ts"], "text": message["text"]}
        raise SlackError("message_not_found")

    def create_channel(self, arguments):
        name = str(arguments.get("name") or "")
        if not name:
            raise SlackError("invalid_name_required")
        if len(name) > MAX_NAME:
            raise SlackError("invalid_name_maxlength")
        if not re.fullmatch(r"[a-z0-9_-]+", name):
            raise SlackError("invalid_name_specials")
        if self.channel(name):
            raise SlackError("name_taken")
        return {"channel": self._create(name)}

    def join_channel(self, arguments):
        channel = self.channel(str(arguments.get("channel", "")))
        if channel is None:
            raise SlackError("channel_not_found")
        channel["is_member"] = True
        return {"channel": channel}

    def invite(self, arguments):
        channel = self._joined(arguments)
        users = [user for user in str(arguments.get("users", "")).split(",") if user]
        if not users or not set(users) <= set(USERS.values()):
            raise SlackError("user_not_found")
        if set(users) <= set(channel["members"]):
            raise SlackError("already_in_channel")
        channel["members"] += [user for user in users if user not in channel["members"]]
        return {"channel": channel}

    def set_topic(self, arguments):
        topic = str(arguments.get("topic", ""))
        if len(topic) > MAX_TOPIC:
            raise SlackError("too_long")
        channel = self._joined(arguments)
        channel["topic"] = topic
        return {"channel": channel}

    def list_channels(self, arguments):
        """Pages of `limit`, with Slack's cursor."""
        start, limit = int(arguments.get("cursor") or 0), int(arguments.get("limit") or 100)
        channels = list(self.channels.values())
        cursor = str(start + limit) if start + limit < len(channels) else ""
        return {"channels": channels[start:start + limit], "response_metadata": {"next_cursor": cursor}}

    def lookup_by_email(self, arguments):
        user = USERS.get(arguments.get("email"))
        if user is None:
            raise SlackError("users_not_found")
        return {"user": {"id": user}}


METHODS = {
    "auth.test": Slack.auth_test,
    "chat.postMessage": Slack.post_message,
    "chat.update": Slack.update_message,
    "conversations.create": Slack.create_channel,
    "conversations.invite": Slack.invite,
    "conversations.join": Slack.join_channel,
    "conversations.list": Slack.list_channels,
    "conversations.setTopic": Slack.set_topic,
    "users.lookupByEmail": Slack.lookup_by_email,
}


def _arguments(request):
    """From the query, a form, or JSON: Slack takes all three."""
    arguments = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))
    kind = request.headers.get("Content-Type", "")
    if kind.startswith("application/json"):
        try:
            arguments.update(json.loads(request.body or b"{}"))
        except ValueError:
            raise SlackError("invalid_json")
    elif kind.startswith("application/x-www-form-urlencoded"):
        arguments.update(urllib.parse.parse_qsl(request.body.decode()))
    return arguments
