"""One request on its way to a handler."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from engine.errors import Refused
from engine.iam.signature import SignedRequest
from engine.policy.conditions import NO_FACTS, Facts

if TYPE_CHECKING:
    from engine.api.bodies import Body, Query
    from engine.api.routes import Route
    from engine.api.services import Services
    from engine.iam.callers import Caller
    from engine.iam.signature import GetAll
    from engine.urns import TopicUrn

_MAX_PARAMETERS = 64

Subject = tuple["TopicUrn | None", Facts]
"""A topic, or none in particular, and what conditions of policies may ask about it."""


class Content:
    """A raw body and its SHA-256, computed at most once."""

    __slots__ = ("_digest", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._digest = ""

    def digest(self) -> str:
        """Hex SHA-256 of the body."""
        if not self._digest:
            self._digest = hashlib.sha256(self.raw).hexdigest()
        return self._digest


@dataclass(slots=True)
class Call:
    """What a handler gets.

    ``path`` holds the decoded path parameters, ``query`` the decoded pairs in their order.
    ``asked`` and ``body`` are the checked models of query and body, if the route has them.
    ``subjects`` are what the caller's permission is asked for, where that depends on facts.
    ``origin`` is the public base URL for links. ``caller`` is None on public routes;
    ``authentic`` says that it is proven, which takes until the body has been read. ``client`` is
    the address that the request comes from, ``host`` what a trusted proxy says was asked.
    ``implied`` are traces that the operation leaves before its own.
    """

    services: Services
    route: Route
    request_id: str
    path: dict[str, str]
    query: Sequence[tuple[str, str]]
    headers: GetAll
    origin: str
    content: Content
    method: str = "GET"
    raw_path: str = ""
    host: str | None = None
    client: str = ""
    caller: Caller | None = None
    authentic: bool = False
    asked: Query | None = None
    body: Body | None = None
    subjects: tuple[Subject, ...] = ((None, NO_FACTS),)
    implied: tuple[str, ...] = ()

    def header(self, name: str) -> str | None:
        """A header's value by its lower-case name; the first if there are more."""
        values = self.headers(name)
        return values[0] if values else None

    def parameter(self, name: str) -> str | None:
        """A query parameter; None if it is absent or empty, the first if there are more."""
        return next((value for known, value in self.query if known == name and value), None)

    @property
    def names_resource(self) -> bool:
        """Whether a header says that the resource in the path is named, not known by its id."""
        return (self.header("x-smn-resourceid-type") or "").strip().lower() == "name"

    @property
    def identity(self) -> Caller:
        """The caller of a route that demands one."""
        if self.caller is None:
            raise TypeError(f"{self.route.operation} has no caller")
        return self.caller

    def signed_request(self) -> SignedRequest:
        """What a signature of this request covers."""
        return SignedRequest(
            self.method,
            self.raw_path,
            self.query,
            self.headers,
            self.content.raw,
            self.content.digest,
            self.host,
        )


def parse_query(text: str) -> list[tuple[str, str]]:
    """Decode a raw query into pairs; raises `Refused` APIGW.0201 if there are too many."""
    if not text:
        return []
    if not text.isascii():
        # Raw bytes that are not UTF-8 arrive as surrogates, which nothing can encode again.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError as error:
        raise Refused("APIGW.0201", "The query cannot be read.") from error
