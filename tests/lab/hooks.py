"""Imitations of services that a webhook's template speaks to: each takes what its documentation says, and refuses all else."""

import json
import re
import urllib.parse

from .web import Scripted


class Opsgenie(Scripted):
    """The Alert API: `alerts` maps aliases to {"status", "body", "count"}."""

    key = "11111111-2222-3333-4444-555555555555"

    def __init__(self):
        super().__init__()
        self.alerts = {}

    def carry_out(self, request):
        if request.headers.get("Authorization") != f"GenieKey {self.key}":
            return 403, {"message": "You are not authorized to access this resource"}
        body = json.loads(request.body)
        path, _, query = request.path.partition("?")
        if path == "/v2/alerts":
            return self.create(body)
        close = re.fullmatch("/v2/alerts/([^/]+)/close", path)
        if not close or query != "identifierType=alias":
            return 404, {"message": "no such path"}
        alert = self.alerts.get(urllib.parse.unquote(close[1]))
        if alert:
            alert["status"] = "closed"
        return 202, {"result": "Request will be processed", "requestId": "r"}

    def create(self, body):
        strings = all(isinstance(value, str) for value in body.values())
        if not strings or not 0 < len(body.get("message", "")) <= 130 or body.get("priority") not in ("P1", "P2", "P3", "P4", "P5"):
            return 422, {"message": "Request body is not processable"}
        alert = self.alerts.setdefault(body["alias"], {"status": "open", "body": body, "count": 0})
        alert["count"] += 1
        return 202, {"result": "Request will be processed", "requestId": "r"}


class Teams(Scripted):
    """A workflow that waits for a card: `cards` are the texts of each that came."""

    def __init__(self):
        super().__init__()
        self.cards = []

    def carry_out(self, request):
        body = json.loads(request.body)
        card = body["attachments"][0]
        if body["type"] != "message" or card["contentType"] != "application/vnd.microsoft.card.adaptive":
            return 400, "no card"
        if card["content"]["type"] != "AdaptiveCard" or "sig=" not in request.path:
            return 400, "no card"
        self.cards.append([block["text"] for block in card["content"]["body"]])
        return 202, ""


class Mattermost(Scripted):
    """An incoming webhook: `texts` are the messages, and the answer is the text "ok"."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def carry_out(self, request):
        body = json.loads(request.body)
        if not isinstance(body.get("text"), str) or set(body) - {"text", "channel", "username"}:
            return 400, "Unable to parse incoming data"
        self.texts.append((body.get("channel"), body["text"]))
        return 200, "ok", {"Content-Type": "text/plain"}
