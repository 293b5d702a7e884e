"""What a record of an operation may show (SMN "Key Operations Supported by CTS").

Nothing is shown but members that are named here, and of these nothing but what belongs there: what
somebody adds to a request, or a client sends by mistake, is masked until it is known to be
harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from engine.policy import protocols

MASK: Final = "***"


@dataclass(frozen=True, slots=True)
class Names:
    """Members that are shown: those that are one value, lists of values, and what has members."""

    values: frozenset[str]
    lists: frozenset[str]
    parts: frozenset[str]


SHOWN: Final = Names(
    values=frozenset(
        {
            *("name", "display_name", "enterprise_project_id", "introduction", "value"),
            *("protocol", "remark", "locale", "order", "status", "owner"),
            *("verification_code_enabled", "key", "action", "without_any_tag"),
            *("subscription_urn", "log_group_id", "log_stream_id", "key_id", "platform"),
            *("enabled", "message_template_name", "message_template_id", "topic_urn"),
            *("topic_id", "id", "offset", "limit", "marker", "start_time", "end_time"),
            *("fuzzy_name", "fuzzy_display_name", "fuzzy_remark"),
        }
    ),
    lists=frozenset({"values", "ids", "group", "string_equals", "subscription_urns"}),
    parts=frozenset(
        {
            *("subscriptions", "extension", "polling", "polices", "filter_polices"),
            *("tag", "tags", "tags_any", "not_tags", "not_tags_any", "matches"),
            "subscription_urns",
        }
    ),
)
"""Members of requests. Not among them: whatever authenticates (``sign_secret``,
``client_secret``, ``header``, ``verification_code``, ``token``, …) and content."""
SHOWN_IN_ANSWERS: Final = replace(
    SHOWN,
    values=SHOWN.values
    | {
        *("request_id", "code", "message", "error_code", "error_msg", "http_code"),
        *("create_time", "update_time"),
    },
    parts=SHOWN.parts | {"subscriptions_result", "batch_result", "logtank"},
)

RESOURCE_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "topic": ("topic_urn",),
    "subscription": ("subscription_urn", "topic_urn"),
    "message_template": ("message_template_id",),
    "tag": ("resource_id",),
    "logtank": ("logtank_id", "id", "topic_urn"),
    "filter_polices": ("subscription_urn",),
    "notify_policy": ("notify_policy_id", "id", "topic_urn"),
}
"""Where the id of a resource stands: the first that path or answer have."""
RESOURCE_NAMES: Final[Mapping[str, str]] = {
    "topic": "name",
    "message_template": "message_template_name",
}
"""Where a request names the resource; others go by their topic's name."""
BY_ACTION: Final[Mapping[tuple[str, str], str]] = {("batchCreateTag", "delete"): "deleteTag"}
"""One operation, two traces: by its trace and the request's ``action``."""

MAX_TEXT: Final = 2048
_MAX_PARSED: Final = 1024 * 1024
_MAX_STRING: Final = 256
_MAX_ITEMS: Final = 50
_MAX_DEPTH: Final = 6


class Remark(str):
    """What is said in place of a body."""

    __slots__ = ()


def parse(raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The JSON of a body; a `Remark` for what is none or too much to look at."""
    if len(raw) > _MAX_PARSED:
        return Remark(f"{len(raw)} bytes")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return Remark(f"{len(raw)} bytes, not JSON")


def text(value: object, names: Names) -> str:
    """JSON that shows only ``names``, bounded in size."""
    shown = value if isinstance(value, Remark) else _body(value, names)
    whole = clean(json.dumps(shown, ensure_ascii=False, separators=(",", ":")))
    return whole if len(whole) <= MAX_TEXT else f"{whole[: MAX_TEXT - 1]}…"


def query_text(pairs: Iterable[tuple[str, str]]) -> str:
    """A query as a JSON object; empty without one."""
    given = dict(pairs)
    return text(given, SHOWN) if given else ""


def trace_name(name: str, request: object) -> str:
    """The name under which this very request is recorded."""
    action = request.get("action") if isinstance(request, dict) else None
    return BY_ACTION.get((name, action), name) if isinstance(action, str) else name


def is_deletion(name: str) -> bool:
    """Whether a trace tells of a deletion: those carry no request (SMN "Audit Using CTS")."""
    return "delete" in name.lower() or name.startswith("del")


def resource(
    kind: str, path: Mapping[str, str], request: object, answer: object
) -> tuple[str, str]:
    """Id and name of what was operated on, as far as the exchange tells."""
    asked = request if isinstance(request, dict) else {}
    told = answer if isinstance(answer, dict) else {}
    places: dict[str, Any] = {**told, **path}
    known = (places.get(name) for name in RESOURCE_IDS.get(kind, ()))
    identifier = next((value for value in known if isinstance(value, str) and value), "")
    name = asked.get(RESOURCE_NAMES.get(kind, ""))
    if not isinstance(name, str):
        urn = places.get("topic_urn")
        name = urn.rpartition(":")[2] if isinstance(urn, str) else ""
    return _cut(clean(identifier)), _cut(clean(name))


def rating(status: int) -> str:
    """How grave an outcome is (SMN "Audit Using CTS", trace_rating)."""
    if status < 400:
        return "normal"
    return "warning" if status < 500 else "incident"


def clean(line: str) -> str:
    """Without what UTF-8 cannot hold: JSON may escape half of a surrogate pair."""
    return line.encode("utf-8", "replace").decode()


def _body(value: object, names: Names) -> object:
    if isinstance(value, list):
        return _list(value, names, 0, values=False, parts=True)
    return _one(value, names, 0, values=False, parts=True)


def _member(
    name: str, value: object, beside: Mapping[str, object], names: Names, depth: int
) -> object:
    if name == "endpoint":
        return _endpoint(beside.get("protocol"), value)
    parts = name in names.parts
    if isinstance(value, list):
        return _list(value, names, depth, values=name in names.lists, parts=parts)
    return _one(value, names, depth, values=name in names.values, parts=parts)


def _list(value: list[object], names: Names, depth: int, *, values: bool, parts: bool) -> object:
    few = [_one(item, names, depth, values=values, parts=parts) for item in value[:_MAX_ITEMS]]
    return few if len(value) <= _MAX_ITEMS else [*few, f"and {len(value) - _MAX_ITEMS} more"]


def _one(value: object, names: Names, depth: int, *, values: bool, parts: bool) -> object:
    """A value, or something with members, if it may be that here."""
    if parts and isinstance(value, dict) and depth < _MAX_DEPTH:
        return {
            _cut(str(name)): _member(str(name), item, value, names, depth + 1)
            for name, item in list(value.items())[:_MAX_ITEMS]
        }
    if values and isinstance(value, str):
        return _cut(value)
    return value if values and isinstance(value, bool | int | float | None) else MASK


def _endpoint(protocol: object, endpoint: object) -> str:
    """An endpoint that is no secret, of a URL the origin: path and query may be the key to it.

    What is no endpoint of its protocol may be a secret with a slip in it.
    """
    if not (isinstance(protocol, str) and isinstance(endpoint, str)):
        return MASK
    if not protocols.is_public(protocol, endpoint):
        return MASK
    scheme, found, rest = endpoint.partition("://")
    if not found:
        return _cut(endpoint)
    host = rest.partition("/")[0].partition("?")[0]
    return _cut(f"{scheme}://{host}/{MASK}")


def _cut(line: str) -> str:
    return line if len(line) <= _MAX_STRING else f"{line[: _MAX_STRING - 1]}…"
