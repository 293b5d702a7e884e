"""What models of requests and answers are made of; the models stand beside their handlers.

Each field of a request names the contract code for a bad value; types are strict, unknown
fields are ignored. Limits that the engine knows itself (sizes, names, protocols) are not
repeated in models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.errors import Refused
from engine.policy.texts import is_line

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MAX_SHORT: Final = 1024

Model = TypeVar("Model", bound="Body")
Asked = TypeVar("Asked", bound="Query")


@dataclass(frozen=True, slots=True)
class Code:
    """The contract code for a bad value of the field that it annotates."""

    code: str


def _line(text: str) -> str:
    if not is_line(text):
        raise ValueError("must not contain control characters")
    return text


def _text(text: str) -> str:
    if _TEXT.search(text):
        raise ValueError("must not contain control characters other than tabs and line breaks")
    return text


Line = Annotated[str, AfterValidator(_line)]
"""Text without control characters."""
Text = Annotated[str, AfterValidator(_text)]
"""Text that may have several lines."""
Short = Annotated[str, Field(max_length=_MAX_SHORT), AfterValidator(_line)]


class Body(BaseModel):
    """A request's JSON object. ``malformed`` is the code for what is not one at all."""

    # Errors may be shown and logged; input may hold secrets.
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)
    malformed: ClassVar[str] = "APIGW.0201"


class Query(BaseModel):
    """An operation's query parameters: the first value of each that is not empty.

    Unknown parameters are ignored; each field names its contract code as in a `Body`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Shown(BaseModel):
    """What an answer shows. Answers are built as plain dicts; this describes them to readers."""


class Requested(Shown):
    """An answer with nothing but the request's id."""

    request_id: str


def read_body(model: type[Model], raw: bytes) -> Model:
    """Parse and check; raises `Refused` with the code of the first bad field."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        place, reason = _first(error)
    if not place:
        raise Refused(model.malformed, f"The body is not a JSON object: {reason}.")
    raise Refused(codes(model).get(place, model.malformed), f"{place}: {reason}.")


def read_query(model: type[Asked], pairs: Iterable[tuple[str, str]]) -> Asked:
    """Check the parameters; raises `Refused` with the code of the first bad one."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if value:
            given.setdefault(name, value)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        place, reason = _first(error)
    raise Refused(codes(model).get(place, Body.malformed), f"{place}: {reason}.")


@cache
def codes(model: type[Body | Query]) -> dict[str, str]:
    """The contract code of each field, under the names that requests use."""
    return {
        info.alias or name: next(
            (one.code for one in info.metadata if isinstance(one, Code)),
            getattr(model, "malformed", Body.malformed),
        )
        for name, info in model.model_fields.items()
    }


def _first(error: ValidationError) -> tuple[str, str]:
    """The field of the first fault, '' for the whole, and what is wrong with it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = str(first["loc"][0]) if first["loc"] else ""
    return place, first["msg"].removeprefix("Value error, ")
