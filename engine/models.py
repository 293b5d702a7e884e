"""What the engine talks about: topics, subscriptions, messages and what became of a delivery.

Plain frozen values without behaviour of their own; the edges (API, settings) validate with
pydantic and hand these inwards. All times are milliseconds since the epoch, UTC, as Redis
tells them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

PAGE_SEATS: Final = 256
"""Subscriptions in a page: large enough that Redis costs nothing per delivery, small enough
that a batch of hung endpoints holds little."""

RICH: Final = ":rich"
"""Follows a protocol in the name of its content's object form (`Message.rich`)."""

INLINE: Final = -1
"""The page of a recipient who sits in no roster: the message itself holds it."""


NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
"""The extension of a subscription that has none."""


class Status(IntEnum):
    """A subscription's status as the contract numbers it (SMN API, ListSubscriptions)."""

    UNCONFIRMED = 0
    CONFIRMED = 1
    CANCELLED = 3


class Kind(StrEnum):
    """Why a message exists. All but notifications are addressed to one recipient."""

    NOTIFICATION = "notification"
    CONFIRMATION = "confirmation"
    CANCELLATION = "cancellation"
    DETECTION = "detection"
    DIRECT = "direct"
    USER_CONFIRMATION = "user_confirmation"
    """To an endpoint of a subscription user: the link by which it agrees, or returns."""
    USER_CANCELLATION = "user_cancellation"
    """To one that has agreed: the link by which it leaves."""


class SubscriptionUser(NamedTuple):
    """A recipient of an account, whose endpoints topics may take over.

    They are kept as the subscriptions of a hidden topic of the user's own, whose project is the
    account's domain and whose id is the user's: an endpoint agrees to the user as another does
    to a topic, in the same way and by the same messages.
    """

    name: str
    groups: tuple[str, ...]
    protocols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KmsBinding:
    """The key that a topic's content is encrypted with; ``id`` names the binding."""

    id: str
    key_id: str


class Topic(NamedTuple):
    """A topic. ``id`` is 32 hex digits and never reused; ``urn`` is its public name.

    ``user`` is set for the hidden topic of a subscription user. A plain tuple, since one list may
    be about thousands.
    """

    id: str
    urn: str
    name: str
    project_id: str
    display_name: str
    enterprise_project_id: str
    created_ms: int
    updated_ms: int
    kms: KmsBinding | None = None
    user: SubscriptionUser | None = None


@dataclass(frozen=True, slots=True)
class FilterPolicy:
    """The values of one message attribute that a subscription wants (``string_equals``)."""

    name: str
    string_equals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a topic; an unset one has an empty text and no times."""

    text: str = ""
    created_ms: int = 0
    updated_ms: int = 0


@dataclass(frozen=True, slots=True)
class Logtank:
    """Where a topic's delivery log can be read: a log group and stream of LTS."""

    id: str
    group_id: str
    stream_id: str
    created_ms: int
    updated_ms: int


class Subscription(NamedTuple):
    """One endpoint's wish for one topic's messages.

    ``page`` and ``seat`` say where the roster keeps it (`INLINE`: nowhere); ``first`` is the
    sequence number of the first message it receives (0 until it is confirmed).
    """

    id: str
    topic_id: str
    topic_urn: str
    protocol: str
    endpoint: str
    status: Status
    page: int
    seat: int
    first: int = 0
    remark: str = ""
    extension: Mapping[str, object] = NOTHING
    created_ms: int = 0
    filters: tuple[FilterPolicy, ...] = ()

    @property
    def urn(self) -> str:
        """The subscription's URN: the topic's, a colon and the id (SMN API, "Conventions")."""
        return f"{self.topic_urn}:{self.id}"


class SubscriptionCard(NamedTuple):
    """What lists search of a subscription; ``order`` is its place in them, as a text.

    Other members as in `Subscription`, the remark in lower case. A plain tuple, since one list
    may be about tens of thousands; those of one page share topic and protocol.
    """

    order: str
    topic_id: str
    id: str
    protocol: str
    page: int
    seat: int
    status: Status
    endpoint: str
    remark: str


@dataclass(frozen=True, slots=True)
class NotifyPolicy:
    """Whom a topic's calls go to: subscription ids by the order of their round."""

    id: str
    polling: Mapping[int, tuple[str, ...]]


class Message(NamedTuple):
    """A message as it was accepted: immutable, stored once.

    ``content`` maps a protocol, or ``default``, to the text its subscribers receive; what a
    group bot is to show beyond text is JSON beside it (`rich`). ``attributes`` are checked ones
    (`engine.policy.attributes`). ``link``
    is the confirmation or re-subscription link of an addressed message, ``code`` what confirms
    where there is no link, ``recipient`` the sealed recipient of one that goes to nobody in the
    roster (`engine.store.recipients`).
    """

    id: str
    topic_id: str
    topic_urn: str
    project_id: str
    kind: Kind
    content: Mapping[str, str]
    created_ms: int
    deadline_ms: int
    subject: str | None = None
    attributes: tuple[Mapping[str, object], ...] = ()
    link: str | None = None
    locale: str = ""
    topic_name: str = ""
    display_name: str = ""
    recipient: str | None = None
    code: str | None = None

    def text(self, protocol: str) -> str:
        """The content for one protocol."""
        found = self.content.get(protocol)
        return self.content["default"] if found is None else found

    def rich(self, protocol: str) -> Mapping[str, Any] | None:
        """The object form of the content for a group bot, if it was published as one.

        ``{"msgType": "text" | "markdown", "content": text}`` and, where they were given,
        ``title``, ``color`` and ``at`` (``isAtAll``, ``atMobiles``, ``atUserIds``). `text` is
        its content in any case, for adapters that show nothing but text.
        """
        found = self.content.get(protocol + RICH)
        return None if found is None else json.loads(found)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint took the message. ``code`` is its protocol's answer, 0 if it has none."""

    code: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed in a way that another may not.

    ``after_ms`` is a lower bound for the wait that the endpoint asked for. ``unanswered``: the
    recipient was called and did not take it, so that it is the turn of others where a polling
    policy names them (`Limits.rounds`). ``once``: after a second attempt it is final.
    """

    reason: str
    code: int = 0
    after_ms: int = 0
    answer: str = ""
    unanswered: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class Throttled:
    """The endpoint, or a limit of its own, asks to wait until ``until_ms``; spends no try."""

    until_ms: int
    reason: str = "throttled"
    code: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """The endpoint will never take this message."""

    reason: str
    code: int = 0
    answer: str = ""


Failure = Retry | Throttled | Rejected
Outcome = Delivered | Failure
"""What an adapter returns for one attempt; anything it raises is a bug, not an answer."""


class End(StrEnum):
    """How a delivery ended for good."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"
    LIMITED = "limited"
    FILTERED = "filtered"
    WITHDRAWN = "withdrawn"
    LOST = "lost"
    WORKER_CRASH = "worker_crash"

    @property
    def log_status(self) -> str | None:
        """The status in the delivery log (SMN "Collecting Logs"), None where no line is due."""
        return _LOG_STATUS[self]

    @property
    def buried(self) -> bool:
        """Whether the delivery becomes a dead letter."""
        return self not in _UNBURIED


_UNBURIED: Final = frozenset({End.DELIVERED, End.FILTERED, End.WITHDRAWN})
_LOG_STATUS: Final[Mapping[End, str | None]] = {
    End.DELIVERED: "DELIVERED",
    End.REJECTED: "FAIL_DELIVERED",
    End.EXHAUSTED: "FAIL_DELIVERED",
    End.EXPIRED: "FAIL_DELIVERED",
    End.LIMITED: "REJECTED",
    End.FILTERED: None,
    End.WITHDRAWN: None,
    End.LOST: "FAIL_DELIVERED",
    End.WORKER_CRASH: "FAIL_DELIVERED",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a delivery: when it began, how long it took, what came back."""

    at_ms: int
    took_ms: int
    code: int
    reason: str


NOTHING_SENT: Final = -1
"""Milliseconds that an end without an attempt took, as the log keeps them."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One ended delivery, as the delivery log keeps it (SMN "Collecting Logs from SMN").

    ``kind`` is the message's `Kind`, '' if the message was gone.
    """

    message_id: str
    project_id: str
    topic_urn: str
    subscriber_urn: str
    protocol_name: str
    endpoint: str
    status: str
    http_code: int
    create_ms: int
    send_ms: int
    attempts: tuple[Attempt, ...] = ()
    reason: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who called; ``access_key`` is empty unless the request was signed with one."""

    user_id: str
    user_name: str
    domain_id: str
    domain_name: str
    access_key: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One recorded call of the API (SMN "Key Operations Supported by CTS").

    ``request`` and ``response`` are JSON without secrets, bounded in size, or empty. ``id`` and
    ``recorded_ms`` are known once it is kept.
    """

    trace_name: str
    resource_type: str
    operation: str
    project_id: str
    request_id: str
    at_ms: int
    code: int
    read_only: bool
    source_ip: str
    actor: Actor
    resource_id: str = ""
    resource_name: str = ""
    request: str = ""
    response: str = ""
    id: str = ""
    recorded_ms: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that ended undelivered and can be redriven.

    ``topic_urn`` is the topic's, or the home's of direct messages.
    """

    message_id: str
    topic_id: str
    topic_urn: str
    protocol: str
    page: int
    seat: int
    subscription_id: str
    endpoint: str
    reason: str
    end: End
    code: int
    answer: str
    tries: int
    buried_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What an adapter declares of its protocol; the engine enforces it.

    ``max_bytes`` bounds what is merged of several messages; a single one is the adapter's to cut,
    split or reject if its platform takes less, since only that knows how much it is once
    rendered. ``confirm`` says whether a subscription must be confirmed; ``rates`` bound the
    attempts, all of them at once (none: as fast as it goes); ``digest`` says that what has to
    wait for them is merged (`ports.Merging`), ``rounds`` that whom a topic's polling policy
    names has its turn round by round; ``secret_endpoint`` marks endpoints that are secrets
    themselves and are kept encrypted; ``confirmations`` are windows of confirmation messages
    for one endpoint.
    """

    max_bytes: int = 262_144
    confirm: bool = True
    rates: tuple[Rate, ...] = ()
    digest: bool = False
    rounds: bool = False
    secret_endpoint: bool = False
    confirmations: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` attempts in *any* ``period_s`` seconds, as the platform documents it.

    At one endpoint; or, if ``of`` names a member of the extension, by all subscriptions of the
    protocol that have the same value there, whatever their endpoints: by one application. A
    subscription with that member is bound by such rates alone, all others by the endpoint's.

    The engine keeps ``margin_s`` more between them: attempts start a little late, and travel
    for different times. Half of it is how late an attempt may start; one that is later waits
    for another turn. Raises `ValueError` for a rate that nothing, or everything, would keep to.
    """

    count: int
    period_s: float
    margin_s: float
    of: str = ""

    def __post_init__(self) -> None:
        if self.count < 1 or self.period_s <= 0 or self.margin_s < 0:
            raise ValueError(f"a rate needs a count, a period and no negative margin: {self}")


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``count`` events in ``period_s`` seconds; one more blocks for ``penalty_s``."""

    count: int
    period_s: int
    penalty_s: int


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """One page of a list and the number of all matches, whatever offset and limit were."""

    items: tuple[Item, ...]
    total: int
