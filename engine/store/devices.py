"""Endpoints of applications: the devices that can be pushed to, all in their project's own slot.

One is kept as ``enabled created JSON``, the JSON being ``[token, user_data]``. Lists that are
filtered are lists of their own, all in one sorted set by name: an entry is the list's name, the
time of creation and the endpoint's id, so that any window of any of them is found alike.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.models import Listing
from engine.store.scripts import script
from engine.urns import EndpointUrn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.store.applications import Application
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.urns import ApplicationUrn
    from engine.vault import Vault

_CREATE = script(__file__, "device_create")
_REWRITE = script(__file__, "device_rewrite")
_LIST = script(__file__, "devices_list")
_CHANGED = 2

Changes = Callable[["Device"], tuple[bool, str]]
"""Whether a device is enabled, and its user data, from now on."""


@dataclass(frozen=True, slots=True)
class Device:
    """An endpoint of an application: a device that can be pushed to."""

    parts: EndpointUrn
    token: str
    user_data: str
    enabled: bool
    created_ms: int

    @property
    def urn(self) -> str:
        """Its URN."""
        return str(self.parts)


class DeviceRecords:
    """Reads and writes endpoints; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys, vault: Vault) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault

    async def register(
        self, application: Application, token: str, user_data: str
    ) -> tuple[Device, bool] | None:
        """Add an endpoint, or find that of the token; None if the application is gone."""
        place = application.parts
        verdict, known, value = await self._store.run(
            _CREATE,
            (
                self._keys.project_application(place.project_id, place.platform, place.name),
                *self._of(application),
            ),
            (
                application.id,
                secrets.token_hex(16),
                self._digest(application, token),
                _encode(token, user_data),
                *_lists(user_data, enabled=True),
            ),
        )
        if verdict == b"gone":
            return None
        return _device(application.parts, known.decode(), value), verdict == b"new"

    async def read(self, application: Application, identifier: str) -> Device | None:
        """One endpoint."""
        value = await self._value(application, identifier)
        return _device(application.parts, identifier, value) if value else None

    async def find(self, application: Application, token: str) -> Device | None:
        """The endpoint of this token."""
        _, _, tokens = self._of(application)
        known = await self._store.call(
            "HGET", tokens, self._digest(application, token), repeatable=True
        )
        return await self.read(application, known.decode()) if known else None

    async def change(
        self,
        application: Application,
        device: Device,
        *,
        enabled: bool | None,
        user_data: str | None,
    ) -> bool:
        """Change what is given of an endpoint and keep the rest; False if it is gone."""

        def changed(now: Device) -> tuple[bool, str]:
            return (
                now.enabled if enabled is None else enabled,
                now.user_data if user_data is None else user_data,
            )

        return await self._rewrite(application, device, changed)

    async def remove(self, application: Application, device: Device) -> bool:
        """Remove an endpoint; False if it is gone already."""
        return await self._rewrite(application, device, None)

    async def page(
        self,
        application: Application,
        offset: int,
        limit: int,
        *,
        enabled: bool | None = None,
        user_data: str | None = None,
        after: str | None = None,
    ) -> Listing[Device]:
        """A window of an application's endpoints, oldest first, ties by id; one command.

        Only those with these properties; it begins after the one with the id ``after``.
        """
        by_list, records, _ = self._of(application)
        total, *flat = await self._store.run(
            _LIST, (by_list, records), (_list(enabled, user_data), offset, limit, after or "")
        )
        pairs = zip(flat[::2], flat[1::2], strict=True)
        found = (_device(application.parts, one.decode(), value) for one, value in pairs)
        return Listing(tuple(found), total)

    async def _rewrite(
        self, application: Application, device: Device, change: Changes | None
    ) -> bool:
        """Change an endpoint as it is now, or remove it; False if it is gone."""
        identifier, verdict = device.parts.id, _CHANGED
        while verdict == _CHANGED:
            value = await self._value(application, identifier)
            if value is None:
                return False
            now = _device(application.parts, identifier, value)
            entry = f"{now.created_ms}{identifier}"
            old = [name + entry for name in _lists(now.user_data, enabled=now.enabled)]
            new, written = [], ""
            if change is not None:
                enabled, user_data = change(now)
                new = [name + entry for name in _lists(user_data, enabled=enabled)]
                written = f"{int(enabled)} {now.created_ms} {_encode(now.token, user_data)}"
            verdict = await self._store.run(
                _REWRITE,
                self._of(application),
                (
                    identifier,
                    value,
                    written,
                    self._digest(application, now.token),
                    len(old),
                    *old,
                    *new,
                ),
            )
        return bool(verdict)

    async def _value(self, application: Application, identifier: str) -> bytes | None:
        _, records, _ = self._of(application)
        found: bytes | None = await self._store.call("HGET", records, identifier, repeatable=True)
        return found

    def _of(self, application: Application) -> tuple[str, str, str]:
        return device_keys(self._keys, application.parts.project_id, application.id)

    def _digest(self, application: Application, token: str) -> str:
        return self._vault.keyed_hash(f"{application.id}\n{token}", "device")


def device_keys(keys: Keys, project_id: str, application_id: str) -> tuple[str, str, str]:
    """An application's endpoints: by list, by id, and their ids by token."""
    of = project_id, application_id
    return keys.project_devices(*of), keys.project_device(*of), keys.project_tokens(*of)


def _lists(user_data: str, *, enabled: bool) -> Iterator[str]:
    """The names of all lists that an endpoint is in."""
    for flag in (None, enabled):
        for data in (None, user_data):
            yield _list(flag, data)


def _list(enabled: bool | None, user_data: str | None) -> str:  # noqa: FBT001 - a filter
    """The name of the list of endpoints with these properties; no name begins with another."""
    flag = "*" if enabled is None else str(int(enabled))
    data = "*" if user_data is None else hashlib.sha256(user_data.encode()).hexdigest()
    return f"{flag}:{data}:"


def _encode(token: str, user_data: str) -> str:
    return json.dumps([token, user_data], separators=(",", ":"), ensure_ascii=False)


def _device(urn: ApplicationUrn, identifier: str, value: bytes) -> Device:
    enabled, created, body = value.split(b" ", 2)
    token, user_data = json.loads(body)
    return Device(EndpointUrn(urn, identifier), token, user_data, enabled == b"1", int(created))
