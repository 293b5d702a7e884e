"""A real engine behind the real server, and whether a request changed anything in its Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from engine.app import Engine
from engine.ports import Adapter
from engine.settings import Settings
from engine.store.accounts import Account
from engine.store.connection import Store
from tests.api_client import Answer, Client, serving
from tests.engines import open_engine
from tests.receiver import Receiver

# Whole values with one round trip; only whether a key expires counts, since time passes.
_DUMP: Final = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('DUMP', key)
  found[#found + 1] = redis.call('PTTL', key) >= 0 and 1 or 0
end
return found
"""
_NOTES: Final = (b":audit",)
"""Parts of keys under which requests are noted, refused ones too: no part of a world's state."""

Dump = dict[bytes, tuple[bytes, bool]]


async def dump(store: Store) -> Dump:
    """Every key with its serialised value and whether it expires, but for notes of requests.

    Two dumps are equal if and only if nothing was changed in between::

        before = await dump(engine.store)
        ...
        assert await dump(engine.store) == before
    """
    flat = await store.call("EVAL", _DUMP, 0, key="x")
    rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    return {
        key: (value, bool(expires))
        for key, value, expires in rows
        if not any(part in key for part in _NOTES)
    }


@dataclass
class World:
    """A running API on a data set of its own, with one account and whatever a test makes.

    No worker runs unless the test starts one (`tests.engines.working`), so that nothing changes
    but by requests. ``names`` are what ``{…}`` in targets stand for.
    """

    engine: Engine
    client: Client
    receiver: Receiver
    names: dict[str, str] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        """Whose requests the client signs."""
        return self.client.account

    @property
    def project(self) -> str:
        """The account's project id."""
        return self.account.project_id

    @property
    def base(self) -> str:
        """What the paths of the project's resources begin with."""
        return f"/v2/{self.project}/notifications"

    async def call(self, method: str, target: str, body: Any = None, **options: Any) -> Answer:
        """Send a signed request; see `Client.call`. ``target`` may hold ``{…}`` of the names."""
        known = {"project": self.project, "base": self.base, **self.names}
        for name, value in known.items():
            target = target.replace(f"{{{name}}}", value)
        return await self.client.call(method, target, body, **options)

    async def dump(self) -> Dump:
        """Everything that is stored: see `dump`."""
        return await dump(self.engine.store)

    async def refuses(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        status: int,
        code: str,
        **options: Any,
    ) -> Answer:
        """Send a request that must answer this status and code and change nothing."""
        before = await self.dump()
        answer = await self.call(method, target, body, **options)
        said = f"{method} {target} {str(body)[:80]}: {answer.status} {answer.raw[:400]!r}"
        assert (answer.status, answer.json.get("code")) == (status, code), said
        assert answer.json["request_id"] == answer.headers["X-Request-Id"], said
        assert await self.dump() == before, f"it changed something: {said}"
        return answer

    async def topic(self, name: str = "demo") -> str:
        """The URN of a topic, made over the API if it is missing."""
        answer = await self.call("POST", "{base}/topics", {"name": name})
        assert answer.status in {200, 201}, answer.raw
        return str(answer.json["topic_urn"])


@asynccontextmanager
async def open_world(
    url: str,
    data: Path,
    settings: Settings,
    adapters: Iterable[Adapter[Any, Any]] = (),
    **options: Any,
) -> AsyncIterator[World]:
    """A world on the Redis at ``url``.

    ``adapters`` are served beside the installed ones and go before them; ``options`` are
    settings of the engine.
    """
    receiver = Receiver()
    async with open_engine(url, data, receiver, adapters=adapters, **options) as engine:
        account = await engine.accounts.bootstrap()
        async with serving(engine, settings, account) as (client, _):
            yield World(engine, client, receiver)


def token_headers(answer: Answer) -> Mapping[str, str]:
    """Headers for calls with the token of a log-in's answer; use them with ``sign=False``."""
    return {"X-Auth-Token": answer.headers["X-Subject-Token"]}
