"""The directory of identities on a real server: one truth, a second away from every process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.errors import DirectoryError
from engine.iam.identities import State, Subject
from engine.iam.live import LiveDirectory
from engine.iam.recent import LIFE_S
from tests.engines import open_engine
from tests.receiver import Receiver

PASSWORD = "correct horse"


async def own(engine: Engine) -> str:
    """The name of the data set's account."""
    return (await engine.accounts.bootstrap()).domain_name


async def test_the_account_is_the_directorys_first(engine: Engine) -> None:
    """Its domain, project, user and key are those of the credentials, however many look."""
    account = await engine.accounts.bootstrap()
    known = await engine.directory.now()
    assert list(known.domains) == [account.domain_id]
    assert list(known.projects) == [account.project_id]
    assert known.users[account.user_id].owner
    secret = engine.directory.live.secret(known.keys[account.access_key])
    assert secret.decode() == account.secret_key


async def test_an_empty_directory_takes_in_an_account_that_was_there_before(
    engine: Engine,
) -> None:
    """A process that died in between, or an older version, leaves only the account."""
    account = await engine.accounts.bootstrap()
    await engine.store.call("DEL", engine.keys.directory(), engine.keys.directory_changes())
    found = await asyncio.gather(*(engine.directory.now() for _ in range(5)))
    assert all(list(one.keys) == [account.access_key] for one in found)


async def test_a_change_is_everywhere_within_a_second(
    engine: Engine, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Another process that has just looked sees what changed, and what went."""
    domain = await own(engine)
    async with open_engine(redis_url, tmp_path, receiver) as other:
        live = other.directory.live
        assert (await live.snapshot()).user_named("", "alice") is None
        user, _ = await engine.directory.create_user("alice", domain=domain, password=PASSWORD)
        changed = time.monotonic()
        while user.id not in (await live.snapshot()).users:
            assert time.monotonic() - changed < LIFE_S + 0.2
            await asyncio.sleep(0.01)
        await engine.directory.delete_user("alice", domain=domain)
        changed = time.monotonic()
        while user.id in (await live.snapshot()).users:
            assert time.monotonic() - changed < LIFE_S + 0.2
            await asyncio.sleep(0.01)


async def test_looking_often_asks_redis_once_a_second(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every request needs costs no round trip of its own."""
    await own(engine)
    await engine.directory.now()
    calls = 0
    changes = engine.directory.live._store.changes

    async def counted(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        return await changes(*given)

    monkeypatch.setattr(engine.directory.live._store, "changes", counted)
    for _ in range(1000):
        await engine.directory.live.snapshot()
    assert calls <= 1


async def test_changes_at_the_same_time_are_all_kept(engine: Engine) -> None:
    """Each is decided upon the newest directory; a name is given once."""
    domain, access = await own(engine), engine.directory.access
    await asyncio.gather(*(access.create_group(f"g{n}", domain=domain) for n in range(5)))
    assert len((await engine.directory.now()).groups) == 5
    results = await asyncio.gather(
        *(access.create_group("same", domain=domain) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(one, DirectoryError) for one in results) == 3


async def test_scripts_that_run_twice_write_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write whose answer was lost succeeds when it is sent again, and changes nothing more."""
    domain = await own(engine)
    run = engine.store.run

    async def twice(*given: Any, **how: Any) -> Any:
        first = await run(*given, **how)
        return first if (await run(*given, **how)) == first else None

    monkeypatch.setattr(engine.store, "run", twice)
    await engine.directory.access.create_group("once", domain=domain)
    state = await engine.store.call("HGET", engine.keys.directory(), "version")
    assert state == b"2"


async def test_a_process_that_has_missed_much_reads_everything(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose last change a fail-over has lost."""
    domain, access = await own(engine), engine.directory.access
    live = LiveDirectory(
        engine.directory.live._store, engine.vault, "region01", engine.accounts.plant
    )
    await live.refresh()
    monkeypatch.setattr("engine.store.directory_records._REMEMBERED", 2)
    for name in "abcd":
        await access.create_group(name, domain=domain)
    assert len((await live.refresh()).groups) == 4
    # Another change stands where this process saw one.
    await engine.store.call("HSET", engine.keys.directory(), "mark", "other")
    await engine.store.call("HDEL", engine.keys.directory(), *_groups(live))
    assert not (await live.refresh()).groups


def _groups(live: LiveDirectory) -> list[str]:
    return [name for name in live._records if name.startswith("group:")]


async def test_the_oldest_redis_keeps_a_directory(
    redis62: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Its scripts use nothing newer; changes arrive in part and as a whole."""
    async with open_engine(redis62, tmp_path, receiver) as engine:
        domain = await own(engine)
        await engine.directory.now()
        await engine.directory.access.create_group("ops", domain=domain)
        known = await engine.directory.now()
        assert [one.name for one in known.groups.values()] == ["ops"]


async def test_secrets_are_not_in_the_database(engine: Engine) -> None:
    """Neither passwords nor secret keys; a log line has none either."""
    domain = await own(engine)
    user, password = await engine.directory.create_user("alice", domain=domain)
    made = await engine.directory.create_key("alice", domain=domain)
    stored = b" ".join(await engine.store.call("HGETALL", engine.keys.directory()))
    for secret in (password, made.secret):
        assert secret.encode() not in stored
        assert secret not in f"{user!r} {made!r}"


async def test_a_deleted_user_leaves_nothing_behind(engine: Engine) -> None:
    """Keys, memberships and grants go with it."""
    directory, domain = engine.directory, await own(engine)
    before = await directory.now()
    await directory.access.create_group("ops", domain=domain)
    await directory.create_user("alice", domain=domain, password=PASSWORD)
    await directory.create_key("alice", domain=domain)
    await directory.access.set_member("ops", "alice", domain=domain, member=True)
    await directory.access.grant("Tenant Guest", Subject.USER, "alice", domain=domain)
    await directory.delete_user("alice", domain=domain)
    await directory.access.delete_group("ops", domain=domain)
    after = await directory.now()
    for kind in ("users", "keys", "groups", "grants"):
        assert getattr(after, kind) == getattr(before, kind)


async def test_a_deleted_account_leaves_nothing_behind(engine: Engine) -> None:
    """Users, keys, projects, policies, grants, and agencies on either side."""
    directory, domain = engine.directory, await own(engine)
    before = await directory.now()
    await directory.create_domain("acme", password=PASSWORD)
    await directory.create_key("acme", domain="acme")
    await directory.create_project("region01_dev", domain="acme")
    await directory.access.create_agency("ops", domain="acme", trusted=domain)
    await directory.access.create_agency("theirs", domain=domain, trusted="acme")
    await directory.access.grant("te_admin", Subject.AGENCY, "ops", domain="acme")
    await directory.access.grant("Tenant Guest", Subject.AGENCY, "theirs", domain=domain)
    text = '{"Version": "1.1", "Statement": [{"Effect": "Allow", "Action": ["smn:*:*"]}]}'
    await directory.access.create_policy("mine", text, domain="acme")
    await directory.delete_domain("acme")
    after = await directory.now()
    for kind in ("domains", "users", "keys", "projects", "agencies", "policies", "grants"):
        assert getattr(after, kind) == getattr(before, kind), kind


def _refusals(engine: Engine, domain: str) -> list[Callable[[], Awaitable[object]]]:
    directory, access = engine.directory, engine.directory.access
    user = Subject.USER
    return [
        lambda: directory.create_domain(domain, password=PASSWORD),
        lambda: directory.create_domain("-", password=PASSWORD),
        lambda: directory.set_state("nobody", State.DISABLED),
        lambda: directory.delete_domain(domain),
        lambda: directory.create_project("other", domain=domain),
        lambda: directory.create_project("region01", domain=domain),
        lambda: directory.delete_project("region01", domain=domain),
        lambda: directory.enable_project("region01_x", domain=domain, enabled=False),
        lambda: directory.create_user("a/b", domain=domain, password=PASSWORD),
        lambda: directory.create_user("alice", domain=domain, password="short"),
        lambda: directory.create_user("alice", domain=domain, password="x" * 1025),
        lambda: directory.create_user("alice", domain="nobody", password=PASSWORD),
        lambda: directory.delete_user("tocsin", domain=domain),
        lambda: directory.set_password("nobody", domain=domain, password=PASSWORD),
        lambda: directory.create_key("nobody", domain=domain),
        lambda: directory.create_key("tocsin", domain=domain, service="O B S"),
        lambda: directory.delete_key("AK"),
        lambda: access.create_agency("a", domain=domain, trusted="nobody"),
        lambda: access.create_policy("mine", "{", domain=domain),
        lambda: access.create_policy("mine", "[" * 5000, domain=domain),
        lambda: access.create_policy("Tenant Guest", "{}", domain=domain),
        lambda: access.delete_policy("mine", domain=domain),
        lambda: access.set_member("ops", "tocsin", domain=domain, member=True),
        lambda: access.grant("No Role", user, "tocsin", domain=domain),
        lambda: access.grant("Tenant Guest", user, "nobody", domain=domain),
        lambda: access.grant("Tenant Guest", user, "tocsin", domain=domain, project="x"),
        lambda: access.revoke("Tenant Guest", user, "tocsin", domain=domain),
    ]


async def test_what_cannot_be_is_refused_and_changes_nothing(engine: Engine) -> None:
    """In one sentence, for every operation."""
    domain = await own(engine)
    stored = await engine.store.call("HGETALL", engine.keys.directory())
    for refused in _refusals(engine, domain):
        with pytest.raises(DirectoryError, match=r"\.$"):
            await refused()
    assert await engine.store.call("HGETALL", engine.keys.directory()) == stored
