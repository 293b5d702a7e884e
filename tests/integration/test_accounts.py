"""The data set's account and the tokens of its user, on a real server."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import StoreUnfit
from engine.iam.passwords import Passwords
from engine.iam.tokens import LIFE_MS, Token, Tokens
from engine.settings import Settings
from engine.store.accounts import Accounts
from engine.store.connection import Store
from engine.store.keys import Keys
from engine.vault import Vault

KEYS = Keys("tocsin:", 8)
VAULT = Vault(b"k" * 32)


def _token(store: Store) -> Token:
    now_ms = store.clock.now_ms()
    return Token("user", "epoch", ("password",), now_ms, now_ms + LIFE_MS, project_id="p" * 32)


async def test_one_account_however_many_processes_race(store: Store, settings: Settings) -> None:
    """All see the same one, its password and key included."""
    made = await asyncio.gather(
        *(Accounts(store, KEYS, VAULT, settings).bootstrap() for _ in range(5))
    )
    assert len(set(made)) == 1
    assert await Accounts(store, KEYS, VAULT, settings).bootstrap() == made[0]
    assert made[0].project_name == settings.region


async def test_secrets_are_encrypted_at_rest(store: Store, settings: Settings) -> None:
    """Who reads the database has neither password nor secret key, nor does a log line."""
    account = await Accounts(store, KEYS, VAULT, settings).bootstrap()
    stored = b" ".join(await store.call("HGETALL", KEYS.account()))
    for secret in (account.password, account.secret_key):
        assert secret.encode() not in stored
        assert secret not in repr(account)
    with pytest.raises(StoreUnfit):
        await Accounts(store, KEYS, Vault(b"x" * 32), settings).bootstrap()


async def test_the_password_logs_in(store: Store, settings: Settings) -> None:
    """The stored hash is that of the password in the credentials."""
    account = await Accounts(store, KEYS, VAULT, settings).bootstrap()
    passwords = Passwords()
    assert await passwords.check(account.password, account.password_hash)
    passwords.close()


async def test_a_token_is_good_everywhere_until_it_expires(store: Store) -> None:
    """Another process finds it; Redis lets go of it after 24 hours."""
    token = _token(store)
    text = await Tokens(store, KEYS).issue(token)
    assert await Tokens(store, KEYS).find(text) == token
    (key,) = await store.call("KEYS", f"{KEYS.token('')}*")
    assert text.encode() not in key
    assert LIFE_MS - 10_000 < await store.call("PTTL", key) <= LIFE_MS
    for wrong in (text + "x", "", "x" * 5000, "\udcff"):
        assert await Tokens(store, KEYS).find(wrong) is None


async def test_a_revoked_token_is_gone(store: Store) -> None:
    """At once in the process that revoked it."""
    tokens = Tokens(store, KEYS)
    text = await tokens.issue(_token(store))
    assert await tokens.find(text) is not None
    await tokens.revoke(text)
    assert await tokens.find(text) is None
