"""The store against real servers."""

from __future__ import annotations

from engine.settings import Settings
from engine.store.connection import Store
from tests.servers import RedisCluster


async def test_a_value_comes_back_as_bytes(store: Store) -> None:
    """Replies are bytes, whatever they look like."""
    await store.call("SET", "a", "1")
    assert await store.call("GET", "a") == b"1"


async def test_redis_62_is_supported(redis62: str, settings: Settings) -> None:
    """The oldest supported Redis works and says what it is."""
    store = await Store.connect(redis62, settings=settings)
    assert (store.family, store.version[:4]) == ("redis", "6.2.")
    await store.close()


async def test_keys_of_a_cluster_are_routed_to_their_masters(
    cluster: RedisCluster, settings: Settings
) -> None:
    """Keys of every slot can be written and read without redirections showing."""
    store = await Store.connect(cluster.url, settings=settings)
    for number in range(100):
        await store.call("SET", f"k{number}", number)
        assert await store.call("GET", f"k{number}") == str(number).encode()
    await store.close()
