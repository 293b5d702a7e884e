"""Where a request really came from: ``X-Forwarded-*``, believed only from trusted proxies."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from engine.iam.signature import GetAll

_HOST: Final = re.compile(r"[A-Za-z0-9.\-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class Origin(NamedTuple):
    """The client's view: ``host`` is what it put into Host, None if no proxy changed it."""

    client: str
    scheme: str
    host: str | None = None


class Proxies:
    """Knows the trusted networks; ``networks`` is a comma-separated list of CIDRs."""

    def __init__(self, networks: str) -> None:
        self._networks = tuple(
            ipaddress.ip_network(part.strip(), strict=False)
            for part in networks.split(",")
            if part.strip()
        )
        self._trusted = lru_cache(maxsize=1024)(self._is_trusted)

    def origin(self, peer: str, scheme: str, headers: GetAll) -> Origin:
        """Who is behind the connection from ``peer`` (an address, empty for a Unix socket)."""
        if not self._networks or not self._trusted(peer):
            return Origin(peer, scheme)
        forwarded = _list(headers("x-forwarded-for"))
        # From the right: each trusted proxy vouches for the entry it appended, no further.
        client = peer
        for hop in reversed(forwarded):
            client = hop
            if not self._trusted(hop):
                break
        schemes = _list(headers("x-forwarded-proto"))
        hosts = _list(headers("x-forwarded-host"))
        return Origin(
            client,
            schemes[0] if schemes and schemes[0] in {"http", "https"} else scheme,
            hosts[0] if hosts and _HOST.fullmatch(hosts[0]) else None,
        )

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


@lru_cache(maxsize=64)
def is_host(text: str) -> bool:
    """Whether a Host header's value can stand in a URL."""
    return _HOST.fullmatch(text) is not None


def _list(values: object) -> list[str]:
    if not isinstance(values, list | tuple):
        return []
    return [part.strip() for value in values for part in value.split(",") if part.strip()]
