"""HTTP detection: is an endpoint available? A real probe, sent by a worker like any message.

It goes to an inline recipient whose id is the task's, is never tried again, and leaves a
result instead of a dead letter.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from engine.errors import Refused, TocsinError
from engine.models import Kind, Window
from engine.pipeline.accept import Draft

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.control.topics import Topics
    from engine.pipeline.direct import Direct
    from engine.policy.detection import Finding
    from engine.ports import Adapter, Clock
    from engine.settings import Settings
    from engine.store.limiter import Limiter
    from engine.store.probes import Probes

PROTOCOLS: Final = frozenset({"http", "https"})
LIMITS: Final = (Window(60, 60, 0),)
"""Probes of a project: the contract says that they are throttled, not how."""
_TTL_S: Final = 60
_TEXT: Final = "This message tests whether your endpoint is available."
_TASK: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Detection:
    """Starts probes and tells what they found; methods raise `Refused`."""

    def __init__(
        self,
        *,
        topics: Topics,
        direct: Direct,
        probes: Probes,
        limiter: Limiter,
        adapters: Mapping[str, Adapter[Any, Any]],
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._topics = topics
        self._direct = direct
        self._probes = probes
        self._limiter = limiter
        self._adapters = adapters
        self._clock = clock
        self._settings = settings

    async def start(
        self, topic_urn: str, protocol: str, endpoint: str, extension: Mapping[str, object]
    ) -> str:
        """Probe an endpoint; returns the task's id.

        Codes: SMN.0011 protocol, SMN.0012 endpoint, SMN.0043 headers, SMN.0069 internal address,
        SMN.0005/0006 topic, APIGW.0308 too many.
        """
        adapter = self._adapters.get(protocol)
        if protocol not in PROTOCOLS or adapter is None:
            raise Refused("SMN.0011", "Detection is for http and https.")
        await adapter.check(protocol, endpoint, extension)
        topic = await self._topics.get(topic_urn)
        until_ms = await self._limiter.take("detection", topic.project_id, LIMITS)
        if until_ms:
            wait_s = max((until_ms - self._clock.now_ms()) // 1000, 1)
            raise Refused("APIGW.0308", "too many probes", retry_after=wait_s)
        task_id = secrets.token_hex(16)
        # First, so that a worker's report finds something to replace.
        await self._probes.begin(topic.id, task_id)
        try:
            await self._direct.send(
                topic,
                Kind.DETECTION,
                (task_id, protocol, endpoint),
                Draft({"default": _TEXT}, ttl_s=min(_TTL_S, self._settings.max_ttl)),
                extension=extension,
            )
        except TocsinError:
            await self._probes.forget(topic.id, task_id)
            raise
        return task_id

    async def result(self, topic_urn: str, task_id: str) -> Finding | None:
        """What a probe found; None as long as it has not been sent.

        Codes: SMN.0005/0006 topic, SMN.00013030 unknown task.
        """
        topic = await self._topics.get(topic_urn)
        if _TASK.fullmatch(task_id) is None:
            raise Refused("SMN.00013030")
        known, finding = await self._probes.read(topic.id, task_id)
        if not known:
            raise Refused("SMN.00013030")
        return finding
