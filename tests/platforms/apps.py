"""Stand-ins for platforms where applications speak, with access tokens."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from engine.testing import Request
from tests.platforms.bots import Pace, Platform, Refusal, Shown, read_object, read_text

LASTS_S = 7200


class Apps(Platform):
    """Applications by key and secret, and their tokens; ``asked`` counts requests for one.

    Its bots are those who are spoken to.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(now_ms)
        self.apps: dict[str, str] = {}
        self.tokens: dict[str, int] = {}
        self.owners: dict[str, str] = {}
        self.asked = 0

    def paces(self) -> list[Pace]:
        return []

    def issue(self, name: object, secret: object, refusal: Refusal) -> str:
        """A token for an application."""
        self.asked += 1
        if not isinstance(name, str) or not secret or self.apps.get(name) != secret:
            raise refusal
        token = secrets.token_hex(16)
        self.tokens[token] = self.now_ms() + LASTS_S * 1000
        self.owners[token] = name
        return token

    def owner(self, token: str | None, refusal: Refusal) -> str:
        """The application that a token is of; one that is none or has ended is refused."""
        if token is None or self.now_ms() >= self.tokens.get(token, 0):
            raise refusal
        return self.owners[token]


class DingTalkApps(Apps):
    """DingTalk's API v1.0 for robots: members and groups.

    An application may make 20 requests of a kind in a second.
    """

    MOST_BYTES = 15_000

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(now_ms)
        self.robots: set[str] = set()
        self.crowded: set[str] = set()
        self.pace: dict[tuple[str, str], Pace] = {}

    def refused(self, refusal: Refusal) -> dict[str, Any]:
        return {"code": refusal.code, "message": refusal.text, "requestid": "R"}

    def take(self, request: Request) -> dict[str, Any]:
        bad = Refusal("invalidParameter.param.invalid", "bad parameter", 400)
        path, body = urlsplit(request.url).path, read_object(request.body, bad)
        if path == "/v1.0/oauth2/accessToken":
            wrong = Refusal("invalidClientIdOrSecret", "wrong app", 400)
            token = self.issue(body.get("appKey"), body.get("appSecret"), wrong)
            return {"accessToken": token, "expireIn": LASTS_S}
        ended = Refusal("InvalidAuthentication", "bad access_token", 400)
        app = self.owner(request.headers.get("x-acs-dingtalk-access-token"), ended)
        if not self.pace.setdefault((app, path), Pace(20, 1000)).allows(self.now_ms()):
            raise Refusal("Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "qps", 403)
        if body.get("robotCode") not in self.robots:
            raise Refusal("invalidParameter.robotCode.empty", "no robot", 400)
        shown = self._read(body)
        if path == "/v1.0/robot/groupMessages/send":
            bot = self.bots.get(body.get("openConversationId", ""))
            if bot is None:
                raise Refusal("invalid.openConversationId", "no group", 400)
            bot.shown.append(shown)
            return {"processQueryKey": "P"}
        if path != "/v1.0/robot/oToMessages/batchSend":
            raise Refusal("InvalidAction.NotFound", "no such API", 404)
        users = body.get("userIds")
        if not isinstance(users, list) or not 1 <= len(users) <= 20:
            raise Refusal("invalidParameter.userIds.empty", "no users", 400)
        limited = [user for user in users if user in self.crowded]
        for user in set(users) & self.bots.keys() - self.crowded:
            self.bots[user].shown.append(shown)
        return {
            "processQueryKey": "P",
            "invalidStaffIdList": [user for user in users if user not in self.bots],
            "flowControlledStaffIdList": limited,
        }

    def _read(self, body: dict[str, Any]) -> Shown:
        bad = Refusal("invalidParameter.msgParam.invalid", "bad msgParam", 400)
        param = read_text(body, "msgParam", bad)
        if len(param.encode()) > self.MOST_BYTES:
            raise bad
        found = read_object(param.encode(), bad)
        match body.get("msgKey"):
            case "sampleText":
                return Shown(self.now_ms(), read_text(found, "content", bad))
            case "sampleMarkdown":
                title = read_text(found, "title", bad)
                return Shown(self.now_ms(), read_text(found, "text", bad), title, True)
            case _:
                raise Refusal("invalidParameter.msgKey.invalid", "bad msgKey", 400)


class WeLink(Apps):
    """WeLink's open platform: groups by their numbers; a repeated message is shown once."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(now_ms)
        self.seen: set[str] = set()

    def refused(self, refusal: Refusal) -> dict[str, Any]:
        return {"code": str(refusal.code), "message": refusal.text}

    def take(self, request: Request) -> dict[str, Any]:
        bad = Refusal(411000, "not JSON")
        path, body = urlsplit(request.url).path, read_object(request.body, bad)
        if path == "/api/auth/v2/tickets":
            wrong = Refusal(411007, "client_id or client_secret is wrong")
            token = self.issue(body.get("client_id"), body.get("client_secret"), wrong)
            return {"code": "0", "message": "ok", "access_token": token, "expires_in": LASTS_S}
        if path != "/api/welinkim/v1/im-service/chat/group-chat":
            raise Refusal(404, "no such API", 404)
        self.owner(request.headers.get("x-wlk-Authorization"), Refusal(1000, "bad token"))
        groups, identifier = (
            body.get("group_id"),
            read_text(body, "app_msg_id", Refusal(43011, "id")),
        )
        if not isinstance(groups, list) or not groups or not set(groups) <= self.bots.keys():
            raise Refusal(43012, "no such group")
        read_text(body.get("app_service_info"), "app_service_name", Refusal(43011, "name"))
        if body.get("content_type") != 0 or body.get("client_app_id") != "1":
            raise Refusal(43011, "content_type")
        text = shown_text(read_text(body, "content", Refusal(43011, "content")))
        if identifier not in self.seen:
            self.seen.add(identifier)
            for group in groups:
                self.bots[group].shown.append(Shown(self.now_ms(), text))
        return {"code": "0", "message": "ok", "data": json.dumps(groups)}


def shown_text(content: str) -> str:
    """What a client shows: the text in the XML that is text in XML; both forms say the same."""
    bad = Refusal(43011, "content is not XML")
    try:
        inner = ET.fromstring(content).findtext("c")
        found = ET.fromstring(inner or "")
        text, html = found.findtext("content"), found.findtext("html")
        div = ET.fromstring(html or "")
    except ET.ParseError:
        raise bad from None
    if not text or div.tag != "DIV" or "".join(div.itertext()) != text.replace("\n", ""):
        raise bad
    return text
