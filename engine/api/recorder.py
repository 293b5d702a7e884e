"""From an answered request to its audit record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.models import Actor, Operation
from engine.policy import audit

if TYPE_CHECKING:
    from engine.api.call import Call
    from engine.api.response import Response
    from engine.api.routes import Trace
    from engine.app import Engine
    from engine.iam.callers import Caller


class Recorder:
    """Notes the calls of traced routes; what is kept is made up after the answer has gone out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, call: Call, response: Response, client: str, took_s: float) -> None:
        """Record a call of a traced route, if its caller is proven and acts in a project."""
        trace, caller = call.route.trace, call.caller
        if trace is None or caller is None or not call.authentic or not caller.project_id:
            return
        at_ms = self._engine.clock.now_ms() - round(took_s * 1000)
        loop = asyncio.get_running_loop()
        loop.call_soon(self._record, trace, call, caller, response, client, at_ms)

    async def close(self) -> None:
        """Write what was noted."""
        await asyncio.sleep(0)  # what was noted last is made up now
        await self._engine.audit.drain()

    def _record(
        self,
        trace: Trace,
        call: Call,
        caller: Caller,
        response: Response,
        client: str,
        at_ms: int,
    ) -> None:
        read_only, good = call.route.method == "GET", response.status < 400
        body = audit.parse(call.content.raw) if call.content.raw else None
        # What a good reading shows was not changed by it, and may be long.
        told = response.body or b""
        answer = audit.parse(told) if told and not (read_only and good) else None
        identifier, resource_name = audit.resource(trace.resource_type, call.path, body, answer)
        request = audit.query_text(call.query) if body is None else audit.text(body, audit.SHOWN)
        for name in (*call.implied, audit.trace_name(trace.name, body)):
            self._engine.audit.record(
                Operation(
                    trace_name=name,
                    resource_type=trace.resource_type,
                    operation=call.route.operation,
                    project_id=caller.project_id,
                    request_id=call.request_id,
                    at_ms=at_ms,
                    code=response.status,
                    read_only=read_only,
                    source_ip=client,
                    actor=_actor(caller),
                    resource_id=identifier,
                    resource_name=resource_name,
                    request="" if audit.is_deletion(name) else request,
                    response="" if answer is None else audit.text(answer, audit.SHOWN_IN_ANSWERS),
                )
            )


def _actor(caller: Caller) -> Actor:
    return Actor(
        user_id=caller.user_id,
        user_name=caller.user_name,
        domain_id=caller.domain_id,
        domain_name=caller.domain_name,
        access_key=caller.access_key,
    )
