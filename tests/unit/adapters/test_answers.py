"""What several adapters keep of an HTTP answer."""

import json
from html import escape
from urllib.parse import quote

import pytest

from adapters._answers import snippet

SECRET = 'Bearer a"b/c中'
FORMS = [
    SECRET,
    SECRET[7:],
    json.dumps(SECRET),
    json.dumps(SECRET, ensure_ascii=False),
    json.dumps(SECRET).replace("/", "\\/"),
    quote(SECRET, safe=""),
    escape(SECRET),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_repeated_secret_is_hidden(form: str) -> None:
    """As it was sent, as JSON, a URL or a page repeats it, or without the scheme in front."""
    found = snippet(f"no such thing: {form}!".encode(), [SECRET])
    assert found.removeprefix("no such thing: ").strip('"') in {"***!", "***%20***!", '***"!'}


def test_a_secret_that_is_part_of_another_saves_none_of_it() -> None:
    """In whichever order they are known."""
    assert snippet(b"abcd-efgh abcd", ["abcd", "abcd-efgh"]) == "*** ***"


def test_a_secret_at_the_end_is_hidden_as_a_whole() -> None:
    """What is cut off must not save its beginning."""
    assert "s3cr" not in snippet(b"x" * 196 + b"s3cr3t" * 3, ["s3cr3t" * 3])


def test_a_short_value_is_no_secret() -> None:
    """Else an answer could not be read any more."""
    assert snippet(b"one of many", ["1", "o", "of"]) == "one of many"
