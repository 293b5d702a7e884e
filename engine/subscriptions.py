"""Subscriptions: add, confirm, cancel, list. The control plane's half of a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.models import Listing, Subscription


class Subscriptions:
    """Subscriptions of all topics; every method raises `Refused` with the contract's code."""

    async def add(
        self,
        topic_urn: str,
        protocol: str,
        endpoint: str,
        *,
        remark: str = "",
        extension: Mapping[str, object] | None = None,
        confirmed: bool = False,
    ) -> tuple[Subscription, bool]:
        """Add, or find the same (topic, protocol, endpoint); the flag says whether it is new.

        An unconfirmed one is invited (again), within the confirmation flow control.
        Codes: SMN.0005/0006 topic, SMN.0011 protocol, SMN.0012 endpoint, SMN.0017 remark,
        SMN.0043 extension, SMN.0069 internal endpoint, SMN.0007 quota.
        """
        raise NotImplementedError

    async def add_many(
        self, topic_urn: str, protocol: str, endpoints: Iterable[str]
    ) -> int:
        """Add the operator's own endpoints as confirmed; returns how many are new."""
        raise NotImplementedError

    async def list(
        self, project_id: str, *, offset: int = 0, limit: int = 100
    ) -> Listing[Subscription]:
        """All of a project, oldest first."""
        raise NotImplementedError

    async def list_by_topic(
        self, topic_urn: str, *, offset: int = 0, limit: int = 100
    ) -> Listing[Subscription]:
        """All of a topic, oldest first."""
        raise NotImplementedError

    async def delete(self, subscription_urn: str) -> None:
        """Remove by its owner; codes SMN.0014 malformed, SMN.0013 unknown."""
        raise NotImplementedError

    async def confirm(self, token: str, topic_urn: str | None = None) -> Subscription:
        """Confirm by the token of a link; twice is fine. Code: SMN.0022."""
        raise NotImplementedError

    async def unsubscribe(self, subscription_urn: str, sig: str | None = None) -> str:
        """Cancel by the link in a message; returns the link to subscribe again.

        Codes: SMN.0014, SMN.0013, and 403 SMN.0001 for a wrong or missing ``sig``.
        """
        raise NotImplementedError
