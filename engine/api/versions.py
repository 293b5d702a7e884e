"""Version documents: GET /, GET /v2, and the identity service's GET /v3."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from engine.api.answers import Shape
from engine.api.bodies import Shown
from engine.api.identity_shown import OneIdentityVersion
from engine.api.routes import Auth, Route

if TYPE_CHECKING:
    from engine.api.call import Call


class Link(Shown):
    """A link."""

    href: str
    rel: str


class Version(Shown):
    """A version of the SMN API."""

    id: str
    links: list[Link]
    min_version: str
    status: str
    updated: str
    version: str


class Versions(Shown):
    """All of them."""

    versions: list[Version]


class OneVersion(Shown):
    """One of them."""

    version: Version


async def list_versions(call: Call) -> dict[str, Any]:
    """All versions, that is one."""
    return {"versions": [_v2(call.origin)]}


async def list_version(call: Call) -> dict[str, Any]:
    """The version that clients ask for by path."""
    return {"version": _v2(call.origin)}


async def identity_version(call: Call) -> dict[str, Any]:
    """What Keystone clients look at before they log in; they need exactly this shape."""
    return {
        "version": {
            "id": "v3.6",
            "status": "stable",
            "updated": "2018-01-01T00:00:00Z",
            "links": [{"rel": "self", "href": f"{call.origin}/v3/"}],
            "media-types": [],
        }
    }


def _v2(origin: str) -> dict[str, Any]:
    return {
        "id": "v2",
        "links": [{"href": f"{origin}/v2", "rel": "self"}],
        "min_version": "",
        "status": "CURRENT",
        "updated": "2018-09-19T00:00:00Z",
        "version": "",
    }


_public = partial(Route, auth=Auth.NONE)
_identity = partial(Route, auth=Auth.NONE, shape=Shape.KEYSTONE)

ROUTES: Final = (
    _public("ListVersions", "GET", "/", list_versions, answer=Versions),
    _public("ListVersion", "GET", "/v2", list_version, answer=OneVersion),
    _public("ListVersion", "GET", "/v2/", list_version, answer=OneVersion),
    _identity("ShowIdentityVersion", "GET", "/v3", identity_version, answer=OneIdentityVersion),
    _identity("ShowIdentityVersion", "GET", "/v3/", identity_version, answer=OneIdentityVersion),
)
