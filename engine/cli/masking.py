"""Hides secrets in what is shown to a person: those that are known, and what looks like one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import BaseModel, SecretStr

MASK: Final = "***"
# A shorter text is hardly a secret, and what it stands in could not be read any more.
_SHORTEST: Final = 4
_NAME: Final = (
    r"(?:[A-Za-z0-9]+[_-])*(?:access|api|app|auth|client|refresh|tenant)?[_-]?"
    r"(?:token|secret|key|password|passwd|pwd|sign|sig|signature|authorization|credential)"
)
_SECRET_NAME: Final = re.compile(_NAME, re.IGNORECASE)
_PARAMETER: Final = re.compile(rf"([?&]{_NAME}=)[^&\s\"'<>\\]+", re.IGNORECASE)
_MEMBER: Final = re.compile(rf'("{_NAME}"\s*:\s*")((?:[^"\\]|\\.)*)', re.IGNORECASE)
# No secret: it is what receivers verify with the public certificate.
_PUBLIC: Final = "signature"


class Masker:
    """Knows secrets by what they are, and others by the name that stands before them."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, *secrets: str) -> None:
        """Hide these wherever they stand, in whichever form they are sent."""
        for secret in secrets:
            # "Bearer x", "Basic x": the scheme alone may be left out.
            for word in (secret, *secret.split()):
                if len(word) >= _SHORTEST:
                    in_json = json.dumps(word)[1:-1]
                    self._known |= {word, in_json, quote(word, safe=""), escape(word)}
                    self._known.add(in_json.replace("/", "\\/"))  # as PHP writes it

    def learn_settings(self, settings: BaseModel) -> None:
        """Hide all that an adapter's settings declare secret."""
        self.learn(*_secrets(settings))

    def learn_endpoint(self, endpoint: str) -> None:
        """Hide what makes a secret endpoint one: its parameters, or the end of its path."""
        parts = urlsplit(endpoint)
        values = [value for _, value in parse_qsl(parts.query)]
        self.learn(*(values or [parts.path.rpartition("/")[2]]))

    def text(self, text: str) -> str:
        """The text without secrets; those that it names are learned."""
        for prefix, value in _MEMBER.findall(text):
            if f'"{_PUBLIC}"' not in prefix:
                self.learn(value)
        # Longer ones first: a secret may be part of another.
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return _PARAMETER.sub(rf"\g<1>{MASK}", text)

    def value(self, value: object) -> object:
        """A JSON value whose texts have no secrets."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {
                    name: MASK if _is_secret(str(name)) else self.value(one)
                    for name, one in value.items()
                }
            case list() | tuple():
                return [self.value(one) for one in value]
            case _:
                return value

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers without what their names say is secret."""
        return {
            name: MASK if _is_secret(name) else self.text(value) for name, value in headers.items()
        }


def secret_members(extension: Mapping[str, object]) -> Iterator[str]:
    """The texts of an extension that are secrets: by their names, and all that headers say."""
    for name, value in extension.items():
        if isinstance(value, Mapping):
            yield from (str(one) for one in value.values())
        elif _is_secret(name):
            yield str(value)


def _is_secret(name: str) -> bool:
    return name != _PUBLIC and _SECRET_NAME.fullmatch(name) is not None


def _secrets(value: object) -> Iterator[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            for name in type(value).model_fields:
                yield from _secrets(getattr(value, name))
        case Mapping():
            for one in value.values():
                yield from _secrets(one)
        case str() | bytes():
            pass
        case Iterable():
            for one in value:
                yield from _secrets(one)
        case _:
            pass
