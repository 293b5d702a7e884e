"""Version documents: GET /, GET /v2, and the identity service's GET /v3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.api.call import Call


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
