"""The key ring: the keys that the content of topics is encrypted with.

Every process of a machine reads the ring of its own data directory. A change is a new file;
those that are running look for one before they use a key, twice a second at most. Keys never
go through Redis: machines that share a data set need a copy of the ring each.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine import sealing
from engine.errors import ConfigurationError, KeyGone, StoreError, TocsinError
from engine.keyring_file import KeyringFile, Keys, KeyState, RingKey, Stamp

if TYPE_CHECKING:
    from pathlib import Path

    from engine.vault import Vault

log = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000
LONGEST_DAYS: Final = 1096
"""The longest wait before a deletion (KMS API, "Scheduling the Deletion of a Key")."""
USABLE: Final = frozenset({KeyState.ENABLED, KeyState.PENDING_DELETION})
"""States in which messages are accepted (SMN API, "Querying a KMS Key")."""

_LOOK_S: Final = 0.5
_ALIAS: Final = re.compile(r"[A-Za-z0-9:/_-]{1,255}")
_CONCEALED: Final = "sealed text:"
_UNREADABLE: Final = "(encrypted with a key that is gone)"


class Keyring:
    """The ring of one data directory; what reads it may run on a loop, what changes it blocks."""

    def __init__(self, file: KeyringFile, now_ms: Callable[[], int] | None = None) -> None:
        self._file = file
        self._now_ms = now_ms or _wall_clock_ms
        self._keys: Keys = {}
        self._stamp: Stamp | None = None
        self._looked = 0.0

    @classmethod
    def open(
        cls, directory: Path, vault: Vault, now_ms: Callable[[], int] | None = None
    ) -> Keyring:
        """The ring of a directory; raises `ConfigurationError` if it cannot be read."""
        ring = cls(KeyringFile(directory, vault), now_ms)
        ring._keys, ring._stamp = ring._file.read()
        return ring

    # Using

    async def fresh(self, *, at_once: bool = False) -> None:
        """See what others have changed, unless that was just looked for."""
        now = time.monotonic()
        if not at_once and now - self._looked < _LOOK_S:
            return
        self._looked = now
        try:
            await asyncio.to_thread(self.look)
        except ConfigurationError as error:
            # What is known stays in use: a service must not stop for a file being repaired.
            log.error("keyring.unreadable", extra={"error": str(error)})  # noqa: TRY400 - said

    async def fresh_for(self, key_id: str) -> KeyState:
        """The state of a key that may have been made a moment ago."""
        await self.fresh()
        if key_id not in self._keys:
            await self.fresh(at_once=True)
        return self.state(key_id)

    def look(self) -> None:
        """Read the file if it is another one, and destroy what has passed its date."""
        stamp = self._file.stamp()
        if stamp is None and self._stamp is not None:
            raise ConfigurationError(f"The key ring {self._file.path} has gone.")
        if stamp != self._stamp:
            self._keys, self._stamp = self._file.read()
        now_ms = self._now_ms()
        if any(key.at(now_ms) is not key for key in self._keys.values()):
            with self._rewriting():
                pass

    def all_keys(self) -> list[RingKey]:
        """All keys, oldest first, as they are now."""
        now_ms = self._now_ms()
        found = [key.at(now_ms) for key in self._keys.values()]
        return sorted(found, key=lambda key: (key.created_ms, key.id))

    def state(self, key_id: str) -> KeyState:
        """A key's state now; one that this ring does not have counts as deleted."""
        key = self._keys.get(key_id)
        return KeyState.DELETED if key is None else key.at(self._now_ms()).state

    def seal(self, key_id: str, plain: bytes, context: str) -> bytes:
        """Encrypt; raises `KeyGone`. Whether the key may be used is the caller's to ask."""
        return sealing.seal(key_id, self.material(key_id), plain, context)

    def unseal(self, stored: bytes, context: str) -> bytes:
        """Undo `seal`, whatever the key's state is; raises `KeyGone`, `StoreError` if damaged."""
        return sealing.unseal(self.material(sealing.sealed_by(stored)), stored, context)

    def conceal(self, key_id: str, text: str, context: str) -> str:
        """`seal` for a text within a record; nothing of it is kept once the key is gone."""
        try:
            sealed = self.seal(key_id, text.encode("utf-8", "replace"), context)
        except KeyGone:
            return _UNREADABLE
        return _CONCEALED + base64.b64encode(sealed).decode()

    def reveal(self, text: str, context: str) -> str:
        """Undo `conceal`; a text that was never concealed comes back as it is."""
        if not text.startswith(_CONCEALED):
            return text
        try:
            sealed = base64.b64decode(text[len(_CONCEALED) :], validate=True)
            if not sealing.sealed_by(sealed):
                return text
            return self.unseal(sealed, context).decode()
        except KeyGone:
            return _UNREADABLE
        except (StoreError, ValueError):
            return text

    def material(self, key_id: str) -> bytes:
        """What a key is made of; raises `KeyGone`. Keep it out of everything else."""
        key = self._keys.get(key_id)
        if key is None:
            raise KeyGone(f"the key {key_id} is not in the key ring {self._file.path}")
        material = key.at(self._now_ms()).material
        if not material:
            raise KeyGone(f"the key {key_id} is deleted")
        return material

    # Changing

    def create(self, alias: str) -> RingKey:
        """A new key; raises `TocsinError` for an alias that is taken."""
        if not _ALIAS.fullmatch(alias):
            raise ConfigurationError("An alias has 1 to 255 letters, digits and : / _ - signs.")
        with self._rewriting() as keys:
            for key in keys.values():
                if key.alias == alias and key.state is not KeyState.DELETED:
                    raise TocsinError(f"The key {key.id} has the alias {alias} already.")
            material = os.urandom(sealing.MATERIAL_BYTES)
            made = RingKey(
                str(uuid.uuid4()), alias, KeyState.ENABLED, self._now_ms(), material=material
            )
            keys[made.id] = made
        return made

    def disable(self, name: str) -> RingKey:
        """Refuse messages from now on; what was accepted is still delivered."""
        return self._move(name, {KeyState.ENABLED}, KeyState.DISABLED)

    def enable(self, name: str) -> RingKey:
        """Use a disabled key again."""
        return self._move(name, {KeyState.DISABLED}, KeyState.ENABLED)

    def schedule_deletion(self, name: str, days: int) -> RingKey:
        """Destroy the material in so many days, at once for 0."""
        if not 0 <= days <= LONGEST_DAYS:
            raise ConfigurationError(f"A deletion is scheduled in 0 to {LONGEST_DAYS} days.")
        usual = {KeyState.ENABLED, KeyState.DISABLED}
        return self._move(name, usual, KeyState.PENDING_DELETION, days * DAY_MS)

    def cancel_deletion(self, name: str) -> RingKey:
        """Keep a key that was to be deleted; it is disabled until it is enabled."""
        return self._move(name, {KeyState.PENDING_DELETION}, KeyState.DISABLED)

    def _move(self, name: str, before: set[KeyState], after: KeyState, wait_ms: int = 0) -> RingKey:
        with self._rewriting() as keys:
            key = _named(keys, name)
            if key.state not in before:
                raise TocsinError(
                    f"The key {key.id} is {key.state}; this needs {' or '.join(sorted(before))}."
                )
            now_ms = self._now_ms()
            delete_ms = now_ms + wait_ms if after is KeyState.PENDING_DELETION else 0
            moved = keys[key.id] = replace(key, state=after, delete_ms=delete_ms).at(now_ms)
        return moved

    @contextmanager
    def _rewriting(self) -> Iterator[Keys]:
        """The ring as it is on disk, written anew unless the block raises.

        Whatever has passed its date loses its material on the way.
        """
        with self._file.locked():
            found, _ = self._file.read()
            now_ms = self._now_ms()
            keys = {key_id: key.at(now_ms) for key_id, key in found.items()}
            yield keys
            self._file.write(keys)
            self._keys, self._stamp = keys, self._file.stamp()


def _named(keys: Keys, name: str) -> RingKey:
    """The key with this id, or with this alias if it is not deleted."""
    key = keys.get(name.lower())
    if key is not None:
        return key
    for key in keys.values():
        if key.alias == name and key.state is not KeyState.DELETED:
            return key
    raise TocsinError(f"There is no key {name} in the ring.")


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000
