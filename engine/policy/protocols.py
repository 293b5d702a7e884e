"""The contract's protocols as one table: endpoint, extension, confirmation, secrecy.

Adapters may narrow what is said here and do not repeat it; a protocol that is not here belongs
to an adapter of somebody else's, which alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.policy import endpoints, extensions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.policy.extensions import Extension


@dataclass(frozen=True, slots=True)
class Rule:
    """One protocol: ``endpoint`` says what is wrong, ``extension`` what is kept.

    Where endpoints may be URLs or something else, ``for_urls`` says what is kept beside a URL.
    ``confirm``: nobody is sent anything before they agreed. ``secret``: whoever knows the
    endpoint can use it, so that it is kept encrypted and masked. ``own``: the endpoint is the URN
    of something of a project, which alone may have messages sent to it.
    """

    endpoint: Callable[[str], str]
    extension: Callable[[Extension], dict[str, object]] = extensions.nothing
    for_urls: Callable[[Extension], dict[str, object]] | None = None
    confirm: bool = False
    secret: bool = False
    own: bool = False


# [+][country code]number; E.164 has at most 15 digits, and no service code has fewer than 5.
_PHONE: Final = endpoints.formed(
    r"\+[1-9][0-9]{4,14}|[0-9]{5,15}", "a phone number such as +8613600000000"
)
_CONVERSATION: Final = endpoints.formed(
    r"[A-Za-z0-9+/=_-]{1,256}", "a robot's URL or an openConversationId"
)

TABLE: Final[Mapping[str, Rule]] = {
    "email": Rule(endpoints.mail, confirm=True),
    "sms": Rule(_PHONE, extensions.coded, confirm=True),
    "functionstage": Rule(
        endpoints.formed(
            r"urn:fss:[A-Za-z0-9-]{1,63}:[A-Za-z0-9]{1,64}:function"
            r":[A-Za-z0-9_-]{1,128}:[A-Za-z0-9_-]{1,128}(?::[A-Za-z0-9._!-]{1,64})?",
            "a function's URN such as urn:fss:region:project:function:default:name:latest",
        )
    ),
    "functiongraph": Rule(endpoints.formed(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", "a workflow's id")),
    "http": Rule(endpoints.web("http"), extensions.headers, confirm=True),
    "https": Rule(endpoints.web("https"), extensions.headers, confirm=True),
    "callnotify": Rule(_PHONE, extensions.coded, confirm=True),
    "wechat": Rule(endpoints.url, secret=True),
    "dingding": Rule(
        endpoints.group_robot(_CONVERSATION),
        extensions.app,
        for_urls=extensions.keyword_and_secret,
        secret=True,
    ),
    "feishu": Rule(endpoints.url, extensions.keyword_or_secret, secret=True),
    "welink": Rule(endpoints.formed(r"[0-9]{1,32}", "a group's number"), extensions.client),
    "dingTalkBot": Rule(endpoints.formed(r"[A-Za-z0-9_.@-]{1,64}", "a user's id"), extensions.app),
    "application": Rule(
        endpoints.formed(
            r"urn:smn:[a-z0-9-]{1,63}:[0-9a-f]{32}:endpoint"
            r":[A-Za-z0-9_]{1,32}:[A-Za-z0-9_-]{1,64}:[0-9a-f]{32}",
            "an application endpoint's URN",
        ),
        own=True,
    ),
}


def check(protocol: str, endpoint: str, extension: Extension) -> dict[str, object]:
    """The extension as it is to be kept.

    Raises `Refused`: SMN.0012 not an endpoint of the protocol, SMN.0043 extension.
    """
    rule = TABLE.get(protocol)
    if rule is None:
        return dict(extension)
    fault = _fault(rule, endpoint)
    if fault:
        raise Refused("SMN.0012", fault)
    if rule.for_urls is not None and endpoints.is_url(endpoint):
        return rule.for_urls(extension)
    return rule.extension(extension)


def check_project(protocol: str, endpoint: str, project_id: str) -> None:
    """Whether topics of a project may send to an endpoint of its form, whether or not it exists.

    Raises `Refused` SMN.0012.
    """
    rule = TABLE.get(protocol)
    if rule is not None and rule.own and endpoint.split(":")[3] != project_id:
        raise Refused("SMN.0012", "It must be of the topic's own project.")


def is_public(protocol: str, endpoint: str) -> bool:
    """Whether a text is an endpoint of a protocol of the table whose endpoints are no secrets."""
    rule = TABLE.get(protocol)
    return rule is not None and not rule.secret and not _fault(rule, endpoint)


def _fault(rule: Rule, endpoint: str) -> str:
    """What is wrong with an endpoint, or ''."""
    if len(endpoint) > endpoints.MAX_LENGTH:
        return f"It has at most {endpoints.MAX_LENGTH} characters."
    return rule.endpoint(endpoint)
