"""Which addresses callers may make the engine talk to: public ones, and what is allowed.

Attack: server-side request forgery (CWE-918). A caller's URL names an address that only this
machine can reach. The text is checked when a subscription is made, and every address again
when a socket is about to connect to it, because a name may resolve differently by then
(DNS rebinding). The second check is the one that holds; the first gives a readable error.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import unicodedata
from typing import Final

from yarl import URL

from engine.errors import Refused

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# How long a subscriber waits for a name to resolve; an unknown name passes anyhow, because
# the address is checked again at every connection.
_RESOLVE_SECONDS: Final = 2.0

# Names that mean this machine or this site wherever they are asked (RFC 6761, 6762, 8375,
# and ICANN's reservation of .internal).
_INTERNAL_SUFFIXES: Final = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".home.arpa",
)

# Public by the registry and yet internal: Azure's host agent; the 6to4 relay (RFC 7526).
_INTERNAL_V4: Final = tuple(
    ipaddress.IPv4Network(text) for text in ("168.63.129.16/32", "192.88.99.0/24")
)
# All of IPv6 that is routed (RFC 4291 §2.4); the rest is local, multicast or reserved.
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION_V6: Final = ipaddress.IPv6Network("3fff::/20")
# IPv4 inside IPv6: mapped (RFC 4291 §2.5.5.2), compatible (§2.5.5.1) and NAT64 (RFC 6052).
# A packet to one of these goes to the IPv4 address in the last 32 bits.
_EMBEDDING: Final = tuple(
    ipaddress.IPv6Network(text) for text in ("::ffff:0:0/96", "::/96", "64:ff9b::/96")
)


class AddressGuard:
    """Refuses internal addresses unless they are in an allowed network; the ``Guard`` port.

    ``allow`` is a comma-separated list of CIDR networks.
    """

    def __init__(self, allow: str = "") -> None:
        self._allowed = tuple(
            ipaddress.ip_network(part.strip(), strict=False)
            for part in allow.split(",")
            if part.strip()
        )

    def allows(self, ip: str) -> bool:
        """Whether a socket may connect to this address, as `socket` writes it."""
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        return self._allows(address)

    def check_url(self, url: str) -> None:
        """Raise `Refused` ``SMN.0069`` for an internal name or address in the text.

        With allowed networks a name passes: what it resolves to decides. A URL that cannot
        be read is refused as ``SMN.0012``.
        """
        host = _host(url)
        address = _literal(host)
        if address is not None:
            if not self._allows(address):
                raise _refused(host)
        elif _is_internal_name(host) and not self._allowed:
            raise _refused(host)

    async def check_host(self, url: str) -> None:
        """As `check_url`, also for every address that the name has; an unknown name passes."""
        self.check_url(url)
        host = _host(url)
        if _literal(host) is not None:
            return
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, None, type=socket.SOCK_STREAM
                )
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            return
        if any(not self.allows(str(info[4][0])) for info in found):
            raise _refused(host)

    def _allows(self, address: _Address) -> bool:
        inner = _embedded(address)
        means = (address,) if inner is None else (address, inner)
        return any(one in network for network in self._allowed for one in means) or not any(
            _is_internal(one) for one in means
        )


def _refused(host: str) -> Refused:
    return Refused(
        "SMN.0069",
        f"{host[:100]} is an internal address; the operator can allow its network"
        " with --allow-endpoints.",
    )


def _host(url: str) -> str:
    """The host as the transport's own URL parser sees it, so that both mean the same one."""
    try:
        host = URL(url, encoded=True).raw_host
    except ValueError as error:
        raise Refused("SMN.0012", "It is not a URL.") from error
    # Full-width digits and letters become ASCII in IDNA, hence NFKC here.
    plain = unicodedata.normalize("NFKC", host or "").rstrip(".").lower()
    if not plain:
        raise Refused("SMN.0012", "It is not a URL with a host.")
    return plain


def _literal(host: str) -> _Address | None:
    """The address that the text stands for, None for a name.

    ``inet_aton`` knows the spellings that getaddrinfo() takes too: 2130706433, 0177.0.0.1,
    0x7f.1, 127.1.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _is_internal_name(host: str) -> bool:
    # A name without a dot is looked up in the site's own domain or hosts file.
    return "." not in host or f".{host}".endswith(_INTERNAL_SUFFIXES)


def _is_internal(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return (
            not address.is_global
            or address.is_multicast
            or any(address in network for network in _INTERNAL_V4)
        )
    if _embedded(address) is not None:
        return False  # the address inside decides; Python versions disagree on 6to4
    return address not in _GLOBAL_V6 or not address.is_global or address in _DOCUMENTATION_V6


def _embedded(address: _Address) -> _Address | None:
    """The IPv4 address that packets to this IPv6 address end up at."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    # Teredo (2001::/32) needs no case: it is not global. 6to4 (RFC 3056) is.
    return address.sixtofour
