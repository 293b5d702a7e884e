"""What a record of an operation may show (SMN "Key Operations Supported by CTS").

Nothing is shown but members that are named here: a field that somebody adds to a request, or
that a client sends by mistake, is masked until it is known to be harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

MASK: Final = "***"

SHOWN: Final = frozenset(
    {
        *("name", "display_name", "enterprise_project_id", "introduction", "value", "values"),
        *("protocol", "remark", "locale", "order", "polling", "ids", "group", "status", "owner"),
        *("subscriptions", "extension", "verification_code_enabled", "key", "tag", "tags"),
        *("action", "tags_any", "not_tags", "not_tags_any", "matches", "without_any_tag"),
        *("polices", "filter_polices", "string_equals", "subscription_urns", "subscription_urn"),
        *("log_group_id", "log_stream_id", "key_id", "platform", "enabled"),
        *("message_template_name", "message_template_id", "topic_urn", "topic_id", "id"),
        *("offset", "limit", "marker", "fuzzy_name", "fuzzy_display_name", "fuzzy_remark"),
        *("start_time", "end_time"),
    }
)
"""Members of requests. Not among them: whatever authenticates (``sign_secret``,
``client_secret``, ``header``, ``verification_code``, ``token``, …) and content."""
SHOWN_IN_ANSWERS: Final = SHOWN | {
    *("request_id", "code", "message", "error_code", "error_msg", "http_code"),
    *("subscriptions_result", "batch_result", "logtank", "create_time", "update_time"),
}
ENDPOINTS: Final = frozenset({"endpoint"})
"""Addresses: path and query of a URL may be the key to it."""

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


def parse(raw: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The JSON of a body; a remark for what is none or too much to look at."""
    if len(raw) > _MAX_PARSED:
        return f"{len(raw)} bytes"
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return f"{len(raw)} bytes, not JSON"


def text(value: object, names: frozenset[str]) -> str:
    """JSON that shows only ``names``, bounded in size."""
    whole = clean(json.dumps(_shown(value, names, 0), ensure_ascii=False, separators=(",", ":")))
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


def _shown(value: object, names: frozenset[str], depth: int) -> object:
    if isinstance(value, str):
        return _cut(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == _MAX_DEPTH:
        return MASK
    if isinstance(value, list):
        few: list[object] = [_shown(item, names, depth + 1) for item in value[:_MAX_ITEMS]]
        return few if len(value) <= _MAX_ITEMS else [*few, f"and {len(value) - _MAX_ITEMS} more"]
    if isinstance(value, dict):
        return {
            _cut(str(name)): _member(str(name), item, names, depth + 1)
            for name, item in list(value.items())[:_MAX_ITEMS]
        }
    return MASK


def _member(name: str, value: object, names: frozenset[str], depth: int) -> object:
    if name in ENDPOINTS and isinstance(value, str):
        return _address(value)
    return _shown(value, names, depth) if name in names else MASK


def _address(endpoint: str) -> str:
    """An endpoint without what may be secret in it: a URL keeps only its origin."""
    scheme, found, rest = endpoint.partition("://")
    if not found:
        return _cut(endpoint)
    host = rest.replace("?", "/").replace("#", "/").partition("/")[0].rpartition("@")[2]
    return _cut(f"{scheme}://{host}/{MASK}")


def _cut(line: str) -> str:
    return line if len(line) <= _MAX_STRING else f"{line[: _MAX_STRING - 1]}…"
