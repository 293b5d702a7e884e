"""Users, keys and accounts for tests, and clients that call as them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.iam.identities import Subject
from tests.api_client import Answer, Client
from tests.worlds import World

PASSWORD = "correct horse battery staple"
TOKENS = "/v3/auth/tokens"


def client_with(world: World, access_key: str, secret_key: str) -> Client:
    """A client that signs with another key."""
    account = replace(world.account, access_key=access_key, secret_key=secret_key)
    return Client(world.client.url, world.client._session, account)


async def user_with(world: World, *roles: str, name: str = "alice", domain: str = "") -> Client:
    """A client of a new user who holds roles in all of its account."""
    directory, domain = world.engine.directory, domain or world.account.domain_name
    await directory.create_user(name, domain=domain, password=PASSWORD)
    for role in roles:
        await directory.access.grant(role, Subject.USER, name, domain=domain)
    return await key_of(world, name, domain=domain)


async def key_of(world: World, name: str, *, domain: str = "", service: str = "") -> Client:
    """A client with a new key of a user."""
    domain = domain or world.account.domain_name
    made = await world.engine.directory.create_key(name, domain=domain, service=service)
    return client_with(world, made.key.id, made.secret)


def password_request(
    scope: Any = None, *, domain: str = "tocsin", name: str = "alice", password: str = PASSWORD
) -> dict[str, Any]:
    """The body of a log-in."""
    user = {"name": name, "password": password, "domain": {"name": domain}}
    return auth("password", {"user": user}, scope)


def auth(method: str, given: Any, scope: Any = None) -> dict[str, Any]:
    """The body of a log-in by any method."""
    identity = {"methods": [method], method: given}
    return {"auth": {"identity": identity} | ({} if scope is None else {"scope": scope})}


async def post_token(world: World, body: Any, **options: Any) -> Answer:
    """POST /v3/auth/tokens, unsigned unless asked."""
    return await world.client.call("POST", TOKENS, body, **({"sign": False} | options))


async def token_of(world: World, body: Any, **options: Any) -> dict[str, str]:
    """The header that a new token is used in."""
    answer = await post_token(world, body, **options)
    assert answer.status == 201, answer.raw
    return {"X-Auth-Token": answer.headers["X-Subject-Token"]}
