"""What a Redis URL says: which servers, which way of finding the master, which credentials.

    redis://[user:password@]host[:6379][/db]        rediss://… with TLS
    unix:///path/to/socket
    redis+sentinel://[user:password@]host[:26379],…/service      rediss+sentinel://…
    redis+cluster://[user:password@]host[:6379],…                rediss+cluster://…

The query takes ``db``, ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``,
``ssl_check_hostname`` and, for Sentinel, ``sentinel_username`` and ``sentinel_password``.
No text made here ever holds the user or the password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from engine.errors import ConfigurationError

Place = tuple[str, int]
"""Host and port; a Unix socket is (path, 0)."""

_FORMS: Final = (
    "redis://, rediss://, unix://, redis+sentinel://h1,h2/service or redis+cluster://h1,h2"
)
_TLS_OPTIONS: Final = frozenset(
    {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)
_SENTINEL_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})


class Form(Enum):
    """How the master that owns a key is found."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL.

    ``options`` and ``sentinel_options`` are credentials, database and TLS settings by the
    the names that redis-py takes in its URLs; they are kept out of ``repr``.
    """

    form: Form
    places: tuple[Place, ...]
    service: str = ""
    tls: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def named(self, name: str) -> Target:
        """The same target whose connections have a name; Redis takes visible ASCII in it."""
        visible = re.sub(r"[^!-~]+", "_", name)
        return replace(self, options={**self.options, "client_name": visible})

    def __str__(self) -> str:
        """The servers, fit for a log."""
        names = ",".join(place_name(place) for place in self.places)
        return f"{names}/{self.service}" if self.service else names


def place_name(place: Place) -> str:
    """A place as a person writes it."""
    host, port = place
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_url(url: str) -> Target:
    """Parse a Redis URL; raises `ConfigurationError` with a sentence that hides the URL."""
    try:
        return _parse(url)
    except ValueError as error:
        # The library's text may quote the URL, and with it the password.
        raise ConfigurationError(f"The Redis URL is malformed; use {_FORMS}.") from error


def _parse(url: str) -> Target:
    parts = urlsplit(url)
    scheme, _, form_name = parts.scheme.partition("+")
    query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    credentials, _, hosts = parts.netloc.rpartition("@")
    options = _credentials(credentials)
    if scheme == "unix" and not form_name:
        if hosts or not parts.path.startswith("/"):
            raise ConfigurationError("A unix:// Redis URL needs an absolute path.")
        _refuse_unknown(query, frozenset())
        return Target(
            Form.STANDALONE, ((unquote(parts.path), 0),), options=options | _database(query, "")
        )
    if scheme not in {"redis", "rediss"} or form_name not in {"", "sentinel", "cluster"}:
        raise ConfigurationError(f"The Redis URL must be {_FORMS}.")
    form = Form(form_name or "standalone")
    tls = scheme == "rediss"
    default_port = 26379 if form is Form.SENTINEL else 6379
    places = tuple(_place(host, default_port) for host in hosts.split(","))
    if form is Form.STANDALONE and len(places) > 1:
        raise ConfigurationError("A redis:// URL names one server; use redis+cluster:// for more.")
    _refuse_unknown(
        query,
        (_TLS_OPTIONS if tls else frozenset())
        | (_SENTINEL_OPTIONS if form is Form.SENTINEL else frozenset()),
    )
    path = unquote(parts.path.strip("/"))
    if form is Form.SENTINEL and not path:
        raise ConfigurationError("A redis+sentinel:// URL needs /service after the hosts.")
    database = _database(query, path if form is Form.STANDALONE else "")
    if form is Form.CLUSTER and (path or database):
        raise ConfigurationError("A Redis Cluster has no databases; end the URL after the hosts.")
    encryption = _tls(query) if tls else {}
    return Target(
        form,
        places,
        service=path if form is Form.SENTINEL else "",
        tls=tls,
        options=options | database | encryption,
        sentinel_options={
            name.removeprefix("sentinel_"): query[name] for name in _SENTINEL_OPTIONS & set(query)
        }
        | encryption,
    )


def _place(text: str, default_port: int) -> Place:
    parts = urlsplit(f"//{text}")
    host = parts.hostname
    if not host:
        raise ConfigurationError("The Redis URL names no host.")
    return host, parts.port or default_port


def _credentials(text: str) -> dict[str, Any]:
    user, colon, password = text.partition(":")
    if not colon:
        # As redis-py reads it: a lone word before the @ is a user without a password.
        return {"username": unquote(user)} if user else {}
    found = {"password": unquote(password)}
    return found | ({"username": unquote(user)} if user else {})


def _database(query: Mapping[str, str], path: str) -> dict[str, Any]:
    text = query.get("db", path)
    return {"db": int(text)} if text and int(text) else {}


def _tls(query: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: query[name] for name in _TLS_OPTIONS & set(query)}
    if "ssl_check_hostname" in found:
        found["ssl_check_hostname"] = found["ssl_check_hostname"].lower() in {"1", "true", "yes"}
    return found


def _refuse_unknown(query: Mapping[str, str], known: frozenset[str]) -> None:
    for name in query:
        if name != "db" and name not in known:
            raise ConfigurationError(f"The Redis URL has an option that is not known: {name!r}.")
