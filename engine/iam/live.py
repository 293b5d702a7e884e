"""This process's copy of the directory: at most a second old, read in one round trip."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from engine.errors import DirectoryError
from engine.iam.identities import (
    AccessKey,
    Record,
    User,
    decode,
    encode,
    key_context,
    name_of,
    passcode_context,
)
from engine.iam.recent import LIFE_S
from engine.iam.snapshot import Snapshot
from engine.store.directory_records import NOTHING, Version

if TYPE_CHECKING:
    from engine.store.directory_records import DirectoryRecords
    from engine.vault import Vault

_LOG: Final = logging.getLogger("tocsin.iam")
_TRIES: Final = 20
_MOMENT_S: Final = 0.1
_SECRETS: Final = 4096

Decide = Callable[[Snapshot], tuple[Iterable[Record], Iterable[Record]]]
"""From the directory as it is to the records to put and to remove; raises `DirectoryError`."""


class LiveDirectory:
    """Follows the directory's records, and changes them.

    ``plant`` makes an empty directory's first records, by whichever process looks first.
    """

    def __init__(
        self,
        records: DirectoryRecords,
        vault: Vault,
        region: str,
        plant: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = records
        self._vault = vault
        self._plant = plant
        self.region = region
        self._version = NOTHING
        self._records: dict[str, Record] = {}
        self._snapshot = Snapshot({}, region)
        self._fresh_until = 0.0
        self._loading: asyncio.Task[None] | None = None
        self._decrypt = lru_cache(maxsize=_SECRETS)(self._decrypted)

    async def snapshot(self) -> Snapshot:
        """The directory as it was at most a second ago. Raises `StoreError`."""
        if time.monotonic() >= self._fresh_until:
            await self.refresh()
        return self._snapshot

    async def newest(self) -> Snapshot:
        """The directory as it was a moment ago, for a name that `snapshot` does not know.

        Whoever was made just now is let in at once. However many unknown names are tried, Redis
        is asked a few times a second.
        """
        if time.monotonic() >= self._fresh_until - LIFE_S + _MOMENT_S:
            await self.refresh()
        return self._snapshot

    async def refresh(self) -> Snapshot:
        """The directory as it is now; callers at the same time share one look."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(self._loaded)
        await asyncio.shield(self._loading)
        return self._snapshot

    async def change(self, decide: Decide) -> None:
        """Decide upon the newest directory and write, again if another was faster."""
        for _ in range(_TRIES):
            await self._load()
            put, remove = decide(self._snapshot)
            written: dict[str, str | None] = {name_of(record): None for record in remove}
            written |= {name_of(record): encode(record) for record in put}
            if not written or await self._store.write(self._version, written):
                await self._load()
                return
        raise DirectoryError("The directory is being changed by others; try again.")

    def seal(self, secret: str, context: str) -> str:
        """A secret as it is stored."""
        return self._vault.encrypt(secret, context)

    def secret(self, key: AccessKey) -> bytes:
        """The secret key."""
        return self._decrypt(key.secret, key_context(key.id))

    def passcode_secret(self, user: User) -> bytes:
        """The secret of a user's passcodes, empty if there is none."""
        if not user.passcode_secret:
            return b""
        return self._decrypt(user.passcode_secret, passcode_context(user.id))

    def _decrypted(self, sealed: str, context: str) -> bytes:
        return self._vault.decrypt(sealed, context).encode()

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._loading = None
        if not task.cancelled():
            task.exception()  # those who waited have it; nobody may be left by now

    async def _load(self) -> None:
        started = time.monotonic()
        changes = await self._store.changes(self._version)
        if changes.version == NOTHING:
            await self._plant()
            changes = await self._store.changes(self._version)
        # Answers may overtake each other; an older one has nothing to say.
        if changes.version.number > self._version.number or changes.whole:
            self._apply(changes.version, changes.records, whole=changes.whole)
        self._fresh_until = 0.0 if changes.version == NOTHING else started + LIFE_S

    def _apply(self, version: Version, changed: Mapping[str, str | None], *, whole: bool) -> None:
        records = {} if whole else dict(self._records)
        for name, stored in changed.items():
            if stored is None:
                records.pop(name, None)
            else:
                records[name] = decode(name, stored)
        self._version, self._records = version, records
        self._snapshot = Snapshot(records, self.region)
        _LOG.debug("directory.read", extra={"version": version.number, "records": len(records)})
