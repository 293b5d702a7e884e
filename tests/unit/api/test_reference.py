"""The OpenAPI document and the reference page, as they are served."""

from __future__ import annotations

import re

import pytest

from engine.api.manual import page
from engine.api.openapi import document
from engine.api.table import ROUTES
from tests.api_client import Client


async def test_the_document_is_served_to_anybody(client: Client) -> None:
    """As JSON, with every path of the table."""
    answer = await client.call("GET", "/openapi.json", sign=False)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json == document(ROUTES)


@pytest.mark.parametrize("target", ["/openapi.json", "/docs"])
async def test_a_copy_is_not_sent_again(client: Client, target: str) -> None:
    """While the tag is the same there is no body."""
    first = await client.call("GET", target, sign=False)
    headers = {"If-None-Match": first.headers["ETag"]}
    again = await client.call("GET", target, headers=headers, sign=False)
    assert (again.status, again.raw) == (304, b"")
    other = await client.call("GET", target, headers={"If-None-Match": '"x"'}, sign=False)
    assert (other.status, other.raw) == (200, first.raw)


async def test_the_page_runs_and_fetches_nothing(client: Client) -> None:
    """No script, nothing from elsewhere, and a policy that forbids both."""
    answer = await client.call("GET", "/docs", sign=False)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    text = answer.raw.decode()
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!#|/openapi\.json)", text)


def test_the_page_has_every_operation() -> None:
    """With an anchor of its name, so that it can be linked."""
    made = document(ROUTES)
    text = page(made)
    names = {one["operationId"] for methods in made["paths"].values() for one in methods.values()}
    assert names == set(re.findall(r'<details id="(\w+)"', text))


def test_what_stands_in_the_document_is_escaped() -> None:
    """A docstring is text, not markup."""
    made = document(ROUTES)
    made["info"]["description"] = "a <b> & `<c>`"
    assert "a &lt;b&gt; &amp; <code>&lt;c&gt;</code>" in page(made)
