"""Applications of mobile push and their endpoints, all in their project's own slot.

An endpoint is kept as ``enabled created JSON``, the JSON being ``[token, user_data]``. An
application's principal and credential are encrypted under the master key; what tells whether
they are the same is a keyed hash.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.models import Listing
from engine.store.scripts import script
from engine.urns import ApplicationUrn, EndpointUrn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.vault import Vault

_CREATE = script(__file__, "application_create")
_UPDATE = script(__file__, "application_update")
_DELETE = script(__file__, "application_delete")
_REGISTER = script(__file__, "device_create")
_CHANGE = script(__file__, "device_update")
_REMOVE = script(__file__, "device_delete")


@dataclass(frozen=True, slots=True)
class Application:
    """An application: ``id`` is also that of its home."""

    id: str
    parts: ApplicationUrn
    created_ms: int
    principal: str = field(repr=False)
    credential: str = field(repr=False)

    @property
    def urn(self) -> str:
        """Its URN."""
        return str(self.parts)


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


class ApplicationRecords:
    """Reads and writes applications and endpoints; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys, vault: Vault, region: str) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault
        self._region = region

    # Applications

    async def create(
        self, urn: ApplicationUrn, principal: str, credential: str
    ) -> tuple[str, bool] | None:
        """Create or find the same; the id and whether it is new, None if another has the name."""
        shard = self._keys.shard_of_name(urn.project_id, f"{urn.platform}:{urn.name}")
        identifier = self._keys.new_topic_id(shard)
        found, new = await self._store.run(
            _CREATE,
            (self._keys.project_applications(urn.project_id), self._key(urn)),
            (
                f"{urn.platform}:{urn.name}",
                identifier,
                *self._seal(identifier, principal, credential),
            ),
        )
        return (found.decode(), bool(new)) if found else None

    async def read(self, urn: ApplicationUrn) -> Application | None:
        """One application."""
        flat = await self._store.call("HGETALL", self._key(urn), repeatable=True)
        return self._application(urn, flat)

    async def update(self, application: Application, principal: str, credential: str) -> bool:
        """Replace the credentials; False if the application is gone."""
        sealed = self._seal(application.id, principal, credential)
        done = await self._store.run(
            _UPDATE, (self._key(application.parts),), (application.id, *sealed)
        )
        return bool(done)

    async def delete(self, application: Application) -> bool:
        """Remove with all endpoints; False if it is gone already."""
        urn = application.parts
        done = await self._store.run(
            _DELETE,
            (
                self._key(urn),
                self._keys.project_applications(urn.project_id),
                *self._device_keys(application),
            ),
            (f"{urn.platform}:{urn.name}", application.id),
        )
        return bool(done)

    async def page(self, project_id: str, offset: int, limit: int) -> Listing[Application]:
        """Oldest first, ties by platform and name."""
        index = self._keys.project_applications(project_id)
        total, members = await self._store.call_many(
            [("ZCARD", index), ("ZRANGE", index, offset, offset + limit - 1)],
            key=index,
            repeatable=True,
        )
        urns = [
            ApplicationUrn(self._region, project_id, *member.decode().split(":"))
            for member in members
        ]
        if not urns:
            return Listing((), total)
        flats = await self._store.call_many(
            [("HGETALL", self._key(urn)) for urn in urns], key=index, repeatable=True
        )
        found = (self._application(urn, flat) for urn, flat in zip(urns, flats, strict=True))
        return Listing(tuple(one for one in found if one is not None), total)

    # Endpoints

    async def register(
        self, application: Application, token: str, user_data: str
    ) -> tuple[Device, bool] | None:
        """Add an endpoint, or find that of the token; None if the application is gone."""
        identifier = secrets.token_hex(16)
        digest = self._digest(application, token)
        verdict, known, value = await self._store.run(
            _REGISTER,
            (self._key(application.parts), *self._device_keys(application)),
            (application.id, identifier, digest, _encode(token, user_data)),
        )
        if verdict == b"gone":
            return None
        device = _device(application.parts, known.decode(), value)
        return device, verdict == b"new"

    async def device(self, application: Application, identifier: str) -> Device | None:
        """One endpoint."""
        _, records, _ = self._device_keys(application)
        value = await self._store.call("HGET", records, identifier, repeatable=True)
        return _device(application.parts, identifier, value) if value else None

    async def change(
        self,
        application: Application,
        device: Device,
        *,
        enabled: bool | None,
        user_data: str | None,
    ) -> bool:
        """Change what is given of an endpoint and keep the rest; False if it is gone."""
        _, records, _ = self._device_keys(application)
        done = await self._store.run(
            _CHANGE,
            (records,),
            (
                device.parts.id,
                "" if enabled is None else int(enabled),
                int(user_data is not None),
                user_data or "",
            ),
        )
        return bool(done)

    async def remove(self, application: Application, device: Device) -> bool:
        """Remove an endpoint; False if it is gone already."""
        done = await self._store.run(
            _REMOVE,
            self._device_keys(application),
            (device.parts.id, self._digest(application, device.token)),
        )
        return bool(done)

    async def devices(self, application: Application, offset: int, limit: int) -> Listing[Device]:
        """An application's endpoints, oldest first, ties by id."""
        order, records, _ = self._device_keys(application)
        total, members = await self._store.call_many(
            [("ZCARD", order), ("ZRANGE", order, offset, offset + limit - 1)],
            key=order,
            repeatable=True,
        )
        if not members:
            return Listing((), total)
        values = await self._store.call("HMGET", records, *members, repeatable=True)
        return Listing(
            tuple(
                _device(application.parts, member.decode(), value)
                for member, value in zip(members, values, strict=True)
                if value is not None
            ),
            total,
        )

    def _key(self, urn: ApplicationUrn) -> str:
        return self._keys.project_application(urn.project_id, urn.platform, urn.name)

    def _device_keys(self, application: Application) -> tuple[str, str, str]:
        keys, place = self._keys, (application.parts.project_id, application.id)
        return (
            keys.project_devices(*place),
            keys.project_device(*place),
            keys.project_tokens(*place),
        )

    def _seal(self, identifier: str, principal: str, credential: str) -> tuple[str, str, str]:
        context = f"application:{identifier}"
        return (
            self._vault.encrypt(principal, context),
            self._vault.encrypt(credential, context),
            self._vault.keyed_hash(f"{principal}\n{credential}", "application"),
        )

    def _application(self, urn: ApplicationUrn, flat: Sequence[bytes]) -> Application | None:
        stored = dict(zip(flat[::2], (one.decode() for one in flat[1::2]), strict=True))
        if not stored:
            return None
        context = f"application:{stored[b'id']}"
        return Application(
            stored[b"id"],
            urn,
            int(stored[b"created"]),
            self._vault.decrypt(stored[b"principal"], context),
            self._vault.decrypt(stored[b"credential"], context),
        )

    def _digest(self, application: Application, token: str) -> str:
        return self._vault.keyed_hash(f"{application.id}\n{token}", "device")


def _encode(token: str, user_data: str) -> str:
    return json.dumps([token, user_data], separators=(",", ":"), ensure_ascii=False)


def _device(urn: ApplicationUrn, identifier: str, value: bytes) -> Device:
    enabled, created, body = value.split(b" ", 2)
    token, user_data = json.loads(body)
    return Device(EndpointUrn(urn, identifier), token, user_data, enabled == b"1", int(created))
