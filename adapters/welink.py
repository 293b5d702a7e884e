"""WeLink groups: protocol ``welink``.

The endpoint is a group's number; an application (``client_id``, ``client_secret``) speaks to it.
SMN does not say how; calls, bodies and codes are those of WeLink's open platform: an access token
from ``/api/auth/v2/tickets``, then "send a message to a group". A text travels as XML in XML.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from pydantic import Field, field_validator

from adapters._bot_codes import PAUSE_S, Codes, code_of, read
from adapters._bot_fitting import fit
from adapters._bot_posts import Post, compose
from adapters._bot_requests import ask, in_order, wire
from adapters._bot_settings import BotSettings, base_url
from adapters._tokens import App, Token, Tokens, token_of
from engine.models import Limits, Message, Outcome, Subscription
from engine.ports import Answer, PlainAdapter

if TYPE_CHECKING:
    from engine.ports import Ports

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (§2.2): control characters, which are shown as what they are not."""
_NO_TOKEN: Final = frozenset({1000, 47103})
_CODES: Final = Codes(
    member=("code",),
    text=("message",),
    wait={429: PAUSE_S},
    often=frozenset({403}),
    again=frozenset({500, 41502, 43999, 55004, 60011, 60012}),
    meanings={
        401: "the application may not do this",
        403: "the application may not do this",
        404: "there is no such call",
        43011: "the platform cannot read the message",
        47000: "the application may not do this",
        411000: "the platform cannot read the message",
        411007: "client_id or client_secret is wrong",
        60010: "client_id or client_secret is wrong",
    },
)


class WelinkSettings(BotSettings):
    """Settings of messages to WeLink groups."""

    url: str = Field(
        "https://open.welink.huaweicloud.com",
        description="WeLink's open platform; `https`, or a loopback address",
    )
    name: str = Field("SMN", min_length=1, max_length=64, description="whom messages are from")
    max_bytes: int = Field(
        10_000, ge=1000, le=262_144, description="longest text in bytes; the platform names none"
    )

    @field_validator("url")
    @classmethod
    def _safe_url(cls, value: str) -> str:
        return base_url(value)


@dataclass(frozen=True, slots=True)
class Group:
    """A group and the application that speaks to it."""

    app: App
    number: str
    subscription_id: str


class WelinkAdapter(PlainAdapter):
    """Speaks ``welink``."""

    protocols = ("welink",)
    # The platform says that its calls have rates, and not which.
    limits = Limits(confirm=False)

    def __init__(self, ports: Ports) -> None:
        self._settings = ports.configure(WelinkSettings)
        self._clock = ports.clock
        self._gateway = ports.gateway
        self._tokens = Tokens(ports.clock, self._token)

    def peer(self, subscription: Subscription) -> str:
        """A group of the application's organisation: another's may have the same number."""
        return f"{subscription.extension.get('client_id', '')}\n{subscription.endpoint}"

    def prepare(self, subscription: Subscription) -> Group:
        """Who speaks to whom."""
        given = subscription.extension
        app = App(str(given.get("client_id", "")), str(given.get("client_secret", "")))
        return Group(app, subscription.endpoint, subscription.id)

    def render(self, message: Message, protocol: str) -> Post:
        """What all see."""
        return compose(message, protocol)

    def size(self, content: Post) -> int:
        """Bytes of all parts of one delivery."""
        nobody = Group(App("", ""), "0" * 32, "")
        return sum(len(wire(body)) for body in self._bodies(content, nobody))

    async def send(self, content: Post, prepared: Group) -> Outcome:
        """One request a part, with the application's token."""

        def call(body: dict[str, Any]) -> Callable[[], Awaitable[Outcome]]:
            return lambda: self._tokens.use(
                prepared.app, lambda token: self._post(body, prepared, token)
            )

        return await in_order(call(body) for body in self._bodies(content, prepared))

    async def close(self) -> None:
        """Ask for no tokens any more."""
        await self._tokens.close()

    def _bodies(self, post: Post, group: Group) -> list[dict[str, Any]]:
        texts = fit(post.headed, self._settings.max_bytes, pieces=self._settings.pieces)
        return [
            {
                "app_service_info": {
                    "app_service_id": "1",
                    "app_service_name": self._settings.name,
                },
                # The same for every attempt, by which the platform can tell repeats.
                "app_msg_id": _identifier(post.message_id, group.subscription_id, number),
                "group_id": [group.number],
                "content": _xml(text),
                "content_type": 0,
                "client_app_id": "1",
            }
            for number, text in enumerate(texts)
        ]

    async def _post(self, body: Mapping[str, Any], group: Group, token: str) -> Outcome | None:
        url = f"{self._settings.url}/api/welinkim/v1/im-service/chat/group-chat"
        answer = await ask(self._gateway, url, body, {"x-wlk-Authorization": token})
        if not isinstance(answer, Answer):
            return answer
        if answer.status == 401 or code_of(read(answer.body), "code") in _NO_TOKEN:
            return None
        return _CODES.judge(answer, self._clock.now_ms(), (token, group.app.secret))

    async def _token(self, app: App) -> Token | Outcome:
        answer = await ask(
            self._gateway,
            f"{self._settings.url}/api/auth/v2/tickets",
            {"client_id": app.name, "client_secret": app.secret},
        )
        if not isinstance(answer, Answer):
            return answer
        found = read(answer.body)
        token = token_of(found, "access_token", "expires_in")
        if token is not None and code_of(found, "code") == 0:
            return token
        return _CODES.judge(answer, self._clock.now_ms(), (app.secret,))


def _identifier(*parts: object) -> str:
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:32]


def _xml(text: str) -> str:
    """A text as clients of the platform show it: as it is, and as HTML."""
    # XML has one form of line ends (§2.11).
    text = _NOT_XML.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    html = escape(text).replace("\n", "<BR/>")
    body = (
        f"<imbody><imagelist/><html>{_cdata(f'<DIV>{html}</DIV>')}</html>"
        f"<content>{_cdata(text)}</content></imbody>"
    )
    return f"<r><n></n><g>0</g><c>{escape(body)}</c></r>"


def _cdata(text: str) -> str:
    """A text between CDATA marks; the mark of their end is broken in two."""
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"
