"""Topics: create, read, update, delete, list. The control plane's half of a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.models import Listing, Topic


class Topics:
    """Topics of all projects; every method raises `Refused` with the contract's code."""

    async def create(
        self,
        project_id: str,
        name: str,
        *,
        display_name: str = "",
        enterprise_project_id: str = "0",
    ) -> tuple[Topic, bool]:
        """Create, or find the one of that name; the flag says whether it is new.

        Codes: SMN.0002 name, SMN.0003 display_name over 192 bytes, SMN.0004 quota.
        """
        raise NotImplementedError

    async def get(self, urn: str) -> Topic:
        """Codes: SMN.0005 malformed URN, SMN.0006 unknown."""
        raise NotImplementedError

    async def update(self, urn: str, *, display_name: str) -> Topic:
        """Change the display name; codes as `create` and `get`."""
        raise NotImplementedError

    async def delete(self, urn: str) -> None:
        """Delete with everything that belongs to it; the purge goes on in the background."""
        raise NotImplementedError

    async def list(self, project_id: str, *, offset: int = 0, limit: int = 100) -> Listing[Topic]:
        """Newest first (SMN API, "Order")."""
        raise NotImplementedError
