"""Finds the devices of mobile push for those who send to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.ports import MobileDevice
from engine.urns import parse_endpoint

if TYPE_CHECKING:
    from engine.ports import Clock
    from engine.store.applications import Application, ApplicationRecords
    from engine.store.devices import DeviceRecords
    from engine.urns import ApplicationUrn

# An application has many devices, and its secrets take two decryptions: they are kept for a
# moment. Deleting it deletes its devices, which are always asked for.
_KEPT_MS: Final = 2_000
_MOST: Final = 256


class DeviceFinder:
    """The ``Devices`` port."""

    def __init__(
        self, applications: ApplicationRecords, devices: DeviceRecords, clock: Clock, region: str
    ) -> None:
        self._applications = applications
        self._devices = devices
        self._clock = clock
        self._region = region
        self._kept: dict[ApplicationUrn, tuple[Application, int]] = {}

    async def find(self, urn: str) -> MobileDevice | None:
        """The device with this URN, None if there is none."""
        try:
            parts = parse_endpoint(urn)
        except Refused:
            return None
        application = await self._application(parts.application)
        if application is None:
            return None
        device = await self._devices.read(application, parts.id)
        if device is None:
            return None
        return MobileDevice(
            platform=parts.application.platform,
            token=device.token,
            enabled=device.enabled,
            principal=application.principal,
            credential=application.credential,
        )

    async def _application(self, urn: ApplicationUrn) -> Application | None:
        now_ms = self._clock.now_ms()
        found, until_ms = self._kept.get(urn, (None, 0))
        if now_ms < until_ms:
            return found
        found = await self._applications.read(urn) if urn.region == self._region else None
        if found is None:
            self._kept.pop(urn, None)
            return None
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[urn] = found, now_ms + _KEPT_MS
        return found
