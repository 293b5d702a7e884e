"""Endpoints of applications: devices that can be pushed to, and publishing to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.control.applications import PROTOCOL
from engine.control.windows import window
from engine.errors import Refused
from engine.models import Kind, Listing
from engine.pipeline.accept import Draft
from engine.policy import texts
from engine.policy.structure import parse_push
from engine.urns import parse_endpoint

if TYPE_CHECKING:
    from engine.control.applications import Applications
    from engine.pipeline.direct import Direct
    from engine.store.applications import Application
    from engine.store.devices import Device, DeviceRecords

MAX_TOKEN_BYTES: Final = 512
MAX_USER_DATA_BYTES: Final = 2048
_MAX_BYTES: Final = {"HMS": 2048, "APNS": 4096, "APNS_SANDBOX": 4096}


class Devices:
    """Endpoints of all applications; every method raises `Refused` with the contract's code."""

    def __init__(self, records: DeviceRecords, applications: Applications, direct: Direct) -> None:
        self._records = records
        self._applications = applications
        self._direct = direct

    async def register(
        self, project_id: str, application_urn: str, token: str, user_data: str
    ) -> tuple[Device, bool]:
        """Add a device, or find the same; the flag says whether it is new.

        Codes: SMN.0131 token, SMN.0132 user_data, SMN.0133 a token with other user_data, and
        those of `Applications.get`.
        """
        self._applications.check_supported()
        if not 1 <= texts.size(token) <= MAX_TOKEN_BYTES or not texts.is_line(token):
            raise Refused("SMN.0131", f"It has 1 to {MAX_TOKEN_BYTES} bytes.")
        _check_user_data(user_data)
        application = await self._applications.get(project_id, application_urn)
        made = await self._records.register(application, token, user_data)
        if made is None:
            raise Refused("SMN.0122")
        device, new = made
        if device.user_data != user_data:
            raise Refused("SMN.0133")
        return device, new

    async def list(
        self,
        application: Application,
        *,
        token: str | None = None,
        user_data: str | None = None,
        enabled: bool | None = None,
        marker: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Listing[Device]:
        """A window of an application's that are so, oldest first, and the number of all of them.

        It begins after the one with the URN ``marker``; if that is none of them, with nothing.
        """
        if token is not None:
            one = await self._records.find(application, token)
            so = (
                one is not None
                and user_data in {None, one.user_data}
                and enabled in {None, one.enabled}
            )
            found = [one] if one is not None and so else []
            is_marker = None if marker is None else lambda device: device.urn == marker
            return Listing(tuple(window(found, is_marker, offset, limit)), len(found))
        return await self._records.page(
            application,
            offset,
            limit,
            user_data=user_data,
            enabled=enabled,
            after=None if marker is None else _id_in(application, marker),
        )

    async def get(self, project_id: str, urn: str) -> tuple[Application, Device]:
        """Codes: SMN.0134 malformed, SMN.0001 another project's, SMN.0125 unknown."""
        self._applications.check_supported()
        parts = parse_endpoint(urn)
        if parts.application.project_id != project_id:
            raise Refused("SMN.0001")
        application = await self._applications.find(parts.application)
        if application is None:
            raise Refused("SMN.0125")
        device = await self._records.read(application, parts.id)
        if device is None:
            raise Refused("SMN.0125")
        return application, device

    async def update(
        self, project_id: str, urn: str, *, enabled: bool | None, user_data: str | None
    ) -> None:
        """Change what is given; codes as `register` and `get`."""
        self._applications.check_supported()
        _check_user_data(user_data or "")
        application, device = await self.get(project_id, urn)
        if not await self._records.change(
            application, device, enabled=enabled, user_data=user_data
        ):
            raise Refused("SMN.0125")

    async def delete(self, project_id: str, urn: str) -> None:
        """Remove; codes as `get`."""
        application, device = await self.get(project_id, urn)
        if not await self._records.remove(application, device):
            raise Refused("SMN.0125")

    async def publish(
        self,
        project_id: str,
        urn: str,
        message: str,
        *,
        structure: str | None = None,
        ttl: int | None = None,
    ) -> str:
        """Send a message to one device; returns its id.

        ``structure``, JSON with a content for each platform, goes before ``message``. Codes:
        SMN.0021 structure, SMN.0009 message, SMN.0136 a disabled endpoint, APIGW.0201 ttl.
        """
        self._applications.check_supported()
        platform = parse_endpoint(urn).application.platform
        text = message if structure is None else parse_push(structure, platform)
        most = _MAX_BYTES.get(platform, 0)
        if most and not 1 <= texts.size(text) <= most:
            raise Refused("SMN.0009", f"On {platform} it has 1 to {most} bytes of UTF-8.")
        application, device = await self.get(project_id, urn)
        if not device.enabled:
            raise Refused("SMN.0136", "The endpoint is disabled.")
        return await self._direct.send(
            await self._applications.home(application),
            Kind.DIRECT,
            (device.parts.id, PROTOCOL, device.urn),
            Draft({"default": text}, ttl_s=ttl),
        )


def _id_in(application: Application, urn: str) -> str:
    """The id of the application's endpoint with this URN; a text that is none's for another."""
    try:
        parts = parse_endpoint(urn)
    except Refused:
        return urn
    return parts.id if parts.application == application.parts else urn


def _check_user_data(text: str) -> None:
    if not 0 <= texts.size(text) <= MAX_USER_DATA_BYTES:
        raise Refused("SMN.0132", f"It has at most {MAX_USER_DATA_BYTES} bytes of UTF-8.")
