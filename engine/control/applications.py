"""Applications of mobile push: what may be one, and finding them.

The vendor has withdrawn them; without an adapter for ``application`` they are not supported.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final

from engine.control.windows import window
from engine.errors import Refused
from engine.models import Listing
from engine.policy import texts
from engine.policy.structure import PLATFORMS
from engine.urns import ApplicationUrn, parse_application

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.models import Topic
    from engine.ports import Adapter
    from engine.store.applications import Application, ApplicationRecords
    from engine.store.homes import Homes

PROTOCOL: Final = "application"
MAX_NAME: Final = 64
_MAX_SECRET_BYTES: Final = 8192
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
# SMN "Creating a Platform Application": what Huawei's own platform gives its developers.
_HMS_PRINCIPAL: Final = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)
_HMS_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9]{32,64}", re.ASCII)


class Applications:
    """Applications of all projects; every method raises `Refused` with the contract's code."""

    def __init__(
        self,
        records: ApplicationRecords,
        homes: Homes,
        adapters: Mapping[str, Adapter[Any, Any]],
        region: str,
    ) -> None:
        self._records = records
        self._homes = homes
        self._adapters = adapters
        self._region = region

    async def create(
        self, project_id: str, platform: str, name: str, secrets: tuple[str, str]
    ) -> tuple[str, str, bool]:
        """URN and id of a new application or the same one; the flag says whether it is new.

        ``secrets`` are principal and credential. Codes: SMN.0115 name, SMN.0116 platform,
        SMN.0118/0119/0120/0124 secrets, SMN.0121 another of that name.
        """
        self.check_supported()
        if _NAME.fullmatch(name) is None:
            raise Refused("SMN.0115", f"It has 1 to {MAX_NAME} letters, digits and underscores.")
        check_platform(platform)
        _check_secrets(platform, *secrets)
        urn = ApplicationUrn(self._region, project_id, platform, name)
        made = await self._records.create(urn, *secrets)
        if made is None:
            raise Refused("SMN.0121")
        identifier, new = made
        await self._homes.open(project_id, str(urn), name, home_id=identifier)
        return str(urn), identifier, new

    async def list(
        self,
        project_id: str,
        *,
        prefix: str | None = None,
        platform: str | None = None,
        marker: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Listing[Application]:
        """A window of a project's, oldest first, and the number of all of them.

        ``prefix`` is what the name begins with; it begins after the one with the URN ``marker``.
        Code: SMN.0116 for a platform that there is not.
        """
        self.check_supported()
        if platform is not None:
            check_platform(platform)
        if prefix is None and platform is None and marker is None:
            return await self._records.page(project_id, offset, limit)
        urns = [
            urn
            for urn in await self._records.urns(project_id)
            if urn.name.startswith(prefix or "") and platform in {None, urn.platform}
        ]
        is_marker = None if marker is None else lambda urn: str(urn) == marker
        part = window(urns, is_marker, offset, limit)
        return Listing(tuple(await self._records.read_many(part)), len(urns))

    async def get(self, project_id: str, urn: str) -> Application:
        """Codes: SMN.0123 malformed, SMN.0001 another project's, SMN.0122 unknown."""
        self.check_supported()
        parts = parse_application(urn)
        if parts.project_id != project_id:
            raise Refused("SMN.0001")
        found = await self.find(parts)
        if found is None:
            raise Refused("SMN.0122")
        return found

    async def find(self, parts: ApplicationUrn) -> Application | None:
        """The application with this URN; None if there is none."""
        return await self._records.read(parts) if parts.region == self._region else None

    async def update(self, project_id: str, urn: str, secrets: tuple[str, str]) -> None:
        """Replace principal and credential; codes as `create` and `get`."""
        self.check_supported()
        _check_secrets(parse_application(urn).platform, *secrets)
        application = await self.get(project_id, urn)
        if not await self._records.update(application, *secrets):
            raise Refused("SMN.0122")

    async def delete(self, project_id: str, urn: str) -> None:
        """Delete with all endpoints; what waits for them is withdrawn. Codes as `get`."""
        application = await self.get(project_id, urn)
        # First, so that whoever dies in between leaves an application to be deleted again.
        await self._homes.retire(project_id, application.id)
        if not await self._records.delete(application):
            raise Refused("SMN.0122")

    async def home(self, application: Application) -> Topic:
        """Where the application's messages belong; code SMN.0122 once it is being deleted."""
        home = await self._homes.open(
            application.parts.project_id,
            application.urn,
            application.parts.name,
            home_id=application.id,
        )
        if home is None:
            raise Refused("SMN.0122")
        return home

    async def named(self, project_id: str, name: str) -> Sequence[Application]:
        """The applications of this name, one a platform at most."""
        if _NAME.fullmatch(name) is None:
            return []
        urns = (ApplicationUrn(self._region, project_id, one, name) for one in sorted(PLATFORMS))
        found = await asyncio.gather(*(self.find(urn) for urn in urns))
        return [one for one in found if one is not None]

    async def with_id(self, project_id: str, identifier: str) -> Sequence[Application]:
        """The application with this id, if there is one."""
        names = {one.name for one in await self._records.all(project_id) if one.id == identifier}
        found = [one for name in names for one in await self.named(project_id, name)]
        return [one for one in found if one.id == identifier]

    async def all(self, project_id: str) -> Sequence[Topic]:
        """What queries of tags search of a project's applications, supported or not."""
        return await self._records.all(project_id)

    def check_supported(self) -> None:
        """Code SMN.0116 if nothing speaks to mobile platforms."""
        if PROTOCOL not in self._adapters:
            raise Refused("SMN.0116", "No adapter for mobile push is enabled.")


def check_platform(platform: str) -> None:
    """Code SMN.0116 for none of the contract's."""
    if platform not in PLATFORMS:
        raise Refused("SMN.0116", f"It is one of {', '.join(sorted(PLATFORMS))}.")


def _check_secrets(platform: str, principal: str, credential: str) -> None:
    for text, code in ((principal, "SMN.0119"), (credential, "SMN.0120")):
        if not 0 <= texts.size(text) <= _MAX_SECRET_BYTES:
            raise Refused(code)
    if platform == "HMS":
        if not (_HMS_PRINCIPAL.fullmatch(principal) and _HMS_CREDENTIAL.fullmatch(credential)):
            raise Refused(
                "SMN.0124",
                "Of HMS the principal has 1 to 20, the credential 32 to 64 letters and digits.",
            )
        return
    try:
        decoded = [
            base64.b64decode("".join(t.split()), validate=True) for t in (principal, credential)
        ]
    except (binascii.Error, ValueError) as error:
        raise Refused("SMN.0118", "Certificate and key are base64.") from error
    if not all(decoded):
        raise Refused("SMN.0118", "Certificate or key is empty.")
