"""The outbox on a real server: capped, read in order, followed as it grows."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from engine.keyring import Keyring
from engine.settings import Settings
from engine.store import outbox as outbox_module
from engine.store.connection import Store
from engine.store.keys import Keys
from engine.store.outbox import OutboxEntry, StoreOutbox
from engine.vault import Vault

LIMIT = 50


@pytest.fixture
def outbox(store: Store, settings: Settings, tmp_path: Path) -> StoreOutbox:
    """An empty outbox with room for fifty."""
    return StoreOutbox(
        store,
        Keys(settings.key_prefix, settings.shards),
        LIMIT,
        Keyring.open(tmp_path, Vault(bytes(32))),
    )


def numbers(entries: list[OutboxEntry]) -> list[int]:
    """What `fill` put in."""
    return [entry.fields["n"] for entry in entries]


async def fill(outbox: StoreOutbox, count: int) -> None:
    """Numbered entries, even ones for sms, odd ones for email."""
    for number in range(count):
        await outbox.put(("sms", "email")[number % 2], "somebody", {"n": number})


async def test_empty_outbox_reads_empty(outbox: StoreOutbox) -> None:
    """Before the first entry there is nothing, and that is no error."""
    assert await outbox.read() == []
    assert await outbox.last() == []


async def test_entry_comes_back_as_it_was_put(outbox: StoreOutbox, store: Store) -> None:
    """Protocol, endpoint and any JSON, with the time of the store."""
    fields = {"text": '中文 "\n', "parts": 2, "nested": {"list": [1, None, True]}}
    before = store.clock.now_ms()
    await outbox.put("sms", "+8613600000000", fields)
    (entry,) = await outbox.read()
    assert (entry.protocol, entry.endpoint, entry.fields) == ("sms", "+8613600000000", fields)
    assert abs(entry.at_ms - before) < 5_000


async def test_it_keeps_the_newest_up_to_the_limit(outbox: StoreOutbox) -> None:
    """It never grows beyond its bound, whoever writes how much."""
    await fill(outbox, LIMIT + 7)
    assert numbers(await outbox.read(count=1000)) == list(range(7, LIMIT + 7))


async def test_pages_join_without_gap_or_repeat(outbox: StoreOutbox) -> None:
    """Reading on from the last id gives what follows."""
    await fill(outbox, 20)
    after, found = "0", list[OutboxEntry]()
    while page := await outbox.read(after, count=6):
        found += page
        after = page[-1].id
    assert numbers(found) == list(range(20))
    assert all(one.at_ms <= two.at_ms for one, two in pairwise(found))


async def test_one_protocol_is_read_past_all_others(
    outbox: StoreOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter fills its page also where the others' entries are many."""
    monkeypatch.setattr(outbox_module, "_CHUNK", 3)
    await fill(outbox, 30)
    assert numbers(await outbox.read(protocol="email", count=10)) == list(range(1, 20, 2))
    assert numbers(await outbox.last("sms", 3)) == [24, 26, 28]
    assert await outbox.read(protocol="voice") == []


async def test_last_is_the_newest_in_order(outbox: StoreOutbox) -> None:
    """What a person wants to see first."""
    await fill(outbox, 9)
    assert numbers(await outbox.last(count=3)) == [6, 7, 8]


async def test_follow_sees_what_comes_after_it_began(outbox: StoreOutbox) -> None:
    """Old entries stay out, new ones arrive at once and in order, of the wanted protocol."""
    await fill(outbox, 4)
    entries = outbox.follow(protocol="sms")
    following = asyncio.ensure_future(anext(entries))
    await asyncio.sleep(0)
    (newest,) = await outbox.last()
    while True:  # what is put before the reader has begun may be missed, by its promise
        await fill(outbox, 2)
        done, _ = await asyncio.wait({following}, timeout=0.05)
        if done:
            break
    assert following.result().id > newest.id
    assert following.result().protocol == "sms"
    await entries.aclose()


async def test_follow_goes_on_from_an_id(outbox: StoreOutbox) -> None:
    """Whoever was cut off misses nothing that is still kept."""
    await fill(outbox, 6)
    entries = outbox.follow(after="0")
    found = [await anext(entries) for _ in range(6)]
    assert numbers(found) == list(range(6))
    await entries.aclose()


async def test_follow_of_an_empty_outbox_sees_the_first_entry(outbox: StoreOutbox) -> None:
    """It may be started before anything was ever sent."""
    entries = outbox.follow(after="0")
    following = asyncio.ensure_future(anext(entries))
    await asyncio.sleep(0)
    await fill(outbox, 1)
    async with asyncio.timeout(5):
        assert (await following).fields == {"n": 0}
    await entries.aclose()
