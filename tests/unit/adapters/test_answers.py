"""What several adapters keep of an HTTP answer."""

import json
from urllib.parse import quote

import pytest

from adapters._answers import snippet

SECRET = 'Bearer a"b/c中'


@pytest.mark.parametrize("form", [SECRET, json.dumps(SECRET), quote(SECRET, safe=""), SECRET[7:]])
def test_a_repeated_secret_is_hidden(form: str) -> None:
    """As it was sent, as JSON or a URL repeats it, or without the scheme in front."""
    found = snippet(f"no such thing: {form}!".encode(), [SECRET])
    assert found.startswith("no such thing: ")
    assert "***" in found
    assert 'a"b/c' not in found
    assert quote('a"b/c', safe="") not in found


def test_a_secret_at_the_end_is_hidden_as_a_whole() -> None:
    """What is cut off must not save its beginning."""
    assert "s3cr" not in snippet(b"x" * 196 + b"s3cr3t" * 3, ["s3cr3t" * 3])


def test_a_short_value_is_no_secret() -> None:
    """Else an answer could not be read any more."""
    assert snippet(b"one of many", ["1", "o", "of"]) == "one of many"
