"""What the store does when a reply is late or never comes: never guess, never mix up."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

import pytest

from engine.errors import StoreUnavailable
from engine.settings import Settings
from engine.store.connection import Script, Store
from tests.proxy import Proxy
from tests.servers import RedisServer

_PUSH = "return redis.call('RPUSH', KEYS[1], ARGV[1])"
PUSH = Script("push", _PUSH, hashlib.sha1(_PUSH.encode()).hexdigest())


@pytest.fixture
async def proxy(valkey: RedisServer, redis_url: str) -> AsyncIterator[Proxy]:
    """A proxy before an empty Valkey."""
    async with Proxy(valkey) as proxy:
        yield proxy


@pytest.fixture
async def through(proxy: Proxy, settings: Settings) -> AsyncIterator[Store]:
    """A store that reaches the server through the proxy, with the script loaded."""
    store = await Store.connect(proxy.url, settings=settings)
    await store.call("SCRIPT", "LOAD", PUSH.text, key="")
    yield store
    await store.close()


async def test_a_script_runs_again_after_a_lost_reply(
    proxy: Proxy, through: Store, valkey: RedisServer
) -> None:
    """Scripts are idempotent by rule, so a lost reply is asked for again: here it ran twice."""
    proxy.drop_replies(1)
    assert await through.run(PUSH, ["list"], ["x"]) == 2


async def test_a_script_can_forbid_to_be_repeated(
    proxy: Proxy, through: Store, valkey: RedisServer
) -> None:
    """With ``repeat=False`` it ran once and the outcome is said to be unknown."""
    proxy.drop_replies(1)
    with pytest.raises(StoreUnavailable):
        await through.run(PUSH, ["list"], ["x"], repeat=False)
    assert await through.call("LLEN", "list") == 1


async def test_a_command_is_never_repeated_unasked(proxy: Proxy, through: Store) -> None:
    """A command whose reply is lost ran once; only a repeatable one is sent again."""
    proxy.drop_replies(1)
    with pytest.raises(StoreUnavailable):
        await through.call("RPUSH", "list", "x")
    assert await through.call("LLEN", "list") == 1
    proxy.drop_replies(1)
    assert await through.call("LLEN", "list", repeatable=True) == 1


async def test_a_silent_server_is_given_up_in_time(proxy: Proxy, through: Store) -> None:
    """A call whose reply does not come ends within two seconds, scripts included."""
    proxy.replies.clear()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        await through.run(PUSH, ["list"], ["x"])
    assert time.monotonic() - began < 2


async def test_a_late_reply_reaches_nobody(proxy: Proxy, through: Store) -> None:
    """The reply of a call that was given up is not read by the next one."""
    await through.call("SET", "a", "late")
    proxy.replies.clear()
    with pytest.raises(StoreUnavailable):
        await through.call("GET", "a")
    proxy.replies.set()
    assert await through.call("ECHO", "mine", key="") == b"mine"


async def test_a_cancelled_call_reaches_nobody(proxy: Proxy, through: Store) -> None:
    """Nor is the reply of a call that its caller cancelled."""
    await through.call("SET", "a", "late")
    proxy.replies.clear()
    task = asyncio.create_task(through.call("GET", "a"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    proxy.replies.set()
    assert await through.call("ECHO", "mine", key="") == b"mine"


async def test_a_lost_server_is_retried_once_only(proxy: Proxy, through: Store) -> None:
    """Two lost replies in a row end even a repeatable call."""
    proxy.drop_replies(2)
    with pytest.raises(StoreUnavailable):
        await through.call("GET", "a", repeatable=True)
    assert await through.call("GET", "a") is None
