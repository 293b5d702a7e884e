"""The second factor: a password and a passcode, once."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from engine.settings import Settings
from tests.api_client import Answer, serving
from tests.identities import (
    PASSWORD,
    TOKENS,
    password_request,
    post_token,
    token_of,
    user_with,
)
from tests.worlds import World

REGION = {"project": {"name": "region01"}}


@pytest.fixture
async def secret(world: World) -> str:
    """The secret of alice, who needs passcodes."""
    await user_with(world, "SMN FullAccess")
    return await world.engine.directory.demand_passcodes("alice", domain="tocsin")


def passcode(world: World, secret: str, steps: int = 0) -> str:
    """What her device shows; with ``steps``, what it will show so many half minutes later."""
    now_s = world.engine.clock.now_ms() // 1000
    device = TOTP(base64.b32decode(secret), 6, SHA1(), 30)
    return device.generate(now_s + 30 * steps).decode()


def both(code: str, *, password: str = PASSWORD, **user: Any) -> dict[str, Any]:
    """The body of a log-in with password and passcode; ``user`` is who the passcode's is."""
    body = password_request(REGION, password=password)
    identity = body["auth"]["identity"]
    identity["methods"] = ["password", "totp"]
    whose = user or {"name": "alice", "domain": {"name": "tocsin"}}
    identity["totp"] = {"user": {**whose, "passcode": code}}
    return body


def check_refused(answer: Answer, status: int = 401) -> None:
    """The failure has Keystone's shape."""
    assert (answer.status, answer.json["error"]["code"]) == (status, status), answer.raw


@pytest.mark.parametrize("form", ["id", "name", "domain-id"])
@pytest.mark.parametrize("order", [1, -1])
async def test_password_and_passcode_give_a_token(
    world: World, secret: str, form: str, order: int
) -> None:
    """The user by id or by name; the token opens the project and names both methods."""
    alice = (await world.engine.directory.now()).user_named(world.account.domain_id, "alice")
    assert alice is not None
    forms: dict[str, dict[str, Any]] = {
        "id": {"id": alice.id},
        "name": {"name": "alice", "domain": {"name": "tocsin"}},
        "domain-id": {"name": "alice", "domain": {"id": alice.domain_id}},
    }
    body = both(passcode(world, secret), **forms[form])
    body["auth"]["identity"]["methods"] = ["password", "totp"][::order]
    answer = await post_token(world, body)
    assert answer.status == 201, answer.raw
    assert answer.json["token"]["methods"] == ["password", "totp"]
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    target = f"/v2/{world.project}/notifications/topics"
    listed = await world.client.call("GET", target, headers=headers, sign=False)
    assert listed.status == 200


async def test_a_password_alone_is_not_enough(world: World, secret: str) -> None:
    """Nor a passcode alone; right and wrong passwords get the same answer."""
    right = await post_token(world, password_request())
    check_refused(right)
    wrong = await post_token(world, password_request(password="wrong"))
    assert wrong.json == right.json
    body = both(passcode(world, secret))
    body["auth"]["identity"]["methods"] = ["totp"]
    check_refused(await post_token(world, body))


async def test_access_keys_need_no_passcode(world: World) -> None:
    """They are secrets of their own."""
    alice = await user_with(world, "SMN FullAccess")
    await world.engine.directory.demand_passcodes("alice", domain="tocsin")
    target = f"/v2/{world.project}/notifications/topics"
    assert (await alice.call("GET", target)).status == 200


async def test_a_passcode_is_good_once_in_all_processes(
    world: World, secret: str, settings: Settings
) -> None:
    """Who looked over a shoulder comes too late, at another process too; the next one is good."""
    code = passcode(world, secret)
    async with serving(world.engine, settings, world.account) as (other, _):
        assert (await post_token(world, both(code))).status == 201
        for client in (world.client, other):
            check_refused(await client.call("POST", TOKENS, both(code), sign=False))
        later = both(passcode(world, secret, 1))
        assert (await other.call("POST", TOKENS, later, sign=False)).status == 201


async def test_the_mark_of_a_passcode_lasts_as_long_as_it_could(world: World, secret: str) -> None:
    """Three steps, the widest that it could be right in; then Redis lets go of it."""
    assert (await post_token(world, both(passcode(world, secret)))).status == 201
    store = world.engine.store
    (mark,) = await store.call("KEYS", "*:passcode:*", key="x")
    assert 80_000 < await store.call("PTTL", mark) <= 90_000


async def test_a_wrong_password_does_not_use_a_passcode_up(world: World, secret: str) -> None:
    """Else a slip would cost half a minute; right and wrong halves get the same answer."""
    code = passcode(world, secret)
    answers = [
        await post_token(world, both(code, password="wrong")),
        await post_token(world, both(passcode(world, secret, 5))),
    ]
    for answer in answers:
        check_refused(answer)
    assert answers[0].json == answers[1].json
    assert (await post_token(world, both(code))).status == 201


@pytest.mark.parametrize("guess", ["passcode", "password", "again"])
async def test_failures_lock_the_user(world: World, secret: str, guess: str) -> None:
    """Wrong passcodes, right passwords without one, and passcodes that were used count alike."""
    used = both(passcode(world, secret))
    assert (await post_token(world, used)).status == 201
    body = {
        "passcode": both(passcode(world, secret, 5)),
        "password": password_request(),
        "again": used,
    }[guess]
    for _ in range(5):
        check_refused(await post_token(world, body))
    check_refused(await post_token(world, both(passcode(world, secret, 1))), 403)


async def test_the_passcode_is_the_users_own(world: World, secret: str) -> None:
    """Not another's who is named beside the password, known or not."""
    await user_with(world, name="bob")
    bobs = await world.engine.directory.demand_passcodes("bob", domain="tocsin")
    bob: dict[str, Any] = {"name": "bob", "domain": {"name": "tocsin"}}
    check_refused(await post_token(world, both(passcode(world, bobs))))
    check_refused(await post_token(world, both(passcode(world, bobs), **bob)))
    check_refused(await post_token(world, both(passcode(world, secret), **bob)))
    check_refused(await post_token(world, both(passcode(world, secret), id="nobody")))


async def test_who_needs_no_passcode_has_none(world: World) -> None:
    """A log-in with one is refused, as Keystone does, and stores nothing but the failure."""
    await user_with(world)
    check_refused(await post_token(world, both("123456")))


async def test_turning_it_on_ends_tokens_and_off_lets_in_again(world: World) -> None:
    """A token got with a password alone does not outlive the demand for more."""
    directory = world.engine.directory
    alice = await user_with(world)
    headers = {"X-Subject-Token": (await token_of(world, password_request(REGION)))["X-Auth-Token"]}
    assert (await alice.call("GET", TOKENS, headers=headers)).status == 200
    secret = await directory.demand_passcodes("alice", domain="tocsin")
    assert (await alice.call("GET", TOKENS, headers=headers)).status == 404
    check_refused(await post_token(world, password_request()))
    await directory.waive_passcodes("alice", domain="tocsin")
    assert (await post_token(world, password_request())).status == 201
    check_refused(await post_token(world, both(passcode(world, secret))))


async def test_a_new_secret_replaces_the_old_one(world: World, secret: str) -> None:
    """A lost device shows nothing that is good."""
    fresh = await world.engine.directory.demand_passcodes("alice", domain="tocsin")
    check_refused(await post_token(world, both(passcode(world, secret))))
    assert (await post_token(world, both(passcode(world, fresh)))).status == 201


async def test_the_secret_is_sealed(world: World, secret: str) -> None:
    """Redis holds neither it nor anything of the passcode."""
    code = passcode(world, secret)
    assert (await post_token(world, both(code))).status == 201
    stored = repr(await world.dump())
    assert secret not in stored
    marks = [key for key in await world.dump() if ":passcode:" in key]
    assert len(marks) == 1
    assert code not in marks[0].split(":")
