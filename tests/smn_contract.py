"""What the official SDK knows of the API, and how requests, answers and schemas compare with it.

``tests/contract/operations.json`` holds the facts of huaweicloudsdksmn and
huaweicloudsdksmnglobal: method, path, query, body, answer and good statuses of each operation,
and the fields of the models. A type is ``str``, ``int``, ``bool``, ``object``, ``list[T]``,
``dict(str, T)`` or a model; ``?`` at its end marks what may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).parent / "contract" / "operations.json"
_FACTS: Final[dict[str, Any]] = json.loads(_FILE.read_text())
MODELS: Final[dict[str, dict[str, str]]] = _FACTS["models"]

_JSON_TYPES: Final = {"str": "string", "int": "integer", "bool": "boolean"}
_TYPES: Final = {"str": str, "int": int, "bool": bool}


@dataclass(frozen=True)
class Operation:
    """One operation as the SDK has it."""

    method: str
    path: str
    statuses: list[int]
    answer: dict[str, str] | str | None
    query: dict[str, str] = field(default_factory=dict)
    body: str = ""
    public: bool = False

    @property
    def fields(self) -> dict[str, str]:
        """Dotted names of the answer's fields with their types."""
        return dict(_unfolded(self.answer)) if isinstance(self.answer, dict) else {}

    @property
    def body_fields(self) -> dict[str, str]:
        """The same of the request's body."""
        return dict(_unfolded(MODELS[self.body])) if self.body else {}


OPERATIONS: Final = {name: Operation(**facts) for name, facts in _FACTS["operations"].items()}


def _core(kind: str) -> str:
    """The type of the items of lists and dicts, without the mark."""
    kind = kind.removesuffix("?")
    if kind.startswith("list["):
        return _core(kind[5:-1])
    if kind.startswith("dict("):
        return _core(kind[5:-1].partition(", ")[2])
    return kind


def _unfolded(fields: Mapping[str, str], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, kind in fields.items():
        yield f"{prefix}{name}", kind
        if _core(kind) in MODELS:
            yield from _unfolded(MODELS[_core(kind)], f"{prefix}{name}.")


def misfits(value: Any, kind: str, place: str = "") -> Iterator[str]:
    """Where a JSON value differs from an SDK type in names or types."""
    bare = kind.removesuffix("?")
    if value is None and bare != kind:
        return
    if bare.startswith("list["):
        if not isinstance(value, list):
            yield f"{place}: {value!r} is no {kind}"
            return
        for number, item in enumerate(value):
            yield from misfits(item, bare[5:-1], f"{place}[{number}]")
    elif bare.startswith("dict("):
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is no {kind}"
            return
        for key, item in value.items():
            yield from misfits(item, bare[5:-1].partition(", ")[2], f"{place}.{key}")
    elif bare in MODELS:
        yield from unfit(value, MODELS[bare], place)
    elif bare != "object" and type(value) is not _TYPES[bare]:
        yield f"{place}: {value!r} is no {kind}"


def unfit(value: Any, fields: Mapping[str, str], place: str = "") -> Iterator[str]:
    """Where a JSON object differs from the SDK's fields; more fields than those do no harm."""
    if not isinstance(value, dict):
        yield f"{place}: {value!r} is no object"
        return
    for name, kind in fields.items():
        if name in value:
            yield from misfits(value[name], kind, f"{place}.{name}")
        elif not kind.endswith("?"):
            yield f"{place}.{name} is missing"


def shown(value: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields of a JSON value that are not null; lists add nothing."""
    if isinstance(value, list):
        for item in value:
            yield from shown(item, prefix)
    elif isinstance(value, dict):
        for name, item in value.items():
            if item is not None:
                yield f"{prefix}{name}"
                yield from shown(item, f"{prefix}{name}.")


@dataclass(frozen=True)
class Schema:
    """A schema within an OpenAPI document."""

    document: Mapping[str, Any]
    content: Mapping[str, Any]

    def options(self) -> list[Schema]:
        """What it may be, references followed; null is left out."""
        found: Any = self.content
        while "$ref" in found:
            reference = found["$ref"]
            found = self.document
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]
        if "anyOf" in found:
            every = [Schema(self.document, one).options() for one in found["anyOf"]]
            return [one for options in every for one in options if one.content != {"type": "null"}]
        return [Schema(self.document, found)]

    def at(self, name: str) -> Schema | None:
        """The schema of a dotted field; of items and values in lists and dicts alike."""
        head, _, rest = name.partition(".")
        for option in self.options():
            content = option.content
            if "items" in content:
                found = Schema(self.document, content["items"]).at(name)
            elif head in content.get("properties", {}):
                found = Schema(self.document, content["properties"][head])
                found = found.at(rest) if rest else found
            elif isinstance(content.get("additionalProperties"), dict):
                # Where keys are no part of the contract, each stands for a value or is passed over.
                values = Schema(self.document, content["additionalProperties"])
                found = values.at(name) or (values.at(rest) if rest else values)
            else:
                found = None
            if found is not None:
                return found
        return None

    def admits(self, kind: str) -> bool:
        """Whether it declares an SDK type."""
        bare = kind.removesuffix("?")
        if bare == "object":
            return True
        wanted = "array" if bare.startswith("list[") else _JSON_TYPES.get(bare, "object")
        return any(_type(option.content) == wanted for option in self.options())

    def is_open(self) -> bool:
        """Whether it says nothing of what is inside."""
        return any(
            option.content.get("additionalProperties") is True
            or not set(option.content) & {"type", "enum", "const"}
            or (
                option.content.get("type") == "array"
                and Schema(self.document, option.content.get("items", {})).is_open()
            )
            for option in self.options()
        )


def _type(content: Mapping[str, Any]) -> str:
    if "type" in content:
        return str(content["type"])
    values = [*content.get("enum", ()), *([content["const"]] if "const" in content else [])]
    return _JSON_TYPES.get(type(values[0]).__name__, "") if values else ""
