"""What operators may set of bots."""

import pytest

from adapters._bot_settings import base_url


@pytest.mark.parametrize(
    "text",
    [
        *("https://ding.corp", "https://ding.corp:8443/gate/"),
        *("http://127.0.0.1:8080", "http://[::1]:80", "http://localhost/x"),
    ],
)
def test_base_urls_are_safe_for_secrets(text: str) -> None:
    """TLS, or no network at all."""
    assert base_url(text) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        *("", "ding.corp", "http://ding.corp", "http://10.0.0.1", "http://127.0.0.1.evil.example"),
        *("https://x?a=b", "https://x#y", "https://u:p@x", "https://x/\n", "ftp://x"),
    ],
)
def test_other_base_urls_are_refused(text: str) -> None:
    """The operator is told at start."""
    with pytest.raises(ValueError, match="base URL"):
        base_url(text)
