"""A small API client: the calls that the suites make, signed with an access key.

The signature is SDK-HMAC-SHA256 as the official SDK computes it, written a second time here
so that a benchmark is a client like any other and shares no code with what it measures.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_JSON = "application/json"


class ApiError(Exception):
    """The API refused a call that a benchmark relies on."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client needs from ``credentials.json``."""

    endpoint: str
    project_id: str
    access_key: str
    secret_key: str


class ApiClient:
    """Creates topics and publishes over HTTP, on kept connections."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._project = f"/v2/{credentials.project_id}"
        self._base = f"{self._project}/notifications/topics"
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=30), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def create_topic(self, name: str) -> str:
        """Create a topic; returns its URN."""
        answer = await self._post(self._base, {"name": name, "display_name": ""})
        return str(answer["topic_urn"])

    async def publish(self, topic_urn: str, message: str) -> str:
        """Publish; returns the message id once the API has acknowledged."""
        path = f"{self._base}/{quote(topic_urn, safe='')}/publish"
        body = json.dumps({"subject": "benchmark", "message": message}).encode()
        url, headers = self._signed("POST", path, body)
        answer = await self._send("POST", url, headers, body)
        return str(answer["message_id"])

    async def create_template(self, name: str) -> None:
        """Create a message template."""
        fields = {"message_template_name": name, "protocol": "default", "content": "{x}"}
        await self._post(f"{self._project}/notifications/message_template", fields)

    async def delete_topic(self, topic_urn: str) -> None:
        """Delete a topic with all its subscriptions."""
        await self._ask("DELETE", f"{self._base}/{quote(topic_urn, safe='')}")

    async def rename_topic(self, topic_urn: str, display_name: str) -> None:
        """Give a topic a display name."""
        path = f"{self._base}/{quote(topic_urn, safe='')}"
        await self._ask("PUT", path, json.dumps({"display_name": display_name}).encode())

    async def tag_topic(self, name: str, key: str, value: str) -> None:
        """Give a topic a tag."""
        fields = {"tag": {"key": key, "value": value}}
        path = f"{self._project}/smn_topic/{name}/tags"
        by_name = {"x-smn-resourceid-type": "name"}
        await self._ask("POST", path, json.dumps(fields).encode(), by_name)

    async def get(
        self, path: str, query: Mapping[str, object], **more: object
    ) -> dict[str, object]:
        """What is at a path: below the project's, unless it begins with a slash."""
        whole = path if path.startswith("/") else f"{self._project}/{path}"
        asked = "&".join(f"{name}={value}" for name, value in sorted({**query, **more}.items()))
        return await self._ask("GET", f"{whole}?{asked}")

    async def query(self, path: str, fields: Mapping[str, object]) -> dict[str, object]:
        """The answer to a question that is posted to a path below the project's."""
        return await self._post(f"{self._project}/{path}", fields)

    async def _post(self, path: str, fields: Mapping[str, object]) -> dict[str, object]:
        return await self._ask("POST", path, json.dumps(fields).encode())

    async def _ask(
        self, method: str, path: str, body: bytes = b"", more: Mapping[str, str] | None = None
    ) -> dict[str, object]:
        url, headers = self._signed(method, path, body)
        return await self._send(method, url, headers | dict(more or {}), body)

    def _signed(self, method: str, path: str, body: bytes) -> tuple[URL, dict[str, str]]:
        url = URL(self._credentials.endpoint + path, encoded=True)
        return url, signed_headers(self._credentials, method, str(url), body, now=datetime.now(UTC))

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes
    ) -> dict[str, object]:
        async with self._session.request(method, url, data=body or None, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise ApiError(f"{method} {url.path}: {answer.status} {text}")
            found: dict[str, object] = json.loads(text) if text else {}
            return found


def signed_headers(
    credentials: Credentials, method: str, url: str, body: bytes, *, now: datetime
) -> dict[str, str]:
    """The headers of a signed request; a query must be sorted and without what needs escaping."""
    parts = urlsplit(url)
    headers = {
        "content-type": _JSON,
        "host": parts.netloc,
        "x-project-id": credentials.project_id,
        "x-sdk-date": now.strftime("%Y%m%dT%H%M%SZ"),
    }
    names = ";".join(sorted(headers))
    path = "/".join(quote(part, safe="-._~") for part in unquote(parts.path).split("/"))
    canonical = "\n".join(
        [
            method,
            path if path.endswith("/") else path + "/",
            parts.query,
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"SDK-HMAC-SHA256\n{headers['x-sdk-date']}\n{digest}"
    signature = hmac.new(credentials.secret_key.encode(), text.encode(), hashlib.sha256)
    headers["authorization"] = (
        f"SDK-HMAC-SHA256 Access={credentials.access_key}, SignedHeaders={names}, "
        f"Signature={signature.hexdigest()}"
    )
    return headers
