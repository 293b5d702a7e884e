"""Message attributes: what a publisher says about a message (SMN API, "Publishing a Message").

The checked form is what messages carry and filter policies look at: a tuple of
``{"name", "type", "value"}`` whose value is always a list of strings.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final, TypeGuard

from engine.errors import Refused

PROTOCOL_NAME: Final = "smn_protocol"
"""The name of the attribute of type PROTOCOL, which limits a message to some protocols."""

MAX_ATTRIBUTES: Final = 100
"""The contract names no bound; each is compared for each subscription."""
VALUE: Final = re.compile(r"[A-Za-z0-9_\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{1,32}")
"""A value, of an attribute or of a policy that asks for it: Chinese and English letters, digits,
underscores (SMN "Subscription Filter Policy")."""
_MAX_VALUES: Final = 10

_NAME: Final = re.compile(r"(?!_)(?!.*__)[a-z0-9_]{1,32}(?<!_)", re.ASCII)

Checked = tuple[Mapping[str, object], ...]


def check(given: object, protocols: Collection[str]) -> Checked:
    """The attributes in their checked form; raises `Refused` ``SMN.0043``.

    ``protocols`` are the names that a PROTOCOL may list. The value of a STRING may stand alone
    in a list, as the vendor's guide has it.
    """
    if not isinstance(given, (list, tuple)) or len(given) > MAX_ATTRIBUTES:
        raise _bad(f"message_attributes is a list of at most {MAX_ATTRIBUTES}.")
    checked = tuple(_attribute(one, protocols) for one in given)
    if len({one["name"] for one in checked}) != len(checked):
        raise _bad("Two message attributes have the same name.")
    return checked


def _attribute(given: object, protocols: Collection[str]) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise _bad("A message attribute is an object.")
    name, kind = given.get("name"), given.get("type")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise _bad(
            "The name of a message attribute has 1 to 32 lower-case letters, digits and single"
            " underscores, none of them first or last."
        )
    if (kind == "PROTOCOL") != (name == PROTOCOL_NAME):
        raise _bad(f"An attribute of type PROTOCOL is named {PROTOCOL_NAME}, and no other.")
    value = given.get("value")
    if kind == "STRING":
        values = [value] if isinstance(value, str) else value
        _check_values(name, values, 1)
    elif kind == "STRING_ARRAY":
        values = value
        _check_values(name, values, _MAX_VALUES)
    elif kind == "PROTOCOL":
        values = value
        _check_protocols(values, protocols)
    else:
        raise _bad(f"The type of {name} is none of STRING, STRING_ARRAY and PROTOCOL.")
    return {"name": name, "type": kind, "value": values}


def _check_values(name: str, values: object, at_most: int) -> None:
    if not _distinct(values, at_most) or not all(map(VALUE.fullmatch, values)):
        raise _bad(
            f"The value of {name} is {'one text' if at_most == 1 else '1 to 10 different texts'}"
            " of 1 to 32 letters (English or Chinese), digits and underscores."
        )


def _check_protocols(values: object, protocols: Collection[str]) -> None:
    if not _distinct(values, len(protocols)) or not all(one in protocols for one in values):
        raise _bad(f"The value of {PROTOCOL_NAME} is a list of different protocols.")


def _distinct(values: object, at_most: int) -> TypeGuard[list[str]]:
    return (
        isinstance(values, list)
        and 1 <= len(values) <= at_most
        and all(isinstance(one, str) for one in values)
        and len(set(values)) == len(values)
    )


def _bad(detail: str) -> Refused:
    return Refused("SMN.0043", detail)
