"""Webhooks: which endpoints and custom headers a subscription may have."""

import pytest

from adapters.webhook import WebhookAdapter
from engine.errors import Refused
from engine.guard import AddressGuard
from engine.testing import fake_ports


async def check(protocol: str, endpoint: str, **extension: object) -> None:
    """Ask a webhook adapter with the real guard."""
    adapter = WebhookAdapter(fake_ports(guard=AddressGuard("127.0.0.0/8")))
    await adapter.check(protocol, endpoint, extension)


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("http", "http://8.8.8.8"),
        ("http", "http://8.8.8.8:8080/"),
        ("https", "https://8.8.8.8/a/b;c=d/%E4%B8%AD?x=[1]&y=@:!$'()*+,"),
        ("https", "https://8.8.8.8?x"),
        ("http", "http://127.0.0.1:65535/x"),
        ("https", "https://[2606:4700:4700::1111]:443/"),
        ("http", "http://8.8.8.8/" + "x" * 2033),
    ],
)
async def test_url_of_its_protocol_is_accepted(protocol: str, endpoint: str) -> None:
    """Any URL as it will be sent."""
    await check(protocol, endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "http",
        "http://",
        "http:///path",
        "http://:80/",
        "https://8.8.8.8/",
        "ftp://8.8.8.8/",
        "HTTP://8.8.8.8/",
        " http://8.8.8.8/",
        "http://8.8.8.8/ x",
        "http://8.8.8.8/\r\nHost: evil",
        "http://8.8.8.8/\n",
        "http://8.8.8.8/\x00",
        "http://8.8.8.8/#fragment",
        "http://8.8.8.8\\@evil.example/",
        "http://user:password@8.8.8.8/",
        "http://user@8.8.8.8/",
        "http://8.8.8.8:0/",
        "http://8.8.8.8:65536/",
        "http://8.8.8.8:/",
        "http://8.8.8.8:8o/",
        "http://[::1/",
        "http://[zz]/",
        "http://[1:2:3]/",
        "http://134744072/",
        "http://0x08080808/",
        "http://8.8.2056/",
        "http://8.8.8.8.8/",
        "http://a..example/",
        "http://.example/",
        "http://-a.example/",
        "http://中文.example/",
        "http://8.8.8.8/中文",
        'http://8.8.8.8/"',
        "http://8.8.8.8/<x>",
        "http://8.8.8.8/" + "x" * 2034,
    ],
)
async def test_anything_else_is_refused(endpoint: str) -> None:
    """What could be read in two ways, or not be sent as it stands, is not accepted."""
    with pytest.raises(Refused, match=r"SMN\.0012"):
        await check("http", endpoint)


async def test_scheme_must_be_the_protocols() -> None:
    """An https subscription is never served without TLS, nor the other way round."""
    with pytest.raises(Refused, match=r"SMN\.0012.*https://"):
        await check("https", "http://8.8.8.8/")


@pytest.mark.parametrize("endpoint", ["http://10.0.0.1/", "http://[::1]/"])
async def test_internal_endpoint_is_refused(endpoint: str) -> None:
    """With the contract's own code."""
    with pytest.raises(Refused, match=r"SMN\.0069"):
        await check("http", endpoint)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"abc": "v"},
        {"X-Custom-Header": "two words"},
        {"Authorization": "Bearer x.y.z"},
        {"a1-b2-c3": ""},
        {f"x-{number}": "v" for number in range(10)},
        {"x-a": "v" * 1021},
    ],
)
async def test_custom_headers_within_the_rules_are_accepted(header: dict[str, str]) -> None:
    """The newer, relaxed rule: any name that begins with a letter."""
    await check("http", "http://8.8.8.8/", header=header)


@pytest.mark.parametrize(
    "header",
    [
        "x-a: b",
        ["x-a"],
        {"1abc": "v"},
        {"-abc": "v"},
        {"abc-": "v"},
        {"a--b": "v"},
        {"a_b": "v"},
        {"a b": "v"},
        {"": "v"},
        {"é": "v"},
        {"a:": "v"},
        {"x-smn-message-type": "v"},
        {"X-SMN": "v"},
        {"X-SmnX": "v"},
        {"Host": "v"},
        {"content-LENGTH": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"x-a": 1},
        {"x-a": None},
        {"x-a": ["v"]},
        {"x-a": "line\r\nbreak"},
        {"x-a": "tab\t"},
        {"x-a": "é"},
        {"x-a": "\x7f"},
        {"x-a": "1", "X-A": "2"},
        {f"x-{number}": "v" for number in range(11)},
        {"x-a": "v" * 1022},
        {1: "v"},
    ],
)
async def test_custom_headers_outside_the_rules_are_refused(header: object) -> None:
    """Nothing that could change the request's frame, or pass for ours, gets in."""
    with pytest.raises(Refused, match=r"SMN\.0043"):
        await check("http", "http://8.8.8.8/", header=header)


async def test_other_members_of_the_extension_are_none_of_its_business() -> None:
    """They are other protocols' and ignored."""
    await check("http", "http://8.8.8.8/", verification_code_enabled=True, header=None)
