"""The data set's account: one domain, one project named after the region, one user, one key.

It is made exactly once, by whichever process comes first, and is the directory's beginning
(`engine.iam.live`). The password and the secret key stay
readable for holders of the master key, so that a new data directory on an existing data set
writes the same credentials; log-ins are checked against the Argon2id hash only.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.iam.identities import (
    AccessKey,
    Domain,
    Project,
    Record,
    User,
    encode,
    key_context,
    name_of,
)
from engine.iam.passwords import hash_password
from engine.store.directory_records import NOTHING, DirectoryRecords
from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.settings import Settings
    from engine.store.connection import Store
    from engine.store.keys import Keys
    from engine.vault import Vault

_CREATE = script(__file__, "accounts")
_NAME: Final = "tocsin"
_PASSWORD_BYTES: Final = 18
_ACCESS_KEY_DIGITS: Final = 20
_SECRET_KEY_DIGITS: Final = 40
_ALPHANUMERIC: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its credentials file shows it. Ids are 32 hex digits."""

    domain_id: str
    domain_name: str
    project_id: str
    project_name: str
    user_id: str
    user_name: str
    access_key: str
    password: str = field(repr=False)
    secret_key: str = field(repr=False)
    password_hash: str = field(repr=False)


class Accounts:
    """Makes and finds the account."""

    def __init__(self, store: Store, keys: Keys, vault: Vault, settings: Settings) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault
        self._settings = settings
        self._directory = DirectoryRecords(store, keys, settings)

    async def bootstrap(self) -> Account:
        """The account, created if there is none; any number of processes may race.

        Raises `StoreError`, and `StoreUnfit` if another master key encrypted it.
        """
        account = await self.find()
        if account is not None:
            return account
        fields = await self._fresh()
        given = [part for item in fields.items() for part in item]
        stored = await self._store.run(_CREATE, [self._keys.account()], given)
        account = self._decode(dict(zip(stored[::2], stored[1::2], strict=True)))
        await self._plant(account)
        return account

    async def plant(self) -> None:
        """Take the account, if there is one, into the directory, if that is empty."""
        account = await self.find()
        if account is not None:
            await self._plant(account)

    async def _plant(self, account: Account) -> None:
        secret = self._vault.encrypt(account.secret_key, key_context(account.access_key))
        records: tuple[Record, ...] = (
            Domain(account.domain_id, account.domain_name),
            Project(account.project_id, account.domain_id, account.project_name),
            User(
                account.user_id,
                account.domain_id,
                account.user_name,
                account.password_hash,
                epoch=account.user_id,
                owner=True,
            ),
            AccessKey(account.access_key, account.user_id, secret),
        )
        # Others may do the same at the same time: the account is one, so either is right.
        await self._directory.write(NOTHING, {name_of(one): encode(one) for one in records})

    async def find(self) -> Account | None:
        """The account; None before any process has made it. Raises `StoreError`."""
        stored = await self._store.call("HGETALL", self._keys.account(), repeatable=True)
        if not stored:
            return None
        return self._decode(dict(zip(stored[::2], stored[1::2], strict=True)))

    async def _fresh(self) -> dict[str, str]:
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        secret_key = _letters(_SECRET_KEY_DIGITS)
        return {
            "domain_id": secrets.token_hex(16),
            "domain_name": _NAME,
            "project_id": secrets.token_hex(16),
            "project_name": self._settings.region,
            "user_id": secrets.token_hex(16),
            "user_name": _NAME,
            "access_key": _letters(_ACCESS_KEY_DIGITS),
            "password": self._vault.encrypt(password, "account:password"),
            "secret_key": self._vault.encrypt(secret_key, "account:secret_key"),
            "password_hash": await asyncio.to_thread(hash_password, password),
        }

    def _decode(self, stored: Mapping[bytes, bytes]) -> Account:
        fields = {name.decode(): value.decode() for name, value in stored.items()}
        for name in ("password", "secret_key"):
            fields[name] = self._vault.decrypt(fields[name], f"account:{name}")
        return Account(**fields)


def _letters(count: int) -> str:
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(count))
