"""Redis URLs: what each part means, and that nothing secret is ever shown."""

from __future__ import annotations

import pytest

from engine.errors import ConfigurationError
from engine.store.address import Form, Target, parse_url, place_name


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://h", Target(Form.STANDALONE, (("h", 6379),))),
        ("redis://h:7/3", Target(Form.STANDALONE, (("h", 7),), options={"db": 3})),
        ("redis://[::1]:7", Target(Form.STANDALONE, (("::1", 7),))),
        ("rediss://h", Target(Form.STANDALONE, (("h", 6379),), tls=True)),
        ("unix:///a%20b/s", Target(Form.STANDALONE, (("/a b/s", 0),))),
        ("unix:///s?db=2", Target(Form.STANDALONE, (("/s", 0),), options={"db": 2})),
        (
            "redis+sentinel://a,b:7/svc?db=1",
            Target(Form.SENTINEL, (("a", 26379), ("b", 7)), "svc", options={"db": 1}),
        ),
        ("redis+cluster://a,b:7", Target(Form.CLUSTER, (("a", 6379), ("b", 7)))),
        ("rediss+cluster://a", Target(Form.CLUSTER, (("a", 6379),), tls=True)),
    ],
)
def test_each_form_of_url_is_understood(url: str, target: Target) -> None:
    """Hosts, default ports, database, service and TLS are read from their places."""
    assert parse_url(url) == target


def test_credentials_are_unquoted() -> None:
    """User and password may hold any character, percent-encoded."""
    assert parse_url("redis://me:p%40ss@h").options == {"username": "me", "password": "p@ss"}
    assert parse_url("redis://:pw@h").options == {"password": "pw"}


def test_sentinels_have_credentials_of_their_own() -> None:
    """What logs in to the master does not log in to the Sentinels."""
    target = parse_url("redis+sentinel://:pw@h/svc?sentinel_password=other")
    assert target.options == {"password": "pw"}
    assert target.sentinel_options == {"password": "other"}


def test_tls_options_reach_the_sentinels_too() -> None:
    """One certificate authority stands for both."""
    target = parse_url("rediss+sentinel://h/svc?ssl_ca_certs=/ca.pem&ssl_check_hostname=false")
    expected = {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}
    assert target.options == target.sentinel_options == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "http://:hush@h",
        "redis://",
        "redis://:hush@",
        "redis://:hush@h:port",
        "redis://:hush@h:99999",
        "redis://:hush@h/database",
        "redis://:hush@a,b",
        "redis://:hush@h?unknown=1",
        "redis://:hush@h?ssl_ca_certs=/ca.pem",
        "redis+sentinel://:hush@h",
        "redis+cluster://:hush@h/1",
        "redis+other://:hush@h",
        "unix://:hush@relative/path",
        "redis://:hush@[::1",
    ],
)
def test_a_bad_url_is_one_sentence_without_the_password(url: str) -> None:
    """Whatever is wrong with a URL, the error says what to write and hides what was written."""
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert str(caught.value).endswith((".", "'1'", ":unknown"))
    assert "hush" not in str(caught.value)


def test_a_target_shows_no_credentials() -> None:
    """Neither its text nor its representation holds user or password."""
    target = parse_url("redis+sentinel://me:hush@a,b:7/svc?sentinel_password=hush")
    assert str(target) == "a:26379,b:7/svc"
    assert "hush" not in repr(target)
    assert "me" not in repr(target)


def test_connections_get_a_name_that_redis_takes() -> None:
    """A key prefix with spaces or other letters still makes a name."""
    assert parse_url("redis://h").named("my höme:").options == {"client_name": "my_h_me:"}


def test_places_read_as_people_write_them() -> None:
    """IPv6 in brackets, a socket by its path."""
    assert place_name(("h", 7)) == "h:7"
    assert place_name(("::1", 7)) == "[::1]:7"
    assert place_name(("/s", 0)) == "/s"
