"""Request bodies: what may be in them and which code answers what may not.

Each field names its contract code; types are strict, unknown fields are ignored. Limits that
the engine knows itself (sizes, names, protocols) are not repeated here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine.errors import Refused

_LINE: Final = re.compile(r"[\x00-\x1f\x7f]")
_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MAX_SHORT: Final = 1024

Model = TypeVar("Model", bound="Body")


@dataclass(frozen=True, slots=True)
class Code:
    """The contract code for a bad value of the field that it annotates."""

    code: str


def _line(text: str) -> str:
    if _LINE.search(text):
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


class CreateTopic(Body):
    """POST …/topics."""

    name: Annotated[Line, Code("SMN.0002")]
    display_name: Annotated[Line | None, Code("SMN.0003")] = None
    enterprise_project_id: Annotated[
        Annotated[Line, Field(max_length=64)] | None, Code("APIGW.0201")
    ] = None


class UpdateTopic(Body):
    """PUT …/topics/{topic_urn}; a client that clears the name sends ``{}``."""

    display_name: Annotated[Line | None, Code("SMN.0003")] = None


class Extension(Body):
    """What a subscription carries beside its endpoint (SMN "Adding a Subscription")."""

    header: dict[Short, Short] | None = None
    client_id: Short | None = None
    client_secret: Short | None = None
    keyword: Short | None = None
    sign_secret: Short | None = None
    app_key: Short | None = None
    app_secret: Short | None = None
    robot_code: Short | None = None
    verification_code_enabled: bool | None = None


class AddSubscription(Body):
    """POST …/topics/{topic_urn}/subscriptions."""

    malformed = "SMN.0043"

    protocol: Annotated[Line, Code("SMN.0011")] = ""
    endpoint: Annotated[Annotated[Line, Field(max_length=2048)], Code("SMN.0012")] = ""
    remark: Annotated[Text | None, Code("SMN.0017")] = None
    extension: Annotated[Extension | None, Code("SMN.0043")] = None
    subscriptions: Annotated[list[Any] | None, Code("SMN.0043")] = None


class Publish(Body):
    """POST …/topics/{topic_urn}/publish."""

    subject: Annotated[Line | None, Code("SMN.0008")] = None
    message: Annotated[str | None, Code("SMN.0009")] = None
    message_structure: Annotated[str | None, Code("SMN.0021")] = None
    message_template_name: Annotated[str | None, Code("SMN.0042")] = None
    time_to_live: Annotated[
        int | Annotated[str, Field(pattern=r"^[0-9]{1,9}$")] | None, Code("APIGW.0201")
    ] = None
    message_attributes: Annotated[list[Any] | None, Code("SMN.0043")] = None
    locale: Annotated[Annotated[Line, Field(max_length=32)] | None, Code("APIGW.0201")] = None


def read_body(model: type[Model], raw: bytes) -> Model:
    """Parse and check; raises `Refused` with the code of the first bad field."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place, reason = first["loc"], first["msg"].removeprefix("Value error, ")
    if not place:
        raise Refused(model.malformed, f"The body is not a JSON object: {reason}.")
    raise Refused(_codes(model)[str(place[0])], f"{place[0]}: {reason}.")


@cache
def _codes(model: type[Body]) -> dict[str, str]:
    return {
        name: next((one.code for one in info.metadata if isinstance(one, Code)), model.malformed)
        for name, info in model.model_fields.items()
    }
