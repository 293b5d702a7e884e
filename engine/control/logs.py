"""Looking at the delivery log of topics: what the log service does with their lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engine.policy.log_search import matcher
from engine.store.delivery_log import Reading, Spot, Stretch
from engine.times import iso

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from engine.models import LogLine
    from engine.store.delivery_log import DeliveryLog
    from engine.store.topic_records import TopicRecords


_MOST: Final = 200_000
"""Lines that one query looks at, a second's work: the log may be a thousand times as long."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which lines: recorded between two times, both included, with keywords and labels.

    A page goes on ``beyond`` a line; ``back`` turns it to the page before that line.
    """

    start_ms: int
    end_ms: int
    keywords: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    newest_first: bool = False
    beyond: Spot | None = None
    back: bool = False
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found; not ``complete`` if there was more to look through than it may."""

    hits: list[Hit]
    complete: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """One line: where it stands, its text in the log service's format, its labels."""

    spot: Spot
    content: str
    labels: Mapping[str, str]


def written(line: LogLine) -> dict[str, Any]:
    """A line's members in the documented format (LTS "Collecting Logs from SMN")."""
    return {
        "message_id": line.message_id,
        "project_id": line.project_id,
        "topic_urn": line.topic_urn,
        "subscriber_urn": line.subscriber_urn,
        "protocol_name": line.protocol_name,
        "endpoint": line.endpoint,
        "status": line.status,
        "http_code": line.http_code,
        "create_time": iso(line.create_ms),
        "send_time": iso(line.send_ms),
    }


class Logs:
    """Searches the delivery log."""

    def __init__(self, log: DeliveryLog, records: TopicRecords) -> None:
        self._log = log
        self._records = records

    async def search(self, topic_ids: Sequence[str], search: Search) -> Found:
        """One page of the topics' lines, in the order that is asked for."""
        turned = search.back and search.beyond is not None
        reading, found = Reading(_MOST), []
        newest_first = search.newest_first != turned
        async for hit in self._hits(topic_ids, search, reading, newest_first=newest_first):
            found.append(hit)
            if len(found) == search.limit:
                break
        return Found(found[::-1] if turned else found, not reading.cut)

    async def count(self, topic_ids: Sequence[str], search: Search) -> tuple[int, bool]:
        """How many lines there are on all pages, and whether that are all."""
        whole = Search(search.start_ms, search.end_ms, search.keywords, search.labels)
        reading = Reading(_MOST)
        hits = self._hits(topic_ids, whole, reading, newest_first=False)
        return sum([1 async for _ in hits]), not reading.cut

    async def _hits(
        self, topic_ids: Sequence[str], search: Search, reading: Reading, *, newest_first: bool
    ) -> AsyncIterator[Hit]:
        topics = [topic for topic in await self._records.read_many(topic_ids) if topic]
        matches = matcher(search.keywords)
        stretch = Stretch(search.start_ms, search.end_ms, newest_first, search.beyond)
        async for spot, line in self._log.lines(topics, stretch, reading):
            labels = {
                "topic_urn": line.topic_urn,
                "protocol_name": line.protocol_name,
                "status": line.status,
            }
            if any(labels.get(name) != value for name, value in search.labels.items()):
                continue
            content = json.dumps(written(line), ensure_ascii=False, separators=(",", ":"))
            if matches(content):
                yield Hit(spot, content, labels)
