"""The data set's record: made once, agreed on by all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.errors import StoreUnfit
from engine.settings import Settings
from engine.store.connection import Store
from engine.store.dataset import open_dataset
from engine.store.keys import Keys
from engine.vault import Vault
from tests.servers import RedisCluster, make_settings

_VAULT = Vault(b"k" * 32)


def _keys(settings: Settings) -> Keys:
    return Keys(settings.key_prefix, settings.shards)


async def test_racing_processes_open_one_data_set(redis_url: str, settings: Settings) -> None:
    """Eight that find no data set at once agree on one certificate and one key."""
    stores = [await Store.connect(redis_url, settings=settings) for _ in range(8)]
    opened = await asyncio.gather(
        *(open_dataset(store, _keys(settings), settings, _VAULT) for store in stores)
    )
    for store in stores:
        await store.close()
    assert len({(each.signing_key_pem, each.certificate_pem) for each in opened}) == 1
    assert len({(each.certificate_id, each.created_ms) for each in opened}) == 1


async def test_opening_again_changes_nothing(store: Store, settings: Settings) -> None:
    """A second opening returns what the first made and writes nothing."""
    first = await open_dataset(store, _keys(settings), settings, _VAULT)
    before = await store.call("DUMP", _keys(settings).dataset())
    assert await open_dataset(store, _keys(settings), settings, _VAULT) == first
    assert await store.call("DUMP", _keys(settings).dataset()) == before


async def test_the_signing_key_is_encrypted_at_rest(store: Store, settings: Settings) -> None:
    """Neither Redis nor a representation in a log shows the private key."""
    dataset = await open_dataset(store, _keys(settings), settings, _VAULT)
    assert b"PRIVATE KEY" in dataset.signing_key_pem
    assert b"PRIVATE KEY" not in b"".join(await store.call("HVALS", _keys(settings).dataset()))
    assert "PRIVATE KEY" not in repr(dataset)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("region", "elsewhere", "belongs to region region01, not elsewhere"),
        ("shards", 16, "has 8 shards, not 16"),
    ],
)
async def test_other_settings_are_refused(
    store: Store, settings: Settings, tmp_path: Path, option: str, value: object, sentence: str
) -> None:
    """A data set of another region or number of shards is refused with both values named."""
    await open_dataset(store, _keys(settings), settings, _VAULT)
    other = make_settings(tmp_path, **{option: value})
    with pytest.raises(StoreUnfit, match=sentence):
        await open_dataset(store, _keys(other), other, _VAULT)


async def test_another_master_key_is_refused(store: Store, settings: Settings) -> None:
    """Without the key that its secrets were encrypted with a data set does not open."""
    await open_dataset(store, _keys(settings), settings, _VAULT)
    with pytest.raises(StoreUnfit, match="another master key"):
        await open_dataset(store, _keys(settings), settings, Vault(b"o" * 32))


async def test_another_schema_is_refused(store: Store, settings: Settings) -> None:
    """A data set that another version laid out is left alone."""
    await open_dataset(store, _keys(settings), settings, _VAULT)
    await store.call("HSET", _keys(settings).dataset(), "schema", "999")
    with pytest.raises(StoreUnfit, match="schema 999"):
        await open_dataset(store, _keys(settings), settings, _VAULT)


async def test_it_opens_on_redis_62_and_on_a_cluster(
    redis62: str, cluster: RedisCluster, settings: Settings
) -> None:
    """The record is made on every kind of server that is supported."""
    for url in (redis62, cluster.url):
        store = await Store.connect(url, settings=settings)
        dataset = await open_dataset(store, _keys(settings), settings, _VAULT)
        assert abs(dataset.created_ms - store.clock.now_ms()) < 10_000
        await store.close()
