"""Routes as data, and the lookup of one by method and raw path.

Paths are matched on the raw text split at literal slashes, then each segment is decoded once:
the official SDK encodes ``:`` and ``/`` inside a value, other clients do not. aiohttp's own
router decodes before it matches, so it cannot tell the two slashes apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from engine.api.answers import Failure, Reply, Shape
from engine.errors import CATALOG

if TYPE_CHECKING:
    from engine.api.bodies import Body, Query, Shown
    from engine.api.call import Call
    from engine.policy.conditions import Facts

PROJECT: Final = "/v2/{project_id}/notifications"
TOPICS: Final = f"{PROJECT}/topics"
TOPIC: Final = f"{TOPICS}/{{topic_urn}}"

MAX_BODY: Final = 12 * 1024 * 1024
"""Bytes of a request body (SMN "Constraints": the gateway's limit for signed requests)."""
MAX_PUBLIC_BODY: Final = 64 * 1024
"""Anybody may send these, so that they get no more than a log-in needs."""

_SHORT: Final = 512
"""Characters of a path that is worth remembering."""

Handler = Callable[["Call"], Awaitable[dict[str, Any] | Reply]]


class Auth(Enum):
    """Who may call."""

    NONE = "none"
    """Anybody; credentials that arrive are ignored, since SDKs sign every call."""
    CALLER = "caller"
    """A token or a signature; a project in the path must be the caller's."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What the audit calls an operation (SMN "Key Operations Supported by CTS")."""

    name: str
    resource_type: str


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    ``path`` is a template with ``{name}`` for a segment. ``success`` is the status of a body
    that the handler returns bare; ``also`` lists its other good ones. ``quiet`` keeps successes
    out of the log. ``changes`` marks a GET that changes something: its handler is called for HEAD,
    too, and must only look then.

    ``query`` and ``body`` are what is read from the request, ``answer`` is what a success shows.
    ``errors`` are the contract codes of its own, beside those that models and paths imply;
    where the status is not the catalogue's it goes before: ``"400 SMN.0022"``.
    ``headers`` are the request headers that it reads, each with what it means;
    ``content_type`` is that of a success without an ``answer``.
    ``action`` is the IAM action that the caller needs, or a function that finds it where it
    depends on what is asked; ``topic_action`` is the one by which a topic's access policy can
    let another account in. ``trace`` says how it is audited.

    For callers whose permission depends on what is acted upon: ``facts`` tells what there is to
    know of each part of the body, ``names`` the URNs of subscriptions in it; ``searches`` says
    that the handler shows only what the caller may see (`engine.api.authorise.visible`).
    """

    operation: str
    method: str
    path: str
    handler: Handler
    query: type[Query] | None = None
    body: type[Body] | None = None
    answer: type[Shown] | None = None
    errors: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    auth: Auth = Auth.CALLER
    action: str | Callable[[Call], str] = ""
    topic_action: str = ""
    facts: Callable[[Call], Awaitable[Iterable[Facts]]] | None = None
    names: Callable[[Call], Iterable[str]] | None = None
    searches: bool = False
    trace: Trace | None = None
    success: int = 200
    also: tuple[int, ...] = ()
    shape: Shape = Shape.SMN
    changes: bool = False
    quiet: bool = False

    @property
    def max_body(self) -> int:
        """Bytes of a request body."""
        return MAX_BODY if self.auth is Auth.CALLER else MAX_PUBLIC_BODY


def declared(error: str) -> tuple[int, str]:
    """Status and code of an entry of `Route.errors`; `LookupError` if it has no status."""
    status, space, code = error.rpartition(" ")
    return (int(status) if space else CATALOG[code][0]), code


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)


class Router:
    """Finds the route of a request; a literal segment goes before a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        # Publishers send to the same path again and again.
        self._known = lru_cache(maxsize=1024)(self._look_up)
        self._root = _Node()
        for route in routes:
            self._add(route)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its decoded path parameters.

        Raises `Failure` 404 APIGW.0101 with the contract's two texts, and 400 APIGW.0201 for a
        path that is not UTF-8.
        """
        look_up = self._known if len(path) <= _SHORT else self._look_up
        route, parameters = look_up(method, path)
        return route, dict(parameters)

    def _look_up(self, method: str, path: str) -> tuple[Route, tuple[tuple[str, str], ...]]:
        segments = _decode(path)
        values: list[str] = []
        node = _walk(self._root, segments, 0, values)
        if node is None:
            raise Failure(
                404,
                "APIGW.0101",
                "The API does not exist or has not been published in the environment.",
            )
        known = node.routes.get("GET" if method == "HEAD" else method)
        if known is None:
            raise Failure(404, "APIGW.0101", "The API does not exist.")
        route, names = known
        return route, tuple(zip(names, values, strict=True))

    def _add(self, route: Route) -> None:
        node = self._root
        names = []
        for part in route.path.split("/")[1:]:
            if part.startswith("{"):
                names.append(part[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(part, _Node())
        if route.method in node.routes:
            raise ValueError(f"Two operations claim {route.method} {route.path}.")
        node.routes[route.method] = route, tuple(names)


def _walk(node: _Node, segments: tuple[str, ...], index: int, values: list[str]) -> _Node | None:
    if index == len(segments):
        return node if node.routes else None
    literal = node.literals.get(segments[index])
    if literal is not None:
        found = _walk(literal, segments, index + 1, values)
        if found is not None:
            return found
    if node.parameter is None or not segments[index]:
        return None
    values.append(segments[index])
    found = _walk(node.parameter, segments, index + 1, values)
    if found is None:
        values.pop()
    return found


def _decode(path: str) -> tuple[str, ...]:
    segments = path.split("/")[1:]
    try:
        # A path of raw non-ASCII bytes arrives with surrogates in their place.
        path.encode("ascii")
        if "%" not in path:
            return tuple(segments)
        return tuple(unquote(segment, errors="strict") for segment in segments)
    except UnicodeError as error:
        raise Failure(400, "APIGW.0201", "The path is not percent-encoded UTF-8.") from error
