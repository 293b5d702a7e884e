"""Everything under a key prefix, read from outside by a plain client, and taken apart."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import redis

from engine.store.keys import GROUP
from engine.store.ledger import Row
from engine.store.messages import Reference

PageId = tuple[str, str, int]

_READ = {
    b"hash": lambda pipe, key: pipe.hgetall(key),
    b"stream": lambda pipe, key: pipe.xrange(key),
    b"zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
    b"list": lambda pipe, key: pipe.lrange(key, 0, -1),
    b"set": lambda pipe, key: pipe.smembers(key),
    b"string": lambda pipe, key: pipe.get(key),
}


@dataclass
class Snapshot:
    """What Redis holds; names as in `engine.store.keys`."""

    keys: dict[str, Any]
    stranded: list[str] = field(default_factory=list)
    """Lane entries that nobody holds and nobody will read, and holds without an entry."""

    @classmethod
    def take(cls, client: redis.Redis, prefix: str) -> Snapshot:
        names = sorted(client.scan_iter(match=prefix + "*", count=1000))
        with client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.type(name)
            kinds = pipe.execute()
            for name, kind in zip(names, kinds, strict=True):
                _READ[kind](pipe, name)
            values = pipe.execute()
        found = cls(
            {
                name.decode().removeprefix(prefix).partition(":")[2]: value
                for name, value in zip(names, values, strict=True)
            }
        )
        for name in names:
            if b":lane:" in name:
                found.stranded += _stranded(client, name, found.named("lane"))
        return found

    def named(self, kind: str) -> dict[str, Any]:
        """Keys of a kind, by what follows the kind in their names."""
        start = kind + ":"
        return {k.removeprefix(start): v for k, v in self.keys.items() if k.startswith(start)}

    def places(self) -> Counter[PageId]:
        """How often each (message, protocol, page) stands in a lane, retry set or backlog."""
        found: Counter[PageId] = Counter()
        for protocol, entries in self.named("lane").items():
            found.update(_page(fields[b"b"], protocol) for _, fields in entries)
        for protocol, members in self.named("retry").items():
            found.update(_page(member, protocol) for member, _ in members)
        for protocol, fields in self.named("backlog").items():
            for name, value in fields.items():
                if name.endswith((b":head", b":tail")):
                    continue
                message, first, end = value.decode().split(":")
                found.update((message, protocol, n) for n in range(int(first), int(end)))
        return found

    def unfinished(self) -> dict[str, int]:
        """Pages left of each stored message that has some."""
        left = {m: int(fields[b"l"]) for m, fields in self.named("msg").items()}
        return {message: pages for message, pages in left.items() if pages > 0}

    def rows(self) -> dict[PageId, Row]:
        """Ledger rows by page."""
        return {
            (message, *_split(name)): Row.unpack(packed)
            for message, fields in self.named("ledger").items()
            for name, packed in fields.items()
            if not name.startswith(b"!")
        }

    def dead(self) -> Counter[tuple[str, str]]:
        """Dead letters by (message, subscription)."""
        found: Counter[tuple[str, str]] = Counter()
        for message, fields in self.named("ledger").items():
            for name, lines in fields.items():
                if name.startswith(b"!"):
                    found.update((message, json.loads(line)[1]) for line in lines.splitlines())
        return found

    def seats(self, topic_id: str, protocol: str, page: int) -> dict[int, tuple[int, int, str]]:
        """Status, first sequence and subscription id by seat."""
        fields = self.keys.get(f"page:{topic_id}:{protocol}:{page}", {})
        found = {}
        for seat, value in fields.items():
            if seat != b"v":
                status, first, _, body = value.split(b" ", 3)
                found[int(seat)] = int(status), int(first), json.loads(body)[0]
        return found

    def lines(self) -> list[tuple[str, list[Any]]]:
        """The delivery log: message id and line."""
        return [
            (json.loads(fields[b"h"])[1], line)
            for _, fields in self.keys.get("log", [])
            for line in json.loads(fields[b"d"])
        ]

    def counted(self, name: str) -> int:
        """One counter over all topics, protocols and buckets."""
        return sum(
            int(value)
            for fields in self.named("counts").values()
            for field_name, value in fields.items()
            if field_name.decode().endswith(f":{name}")
        )

    def gauge(self) -> int:
        """What Redis says is unfinished."""
        return int(self.keys.get("gauges", {}).get(b"messages", 0))


def _page(member: bytes, protocol: str) -> PageId:
    reference = Reference.decode(member)
    return reference.message_id, protocol, reference.page


def _split(name: bytes) -> tuple[str, int]:
    protocol, page = name.decode().split(":")
    return protocol, int(page)


def _stranded(client: redis.Redis, lane: bytes, lanes: dict[str, Any]) -> list[str]:
    entries = {entry_id for entry_id, _ in lanes[lane.decode().rpartition(":")[2]]}
    groups = {group["name"].decode(): group for group in client.xinfo_groups(lane)}
    if GROUP not in groups:
        return [f"{lane!r} has no group"]
    read_to = _order(groups[GROUP]["last-delivered-id"])
    held = {p["message_id"] for p in client.xpending_range(lane, GROUP, "-", "+", 10_000)}
    return [
        *(f"{e!r} in {lane!r} was read and is held by nobody" for e in entries - held
          if _order(e) <= read_to),
        *(f"{e!r} in {lane!r} is held and not there" for e in held - entries),
    ]  # fmt: skip


def _order(entry_id: bytes) -> tuple[int, int]:
    left, _, right = entry_id.partition(b"-")
    return int(left), int(right)
