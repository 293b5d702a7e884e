"""What the service offers: protocols, and cloud services that topics can be opened to."""

from __future__ import annotations

from typing import Any, Final

from engine.api.bodies import Requested, Shown
from engine.api.call import Call
from engine.api.routes import Route

_BASE: Final = "/v2/notifications"
_CLOUD_SERVICES: Final = {"obs": "OBS", "vod": "VOD", "mts": "MPC", "live": "LIVE"}
"""Name in access policies → name for people (SMN "Querying Cloud Services")."""


class CloudService(Shown):
    """A service that an access policy can let publish."""

    name: str
    show_name: str


class CloudServiceList(Requested):
    """All of them."""

    cloud_services: list[CloudService]


class ProtocolList(Requested):
    """Protocols that have an adapter."""

    protocols: list[str]


async def list_cloud_services(call: Call) -> dict[str, Any]:
    """What ``Service`` in access policies is called."""
    return {
        "request_id": call.request_id,
        "cloud_services": [
            {"name": name, "show_name": shown} for name, shown in _CLOUD_SERVICES.items()
        ],
    }


async def list_protocols(call: Call) -> dict[str, Any]:
    """What this server can deliver by."""
    return {"request_id": call.request_id, "protocols": list(call.services.engine.adapters)}


ROUTES: Final = (
    Route(
        "ListCloudService",
        "GET",
        f"{_BASE}/cloud_service",
        list_cloud_services,
        answer=CloudServiceList,
    ),
    Route(
        "ListCloudServices",
        "GET",
        f"{_BASE}/cloud-services",
        list_cloud_services,
        answer=CloudServiceList,
    ),
    Route("ListProtocols", "GET", f"{_BASE}/protocols", list_protocols, answer=ProtocolList),
)
