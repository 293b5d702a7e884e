"""What adapters of group bots share: what a message shows, how it is made to fit, its answers.

A bot's platform answers HTTP 200 whatever has happened: a code in the body tells. `WebhookBot`
is an adapter of a group's bot but for what is its platform's own: the body, the signature, the
codes.
"""

from __future__ import annotations

import ipaddress
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field, field_validator

from engine.adapter_settings import AdapterSettings
from engine.errors import Refused
from engine.models import (
    Delivered,
    Kind,
    Limits,
    Message,
    Outcome,
    Rate,
    Rejected,
    Retry,
    Subscription,
    Throttled,
)
from engine.ports import AddressRefused, Answer, TransportError

if TYPE_CHECKING:
    from engine.ports import Gateway, Ports

JSON_HEADERS: Final[Mapping[str, str]] = {"Content-Type": "application/json; charset=utf-8"}
PAUSE_S: Final = 60
"""The least wait after an answer that says "too often": all platforms count by the minute."""

CUT_MARK: Final = "\n[…]"
_TITLE_BYTES: Final = 512  # as a subject's; a longer title comes from an object's member
_LEAST_ROOM: Final = 512
_OWN_BYTES: Final = 2048  # what a bot's keyword and signature add to a body, or a little less
_SNIPPET: Final = 200
_COUNTER: Final = "({}/{})\n"
_OFTEN: Final = re.compile(r"frequen|too (?:fast|many|often)|rate.?limit|限流|频", re.IGNORECASE)

_TEXTS: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.CONFIRMATION: {
        "en": "You are invited to subscribe to {topic}. To confirm, open within 48 hours: {link}",
        "zh": "您被邀请订阅 {topic}。请在48小时内访问以下链接确认: {link}",
    },
    Kind.CANCELLATION: {
        "en": "You have left {topic}. To subscribe again, open within 48 hours: {link}",
        "zh": "您已退订 {topic}。如需重新订阅, 请在48小时内访问: {link}",
    },
    Kind.USER_CONFIRMATION: {
        "en": "To receive messages as the subscription user {topic}, open within 48 hours: {link}",
        "zh": "如需作为订阅用户 {topic} 接收消息, 请在48小时内访问: {link}",
    },
    Kind.USER_CANCELLATION: {
        "en": "You receive messages as the subscription user {topic}. To leave, open: {link}",
        "zh": "您已成为订阅用户 {topic}。如需取消, 请访问: {link}",
    },
}


# Settings


class Overflow(StrEnum):
    """What becomes of a message that is longer than the platform takes."""

    CUT = "cut"
    SPLIT = "split"


class BotSettings(AdapterSettings):
    """What every bot's operator may set."""

    overflow: Overflow = Field(
        Overflow.CUT, description="what is too long is `cut` with a mark, or `split` and counted"
    )
    parts: int = Field(
        3, ge=2, le=9, description="parts of a `split` message at most; the last is cut"
    )

    @property
    def pieces(self) -> int:
        """Messages that one delivery may take."""
        return self.parts if self.overflow is Overflow.SPLIT else 1

    @property
    def calls(self) -> int:
        """Requests that one attempt may take: a part that failed behind others has a second."""
        return self.pieces + 1 if self.pieces > 1 else 1

    def rates(self, *rates: Rate) -> tuple[Rate, ...]:
        """The platform's rates as those of attempts, each of which may take several requests.

        The parts of a message come one after another, which the larger margin is for.
        """
        if self.calls == 1:
            return rates
        return tuple(
            Rate(max(rate.count // self.calls, 1), rate.period_s, rate.period_s / 4)
            for rate in rates
        )


class WebhookSettings(BotSettings):
    """Of bots behind webhooks: where there are such bots beside the platform's own."""

    digest: bool = Field(
        default=False, description="what has to wait for the bot's rate goes out as one message"
    )
    base_urls: list[str] = Field(
        default_factory=list,
        description="private deployments whose webhooks are taken too: what stands before"
        " the path; `https`, or a loopback address",
    )

    @field_validator("base_urls")
    @classmethod
    def _safe(cls, value: list[str]) -> list[str]:
        return [base_url(one) for one in value]


def base_url(text: str) -> str:
    """A base URL without the slash at its end; ValueError for one that secrets must not go to.

    In clear text they travel to this machine only.
    """
    found = re.fullmatch(
        r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?",
        text,
    )
    if found is None:
        raise ValueError("a base URL is like https://example.com/path, without query")
    scheme, host = found.groups()
    if scheme == "http" and not _is_loopback(host.strip("[]")):
        raise ValueError("a base URL without TLS must be a loopback address")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# What is shown


@dataclass(frozen=True, slots=True)
class At:
    """Who is mentioned."""

    everyone: bool = False
    mobiles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """A message as bots show it, whatever the platform.

    ``heading`` is what the publisher put above the text, if anything; ``title`` is for what
    cannot be without one.
    """

    message_id: str
    text: str
    heading: str = ""
    title: str = ""
    markdown: bool = False
    color: str = ""
    at: At = field(default_factory=At)
    merged: bool = False

    @property
    def headed(self) -> str:
        """The text below its heading."""
        return f"{self.heading}\n{self.text}" if self.heading else self.text


def compose(message: Message, protocol: str) -> Post:
    """What a message shows: its object form, its text, or an invitation with its link."""
    topic = message.display_name or message.topic_name or message.topic_urn
    texts = _TEXTS.get(message.kind)
    if texts is not None:
        chosen = texts["zh" if message.locale.lower().startswith("zh") else "en"]
        text = chosen.format(topic=topic, link=message.link or "")
        return Post(message.id, text, title=_titled(topic))
    rich = message.rich(protocol)
    if rich is None:
        heading = message.subject or ""
        return Post(message.id, message.text(protocol), heading, _titled(heading or topic))
    heading = rich.get("title") or message.subject or ""
    at = rich.get("at") or {}
    return Post(
        message.id,
        rich["content"],
        _titled(heading),
        _titled(heading or topic),
        markdown=rich["msgType"] == "markdown",
        color=rich.get("color") or "",
        at=At(
            everyone=at.get("isAtAll", False),
            mobiles=tuple(at.get("atMobiles", ())),
            users=tuple(at.get("atUserIds", ())),
        ),
    )


def _titled(text: str) -> str:
    """A title of at most a subject's length."""
    return text if plain_bytes(text) <= _TITLE_BYTES else _prefix(text, _TITLE_BYTES - 3) + "…"


# Making it fit


def plain_bytes(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode())


def json_bytes(text: str) -> int:
    """Bytes that a text takes inside a JSON string."""
    return len(encode_basestring(text).encode()) - 2


def fit(
    text: str,
    room: int,
    *,
    measure: Callable[[str], int] = plain_bytes,
    pieces: int = 1,
    keyword: str = "",
    tail: str = "",
) -> list[str]:
    """The text as messages of at most ``room`` each, as ``measure`` counts.

    One message if it fits or may not be split: what is over is cut, which a mark shows. Several
    are split behind a line's end where one is near, and counted; the last is cut if need be.
    Every one holds the keyword, the last one (of whatever is left) ends with ``tail``. A room
    that is too small for marks is a bug of the caller's.
    """
    keyed = f"\n{keyword}" if keyword else ""
    whole = text + tail
    if len(whole) <= room:
        single = whole if keyword in whole else whole + keyed
        if measure(single) <= room:
            return [single]
    room -= measure(keyed)
    if pieces == 1:
        found = [_cut(text, room, measure, tail)]
    else:
        found = _split(text, room - measure(_COUNTER.format(pieces, pieces)), measure, pieces, tail)
        found = [_COUNTER.format(n, len(found)) + one for n, one in enumerate(found, 1)]
    return [one if keyword in one else one + keyed for one in found]


def _split(
    text: str, room: int, measure: Callable[[str], int], pieces: int, tail: str
) -> list[str]:
    found: list[str] = []
    while len(found) < pieces - 1:
        if len(text) <= room and measure(text + tail) <= room:
            break
        piece = _prefix(text, room, measure)
        end = piece.rfind("\n") + 1
        # A line's end that is far back would waste a part, of which there are few.
        piece = piece[:end] if 2 * end > len(piece) else piece
        found.append(piece)
        text = text[len(piece) :]
    return [*found, _cut(text, room, measure, tail)]


def _cut(text: str, room: int, measure: Callable[[str], int], tail: str) -> str:
    if len(text) <= room and measure(text + tail) <= room:
        return text + tail
    return _prefix(text, room - measure(CUT_MARK + tail), measure) + CUT_MARK + tail


def _prefix(text: str, room: int, measure: Callable[[str], int] = plain_bytes) -> str:
    """As much of the text as fits; no character takes less than a byte."""
    low, high = 0, min(len(text), max(room, 0))
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def wire(body: object) -> bytes:
    """A body as it is sent."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


# What answers mean


@dataclass(frozen=True, slots=True)
class Codes:
    """A platform's codes: in which member its answers hold them, and what they mean.

    A code of ``wait`` means "too often" and gives the least wait in seconds, one of ``often``
    does so if its text says it, one of ``again`` is trouble that may pass. All others are
    final, ``meanings`` or not.
    """

    member: tuple[str, ...]
    text: tuple[str, ...]
    wait: Mapping[int | str, int] = field(default_factory=dict)
    often: frozenset[int | str] = frozenset()
    again: frozenset[int | str] = frozenset()
    meanings: Mapping[int | str, str] = field(default_factory=dict)

    def judge(self, answer: Answer, now_ms: int, secrets: Iterable[str] = ()) -> Outcome:
        """The outcome that an answer means; it names no secret, whatever the answer repeats."""
        found = read(answer.body)
        code = code_of(found, *self.member)
        if code == 0 and answer.status < 300:
            return Delivered(answer.status)
        if code is None or code == 0:
            return by_status(answer, now_ms)
        text = shown(next((found[name] for name in self.text if name in found), ""), secrets)
        reason = f"{self.member[0]} {shown(code, secrets)}"
        if code in self.meanings:
            reason = f"{reason}: {self.meanings[code]}"
        wait_s = self.wait.get(code, 0)
        if answer.status == 429 or (code in self.often and _OFTEN.search(text)):
            wait_s = max(wait_s, PAUSE_S)
        if wait_s:
            return Throttled(now_ms + wait_s * 1000, reason, answer.status)
        if code in self.again or (answer.status >= 500 and code not in self.meanings):
            return Retry(reason, answer.status, answer=text)
        return Rejected(reason, answer.status, text)


def read(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer; empty if it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def by_status(answer: Answer, now_ms: int) -> Outcome:
    """The outcome of an answer that holds no code."""
    status = answer.status
    if status == 429:
        return Throttled(now_ms + PAUSE_S * 1000, "HTTP 429", status)
    if status >= 500:
        return Retry(f"HTTP {status}", status)
    if status < 300:
        return Retry(f"HTTP {status} without a code", status)
    return Rejected(f"HTTP {status}", status)


def shown(text: object, secrets: Iterable[str] = ()) -> str:
    """The first words of what a platform says, as one printable line without secrets."""
    found = str(text)[: 16 * _SNIPPET] if isinstance(text, str | int) else ""
    for secret in secrets:
        found = found.replace(secret, "***")
    printable = "".join(character if character.isprintable() else " " for character in found)
    return " ".join(printable.split())[:_SNIPPET]


def code_of(found: Mapping[str, Any], *members: str) -> int | str | None:
    """The first of the members that is there; a number if it is one or is written as one."""
    code = next((found[name] for name in members if name in found), None)
    if isinstance(code, str):
        return int(code) if re.fullmatch("-?[0-9]{1,9}", code) else code
    return code if isinstance(code, int) and not isinstance(code, bool) else None


async def in_order(calls: Iterable[Callable[[], Awaitable[Outcome]]]) -> Outcome:
    """Send the parts of a message; ends with the first that does not get through.

    A part that failed when others had been sent is tried a second time at once, because another
    attempt begins with the first part again.
    """
    outcome: Outcome = Delivered()
    spare = False
    for call in calls:
        outcome = await call()
        if spare and isinstance(outcome, Retry):
            spare = False
            outcome = await call()
        elif isinstance(outcome, Delivered):
            spare = True
        if not isinstance(outcome, Delivered):
            break
    return outcome


# The adapter


@dataclass(frozen=True, slots=True)
class Target:
    """A group's bot: where it is and what protects it."""

    url: str
    keyword: str
    secret: str
    secrets: tuple[str, ...]


class WebhookBot(ABC):
    """An adapter of bots behind webhooks; what is a platform's own is for a subclass to say."""

    protocols: tuple[str, ...] = ()
    notice = ""

    OFFICIAL: ClassVar[tuple[str, ...]]
    PATH: ClassVar[re.Pattern[str]]
    """Of the endpoint, behind the base URL; its group ``token`` is the endpoint's secret."""
    EXAMPLE: ClassVar[str]
    CODES: ClassVar[Codes]
    DIGEST_BYTES: ClassVar[int] = 12_000
    """Of a digest's text: what is surely not cut, whatever stands around it."""

    def __init__(self, ports: Ports, settings: WebhookSettings, *rates: Rate) -> None:
        self.limits = Limits(
            max_bytes=_OWN_BYTES + self.DIGEST_BYTES if settings.digest else 262_144,
            confirm=False,
            secret_endpoint=True,
            rates=settings.rates(*rates),
            digest=settings.digest,
        )
        self._settings = settings
        self._clock = ports.clock
        self._guard = ports.guard
        self._transport = ports.transport
        self._bases = (*self.OFFICIAL, *settings.base_urls)

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Codes: SMN.0012 for what is no bot's webhook, SMN.0069 for an internal address.

        Nobody resolves the name: it is the platform's or the operator's own, and every address
        is looked at when it is connected to.
        """
        del protocol, extension
        if self._token(endpoint) is None:
            raise Refused("SMN.0012", f"It must be a bot's webhook such as {self.EXAMPLE}.")
        self._guard.check_url(endpoint)

    def prepare(self, subscription: Subscription) -> Target:
        """What every send needs."""
        keyword = str(subscription.extension.get("keyword") or "")
        secret = str(subscription.extension.get("sign_secret") or "")
        token = self._token(subscription.endpoint)
        secrets = tuple(one for one in (subscription.endpoint, token, secret) if one)
        return Target(subscription.endpoint, keyword, secret, secrets)

    def render(self, message: Message, protocol: str) -> Post:
        """What all see; bodies differ by keyword and signature."""
        return compose(message, protocol)

    def size(self, content: Post) -> int:
        """Bytes of all bodies of one delivery; of a digest, which must not be cut, as it is."""
        if content.merged:
            names = (*content.at.mobiles, *content.at.users)
            return _OWN_BYTES + json_bytes(content.text) + sum(2 * json_bytes(n) for n in names)
        return _OWN_BYTES + sum(len(wire(body)) for body in self.bodies(content, ""))

    def merge(self, contents: Sequence[Post]) -> Post:
        """All texts below their headings, a blank line between them, and all who are mentioned.

        It is Markdown if one of them is.
        """
        first = contents[0]
        return Post(
            first.message_id,
            "\n\n".join(post.headed for post in contents),
            title=first.title,
            markdown=any(post.markdown for post in contents),
            color=next((post.color for post in contents if post.color), ""),
            at=At(
                everyone=any(post.at.everyone for post in contents),
                mobiles=tuple(dict.fromkeys(n for post in contents for n in post.at.mobiles)),
                users=tuple(dict.fromkeys(n for post in contents for n in post.at.users)),
            ),
            merged=True,
        )

    async def send(self, content: Post, prepared: Target) -> Outcome:
        """One request a part, signed when it goes."""
        bodies = self.bodies(content, prepared.keyword)
        if not bodies:
            return Rejected("mentions leave no room for the text")

        def call(body: dict[str, Any]) -> Callable[[], Awaitable[Outcome]]:
            return lambda: self._post(body, prepared)

        return await in_order(call(body) for body in bodies)

    async def close(self) -> None:  # noqa: B027 - for all of them: the transport is the engine's
        """Nothing of its own to release."""

    @abstractmethod
    def bodies(self, post: Post, keyword: str) -> list[dict[str, Any]]:
        """The bodies of a message; none if there is no room for its text."""

    def signed(
        self, url: str, body: dict[str, Any], secret: str, now_ms: int
    ) -> tuple[str, dict[str, Any]]:
        """URL and body with a signature; as they are where there is no such thing."""
        del secret, now_ms
        return url, body

    async def _post(self, body: dict[str, Any], target: Target) -> Outcome:
        url = target.url
        if target.secret:
            url, body = self.signed(url, body, target.secret, self._clock.now_ms())
        try:
            answer = await self._transport.post(
                self._transport.parse(url), JSON_HEADERS, wire(body)
            )
        except AddressRefused as error:
            return Rejected(str(error))
        except TransportError as error:
            return Retry(str(error))
        return self.CODES.judge(answer, self._clock.now_ms(), target.secrets)

    def _token(self, endpoint: str) -> str | None:
        """The secret in an endpoint; None if it is none of these bots'."""
        for base in self._bases:
            if endpoint[: len(base)].lower() == base.lower():
                found = self.PATH.fullmatch(endpoint, len(base))
                if found is not None:
                    return found["token"]
        return None


async def ask(
    gateway: Gateway, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Answer | Outcome:
    """POST to a platform's API; what the lack of an answer means for a message."""
    try:
        return await gateway.request("POST", url, {**JSON_HEADERS, **(headers or {})}, wire(body))
    except AddressRefused as error:
        return Rejected(str(error))
    except TransportError as error:
        return Retry(str(error))


def room_for(limit: int, empty: Mapping[str, Any], *extra: int) -> int:
    """Bytes left for the text in a body that is limited as a whole; 0 if that is hardly any."""
    room = limit - len(wire(empty)) - sum(extra)
    return room if room >= _LEAST_ROOM else 0
