"""Forwarded headers, believed only from trusted proxies."""

from __future__ import annotations

import pytest

from engine.api.proxies import Origin, Proxies, is_host

FORWARDED = {
    "x-forwarded-for": ["203.0.113.9, 198.51.100.7", "10.0.0.2"],
    "x-forwarded-proto": ["https"],
    "x-forwarded-host": ["smn.example:8443"],
}


def origin(networks: str, peer: str, headers: dict[str, list[str]] = FORWARDED) -> Origin:
    """The origin of a plain HTTP request with these headers."""
    return Proxies(networks).origin(peer, "http", lambda name: headers.get(name, []))


@pytest.mark.parametrize(
    ("networks", "peer"), [("", "10.0.0.1"), ("10.0.0.0/8", "192.0.2.1"), ("10.0.0.0/8", "")]
)
def test_a_stranger_is_not_believed(networks: str, peer: str) -> None:
    """Without a trusted network, from outside it, and from a Unix socket."""
    assert origin(networks, peer) == Origin(peer, "http")


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    """The client is the first address from the right that no trusted proxy has."""
    found = origin("10.0.0.0/8, fd00::/8", peer)
    assert found == Origin("198.51.100.7", "https", "smn.example:8443")


def test_nonsense_from_a_trusted_proxy_is_left_out() -> None:
    """Only a host and a scheme can stand in a link or a signature."""
    headers = {"x-forwarded-proto": ["gopher"], "x-forwarded-host": ["a/b?c"]}
    assert origin("10.0.0.0/8", "10.0.0.1", headers) == Origin("10.0.0.1", "http")


@pytest.mark.parametrize("host", ["a.example", "a:1", "127.0.0.1:80", "[::1]:80", "[fe80::1]"])
def test_hosts_with_and_without_ports_are_hosts(host: str) -> None:
    """Names, addresses of both kinds."""
    assert is_host(host)


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a:port", "user@a", "[::1", '"><script>'])
def test_anything_else_is_not_a_host(host: str) -> None:
    """What could change the meaning of a URL."""
    assert not is_host(host)
