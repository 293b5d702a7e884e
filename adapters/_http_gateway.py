"""An HTTP gateway that the operator describes: what a request looks like, what answers mean.

SMS and calls have no common wire format; nearly every supplier has one request for each. So the
settings hold a template of it, and rules that sort the answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from adapters import _answers
from adapters._phone import digits, topic_name
from engine.adapter_settings import AdapterSettings
from engine.models import Delivered, Message, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer, TransportError

if TYPE_CHECKING:
    from typing import Self

    from engine.ports import Clock, Gateway

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

PLACEHOLDERS: Final = (
    "number",
    "digits",
    "text",
    "message_id",
    "subject",
    "topic",
    "kind",
    "link",
    "code",
)
"""What a template may ask for, beside the names of ``secrets``."""
_HEADER_PLACEHOLDERS: Final = ("number", "digits", "message_id")
_PLACEHOLDER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_SAMPLE_NUMBER: Final = "+" + "9" * 15
# Shorter values would turn up in answers by chance.
_MASKED_FROM: Final = 6


def _texts(given: object) -> object:
    """One value or a list of them, each as JSON writes it, texts without quotes."""
    values = given if isinstance(given, list) else [given]
    return [_text(value) for value in values]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Rule = dict[str, Annotated[list[str], BeforeValidator(_texts)]]
"""Path in a JSON answer, like ``data.0.code`` → the values that fulfil the rule."""


class HttpGatewaySettings(AdapterSettings):
    """The request and the rules."""

    url: str = Field("", description="URL of the gateway")
    method: Literal["POST", "PUT", "GET"] = Field("POST", description="`POST`, `PUT` or `GET`")
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="table of headers; values are never shown"
    )
    secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="table of further placeholders; values are never shown",
    )
    content_type: Literal["application/json", "application/x-www-form-urlencoded"] = Field(
        JSON, description="what the body is, and so how placeholders in it are escaped"
    )
    body: str = Field(
        '{"to": "{number}", "text": "{text}", "id": "{message_id}"}',
        description="template of the body",
    )
    success_statuses: list[int] = Field(
        default_factory=list, description="HTTP statuses of success; default: 200 to 299"
    )
    success_json: Rule = Field(
        default_factory=dict,
        description="table of JSON path → value or list of values that success has as well",
    )
    success_pattern: str = Field(
        "", description="regular expression that the body of a success contains"
    )
    throttled_json: Rule = Field(
        default_factory=dict, description="as `success_json`: what asks to wait"
    )
    retry_json: Rule = Field(
        default_factory=dict, description="as `success_json`: what another try may mend"
    )
    throttle_seconds: float = Field(
        60, gt=0, le=86_400, description="wait when the gateway asks for one and says no time"
    )
    timeout: float = Field(5, gt=0, le=600, description="seconds for the gateway's complete answer")

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError("a header's name is not one")
            if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
                raise ValueError(f"the value of header {name} is not printable ASCII")
        return headers

    @field_validator("success_pattern")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _whole(self) -> Self:
        """Find at start what would fail with every message."""
        if self.speaks_http:
            self._check_secrets()
            self._check_request()
        return self

    def _check_secrets(self) -> None:
        if self.secrets.keys() & set(PLACEHOLDERS):
            raise ValueError(f"secrets have names of their own, none of {_listed(PLACEHOLDERS)}")
        for value in self.headers.values():
            asked = set(_PLACEHOLDER.findall(value.get_secret_value()))
            if not asked <= {*_HEADER_PLACEHOLDERS, *self.secrets}:
                raise ValueError(
                    f"headers may hold the placeholders {_listed(_HEADER_PLACEHOLDERS)} only"
                )
            for name in asked & self.secrets.keys():
                if not _HEADER_VALUE.fullmatch(self.secrets[name].get_secret_value()):
                    raise ValueError(f"the secret {name} is not printable ASCII")

    def _check_request(self) -> None:
        parts = urlsplit(self.url)
        if not parts.hostname or _PLACEHOLDER.search(parts.netloc):
            raise ValueError("url has no host")
        body = "" if self.method == "GET" else self.body
        found = set(_PLACEHOLDER.findall(self.url + body))
        unknown = sorted(found - {*PLACEHOLDERS, *self.secrets})
        if unknown:
            raise ValueError(f"there is no placeholder {{{unknown[0]}}}: {_listed(PLACEHOLDERS)}")
        for needed in (("text", "code"), ("number", "digits")):
            if not found & set(needed):
                raise ValueError(f"neither url nor body holds {{{needed[0]}}}")
        if body and self.content_type == JSON:
            # Digits alone may stand where JSON has a number.
            sample = dict.fromkeys(found, "+") | {"digits": "1"}
            try:
                json.loads(_fill(body, sample, _in_json))
            except ValueError as error:
                raise ValueError("body is not JSON when its placeholders are filled") from error

    @property
    def speaks_http(self) -> bool:
        """Whether the URL is one of HTTP."""
        return urlsplit(self.url).scheme in {"http", "https"}


@dataclass(frozen=True, slots=True)
class Form:
    """What one message has for placeholders, but for the number, and the bytes of a request."""

    values: Mapping[str, str]
    size: int


class HttpGateway:
    """Makes requests of messages, and outcomes of answers."""

    def __init__(self, settings: HttpGatewaySettings, gateway: Gateway, clock: Clock) -> None:
        self._settings = settings
        self._gateway = gateway
        self._clock = clock
        self._secrets = {name: one.get_secret_value() for name, one in settings.secrets.items()}
        self._headers = {n: one.get_secret_value() for n, one in settings.headers.items()}
        self._escape = _in_json if settings.content_type == JSON else _in_url
        self._pattern = re.compile(settings.success_pattern)
        self._statuses = frozenset(settings.success_statuses or range(200, 300))
        self._hidden = [
            word
            for value in (*self._secrets.values(), *self._headers.values())
            for word in (value, *value.split())
            if len(word) >= _MASKED_FROM
        ]

    def render(self, message: Message, text: str) -> Form:
        """What all recipients share."""
        values = {
            "text": text,
            "message_id": message.id,
            "subject": message.subject or "",
            "topic": topic_name(message),
            "kind": message.kind.value,
            "link": message.link or "",
            "code": message.code or "",
        }
        url, _, body = self._request(values, _SAMPLE_NUMBER)
        return Form(values, len(url) + len(body))

    async def send(self, form: Form, number: str) -> Outcome:
        """One request."""
        settings = self._settings
        url, headers, body = self._request(form.values, number)
        try:
            answer = await self._gateway.request(
                settings.method, url, headers, body, timeout_s=settings.timeout
            )
        except TransportError as error:
            return Retry(str(error))
        return self._judge(answer)

    async def close(self) -> None:
        """Nothing of its own: the way out is the engine's."""

    def _request(self, values: Mapping[str, str], number: str) -> tuple[str, dict[str, str], bytes]:
        settings = self._settings
        filled = {
            **self._secrets,
            **values,
            "number": number,
            "digits": digits(number),
        }
        url = _fill(settings.url, filled, _in_url)
        headers = {name: _fill(value, filled, str) for name, value in self._headers.items()}
        if settings.method == "GET":
            return url, headers, b""
        if "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = f"{settings.content_type}; charset=utf-8"
        return url, headers, _fill(settings.body, filled, self._escape).encode()

    def _judge(self, answer: Answer) -> Outcome:
        """Waiting first, then success, then whether to try again."""
        settings, status, now_ms = self._settings, answer.status, self._clock.now_ms()
        throttled = _answers.throttle(answer, now_ms)
        if throttled is not None:
            return throttled
        read = _read(answer.body)
        wait_until_ms = now_ms + int(settings.throttle_seconds * 1000)
        if status == HTTPStatus.TOO_MANY_REQUESTS or _fulfils(read, settings.throttled_json):
            return Throttled(wait_until_ms, f"HTTP {status}", status)
        if self._succeeded(answer, read):
            return Delivered(status)
        said = _answers.snippet(answer.body, self._hidden)
        reason = f"HTTP {status}"
        if status in self._statuses:
            reason += ", but the answer is not that of a success"
        # What should be JSON and is not comes from elsewhere: nobody knows what became of it.
        foreign = bool(settings.success_json) and status in self._statuses and read is None
        unanswered = _fulfils(read, settings.retry_json)
        if status >= 500 or foreign or unanswered:
            return Retry(reason, status, answer=said, unanswered=unanswered)
        return Rejected(reason, status, said)

    def _succeeded(self, answer: Answer, read: object) -> bool:
        rule, pattern = self._settings.success_json, self._pattern
        if answer.status not in self._statuses:
            return False
        if not all(_fulfils(read, {path: values}) for path, values in rule.items()):
            return False
        return not pattern.pattern or bool(pattern.search(answer.body.decode(errors="replace")))


def _fill(template: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """The template with its placeholders replaced, in one pass: values are not templates."""
    return _PLACEHOLDER.sub(lambda found: escape(values[found[1]]), template)


def _in_json(value: str) -> str:
    """As it stands within a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _in_url(value: str) -> str:
    """As it stands in a query or a form: UTF-8, per cent (RFC 3986 §2.1)."""
    return quote(value, safe="")


def _read(body: bytes) -> object:
    """The answer as JSON, None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _fulfils(read: object, rule: Mapping[str, list[str]]) -> bool:
    """Whether the answer has one of the values at one of the paths."""
    return any(
        found is not _NOWHERE and _text(found) in values
        for path, values in rule.items()
        for found in (_at(read, path),)
    )


_NOWHERE: Final = object()


def _at(read: object, path: str) -> object:
    """What a dotted path leads to."""
    for step in path.split("."):
        if isinstance(read, dict) and step in read:
            read = read[step]
        elif isinstance(read, list) and step.isdecimal() and int(step) < len(read):
            read = read[int(step)]
        else:
            return _NOWHERE
    return read


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
