import logging
import socket
from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.listening import listen, origin, public_url, ready_url
from engine.settings import Settings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("smn.internal", "http://smn.internal:8080"),
    ],
)
def test_the_ready_url_can_be_connected_to(host: str, url: str) -> None:
    """The ready URL names a connectable host, IPv6 in brackets."""
    assert ready_url(Settings(host=host), 8080) == url


def test_tls_makes_the_ready_url_https() -> None:
    """With a certificate the service is reached by HTTPS."""
    settings = Settings(tls_cert=Path("c.pem"), tls_key=Path("k.pem"))
    assert ready_url(settings, 443) == "https://127.0.0.1:443"


def test_half_a_tls_configuration_is_refused() -> None:
    """A certificate without its key is a configuration error."""
    with pytest.raises(ConfigurationError, match="--tls-key"):
        ready_url(Settings(tls_cert=Path("c.pem")), 443)


def test_a_taken_port_is_one_sentence() -> None:
    """A port that is in use is refused with the options that choose another."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigurationError, match="--port"),
    ):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://10.0.0.7:8080", True),
        ("http://smn.example.com", True),
        ("https://smn.example.com", False),
        ("http://127.0.0.1:8080", False),
        ("http://localhost:8080", False),
        ("http://[::1]:8080", False),
    ],
)
def test_plain_http_in_public_draws_a_warning(
    url: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A public URL without HTTPS is warned of, unless it is a loopback one."""
    with caplog.at_level(logging.WARNING):
        assert public_url(Settings(public_url=url + "/"), "http://127.0.0.1:1") == url
    assert bool(caplog.records) == warned


def test_the_public_url_defaults_to_the_ready_one() -> None:
    """Without the setting, links begin with the ready URL."""
    assert public_url(Settings(), "http://127.0.0.1:1") == "http://127.0.0.1:1"


@pytest.mark.parametrize("url", ["smn.example.com", "ftp://smn.example.com", "https://"])
def test_a_public_url_must_be_one(url: str) -> None:
    """Anything but an http or https URL is a configuration error."""
    with pytest.raises(ConfigurationError, match="public URL"):
        public_url(Settings(public_url=url), "http://127.0.0.1:1")


def test_an_origin_has_no_path() -> None:
    """An origin is scheme, host and port."""
    assert origin("https://smn.example.com:8443/base/") == "https://smn.example.com:8443"
