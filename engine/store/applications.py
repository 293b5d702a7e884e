"""Applications of mobile push, all in their project's own slot.

An application's principal and credential are encrypted under the master key; what tells whether
they are the same is a keyed hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.models import Listing, Topic
from engine.store.devices import device_keys
from engine.store.scripts import script
from engine.urns import ApplicationUrn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.vault import Vault

_CREATE = script(__file__, "application_create")
_UPDATE = script(__file__, "application_update")
_DELETE = script(__file__, "application_delete")
_READ = script(__file__, "hashes_read")
_HEADS = script(__file__, "topics_read")


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


class ApplicationRecords:
    """Reads and writes applications; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys, vault: Vault, region: str) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault
        self._region = region

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
                *device_keys(self._keys, urn.project_id, application.id),
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
        urns = [self._urn(project_id, member) for member in members]
        return Listing(tuple(await self.read_many(urns)), total)

    async def urns(self, project_id: str) -> list[ApplicationUrn]:
        """All of a project, in the same order."""
        index = self._keys.project_applications(project_id)
        members = await self._store.call("ZRANGE", index, 0, -1, repeatable=True)
        return [self._urn(project_id, member) for member in members]

    async def read_many(self, urns: Sequence[ApplicationUrn]) -> list[Application]:
        """Applications of one project in the same order, without those that are gone."""
        if not urns:
            return []
        flats = await self._store.run(_READ, [self._key(urn) for urn in urns], ())
        found = (self._application(urn, flat) for urn, flat in zip(urns, flats, strict=True))
        return [one for one in found if one is not None]

    async def all(self, project_id: str) -> list[Topic]:
        """All of a project's in the form of topics: what queries of tags search."""
        urns = await self.urns(project_id)
        if not urns:
            return []
        keys = [self._key(urn) for urn in urns]
        heads = await self._store.run(_HEADS, keys, ("id", "created"))
        return [
            _as_topic(identifier.decode(), urn, int(created))
            for urn, (identifier, created) in zip(urns, heads, strict=True)
            if identifier is not None
        ]

    def _key(self, urn: ApplicationUrn) -> str:
        return self._keys.project_application(urn.project_id, urn.platform, urn.name)

    def _urn(self, project_id: str, member: bytes) -> ApplicationUrn:
        return ApplicationUrn(self._region, project_id, *member.decode().split(":"))

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


def _as_topic(application_id: str, urn: ApplicationUrn, created_ms: int) -> Topic:
    """An application in the form of its home, a topic's: with what it has of that."""
    name, project = urn.name, urn.project_id
    return Topic(application_id, str(urn), name, project, "", "", created_ms, created_ms)
