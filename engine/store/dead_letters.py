"""Dead letters: the deliveries of a page that ended undelivered, kept with their reasons.

They stand in the message's ledger as one JSON line each, under ``!protocol:page``; the topic's
``dead`` set lists the pages that have some. The message stays as long as they do.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from engine.models import DeadLetter, End
from engine.store import messages
from engine.store.ledger import Row, Waiting
from engine.store.messages import Reference
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from engine.keyring import Keyring
    from engine.store.connection import Store
    from engine.store.keys import Keys

_TAKE = script(__file__, "dead_take")
_CHUNK = 64
_ALL_ENDED = (1 << 256) - 1
_BUSY = 2


class _DeadPage(NamedTuple):
    """A page with dead letters: where it is and what is kept of it."""

    topic_id: str
    member: bytes
    message_id: str
    protocol: str
    page: int
    records: bytes

    def letters(self, topic_urn: str = "") -> list[DeadLetter]:
        found = []
        for line in self.records.splitlines():
            seat, identifier, shown, end, code, reason, answer, tries, at_ms = json.loads(line)
            found.append(
                DeadLetter(
                    message_id=self.message_id,
                    topic_id=self.topic_id,
                    topic_urn=topic_urn,
                    protocol=self.protocol,
                    page=self.page,
                    seat=seat,
                    subscription_id=identifier,
                    endpoint=shown,
                    reason=reason,
                    end=End(end),
                    code=code,
                    answer=answer,
                    tries=tries,
                    buried_ms=at_ms,
                )
            )
        return found


class DeadLetters:
    """Lists, redrives and drops dead letters."""

    def __init__(self, store: Store, keys: Keys, keyring: Keyring) -> None:
        self._store = store
        self._keys = keys
        self._keyring = keyring

    async def topics(self) -> list[str]:
        """Ids of the topics that have dead letters."""
        found: list[str] = []
        for shard in range(self._keys.shards):
            members = await self._store.call("SMEMBERS", self._keys.deads(shard), repeatable=True)
            found += sorted(member.decode() for member in members)
        return found

    async def count(self, topic_id: str) -> int:
        """How many a topic has."""
        return int(
            await self._store.call("HGET", self._keys.topic(topic_id), "dead", repeatable=True) or 0
        )

    async def list(self, topic_id: str) -> AsyncIterator[DeadLetter]:
        """A topic's dead letters, oldest page first."""
        await self._keyring.fresh()
        urn = await self._store.call("HGET", self._keys.topic(topic_id), "urn", repeatable=True)
        async for page in self._pages(topic_id):
            context = messages.context(topic_id, page.message_id)
            for letter in page.letters((urn or b"").decode()):
                answer = self._keyring.reveal(letter.answer, context)
                yield letter if answer == letter.answer else replace(letter, answer=answer)

    async def redrive(
        self,
        topic_id: str,
        *,
        deadline_ms: int,
        wanted: Callable[[DeadLetter], bool] = lambda _: True,
    ) -> tuple[int, int]:
        """Put matching ones back to be delivered until ``deadline_ms``, with all tries anew.

        Returns how many went back, and how many must wait because other deliveries of their
        page are still under way.
        """
        redriven = busy = 0
        async for page in self._pages(topic_id):
            letters = page.letters()
            chosen = [letter for letter in letters if wanted(letter)]
            if not chosen:
                continue
            row = Row(deadline_ms=deadline_ms, ended=_ALL_ENDED)
            for letter in chosen:
                row.ended &= ~(1 << letter.seat)
                row.waiting[letter.seat] = Waiting(0, 1, letter.subscription_id)
            verdict = await self._take(page, chosen, letters, row.pack())
            redriven += len(chosen) if verdict == 1 else 0
            busy += len(chosen) if verdict == _BUSY else 0
        return redriven, busy

    async def drop(
        self,
        topic_id: str,
        *,
        wanted: Callable[[DeadLetter], bool] = lambda _: True,
        before_ms: int | None = None,
        at_most: int | None = None,
    ) -> int:
        """Drop matching ones, oldest page first; returns how many.

        ``before_ms`` looks only at pages that were buried before; ``at_most`` stops once so
        many are dropped.
        """
        dropped = 0
        async for page in self._pages(topic_id, before_ms=before_ms):
            letters = page.letters()
            chosen = [letter for letter in letters if wanted(letter)]
            if (chosen or not letters) and await self._take(page, chosen, letters, b"") == 1:
                dropped += len(chosen)
            if at_most is not None and dropped >= at_most:
                break
        return dropped

    async def _take(
        self,
        page: _DeadPage,
        chosen: Sequence[DeadLetter],
        letters: Sequence[DeadLetter],
        row: bytes,
    ) -> int:
        keys, topic_id = self._keys, page.topic_id
        shard = keys.shard_of_topic(topic_id)
        taken = {letter.seat for letter in chosen}
        kept = [
            line
            for line, letter in zip(page.records.splitlines(keepends=True), letters, strict=True)
            if letter.seat not in taken
        ]
        return int(
            await self._store.run(
                _TAKE,
                (
                    keys.dead(topic_id),
                    keys.ledger(topic_id, page.message_id),
                    keys.message(topic_id, page.message_id),
                    keys.topic(topic_id),
                    keys.deads(shard),
                    keys.gauges(shard),
                    keys.lane(shard, page.protocol),
                ),
                (
                    topic_id,
                    page.member,
                    f"{page.protocol}:{page.page}",
                    page.records,
                    b"".join(kept),
                    len(chosen),
                    row,
                    Reference(page.message_id, topic_id, page.page).encode(),
                ),
            )
        )

    async def _pages(
        self, topic_id: str, *, before_ms: int | None = None
    ) -> AsyncIterator[_DeadPage]:
        """Pages with dead letters by age; taking a page away while iterating is fine."""
        keys = self._keys
        newest = "+inf" if before_ms is None else f"({before_ms}"
        members = await self._store.call(
            "ZRANGEBYSCORE", keys.dead(topic_id), "-inf", newest, repeatable=True
        )
        for start in range(0, len(members), _CHUNK):
            part = members[start : start + _CHUNK]
            split = [member.decode().split(":") for member in part]
            records = await self._store.call_many(
                [
                    ("HGET", keys.ledger(topic_id, message_id), f"!{protocol}:{page}")
                    for message_id, protocol, page in split
                ],
                key=keys.dead(topic_id),
                repeatable=True,
            )
            for member, (message_id, protocol, page), found in zip(
                part, split, records, strict=True
            ):
                yield _DeadPage(topic_id, member, message_id, protocol, int(page), found or b"")
