"""The guard: callers cannot make the engine talk to what only it can reach."""

import asyncio
import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from engine.guard import AddressGuard

PUBLIC = [
    "http://8.8.8.8/",
    "https://example.com/hook?x=1",
    "http://[2606:4700:4700::1111]/",
    "http://[64:ff9b::808:808]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[2002:808:808::1]/",
    "http://134744072/",
    "http://example.com./",
    "http://xn--fiqs8s.example/",
]
INTERNAL = [
    "http://127.0.0.1/",
    "http://127.8.9.10:8080/x",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://0.0.0.0/",
    "http://0.1.2.3/",
    "http://192.0.0.1/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://168.63.129.16/",
    # the same in other spellings that getaddrinfo() takes
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://0xa9fea9fe/",
    "http://127.0.0.1./",
    "http://１２７.0.0.1/",  # noqa: RUF001 - full-width digits are the point
    # IPv6
    "http://[::1]/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[100::1]/",
    "http://[64:ff9b:1::1]/",
    # IPv4 inside IPv6
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    # names
    "http://localhost/",
    "http://LOCALHOST:80/",
    "http://a.localhost/",
    "http://localhost.localdomain/",
    "http://printer.local/",
    "http://metadata.google.internal/",
    "http://nas.home.arpa/",
    "http://redis:6379/",
    # userinfo is not the host
    "http://example.com@127.0.0.1/",
    "http://example.com:80@10.0.0.1/",
]


@pytest.mark.parametrize("url", PUBLIC)
def test_public_address_passes(url: str) -> None:
    """Subscribers on the internet need nobody's leave."""
    AddressGuard().check_url(url)


@pytest.mark.parametrize("url", INTERNAL)
def test_internal_address_is_refused(url: str) -> None:
    """Internal addresses are refused in every spelling, and the sentence names the option."""
    with pytest.raises(Refused, match="--allow-endpoints") as refused:
        AddressGuard().check_url(url)
    assert (refused.value.code, refused.value.status) == ("SMN.0069", 403)


@pytest.mark.parametrize("url", ["", "http://", "nonsense", "http://[::1/", "http://a:99999/"])
def test_what_is_no_url_is_refused(url: str) -> None:
    """The guard never passes what it cannot read."""
    with pytest.raises(Refused, match=r"SMN\.0012"):
        AddressGuard().check_url(url)


def test_allowed_network_passes() -> None:
    """The operator opens networks one by one; the rest stays closed."""
    guard = AddressGuard("10.1.0.0/16, fd00::/8,127.0.0.1")
    for address in ("10.1.2.3", "fd12::1", "127.0.0.1", "::ffff:10.1.2.3", "8.8.8.8"):
        assert guard.allows(address), address
    for address in ("10.2.0.1", "fe80::1", "127.0.0.2", "::ffff:10.2.0.1", "::1"):
        assert not guard.allows(address), address


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "8.8.8.8 ", "8.8.8.8:80"])
def test_only_addresses_are_allowed(text: str) -> None:
    """What a socket would not call an address is not one."""
    assert not AddressGuard().allows(text)


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_address_is_judged_alike(address: ipaddress.IPv4Address) -> None:
    """No other way to write an IPv4 address opens what the plain one keeps shut."""
    guard, number = AddressGuard(), int(address)
    hosts = [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{number >> 24}.{number & 0xFFFFFF}",
        ".".join(f"0{part:o}" for part in address.packed),
        f"{address}.",
        f"[::ffff:{address}]",
        f"[{ipaddress.IPv6Address(number)}]",
        f"[{ipaddress.IPv6Address((0x64_FF9B << 96) + number)}]",
        f"[{ipaddress.IPv6Address((0x2002 << 112) + (number << 80))}]",
    ]
    plain = guard.allows(str(address))
    for host in hosts:
        if plain:
            guard.check_url(f"http://{host}/")
        else:
            with pytest.raises(Refused):
                guard.check_url(f"http://{host}/")


def answer_with(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name resolve to these addresses, or to none."""

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        await asyncio.sleep(0)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_name_for_an_internal_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public name that points inwards is refused when it is subscribed."""
    answer_with(monkeypatch, "10.0.0.1")
    with pytest.raises(Refused, match=r"SMN\.0069"):
        await AddressGuard().check_host("http://inward.example.com/")


async def test_one_internal_address_of_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is as internal as the worst of its addresses."""
    answer_with(monkeypatch, "8.8.8.8", "127.0.0.1")
    with pytest.raises(Refused):
        await AddressGuard().check_host("http://both.example.com/")


async def test_public_name_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with public addresses only is fine."""
    answer_with(monkeypatch, "8.8.8.8", "1.1.1.1")
    await AddressGuard().check_host("http://public.example.com/")


async def test_unknown_name_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint need not exist yet (SMN does not check either)."""
    answer_with(monkeypatch)
    await AddressGuard().check_host("http://later.example.com/")


async def test_slow_name_server_does_not_hold_the_subscriber(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name whose servers are silent passes after a bounded wait."""

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr("engine.guard._RESOLVE_SECONDS", 0.05)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    await AddressGuard().check_host("http://slow.example.com/")


async def test_local_name_is_judged_by_its_address_where_networks_are_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a container network a service's name works if its network is allowed."""
    answer_with(monkeypatch, "172.18.0.5")
    await AddressGuard("172.18.0.0/16").check_host("http://sink:8080/")
    with pytest.raises(Refused):
        await AddressGuard("10.0.0.0/8").check_host("http://sink:8080/")
