"""Logtanks: bindings of topics to log streams of LTS."""

from __future__ import annotations

from typing import Any, Final, cast

from engine.api.bodies import Body, Requested, Shown
from engine.api.call import Call
from engine.api.paging import iso
from engine.api.routes import TOPIC, Route, Trace
from engine.models import Logtank

_LOGTANKS: Final = f"{TOPIC}/logtanks"
_LOGTANK: Final = f"{_LOGTANKS}/{{logtank_id}}"


class BindLogtank(Body):
    """Where the log can be read."""

    log_group_id: str
    log_stream_id: str


class LogtankMade(Requested):
    """Which logtank it is."""

    id: str


class LogtankItem(Shown):
    """A logtank."""

    id: str
    log_group_id: str
    log_stream_id: str
    create_time: str
    update_time: str


class LogtankChanged(Requested):
    """The logtank as it is now."""

    logtank: LogtankItem


class LogtankList(Requested):
    """A topic's logtanks: one at most."""

    count: int
    logtanks: list[LogtankItem]


async def create(call: Call) -> dict[str, Any]:
    """Bind a topic's log."""
    body = cast("BindLogtank", call.body)
    logtank_id = await call.services.engine.logtanks.create(
        call.path["topic_urn"], body.log_group_id, body.log_stream_id
    )
    return {"request_id": call.request_id, "id": logtank_id}


async def list_all(call: Call) -> dict[str, Any]:
    """What a topic's log is bound to."""
    found = await call.services.engine.logtanks.get(call.path["topic_urn"])
    items = shown(found)
    return {"request_id": call.request_id, "count": len(items), "logtanks": items}


async def update(call: Call) -> dict[str, Any]:
    """Bind it to another stream."""
    body = cast("BindLogtank", call.body)
    logtank = await call.services.engine.logtanks.update(
        call.path["topic_urn"], call.path["logtank_id"], body.log_group_id, body.log_stream_id
    )
    return {"request_id": call.request_id, "logtank": _item(logtank)}


async def delete(call: Call) -> dict[str, Any]:
    """Unbind it."""
    await call.services.engine.logtanks.delete(call.path["topic_urn"], call.path["logtank_id"])
    return {"request_id": call.request_id}


def shown(logtank: Logtank | None) -> list[dict[str, str]]:
    """A topic's logtanks as lists have them."""
    return [] if logtank is None else [_item(logtank)]


def _item(logtank: Logtank) -> dict[str, str]:
    return {
        "id": logtank.id,
        "log_group_id": logtank.group_id,
        "log_stream_id": logtank.stream_id,
        "create_time": iso(logtank.created_ms),
        "update_time": iso(logtank.updated_ms),
    }


ROUTES: Final = (
    Route(
        "CreateLogtank",
        "POST",
        _LOGTANKS,
        create,
        body=BindLogtank,
        answer=LogtankMade,
        errors=("SMN.00010008",),
        action="smn:topic:update",
        trace=Trace("createLogtank", "logtank"),
        success=201,
    ),
    Route(
        "ListLogtank",
        "GET",
        _LOGTANKS,
        list_all,
        answer=LogtankList,
        errors=("SMN.00010008",),
        action="smn:topic:list",
    ),
    Route(
        "UpdateLogtank",
        "PUT",
        _LOGTANK,
        update,
        body=BindLogtank,
        answer=LogtankChanged,
        errors=("SMN.0013", "SMN.00010008"),
        action="smn:topic:update",
        trace=Trace("updateLogtank", "logtank"),
    ),
    Route(
        "DeleteLogtank",
        "DELETE",
        _LOGTANK,
        delete,
        answer=Requested,
        errors=("SMN.0013", "SMN.00010008"),
        action="smn:topic:update",
        trace=Trace("deleteLogtank", "logtank"),
    ),
)
