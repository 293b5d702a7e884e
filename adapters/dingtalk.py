"""DingTalk: group bots (``dingding``) and the robots of applications (``dingTalkBot``).

A group's bot has a webhook and, for its protection, a keyword or a signature; rules and codes
are those of DingTalk's guide to custom robots. An application's robot speaks to a member of its
organisation, or to a group that it is in: a ``dingding`` endpoint may also be that group's
openConversationId. It needs an access token; rules and codes are those of "Send one-on-one chat
messages in batches", "The robot sends a group message" and "How to handle throttling".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic import Field, field_validator

from adapters._bot_codes import PAUSE_S, Codes, code_of, read
from adapters._bot_fitting import fit, json_bytes, room_for
from adapters._bot_posts import Post, compose, merged
from adapters._bot_requests import ask, in_order, wire
from adapters._bot_settings import DigestSettings, WebhookSettings, base_url
from adapters._bot_webhooks import Target, WebhookBot
from adapters._tokens import App, Token, Tokens, token_of
from engine.models import (
    Delivered,
    Limits,
    Message,
    Outcome,
    Rate,
    Rejected,
    Subscription,
    Throttled,
)
from engine.ports import Answer, PlainAdapter

if TYPE_CHECKING:
    from engine.ports import Ports

_RATE: Final = Rate(20, 60, 5)
"""Of a webhook."""
_APP_RATE: Final = Rate(20, 1, 0.2, of="app_key")
"""Of an application's requests of one kind, whomever they are about."""
_BODY_BYTES: Final = 20_000
_BLOCK_S: Final = 600
"""How long a bot that was too fast is shut out."""
_MENTIONS: Final = 100
"""Members mentioned by a message; the platform names no limit."""


_PARAM_BYTES: Final = 15_000
"""Of ``msgParam``; the guide says so of messages to groups, and nothing of those to members."""
_QPS_S: Final = 2
"""After more than 20 requests of an application in a second; the guide advises one second."""


class RobotSettings(DigestSettings):
    """Where applications' robots are."""

    api_url: str = Field(
        "https://api.dingtalk.com",
        description="DingTalk's API for the robots of applications; `https`, or a loopback address",
    )

    @field_validator("api_url")
    @classmethod
    def _safe_url(cls, value: str) -> str:
        return base_url(value)


class DingTalkSettings(WebhookSettings, RobotSettings):
    """Settings of DingTalk's group bots."""


class DingTalkAdapter(WebhookBot):
    """Speaks ``dingding``."""

    protocols = ("dingding",)

    OFFICIAL = ("https://oapi.dingtalk.com",)
    PATH = re.compile(r"/robot/send\?access_token=(?P<token>[A-Za-z0-9_-]{1,256})")
    EXAMPLE = "https://oapi.dingtalk.com/robot/send?access_token=TOKEN"
    CODES = Codes(
        member=("errcode",),
        text=("errmsg",),
        wait={130101: _BLOCK_S, 410100: PAUSE_S},
        again=frozenset({-1}),
        stale={310000: "timestamp"},
        meanings={
            -1: "the platform is busy",
            130101: "too often",
            410100: "too often",
            310000: "the bot's protection: keyword, signature or address",
            300001: "there is no such bot",
            300005: "there is no such bot",
            400101: "there is no such bot",
            400013: "the group was dissolved",
            400102: "the bot was stopped",
            400105: "message type not supported",
            400106: "the bot is not in the group",
            40035: "the platform cannot read the message",
            43002: "not a POST",
            43004: "wrong content type",
            430101: "unsafe link",
            430102: "unsafe text",
            430103: "unsafe picture",
            430104: "unsafe content",
            460101: "too long",
        },
    )

    def __init__(self, ports: Ports) -> None:
        settings = ports.configure(DingTalkSettings)
        super().__init__(ports, settings, _RATE, _APP_RATE)
        self._robots = _Robots(ports, settings)

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """As of any webhook; any id may be a group's."""
        if _is_url(endpoint):
            await super().check(protocol, endpoint, extension)

    def peer(self, subscription: Subscription) -> str:
        """A bot, or a group as an application knows it."""
        if _is_url(subscription.endpoint):
            return super().peer(subscription)
        return _robot_peer(subscription)

    def prepare(self, subscription: Subscription) -> Target:
        """A webhook, or an application's robot."""
        if _is_url(subscription.endpoint):
            return super().prepare(subscription)
        robot = _robot_target(subscription, "groupMessages/send", "openConversationId")
        return _GroupTarget("", "", "", (), robot)

    async def send(self, content: Post, prepared: Target) -> Outcome:
        """One request a part."""
        if isinstance(prepared, _GroupTarget):
            return await self._robots.send(content, prepared.robot)
        return await super().send(content, prepared)

    async def close(self) -> None:
        """Ask for no tokens any more."""
        await self._robots.close()

    def bodies(self, post: Post, keyword: str) -> list[dict[str, Any]]:
        """Text or Markdown; who is mentioned must also be in the text, and is called once."""
        names = _names(post)
        missing = [f"@{name}" for name in names if f"@{name}" not in post.text]
        tail = "\n" + " ".join(missing) if missing else ""
        room = room_for(_BODY_BYTES, _body(post, "", names), json_bytes(tail))
        if not room:
            return []
        texts = fit(
            post.text if post.markdown else post.headed,
            room + json_bytes(tail),
            measure=json_bytes,
            pieces=self._settings.pieces,
            keyword=keyword,
            tail=tail,
        )
        found = []
        for text in texts:
            found.append(_body(post, text, [name for name in names if f"@{name}" in text]))
            names = [name for name in names if f"@{name}" not in text]
            post = replace(post, at=replace(post.at, everyone=False))
        return found

    def signed(
        self, url: str, body: dict[str, Any], secret: str, now_ms: int
    ) -> tuple[str, dict[str, Any]]:
        """The signature goes into the query, with the time in milliseconds."""
        return f"{url}&timestamp={now_ms}&sign={quote(sign(now_ms, secret), safe='')}", body


class DingTalkBotAdapter(PlainAdapter):
    """Speaks ``dingTalkBot``: an application's robot to a member of its organisation."""

    protocols = ("dingTalkBot",)

    def __init__(self, ports: Ports) -> None:
        settings = ports.configure(RobotSettings)
        self.limits = Limits(
            max_bytes=_ROBOT_BYTES + DingTalkAdapter.DIGEST_BYTES if settings.digest else 262_144,
            confirm=False,
            rates=settings.rates(_APP_RATE),
            digest=settings.digest,
        )
        self._robots = _Robots(ports, settings)

    def peer(self, subscription: Subscription) -> str:
        """A member as an application knows it."""
        return _robot_peer(subscription)

    def prepare(self, subscription: Subscription) -> RobotTarget:
        """Who speaks to whom."""
        return _robot_target(subscription, "oToMessages/batchSend", "userIds")

    def render(self, message: Message, protocol: str) -> Post:
        """What all see."""
        return compose(message, protocol)

    def size(self, content: Post) -> int:
        """Bytes of all parts of one delivery; of a digest, which must not be cut, as it is."""
        if content.merged:
            return _ROBOT_BYTES + json_bytes(content.text)
        return _ROBOT_BYTES + sum(len(wire(body)) for body in self._robots.bodies(content))

    def merge(self, contents: Sequence[Post]) -> Post:
        """All of them as one."""
        return merged(contents)

    async def send(self, content: Post, prepared: RobotTarget) -> Outcome:
        """One request a part."""
        return await self._robots.send(content, prepared)

    async def close(self) -> None:
        """Ask for no tokens any more."""
        await self._robots.close()


@dataclass(frozen=True, slots=True)
class RobotTarget:
    """An application's robot and whom it speaks to."""

    app: App
    path: str
    to: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _GroupTarget(Target):
    """A group that has no webhook."""

    robot: RobotTarget


def _robot_peer(subscription: Subscription) -> str:
    """Ids are an organisation's own: another's may be the same."""
    return f"{subscription.extension.get('app_key', '')}\n{subscription.endpoint}"


def _robot_target(subscription: Subscription, path: str, member: str) -> RobotTarget:
    given = {name: str(value) for name, value in subscription.extension.items()}
    to = subscription.endpoint
    return RobotTarget(
        App(given.get("app_key", ""), given.get("app_secret", "")),
        f"/v1.0/robot/{path}",
        {"robotCode": given.get("robot_code", ""), member: [to] if member == "userIds" else to},
    )


class _Robots:
    """The robots of applications."""

    def __init__(self, ports: Ports, settings: RobotSettings) -> None:
        self._clock = ports.clock
        self._gateway = ports.gateway
        self._settings = settings
        self._tokens = Tokens(ports.clock, self._token)

    def bodies(self, post: Post) -> list[dict[str, str]]:
        """The parts of a message, but for whom they go to."""
        kind = "sampleMarkdown" if post.markdown else "sampleText"
        room = room_for(_PARAM_BYTES, _param(post, ""))
        texts = fit(
            post.text if post.markdown else post.headed,
            room,
            measure=json_bytes,
            pieces=self._settings.pieces,
        )
        return [{"msgKey": kind, "msgParam": wire(_param(post, text)).decode()} for text in texts]

    async def send(self, post: Post, target: RobotTarget) -> Outcome:
        """One request a part, with the application's token."""

        def call(body: dict[str, str]) -> Callable[[], Awaitable[Outcome]]:
            return lambda: self._tokens.use(
                target.app, lambda token: self._post({**target.to, **body}, target, token)
            )

        return await in_order(call(body) for body in self.bodies(post))

    async def close(self) -> None:
        await self._tokens.close()

    async def _post(
        self, body: Mapping[str, object], target: RobotTarget, token: str
    ) -> Outcome | None:
        answer = await ask(
            self._gateway,
            self._settings.api_url + target.path,
            body,
            {"x-acs-dingtalk-access-token": token},
        )
        if not isinstance(answer, Answer):
            return answer
        found, status = read(answer.body), answer.status
        if status == 401 or code_of(found, "code") in _NO_TOKEN:
            return None
        now_ms = self._clock.now_ms()
        if status >= 300 or "processQueryKey" not in found:
            return _API_CODES.judge(answer, now_ms, (target.app.secret, token))
        if found.get("flowControlledStaffIdList"):
            return Throttled(now_ms + PAUSE_S * 1000, "too often to this member", status)
        for member, reason in _UNREACHED.items():
            if found.get(member):
                return Rejected(reason, status)
        return Delivered(status)

    async def _token(self, app: App) -> Token | Outcome:
        answer = await ask(
            self._gateway,
            f"{self._settings.api_url}/v1.0/oauth2/accessToken",
            {"appKey": app.name, "appSecret": app.secret},
        )
        if not isinstance(answer, Answer):
            return answer
        token = token_of(read(answer.body), "accessToken", "expireIn")
        if token is not None and answer.status < 300:
            return token
        return _API_CODES.judge(answer, self._clock.now_ms(), (app.secret,))


_ROBOT_BYTES: Final = 512  # what names the robot and its reader in a body
_NO_TOKEN: Final = frozenset({"InvalidAuthentication", "invalidAuthentication", 40014, 42001})
_UNREACHED: Final = {
    "invalidStaffIdList": "there is no such member",
    "filteredStaffIdList": "the member does not want it",
}
_API_CODES: Final = Codes(
    member=("code",),
    text=("message",),
    wait={
        "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi": _QPS_S,
        "Forbidden.AccessDenied.QpsLimitForApi": _QPS_S,
        90018: _QPS_S,
        90002: _QPS_S,
    },
    again=frozenset({"ServiceUnavailable", "serviceError", "systemError", "unknownError"}),
    meanings={
        "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi": "too often",
        "Forbidden.AccessDenied.QpsLimitForApi": "too often",
        "Forbidden.AccessDenied.ApiCountLimitForOrg": "the organisation's monthly quota is used up",
        "Forbidden.AccessDenied.AccessTokenPermissionDenied": "the application may not do this",
        "invalidClientIdOrSecret": "the application's key or secret is wrong",
        "invalidParameter.robotCode.empty": "there is no such robot",
        "invalidParameter.robotCode.auth": "the robot is another application's",
        "invalidParameter.msgParam.invalid": "the platform cannot read the message",
        "resource.not.found": "there is no such robot or group",
        "bot.stopped": "the robot was stopped",
        "invalid.openConversationId": "there is no such group",
    },
)


def _param(post: Post, text: str) -> dict[str, str]:
    return {"title": post.title, "text": text} if post.markdown else {"content": text}


def _is_url(endpoint: str) -> bool:
    return endpoint.startswith(("http://", "https://"))


def sign(timestamp_ms: int, secret: str) -> str:
    """The signature: of time and secret, with the secret as the key."""
    digest = hmac.digest(secret.encode(), f"{timestamp_ms}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(digest).decode()


def _names(post: Post) -> list[str]:
    """Whom the message mentions, by number or id."""
    return [*post.at.mobiles, *post.at.users][:_MENTIONS]


def _body(post: Post, text: str, names: Collection[str]) -> dict[str, Any]:
    """One part; it mentions those of its members who are named."""
    if post.markdown:
        body: dict[str, Any] = {
            "msgtype": "markdown",
            "markdown": {"title": post.title, "text": text},
        }
    else:
        body = {"msgtype": "text", "text": {"content": text}}
    if names or post.at.everyone:
        body["at"] = {
            "atMobiles": [name for name in post.at.mobiles if name in names],
            "atUserIds": [name for name in post.at.users if name in names],
            "isAtAll": post.at.everyone,
        }
    return body
