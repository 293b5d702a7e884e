"""What the API says about itself: the OpenAPI document, and the same as a page to read."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from engine.api import manual
from engine.api.answers import Reply
from engine.api.openapi import document
from engine.api.routes import Auth, Route

if TYPE_CHECKING:
    from engine.api.call import Call

_HTML: Final = "text/html; charset=utf-8"
_MATCH: Final = (
    "If-None-Match",
    "The ETag of a copy that is already there: 304 if it is still good.",
)


@dataclass(frozen=True, slots=True)
class Published:
    """Bytes that stay the same as long as the process lives, and their tag."""

    content: bytes
    tag: str

    @classmethod
    def of(cls, content: bytes) -> Published:
        """The content with a strong tag."""
        return cls(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


@cache
def publish() -> tuple[Published, Published]:
    """The document and the page, made once; takes some tenths of a second."""
    from engine.api.table import ROUTES  # noqa: PLC0415 - this module's rows are in the table

    made = document(ROUTES)
    text = json.dumps(made, ensure_ascii=False, separators=(",", ":"))
    return Published.of(text.encode()), Published.of(manual.page(made).encode())


async def show_document(call: Call) -> Reply:
    """This document: OpenAPI 3.1."""
    found, _ = await asyncio.to_thread(publish)
    return _reply(call, found, "application/json", {})


async def show_page(call: Call) -> Reply:
    """The reference of all operations, as a page for a person."""
    _, found = await asyncio.to_thread(publish)
    return _reply(call, found, _HTML, manual.HEADERS)


def _reply(call: Call, found: Published, content_type: str, headers: dict[str, str]) -> Reply:
    headers = {"ETag": found.tag, "Cache-Control": "no-cache", **headers}
    if found.tag in (call.header("if-none-match") or ""):
        return Reply(None, 304, headers=headers)
    return Reply(found.content, content_type=content_type, headers=headers)


_document = partial(Route, method="GET", auth=Auth.NONE, also=(304,), headers=(_MATCH,))

ROUTES: Final = (
    _document("ShowOpenApi", path="/openapi.json", handler=show_document),
    _document("ShowReference", path="/docs", handler=show_page, content_type="text/html"),
)
