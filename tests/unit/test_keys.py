"""Keys: one slot for everything of a topic, and ids that tell their shard."""

from __future__ import annotations

import inspect
import re

import pytest

from engine.store.keys import Keys

TOPIC = "05" + "ab" * 15
MESSAGE = "f" * 32
_ARGUMENTS = {
    "topic_id": TOPIC,
    "message_id": MESSAGE,
    "subscription_id": "5" * 32,
    "project_id": "a" * 32,
    "shard": 5,
    "number": 5,
    "protocol": "http",
    "digest": "00000005" + "0" * 24,
    "bucket": 300,
    "access_key": "AK",
    "user_id": "c" * 32,
    "step": 59_000_000,
    "name": "order",
    "kind": "smn_topic",
    "task_id": "e" * 32,
    "platform": "HMS",
    "application_id": "d" * 32,
}

_UNTAGGED = {
    "dataset",
    "outbox",
    "events",
    "workers",
    "account",
    "token",
    "temporary_key",
    "passcode",
}


def _named(keys: Keys) -> dict[str, str]:
    """Every key that the module can name, for one set of arguments."""
    found = {}
    for name, method in inspect.getmembers(keys, inspect.ismethod):
        parameters = inspect.signature(method).parameters
        if not name.startswith(("_", "shard_of", "new_")):
            found[name] = method(*(_ARGUMENTS[parameter] for parameter in parameters))
    return found


def test_every_key_begins_with_the_prefix() -> None:
    """Data sets share a server by prefix."""
    named = _named(Keys("mine:", 8))
    assert len(named) > 25
    assert all(key.startswith("mine:") for key in named.values())


def test_no_two_keys_are_the_same() -> None:
    """Each kind of key has a name of its own."""
    named = _named(Keys("t:", 8))
    assert len(set(named.values())) == len(named)


def test_everything_of_a_topic_is_in_its_shards_slot() -> None:
    """Keys of a topic, its messages and its shard carry the same hash tag."""
    keys = Keys("t:", 8)
    for name, key in _named(keys).items():
        tag = re.search(r"\{(.*?)\}", key)
        if name in _UNTAGGED:
            assert tag is None, name
        elif name.startswith("directory"):
            assert tag is not None
            assert tag[1] == "iam"
        elif name.startswith("project_"):
            assert tag is not None
            assert tag[1] == "p:" + "a" * 32
        else:
            assert tag is not None, name
            assert tag[1] == "5", name


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 8, 100, 255, 256])
def test_a_new_topic_id_tells_its_shard(shards: int) -> None:
    """Whatever the number of shards: 32 hex digits that lead back to the shard."""
    keys = Keys("t:", shards)
    for shard in range(shards):
        for _ in range(20):
            topic_id = keys.new_topic_id(shard)
            assert re.fullmatch("[0-9a-f]{32}", topic_id)
            assert keys.shard_of_topic(topic_id) == shard


def test_topic_ids_are_not_reused() -> None:
    """Two of them are never the same."""
    keys = Keys("t:", 8)
    assert len({keys.new_topic_id(3) for _ in range(1_000)}) == 1_000


def test_names_are_spread_over_all_shards() -> None:
    """Numbered topics, as people name them, leave no shard empty or overfull."""
    keys = Keys("t:", 8)
    counts = [0] * 8
    for number in range(800):
        counts[keys.shard_of_name("a" * 32, f"topic-{number}")] += 1
    assert min(counts) > 60
    assert max(counts) < 140
