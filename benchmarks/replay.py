"""A client that costs next to nothing: wrk sends requests that were signed beforehand.

Each request has a body and a signature of its own, so that no server could answer from a cache;
signing while measuring would make the client the bottleneck.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from benchmarks.client import signed_headers
from benchmarks.machine import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.client import Credentials

_SCRIPT: Final = Path(__file__).with_suffix(".lua")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What wrk saw: ``refused`` had another status than 2xx or 3xx, ``failed`` no answer."""

    requests: int
    seconds: float
    refused: int
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def publishes(
    credentials: Credentials, topic_urn: str, text: str, count: int, first: int = 0
) -> Iterator[bytes]:
    """Whole requests that publish ``text``, each with a number of its own, signed now."""
    path = f"/v2/{credentials.project_id}/notifications/topics/{quote(topic_urn, safe='')}/publish"
    url = credentials.endpoint + path
    host = urlsplit(url).netloc
    now = datetime.now(UTC)
    for number in range(first, first + count):
        fields = {"subject": "benchmark", "message": f"{number:08d} {text}"}
        body = json.dumps(fields).encode()
        headers = signed_headers(credentials, "POST", url, body, now=now)
        lines = [f"POST {path} HTTP/1.1", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if headers["host"] != host:
            raise ValueError(f"signed for {headers['host']}, sent to {host}")
        yield "\r\n".join([*lines, "", ""]).encode() + body


def written(path: Path, requests: Iterator[bytes]) -> Path:
    """The file that wrk reads."""
    with path.open("wb") as file:
        for request in requests:
            file.write(request + b"\0")
    return path


async def replay(url: str, file: Path, connections: int, seconds: float) -> Replayed:
    """Send the file's requests, from its beginning when it ends, as fast as they are answered."""
    process = await asyncio.create_subprocess_exec(
        tool("wrk", "wrk"),
        *("-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"),
        *("-s", str(_SCRIPT), url, "--", str(file)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    lines = out.splitlines()
    if process.returncode != 0 or not lines:
        raise RuntimeError(f"wrk failed with status {process.returncode}: {out.decode()}")
    return Replayed(**json.loads(lines[-1]))
