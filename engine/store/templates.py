"""Message templates of a project, all in the project's own slot.

What a list shows stands under the template's id as ``created updated JSON``, the JSON being
``[name, protocol, tag names]``; contents stand under the name, one field a protocol, so that
publishing reads all of a name at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.store.scripts import script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.store.connection import Store
    from engine.store.keys import Keys

_CREATE = script(__file__, "template_create")
_UPDATE = script(__file__, "template_update")
_DELETE = script(__file__, "template_delete")


@dataclass(frozen=True, slots=True)
class Template:
    """A message template, without its content."""

    id: str
    name: str
    protocol: str
    tag_names: tuple[str, ...]
    created_ms: int
    updated_ms: int


class TemplateRecords:
    """Reads and writes templates; knows nothing of the contract's rules."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def create(
        self,
        project_id: str,
        identifier: str,
        spot: tuple[str, str],
        content: str,
        tag_names: Sequence[str],
        *,
        quota: int,
    ) -> str:
        """Create one for ``(name, protocol)``: ``ok``, or ``exists`` or ``quota`` if not."""
        name, protocol = spot
        verdict = await self._store.run(
            _CREATE,
            (
                self._keys.project_templates(project_id),
                self._keys.project_template(project_id, name),
            ),
            (identifier, protocol, content, _encode(name, protocol, tag_names), quota),
        )
        return str(verdict.decode())

    async def all(self, project_id: str) -> list[Template]:
        """All of a project, oldest first, ties by id: the quota bounds them."""
        flat = await self._store.call(
            "HGETALL", self._keys.project_templates(project_id), repeatable=True
        )
        found = [_decode(flat[i].decode(), flat[i + 1]) for i in range(0, len(flat), 2)]
        return sorted(found, key=lambda one: (one.created_ms, one.id))

    async def find(self, project_id: str, identifier: str) -> Template | None:
        """One template by its id."""
        found = await self._store.call(
            "HGET", self._keys.project_templates(project_id), identifier, repeatable=True
        )
        return _decode(identifier, found) if found else None

    async def contents(self, project_id: str, name: str) -> Mapping[str, str]:
        """The contents of a name by protocol."""
        flat = await self._store.call(
            "HGETALL", self._keys.project_template(project_id, name), repeatable=True
        )
        return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}

    async def update(
        self, project_id: str, template: Template, content: str, tag_names: Sequence[str]
    ) -> bool:
        """Replace the content; False if the template is gone."""
        done = await self._store.run(
            _UPDATE,
            (
                self._keys.project_templates(project_id),
                self._keys.project_template(project_id, template.name),
            ),
            (
                template.id,
                template.protocol,
                content,
                _encode(template.name, template.protocol, tag_names),
            ),
        )
        return bool(done)

    async def delete(self, project_id: str, template: Template) -> bool:
        """Remove; False if it is gone already."""
        done = await self._store.run(
            _DELETE,
            (
                self._keys.project_templates(project_id),
                self._keys.project_template(project_id, template.name),
            ),
            (template.id, template.protocol),
        )
        return bool(done)


def _encode(name: str, protocol: str, tag_names: Sequence[str]) -> str:
    return json.dumps([name, protocol, list(tag_names)], separators=(",", ":"))


def _decode(identifier: str, stored: bytes) -> Template:
    created, updated, body = stored.split(b" ", 2)
    name, protocol, tag_names = json.loads(body)
    return Template(identifier, name, protocol, tuple(tag_names), int(created), int(updated))
