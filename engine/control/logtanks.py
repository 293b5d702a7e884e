"""Logtanks: the log stream of LTS in which a topic's delivery log can be read."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from engine.errors import Refused
from engine.store.logtank_records import Written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.control.topics import Topics
    from engine.models import Logtank, Topic
    from engine.store.logtank_records import LogtankRecords

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
"""Ids of log groups and streams are made by LTS, as UUIDs."""


class Logtanks:
    """The logtanks of all topics, one each at most; methods raise `Refused`.

    An unknown topic is SMN.00010008 here (SMN "Logtank"). That group and stream exist is not
    checked.
    """

    def __init__(self, topics: Topics, records: LogtankRecords) -> None:
        self._topics = topics
        self._records = records

    async def of_topic(self, topic_id: str) -> Logtank | None:
        """The topic's logtank."""
        return (await self._records.read([topic_id]))[0]

    async def of(self, topics: Sequence[Topic]) -> list[Logtank | None]:
        """The logtanks of topics, in the same order."""
        return await self._records.read([topic.id for topic in topics])

    async def bound(self, project_id: str, group_id: str, stream_id: str) -> list[str]:
        """Ids of the project's topics whose log is in this stream."""
        candidates = await self._records.candidates(project_id)
        found = await self._records.read(candidates)
        return [
            topic_id
            for topic_id, logtank in zip(candidates, found, strict=True)
            if logtank and (logtank.group_id, logtank.stream_id) == (group_id, stream_id)
        ]

    async def get(self, topic_urn: str) -> Logtank | None:
        """The topic's logtank. Codes: SMN.0005 URN, SMN.00010008 topic."""
        return await self.of_topic((await self._topic(topic_urn)).id)

    async def create(self, topic_urn: str, group_id: str, stream_id: str) -> str:
        """Bind a topic's log; the id of the logtank.

        Codes: as `get`, APIGW.0201 a bad id or a topic that has a logtank.
        """
        _check(group_id, stream_id)
        topic = await self._topic(topic_urn)
        logtank_id = secrets.token_hex(16)
        written = Written.ANOTHER
        if await self.of_topic(topic.id) is None:
            written = await self._records.create(
                topic.project_id, topic.id, logtank_id, group_id, stream_id
            )
        if written is Written.ANOTHER:
            raise Refused("APIGW.0201", "The topic has a logtank; change or delete that one.")
        if written is Written.TOPIC_GONE:
            raise Refused("SMN.00010008")
        return logtank_id

    async def update(
        self, topic_urn: str, logtank_id: str, group_id: str, stream_id: str
    ) -> Logtank:
        """Bind it to another stream. Codes: as `create`, SMN.0013 an unknown logtank."""
        _check(group_id, stream_id)
        topic = await self._topic(topic_urn)
        written = await self._records.update(topic.id, logtank_id, group_id, stream_id)
        if written is Written.TOPIC_GONE:
            raise Refused("SMN.00010008")
        found = await self.of_topic(topic.id) if written is Written.DONE else None
        return _own(found, logtank_id)

    async def delete(self, topic_urn: str, logtank_id: str) -> None:
        """Unbind a topic's log. Codes: as `get`, SMN.0013 an unknown logtank."""
        topic = await self._topic(topic_urn)
        _own(await self.of_topic(topic.id), logtank_id)
        await self._records.delete(topic.id, logtank_id)

    async def _topic(self, topic_urn: str) -> Topic:
        try:
            return await self._topics.get(topic_urn)
        except Refused as refused:
            if refused.code == "SMN.0006":
                raise Refused("SMN.00010008") from refused
            raise


def _own(logtank: Logtank | None, logtank_id: str) -> Logtank:
    if logtank is None or logtank.id != logtank_id:
        raise Refused("SMN.0013", "The topic has no logtank with this id.")
    return logtank


def _check(group_id: str, stream_id: str) -> None:
    if not (_NAME.fullmatch(group_id) and _NAME.fullmatch(stream_id)):
        raise Refused(
            "APIGW.0201",
            "log_group_id and log_stream_id have 1 to 64 letters, digits, hyphens and underscores.",
        )
