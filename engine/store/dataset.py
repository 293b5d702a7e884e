"""The data set's record: what was decided once and every process must agree with.

One hash, written in one script when the first process finds none, and never changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.errors import StoreUnfit
from engine.settings import Durability, Settings
from engine.signing import make_certificate
from engine.store.connection import Store, script
from engine.store.keys import Keys
from engine.vault import Vault

SCHEMA: Final = 1
"""The layout of everything in Redis; another number means another layout."""

_CREATE: Final = script(__file__, "dataset")
_KEY_CONTEXT: Final = "dataset:signing-key"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What belongs to the data set and survives every process.

    The signing key is an unencrypted PEM here, and only here: keep it out of logs.
    """

    region: str
    shards: int
    schema: int
    signing_key_pem: bytes
    certificate_pem: bytes
    certificate_id: str
    created_ms: int

    def __repr__(self) -> str:
        return f"Dataset(region={self.region!r}, shards={self.shards}, schema={self.schema})"


async def open_dataset(store: Store, keys: Keys, settings: Settings, vault: Vault) -> Dataset:
    """Open the data set, made if there is none; any number of processes may race.

    Raises `StoreUnfit`, in one sentence, for another schema, region or number of shards, or
    when ``vault`` does not hold the key that its secrets are encrypted with.
    """
    key = keys.dataset()
    found = _record(await store.call("HGETALL", key, repeatable=True))
    if not found:
        made = await asyncio.to_thread(_make, settings, vault)
        reply = await store.run(
            _CREATE,
            [key],
            [word for pair in made.items() for word in pair],
            wait_replicas=settings.durability is Durability.REPLICA,
        )
        found = _record(reply)
    _check(found, settings, vault)
    return Dataset(
        region=found["region"],
        shards=int(found["shards"]),
        schema=int(found["schema"]),
        signing_key_pem=vault.decrypt(found["signing_key"], _KEY_CONTEXT).encode(),
        certificate_pem=found["certificate"].encode(),
        certificate_id=found["certificate_id"],
        created_ms=int(found["created_ms"]),
    )


def _make(settings: Settings, vault: Vault) -> dict[str, str]:
    key_pem, certificate_pem, certificate_id = make_certificate(settings.region)
    return {
        "schema": str(SCHEMA),
        "region": settings.region,
        "shards": str(settings.shards),
        "master_key": vault.fingerprint,
        "signing_key": vault.encrypt(key_pem.decode(), _KEY_CONTEXT),
        "certificate": certificate_pem.decode(),
        "certificate_id": certificate_id,
    }


def _record(reply: list[bytes]) -> dict[str, str]:
    return {
        name.decode(): value.decode() for name, value in zip(reply[::2], reply[1::2], strict=True)
    }


def _check(found: Mapping[str, str], settings: Settings, vault: Vault) -> None:
    if found.get("schema") != str(SCHEMA):
        raise StoreUnfit(
            f"The data set was written with schema {found.get('schema')}, and this version of"
            f" Tocsin uses schema {SCHEMA}; run the version that wrote it."
        )
    if found["master_key"] != vault.fingerprint:
        raise StoreUnfit(
            "The data set's secrets are encrypted with another master key; set"
            " TOCSIN_MASTER_KEY_FILE to the one that it was created with."
        )
    if found["region"] != settings.region:
        raise StoreUnfit(
            f"The data set belongs to region {found['region']}, not {settings.region}; start with"
            f" --region {found['region']}."
        )
    if found["shards"] != str(settings.shards):
        raise StoreUnfit(
            f"The data set has {found['shards']} shards, not {settings.shards}; start with"
            f" TOCSIN_SHARDS={found['shards']}."
        )
