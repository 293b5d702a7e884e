"""KMS: which key of the ring a topic's content is encrypted with."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from engine.errors import Refused
from engine.keyring_file import KeyState
from engine.models import KmsBinding

if TYPE_CHECKING:
    from engine.control.topics import Topics
    from engine.keyring import Keyring
    from engine.models import Topic
    from engine.store.topic_records import TopicRecords

_DONE, _GONE = 1, 0


class Kms:
    """Bindings of all topics; every method raises `Refused` with the contract's code.

    Codes of all: SMN.0005/0006 topic. A binding has no code of its own in the contract: a
    missing one is SMN.0045, as a topic's attribute, a request that cannot be done APIGW.0201.
    """

    def __init__(self, records: TopicRecords, topics: Topics, keyring: Keyring) -> None:
        self._records = records
        self._topics = topics
        self._keyring = keyring

    async def bind(self, topic_urn: str, key_id: str) -> KmsBinding:
        """Encrypt what is published from now on.

        Codes: APIGW.0201 for a key that is not enabled, and for a topic that has one already.
        """
        topic = await self._topics.get(topic_urn)
        if topic.kms is not None:
            raise _bound(topic.kms.key_id)
        await self._check(key_id)
        binding = KmsBinding(secrets.token_hex(16), key_id)
        if not await self._write(topic, "", binding):
            raise _bound(key_id)
        return binding

    async def show(self, topic_urn: str) -> tuple[KmsBinding, KeyState]:
        """The binding and its key's state now; code SMN.0045 if there is none."""
        topic = await self._topics.get(topic_urn)
        if topic.kms is None:
            raise _unbound()
        return topic.kms, await self._keyring.fresh_for(topic.kms.key_id)

    async def rebind(self, topic_urn: str, binding_id: str, key_id: str) -> KmsBinding:
        """Use another key from now on; what is stored keeps the one that it was stored with.

        Codes: SMN.0045 unknown binding, APIGW.0201 for a key that is not enabled.
        """
        topic = await self._bound_by(topic_urn, binding_id)
        await self._check(key_id)
        binding = KmsBinding(binding_id, key_id)
        if not await self._write(topic, binding_id, binding):
            raise _unbound()
        return binding

    async def unbind(self, topic_urn: str, binding_id: str) -> None:
        """Encrypt no more from now on; code SMN.0045 for an unknown binding."""
        topic = await self._bound_by(topic_urn, binding_id)
        if not await self._write(topic, binding_id, None):
            raise _unbound()

    async def _bound_by(self, topic_urn: str, binding_id: str) -> Topic:
        topic = await self._topics.get(topic_urn)
        if topic.kms is None or topic.kms.id != binding_id:
            raise _unbound()
        return topic

    async def _check(self, key_id: str) -> None:
        state = await self._keyring.fresh_for(key_id)
        if state is KeyState.DELETED:
            raise Refused("APIGW.0201", f"key_id: there is no key {key_id} in the key ring.")
        if state is not KeyState.ENABLED:
            raise Refused("APIGW.0201", f"key_id: the key {key_id} is {state}, not ENABLED.")

    async def _write(self, topic: Topic, expected: str, binding: KmsBinding | None) -> bool:
        """Change the record; False if it holds another binding by now."""
        verdict = await self._records.bind_key(topic, expected, binding)
        if verdict == _GONE:
            raise Refused("SMN.0006")
        return verdict == _DONE


def _bound(key_id: str) -> Refused:
    return Refused("APIGW.0201", f"The topic has the key {key_id} already: update that binding.")


def _unbound() -> Refused:
    return Refused("SMN.0045", "No such KMS key is bound to the topic.")
