"""Message templates: what may be one, and finding them."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from engine.control.windows import window
from engine.errors import Refused
from engine.models import Listing
from engine.policy import templates as policy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.settings import Settings
    from engine.store.templates import Template, TemplateRecords

DEFAULT: Final = "default"
"""The protocol of the template that serves all that have none of their own."""
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Templates:
    """Templates of all projects; every method raises `Refused` with the contract's code."""

    def __init__(
        self, records: TemplateRecords, settings: Settings, protocols: Collection[str]
    ) -> None:
        self._records = records
        self._settings = settings
        self._protocols = protocols

    async def create(self, project_id: str, name: str, protocol: str, content: str) -> str:
        """A new template's id.

        Codes: SMN.0032 name, SMN.0011 protocol, SMN.0024 content, SMN.0075 variables, SMN.0025
        exists, SMN.0044 quota.
        """
        policy.check_name(name, "SMN.0032")
        if protocol != DEFAULT and protocol not in self._protocols:
            raise Refused("SMN.0011")
        tag_names = policy.variables(content)
        identifier = secrets.token_hex(16)
        verdict = await self._records.create(
            project_id,
            identifier,
            (name, protocol),
            content,
            tag_names,
            quota=self._settings.quota_templates,
        )
        if verdict == "exists":
            raise Refused("SMN.0025")
        if verdict == "quota":
            raise Refused("SMN.0044", f"There are {self._settings.quota_templates} already.")
        return identifier

    async def list(
        self,
        project_id: str,
        *,
        name: str | None = None,
        protocol: str | None = None,
        marker: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Listing[Template]:
        """A window of a project's, oldest first (SMN API, "Order"), and the number of all of them.

        It begins after the one with the id ``marker``.
        """
        found = [
            one
            for one in await self._records.all(project_id)
            if name in {None, one.name} and protocol in {None, one.protocol}
        ]
        is_marker = None if marker is None else lambda template: template.id == marker
        return Listing(tuple(window(found, is_marker, offset, limit)), len(found))

    async def get(self, project_id: str, identifier: str) -> tuple[Template, str]:
        """A template and its content; codes SMN.0031 malformed id, SMN.0027 unknown."""
        template = await self._find(project_id, identifier)
        contents = await self._records.contents(project_id, template.name)
        content = contents.get(template.protocol)
        if content is None:  # deleted between the two reads
            raise Refused("SMN.0027")
        return template, content

    async def update(self, project_id: str, identifier: str, content: str) -> None:
        """Replace the content; codes as `create` and `get`."""
        tag_names = policy.variables(content)
        template = await self._find(project_id, identifier)
        if not await self._records.update(project_id, template, content, tag_names):
            raise Refused("SMN.0027")

    async def delete(self, project_id: str, identifier: str) -> None:
        """Remove; what was published with it stays as it is. Codes as `get`."""
        template = await self._find(project_id, identifier)
        if not await self._records.delete(project_id, template):
            raise Refused("SMN.0027")

    async def fill(self, project_id: str, name: str, tags: object) -> Mapping[str, str]:
        """What the templates of a name say: ``default`` and each protocol that has its own.

        Codes: SMN.0042 name, SMN.0038 tags, SMN.0076 no template with protocol ``default``.
        """
        policy.check_name(name, "SMN.0042")
        values = policy.check_tags(tags)
        contents = await self._records.contents(project_id, name)
        if DEFAULT not in contents:
            raise Refused("SMN.0076")
        return {protocol: policy.fill(text, values) for protocol, text in contents.items()}

    async def _find(self, project_id: str, identifier: str) -> Template:
        if _ID.fullmatch(identifier) is None:
            raise Refused("SMN.0031")
        template = await self._records.find(project_id, identifier)
        if template is None:
            raise Refused("SMN.0027")
        return template
