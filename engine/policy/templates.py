"""Message templates: which variables a text has, and what it says with them filled in.

A variable is ``{name}`` with a name of 1 to 21 characters; any other brace is plain text (SMN
"Message Template Management").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeGuard

from engine.errors import Refused
from engine.policy import texts

MAX_CONTENT_BYTES: Final = 262_144
MAX_NAME: Final = 64
_MAX_OCCURRENCES: Final = 256
_MAX_VARIABLES: Final = 90
_MAX_TAG: Final = 21
_MAX_VALUE_BYTES: Final = 1024

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_VARIABLE: Final = re.compile(r"\{([A-Za-z0-9][A-Za-z0-9_.-]{0,20})\}", re.ASCII)


def check_name(name: str, code: str) -> None:
    """Raise `Refused` with the code of the operation for a name that no template can have."""
    if _NAME.fullmatch(name) is None:
        raise Refused(
            code,
            f"It has 1 to {MAX_NAME} letters, digits, hyphens and underscores and begins with a"
            " letter or digit.",
        )


def variables(content: str) -> tuple[str, ...]:
    """The names of a content's variables in order of appearance, each once.

    Raises `Refused`: SMN.0024 for a size that is not allowed, SMN.0075 for too many variables.
    """
    if not 1 <= texts.size(content) <= MAX_CONTENT_BYTES:
        raise Refused("SMN.0024", f"It has 1 to {MAX_CONTENT_BYTES} bytes of UTF-8.")
    found = _VARIABLE.findall(content)
    names = tuple(dict.fromkeys(found))
    if len(found) > _MAX_OCCURRENCES or len(names) > _MAX_VARIABLES:
        raise Refused(
            "SMN.0075",
            f"A template has at most {_MAX_VARIABLES} variables in {_MAX_OCCURRENCES} places.",
        )
    return names


def check_tags(tags: object) -> Mapping[str, str]:
    """The values of variables as a publisher gives them; raises `Refused` ``SMN.0038``."""
    if not _is_map(tags):
        raise Refused("SMN.0038", "With a template, tags is an object of strings.")
    for name, value in tags.items():
        if not 1 <= len(name) <= _MAX_TAG or not 0 <= texts.size(value) <= _MAX_VALUE_BYTES:
            raise Refused(
                "SMN.0038",
                f"A name has 1 to {_MAX_TAG} characters, a value at most {_MAX_VALUE_BYTES} bytes.",
            )
    return tags


def fill(content: str, tags: Mapping[str, str]) -> str:
    """The text with each variable replaced; one without a value by nothing.

    The Chinese manual would leave it unchanged; the API's text does not.
    """
    return _VARIABLE.sub(lambda found: tags.get(found[1], ""), content)


def _is_map(tags: object) -> TypeGuard[Mapping[str, str]]:
    return isinstance(tags, Mapping) and all(
        isinstance(name, str) and isinstance(value, str) for name, value in tags.items()
    )
