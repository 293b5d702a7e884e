"""What lists search is kept parsed, and is never older than the question."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from engine.app import Engine
from engine.store.lines import Lines

PROJECT = "0123456789abcdef" * 2


def lines_of(engine: Engine) -> Lines[Any]:
    """Cards as another process has them, which has seen nothing yet."""
    return Lines(engine.store, engine.keys, engine.keys.cards, lambda name, value: (name, value))


async def names(lines: Lines[Any], project: str = PROJECT) -> set[str]:
    """The names that are found."""
    return {
        value[2].rpartition(":")[2]
        for part in await lines.of(project)
        for _, value in part.values()
    }


async def test_whoever_asks_sees_every_change(engine: Engine) -> None:
    """Whichever process makes it: a new topic, its new names and tags, its end."""
    lines = lines_of(engine)
    assert await names(lines) == set()
    topic, _ = await engine.topics.create(PROJECT, "one")
    assert await names(lines) == {"one"}
    await engine.topics.create(PROJECT, "two")
    await engine.topics.delete(topic.urn)
    assert await names(lines) == {"two"}
    assert await names(lines, "f" * 32) == set()


async def test_only_what_has_changed_is_read(engine: Engine) -> None:
    """A shard that has not changed answers with nothing; of another what is new is parsed."""
    for number in range(40):
        await engine.topics.create(PROJECT, f"t-{number}")
    lines = lines_of(engine)
    before = await lines.of(PROJECT)
    parsed: list[int] = []
    parse = Lines._parsed

    def counted(self: Lines[Any], raw: Any) -> Any:
        parsed.append(len(raw))
        return parse(self, raw)

    with patch.object(Lines, "_parsed", counted):
        again = await lines.of(PROJECT)
        assert parsed == []
        assert all(one is two for one, two in zip(before, again, strict=True))
        topic, _ = await engine.topics.create(PROJECT, "t-40")
        assert topic.id in {name for part in await lines.of(PROJECT) for name in part}
        assert parsed == [1]
        await engine.topics.delete(topic.urn)
        assert topic.id not in {name for part in await lines.of(PROJECT) for name in part}
    assert parsed == [1]


async def test_what_the_database_has_lost_is_gone(engine: Engine) -> None:
    """With ``memory`` it may come back empty while a process remembers."""
    await engine.topics.create(PROJECT, "one")
    lines = lines_of(engine)
    assert await names(lines) == {"one"}
    for shard in range(engine.keys.shards):
        await engine.store.call("DEL", engine.keys.cards(shard, PROJECT))
    assert await names(lines) == set()
    await engine.topics.create(PROJECT, "two")
    assert await names(lines) == {"two"}


async def test_as_many_changes_after_a_loss_are_seen(engine: Engine) -> None:
    """Where a count of changes would be the one that is known, and the lines others."""
    shard = 0
    lines = lines_of(engine)
    for name in ("lost", "new"):
        number = 0
        while True:
            topic, _ = await engine.topics.create(PROJECT, f"{name}-{number}")
            if engine.keys.shard_of_topic(topic.id) == shard:
                break
            number += 1
        found = await lines.part(shard, PROJECT)
        assert [value[2].rpartition(":")[2] for _, value in found.values()] == [f"{name}-{number}"]
        await engine.store.call("DEL", engine.keys.cards(shard, PROJECT))


async def test_few_projects_are_kept(engine: Engine) -> None:
    """Those that were asked for last; any other is read again."""
    await engine.topics.create(PROJECT, "one")
    lines = lines_of(engine)
    with patch("engine.store.lines._PROJECTS", 2):
        for project in (PROJECT, "a" * 32, "b" * 32, "c" * 32):
            await lines.of(project)
        assert len(lines._known) == 2 * engine.keys.shards
        assert await names(lines) == {"one"}
