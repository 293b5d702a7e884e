"""Requests that are signed beforehand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.client import Credentials, signed_headers
from benchmarks.replay import publishes, written
from benchmarks.suites.publish import BODY_BYTES

CREDENTIALS = Credentials("http://127.0.0.1:8080", "a" * 32, "AK", "SK")
TOPIC = f"urn:smn:region01:{'a' * 32}:demo"


def parts(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Request line, headers and body."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    return line, dict(one.split(": ", 1) for one in rest), body


def test_every_request_has_a_body_and_a_signature_of_its_own() -> None:
    """A signature that is sent twice would measure a cache, if there was one."""
    made = [parts(one) for one in publishes(CREDENTIALS, TOPIC, "x" * 100, 50)]
    assert len({body for _, _, body in made}) == 50
    assert len({headers["authorization"] for _, headers, _ in made}) == 50


def test_a_request_is_whole_and_signed_over_its_body() -> None:
    """Length, path and signature are those of what is sent."""
    ((line, headers, body),) = (parts(one) for one in publishes(CREDENTIALS, TOPIC, "text", 1))
    method, path, version = line.split(" ")
    assert (method, version) == ("POST", "HTTP/1.1")
    assert int(headers["content-length"]) == len(body)
    assert json.loads(body)["message"].endswith("text")
    then = datetime.strptime(headers["x-sdk-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    url = CREDENTIALS.endpoint + path
    again = signed_headers(CREDENTIALS, method, url, body, now=then)
    assert again["authorization"] == headers["authorization"]


def test_requests_are_kept_apart_in_the_file(tmp_path: Path) -> None:
    """JSON and headers hold no NUL."""
    file = written(tmp_path / "requests", publishes(CREDENTIALS, TOPIC, "text", 3))
    assert [b"\r\n\r\n" in one for one in file.read_bytes().split(b"\0")] == [True] * 3 + [False]


def test_bodies_have_the_size_that_is_promised() -> None:
    """As the suite makes them."""
    from benchmarks.suites import publish  # noqa: PLC0415 - for its private overhead

    text = "x" * (BODY_BYTES - publish._OVERHEAD)
    ((_, _, body),) = (parts(one) for one in publishes(CREDENTIALS, TOPIC, text, 1))
    assert len(body) == BODY_BYTES
