"""The store against real servers: replies, scripts, errors, time."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

import pytest

from engine.errors import StoreError, StoreFull, StoreUnavailable, StoreUnfit
from engine.settings import Settings
from engine.store.connection import Script, Store
from tests.servers import RedisServer, valkey_binary


def lua(text: str) -> Script:
    """A script of the test's own."""
    return Script("test", text, hashlib.sha1(text.encode()).hexdigest())


ECHO = lua("return {KEYS[1], ARGV[1]}")
PUSH = lua("return redis.call('RPUSH', KEYS[1], ARGV[1])")


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[tuple[RedisServer, Store]]:
    """A server that the test may break, and a store on it."""
    server = RedisServer(valkey_binary()).start()
    store = await Store.connect(server.url, settings=settings)
    yield server, store
    await store.close()
    server.close()


async def test_a_value_comes_back_as_bytes(store: Store) -> None:
    """Replies are bytes, whatever they look like."""
    await store.call("SET", "a", "1")
    assert await store.call("GET", "a") == b"1"


async def test_commands_of_a_pipeline_answer_in_order(store: Store) -> None:
    """Each command of one pipeline has its reply at its place."""
    commands = [("SET", "a", 1), ("INCRBY", "a", 2), ("GET", "b"), ("GET", "a")]
    assert await store.call_many(commands, key="a") == [b"OK", 3, None, b"3"]


async def test_what_is_asked_in_one_turn_leaves_together(store: Store) -> None:
    """Many calls at once cost the server a read for each connection, not one each."""

    async def reads() -> int:
        info = await store.call("INFO", "stats", key="a")
        return int(info.partition(b"total_reads_processed:")[2].split()[0])

    async def burst() -> None:
        await asyncio.gather(*(store.call("GET", "a") for _ in range(200)))

    await burst()  # now all connections are open
    before = await reads()
    await burst()
    assert await reads() - before <= 5


async def test_an_unknown_script_is_taught_to_the_server(store: Store) -> None:
    """A script runs on a server that has never seen it, and on one that has forgotten it."""
    for _ in range(2):
        assert await store.run(ECHO, ["k"], [1.5]) == [b"k", b"1.5"]
        await store.call("SCRIPT", "FLUSH", key="")


async def test_each_script_of_a_pipeline_runs_once(store: Store) -> None:
    """Where a server knows only some of a pipeline's scripts, none of them runs twice."""
    await store.run(ECHO, ["k"], ["known"])
    pushes = [(PUSH, ["list"], [number]) for number in range(5)]
    await store.run_many([(ECHO, ["k"], ["x"]), *pushes])
    assert await store.call("LRANGE", "list", 0, -1) == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_failing_script_leaves_its_neighbours_alone(store: Store) -> None:
    """In a pipeline an error is raised when all have run."""
    fail = lua("return redis.error_reply('MINE it went wrong')")
    with pytest.raises(StoreError, match="MINE it went wrong"):
        await store.run_many([(PUSH, ["list"], ["a"]), (fail, ["k"], []), (PUSH, ["list"], ["b"])])
    assert await store.call("LRANGE", "list", 0, -1) == [b"a", b"b"]


async def test_an_error_reply_is_a_store_error_with_its_cause(store: Store) -> None:
    """What the server refuses is raised with its text and chained."""
    await store.call("SET", "a", "1")
    with pytest.raises(StoreError, match="WRONGTYPE") as caught:
        await store.call("HGETALL", "a")
    assert caught.value.__cause__ is not None


async def test_a_full_memory_is_told_apart(own: tuple[RedisServer, Store]) -> None:
    """A write at full memory is `StoreFull`, as a command and inside a script."""
    _, store = own
    await store.call("CONFIG", "SET", "maxmemory", "1", key="")
    with pytest.raises(StoreFull):
        await store.call("SET", "a", "1")
    with pytest.raises(StoreFull):
        await store.run(PUSH, ["list"], ["x"])
    assert await store.run(ECHO, ["k"], ["x"]) == [b"k", b"x"]


async def test_a_full_redis_62_is_told_apart_inside_scripts(
    redis62: str, settings: Settings
) -> None:
    """Redis 6.2 wraps a script's errors in another text; they are recognised all the same."""
    store = await Store.connect(redis62, settings=settings)
    await store.call("CONFIG", "SET", "maxmemory", "1", key="")
    try:
        with pytest.raises(StoreFull):
            await store.run(PUSH, ["list"], ["x"])
    finally:
        await store.call("CONFIG", "SET", "maxmemory", "0", key="")
        await store.close()


async def test_a_server_out_of_reach_is_said_soon(settings: Settings) -> None:
    """Nobody listening is `StoreUnavailable` within two seconds."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await Store.connect("unix:///nonexistent/socket", settings=settings)
    assert time.monotonic() - began < 2


async def test_a_restarted_server_costs_no_call(own: tuple[RedisServer, Store]) -> None:
    """After a restart the next call, repeatable or not, works, and the run id is another."""
    server, store = own
    before = store.run_id
    await asyncio.gather(*(store.call("SET", f"k{number}", "v") for number in range(8)))
    server.kill()
    with pytest.raises(StoreUnavailable):
        await store.call("GET", "k0", repeatable=True)
    server.start()
    assert await store.call("APPEND", "k0", "w") == 2
    assert store.run_id != before


async def test_a_loading_server_is_unavailable(own: tuple[RedisServer, Store]) -> None:
    """While a server reads its files calls are `StoreUnavailable`, and then work again."""
    server, store = own
    await store.run(lua("for i = 1, 5000 do redis.call('SET', i, i) end"), ["k"], [])
    server.kill()
    server.start("--key-load-delay", "300", wait=False)
    reasons = set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await store.call("GET", "300") == b"300"
                break
            except StoreUnavailable as error:
                reasons.add(str(error))
                await asyncio.sleep(0.01)
    assert any("loading" in reason for reason in reasons)


async def test_cancelled_calls_never_shift_replies(store: Store) -> None:
    """Whoever is cancelled at whatever moment, every other call gets its own reply."""

    async def ask(number: int) -> None:
        assert await store.run(ECHO, ["k"], [number]) == [b"k", str(number).encode()]

    for turn in range(20):
        tasks = [asyncio.create_task(ask(number)) for number in range(10)]
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None for result in results[1::2])


async def test_more_calls_than_connections_wait_their_turn(store: Store) -> None:
    """A thousand calls at once all succeed over a bounded number of connections."""
    await asyncio.gather(*(store.run(PUSH, ["list"], [number]) for number in range(1000)))
    assert await store.call("LLEN", "list") == 1000
    clients = await store.call("CLIENT", "LIST", key="")
    assert clients.count(b" name=tocsin: ") <= 32


async def test_the_clock_is_the_servers(store: Store) -> None:
    """The clock agrees with TIME to a few milliseconds and needs no call to be read."""
    seconds, micros = await store.call("TIME", key="")
    assert abs(store.clock.now_ms() - (int(seconds) * 1000 + int(micros) // 1000)) < 50


async def test_memory_is_reported_with_its_bound(own: tuple[RedisServer, Store]) -> None:
    """Used bytes and maxmemory, 0 for none."""
    _, store = own
    used, bound = await store.used_memory()
    assert used > 500_000
    assert bound == 0
    await store.call("CONFIG", "SET", "maxmemory", "64mb", key="")
    assert (await store.used_memory())[1] == 64 * 1024**2


async def test_redis_62_is_supported(redis62: str, settings: Settings) -> None:
    """The oldest supported Redis works and says what it is."""
    store = await Store.connect(redis62, settings=settings)
    assert (store.family, store.version[:4]) == ("redis", "6.2.")
    await store.close()


async def test_an_older_server_is_refused_by_its_version(settings: Settings) -> None:
    """A Redis before 6.2 is refused in one sentence that names what was found."""

    async def old_redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"tocsin:\r\n")  # the connection's name
        writer.write(b"+OK\r\n")
        await reader.readuntil(b"server\r\n")
        info = b"redis_version:5.0.14\r\nrun_id:abc\r\n"
        writer.write(b"$%d\r\n%s\r\n" % (len(info), info))
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    left = asyncio.Event()
    listener = await asyncio.start_server(old_redis, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(StoreUnfit, match=r"version 5\.0\.14; Tocsin needs Redis 6\.2"):
        await Store.connect(f"redis://127.0.0.1:{port}", settings=settings)
    await left.wait()
    listener.close()


async def test_a_wrong_password_is_not_shown(settings: Settings) -> None:
    """Refused credentials are `StoreUnfit`, and no error in the chain holds the password."""
    server = RedisServer(valkey_binary()).start()
    with server.client as client:
        client.config_set("requirepass", "right-secret")
    try:
        with pytest.raises(StoreUnfit, match="refuses the credentials") as caught:
            await Store.connect(f"unix://:wrong-secret@{server.socket}", settings=settings)
        error: BaseException | None = caught.value
        while error is not None:
            assert "wrong-secret" not in f"{error!r}"
            error = error.__cause__ or error.__context__
        store = await Store.connect(f"unix://:right-secret@{server.socket}", settings=settings)
        assert "right-secret" not in repr(vars(store))
        await store.close()
    finally:
        server.close()
