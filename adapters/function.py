"""Functions: the event of a FunctionGraph SMN trigger, posted to a function gateway.

Where it goes is the operator's URL template, filled in from the function's URN or the
workflow's id: FunctionGraph's own invocation API, OpenFaaS, Knative, or whatever else takes an
event by HTTP. A gateway that answers 2xx has taken the event; what the function makes of it is
not waited for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from adapters._aksk import signed
from adapters._answers import judge, snippet, timestamp
from engine.adapter_settings import AdapterSettings
from engine.errors import Refused
from engine.models import Limits, Message, Outcome, Rejected, Retry, Subscription
from engine.ports import PlainAdapter, TransportError

if TYPE_CHECKING:
    from engine.ports import Ports

FUNCTION: Final = "functionstage"
WORKFLOW: Final = "functiongraph"

_PLACES: Final = frozenset({"urn", "region", "project", "package", "name", "version"})
_WORKFLOW_PLACES: Final = frozenset({"id", "project"})
# What a caller's endpoint cannot steer a host name with: neither dot nor colon is in them.
_HOST_PLACES: Final = frozenset({"region", "project", "package", "name"})
_SAMPLE: Final = dict.fromkeys(_PLACES | _WORKFLOW_PLACES, "x")
# Separators that a path may hold (RFC 3986 §3.3), so that a URN is sent as FunctionGraph's
# documentation shows it.
_SAFE: Final = ":!"
# The subscriber's name in the event, an endpoint, is shorter than this.
_URN_BYTES: Final = 1024
_OWN_DOMAIN: Final = re.compile(r".*\}\.[A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9-]*(?::[0-9]+)?", re.ASCII)
_NO_URL: Final = re.compile(r"[^\x21-\x7e]|#")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]{0,8192}", re.ASCII)
# What the request itself decides.
_OWN_HEADERS: Final = frozenset(
    {"connection", "content-length", "content-type", "host", "transfer-encoding", "x-sdk-date"}
)


def _headers(given: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise ValueError(f"{name[:128]!r} cannot be a header of every request")
        if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(f"the value of {name} is not printable ASCII")
    return given


class FunctionSettings(AdapterSettings):
    """Where functions are and how the gateway knows us."""

    url: str = Field(
        "",
        description="where functions are invoked: a template with `{name}`, `{package}`,"
        " `{version}`, `{urn}`, `{project}` and `{region}`; enables `functionstage`",
    )
    workflow_url: str = Field(
        "",
        description="where workflows are started: a template with `{id}` and `{project}`"
        " (the topic's); enables `functiongraph`",
    )
    access_key: str = Field(
        "", pattern=r"^[!-+\--~]{0,128}$", description="access key that signs requests (AK/SK)"
    )
    secret_key: SecretStr = Field(SecretStr(""), description="its secret key")
    headers: Annotated[dict[str, SecretStr], AfterValidator(_headers)] = Field(
        default_factory=dict, description="headers of every request, such as `X-Auth-Token`"
    )
    projects: tuple[str, ...] = Field(
        (), description="projects whose functions may be subscribed; none = any"
    )
    max_bytes: int = Field(
        262_144, ge=1, description="longest event; FunctionGraph takes no longer one"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_template("url", self.url, _PLACES)
        _check_template("workflow_url", self.workflow_url, _WORKFLOW_PLACES)
        if bool(self.access_key) != bool(self.secret_key.get_secret_value()):
            raise ValueError("access_key and secret_key go together")
        if self.access_key and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("the signature has the header Authorization")
        return self


def _check_template(setting: str, template: str, places: frozenset[str]) -> None:
    """Raise ValueError for what does not make a URL, or lets callers choose the host."""
    if not template:
        return
    try:
        used = _used(template)
    except ValueError as error:
        raise ValueError(f"{setting} is not a template with plain {{name}}s") from error
    if not used <= places:
        raise ValueError(f"{setting} has an unknown {{{min(used - places)}}}")
    try:
        authority = urlsplit(template).netloc
        parts = urlsplit(template.format_map(_SAMPLE))
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"{setting} is not a URL") from error
    if not sound or _NO_URL.search(template) or "@" in authority:
        raise ValueError(f"{setting} is not an http or https URL, or has a user or a fragment")
    named = _used(authority)
    if not named <= _HOST_PLACES or (named and not _OWN_DOMAIN.fullmatch(authority)):
        raise ValueError(f"{setting} leaves the host to subscribers: give it a domain of its own")


def _used(template: str) -> set[str]:
    """The names in a template; ValueError for anything beyond plain names."""
    used = set()
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if spec or conversion or not name.isidentifier():
            raise ValueError("a name only")
        used.add(name)
    return used


@dataclass(frozen=True, slots=True)
class Event:
    """An event, but for the subscriber's name, which comes between its two pieces."""

    prefix: bytes
    suffix: bytes


class Target(NamedTuple):
    """Where to, and what the event calls it."""

    url: str
    urn: bytes


class FunctionAdapter(PlainAdapter):
    """Speaks ``functionstage`` and ``functiongraph`` where their gateways are configured."""

    def __init__(self, ports: Ports) -> None:
        self._clock = ports.clock
        self._gateway = ports.gateway
        self._settings = settings = ports.configure(FunctionSettings)
        self._headers = {"Content-Type": "application/json"} | {
            name: value.get_secret_value() for name, value in settings.headers.items()
        }
        templates = {FUNCTION: settings.url, WORKFLOW: settings.workflow_url}
        self._templates = {protocol: url for protocol, url in templates.items() if url}
        self.protocols = tuple(self._templates)
        self._secrets = tuple(value.get_secret_value() for value in settings.headers.values())
        self.limits = Limits(max_bytes=min(settings.max_bytes, 262_144), confirm=False)

    async def check(self, protocol: str, endpoint: str, extension: Mapping[str, object]) -> None:
        """Code SMN.0012: a version that is a path of its own, or a project that is not ours."""
        del extension
        if protocol != FUNCTION:
            return
        found = _parts(endpoint)
        if not found["version"].strip("."):
            raise Refused("SMN.0012", "The version is not one.")
        allowed = self._settings.projects
        if allowed and found["project"] not in allowed:
            raise Refused("SMN.0012", "Functions of that project cannot be subscribed here.")

    def prepare(self, subscription: Subscription) -> Target:
        """Fill in the URL, once per cached page."""
        endpoint = subscription.endpoint
        if subscription.protocol == FUNCTION:
            places = _parts(endpoint)
        else:
            places = {"id": endpoint, "project": subscription.topic_urn.split(":")[3]}
        encoded = {name: quote(value, safe=_SAFE) for name, value in places.items()}
        url = self._templates[subscription.protocol].format_map(encoded)
        return Target(url, endpoint.encode())

    def render(self, message: Message, protocol: str) -> Event:
        """The event (FunctionGraph "Supported Event Sources", SMN); a workflow's is its input."""
        attributes = [dict(one) for one in message.attributes]
        smn = {
            "type": "notification",
            "message_id": message.id,
            "topic_urn": message.topic_urn,
            "subject": message.subject or "",
            "message": message.text(protocol),
            "message_attributes": _json(attributes) if attributes else "",
            "timestamp": timestamp(message.created_ms),
        }
        before = '{"record":[{"event_version":"1.0","event_source":"smn","event_subscription_urn":"'
        after = f'","smn":{_json(smn)}}}]}}'
        if protocol == WORKFLOW:
            before, after = f'{{"input":{before}', f"{after}}}"
        return Event(before.encode(), after.encode())

    def size(self, content: Event) -> int:
        """Bytes of one body."""
        return len(content.prefix) + len(content.suffix) + _URN_BYTES

    async def send(self, content: Event, prepared: Target) -> Outcome:
        """POST once and judge the gateway's answer."""
        body = b"".join((content.prefix, prepared.urn, content.suffix))
        if len(body) > self._settings.max_bytes:
            return Rejected(f"the event is longer than {self._settings.max_bytes} bytes")
        now_ms = self._clock.now_ms()
        try:
            headers = self._authorised(prepared.url, body, now_ms)
            answer = await self._gateway.request("POST", prepared.url, headers, body)
        except TransportError as error:
            return error.outcome
        outcome = judge(answer, now_ms, self._secrets)
        if answer.status == 429 and isinstance(outcome, Rejected):
            # The gateway's own limit: another try may find it less busy.
            return Retry("HTTP 429", 429, answer=snippet(answer.body, self._secrets))
        return outcome

    def _authorised(self, url: str, body: bytes, now_ms: int) -> dict[str, str]:
        settings = self._settings
        if not settings.access_key:
            return self._headers
        return signed(
            "POST",
            url,
            self._headers,
            body,
            access_key=settings.access_key,
            secret_key=settings.secret_key.get_secret_value(),
            now_ms=now_ms,
        )


def _parts(urn: str) -> dict[str, str]:
    """``urn:fss:region:project:function:package:name[:version]``, checked before."""
    _, _, region, project, _, package, name, *version = urn.split(":")
    return {
        "urn": urn,
        "region": region,
        "project": project,
        "package": package,
        "name": name,
        "version": version[0] if version else "latest",
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
