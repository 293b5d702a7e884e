"""A topic's access policy: whom besides its own account it lets in, and to what.

The policy is a JSON document as a text, kept byte for byte (SMN "Access Policy"). It adds to
the rights of the topic's account and never takes from them, so that only callers of other
accounts and cloud services are asked about here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

from engine.errors import Refused

MAX_BYTES: Final = 30 * 1024
"""Of a policy's text (SMN "Topic Attributes")."""

ACTIONS: Final = (
    "SMN:UpdateTopic",
    "SMN:DeleteTopic",
    "SMN:QueryTopicDetail",
    "SMN:ListTopicAttributes",
    "SMN:UpdateTopicAttribute",
    "SMN:DeleteTopicAttributes",
    "SMN:DeleteTopicAttributeByName",
    "SMN:ListSubscriptionsByTopic",
    "SMN:Subscribe",
    "SMN:Unsubscribe",
    "SMN:Publish",
)
"""What a policy can speak of."""

ALWAYS_PUBLISH: Final = frozenset({"ces", "antiddos"})
"""Cloud services that publish to every topic unless a policy denies it: Cloud Eye, Anti-DDoS."""

_VERSION: Final = "2016-09-07"
_EVERYTHING: Final = "*"
_ACCOUNT: Final = re.compile(r"urn:csp:iam::([0-9A-Za-z_-]{1,64}):root", re.ASCII)
_SERVICE: Final = re.compile(r"[0-9A-Za-z._-]{1,64}", re.ASCII)
_ORG_PATH: Final = re.compile(r"o-[^\s/]+/r-[^\s/]+(/(ou-[^\s/]+|\*))*")
_TOPIC: Final = re.compile(r"urn:smn:[^:\s]+:[0-9a-f]{32}:[0-9A-Za-z_-]{1,255}", re.ASCII)
_KINDS: Final = {"CSP": _ACCOUNT, "Service": _SERVICE, "OrgPath": _ORG_PATH}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who wants in: an account, what cloud service it is if any, and where its account stands.

    ``org_paths`` are paths of the account in its organization: ``o-…/r-…/ou-…``.
    """

    domain_id: str
    service: str = ""
    org_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Either:
    """The values of an element, or of its opposite: ``Action`` or ``NotAction``."""

    negated: bool
    values: tuple[str, ...]

    def holds(self, text: str) -> bool:
        return any(fits(pattern, text) for pattern in self.values) != self.negated


@dataclass(frozen=True, slots=True)
class _Statement:
    sid: str
    allows: bool
    not_principal: bool
    principals: Mapping[str, tuple[str, ...]]
    action: _Either
    resource: _Either

    def speaks_of(self, principal: Principal, action: str, topic_urn: str) -> bool:
        return (
            _is_one(self.principals, principal) != self.not_principal
            and self.action.holds(action)
            and self.resource.holds(topic_urn)
        )


def check(text: str, topic_urn: str) -> None:
    """Raise `Refused` unless ``text`` is a policy for this topic.

    Codes: SMN.0047 over 30 KB, SMN.0048 not a JSON object, SMN.0049 Version, SMN.0050 Id,
    SMN.0051 Statement, SMN.0052 Sid, SMN.0053 Resource, SMN.0054 Effect, SMN.0055 Action,
    SMN.0056 Principal, SMN.0058 Condition.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Refused("SMN.0047", f"An access policy has at most {MAX_BYTES} bytes.")
    for statement in _parse(text):
        own = {topic_urn, _EVERYTHING}
        if not (statement.resource.negated or own.issuperset(statement.resource.values)):
            _refuse("SMN.0053", statement.sid, "It names another topic than its own")


def permits(text: str, principal: Principal, action: str, topic_urn: str) -> bool:
    """Whether a policy lets somebody of another account in: no Deny says no, and an Allow yes.

    ``text`` is '' for a topic without a policy. Cloud Eye and Anti-DDoS need no Allow to
    publish. A text that is no policy permits nothing.
    """
    try:
        statements = _parse(text) if text else ()
    except Refused:
        return False
    spoken = [one.allows for one in statements if one.speaks_of(principal, action, topic_urn)]
    if not all(spoken):
        return False
    open_to_all = action == "SMN:Publish" and principal.service.lower() in ALWAYS_PUBLISH
    return bool(spoken) or open_to_all


def fits(pattern: str, text: str) -> bool:
    """Whether the text is as the pattern says; ``*`` stands for anything.

    Linear in both, whatever the pattern: policies come from outside.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    if not text.startswith(first):
        return False
    *middle, last = rest
    position = len(first)
    for part in middle:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return text.endswith(last) and len(text) - len(last) >= position


def _is_one(principals: Mapping[str, tuple[str, ...]], principal: Principal) -> bool:
    for kind, values in principals.items():
        for value in values:
            match kind:
                case "CSP":
                    found = _ACCOUNT.fullmatch(value)
                    one = value == _EVERYTHING or (
                        found is not None and found[1] == principal.domain_id
                    )
                case "Service":
                    # Some clients write the names in capitals.
                    one = value.lower() == principal.service.lower()
                case _:
                    one = any(fits(value, path) for path in principal.org_paths)
            if one:
                return True
    return False


# Reading


@lru_cache(maxsize=256)
def _parse(text: str) -> tuple[_Statement, ...]:
    document = _document(text)
    if document.get("Version") != _VERSION:
        raise Refused("SMN.0049", f"Version must be {_VERSION}.")
    if not isinstance(document.get("Id"), str) or not document["Id"]:
        raise Refused("SMN.0050", "Id must be a text that is not empty.")
    given = document.get("Statement")
    if not isinstance(given, list) or not given:
        raise Refused("SMN.0051", "Statement must be a list of at least one statement.")
    sids: set[str] = set()
    statements = []
    for number, one in enumerate(given, 1):
        if not isinstance(one, dict):
            _refuse("SMN.0051", str(number), "It must be an object")
        sid = one.get("Sid")
        if not isinstance(sid, str) or not sid or sid in sids:
            _refuse("SMN.0052", str(number), "It needs a Sid that no other statement has")
        sids.add(sid)
        statements.append(_statement(sid, one))
    return tuple(statements)


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("SMN.0048", f"It is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise Refused("SMN.0048", "It must be a JSON object.")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A member that is there twice would hide what one reader or another takes for the policy."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _statement(sid: str, given: Mapping[str, Any]) -> _Statement:
    effect = given.get("Effect")
    if effect not in ("Allow", "Deny"):  # a tuple: what comes may be a list
        _refuse("SMN.0054", sid, "Effect must be Allow or Deny")
    not_principal, principals = _one_of(given, "Principal", sid, "SMN.0056")
    not_action, actions = _one_of(given, "Action", sid, "SMN.0055")
    not_resource, resources = _one_of(given, "Resource", sid, "SMN.0053")
    action = _Either(not_action, _texts(actions, sid, "SMN.0055"))
    for pattern in action.values:
        if not any(fits(pattern, known) for known in ACTIONS):
            _refuse("SMN.0055", sid, f"There is no action {pattern[:64]!r}")
    resource = _Either(not_resource, _texts(resources, sid, "SMN.0053"))
    for urn in resource.values:
        if urn != _EVERYTHING and _TOPIC.fullmatch(urn) is None:
            _refuse("SMN.0053", sid, f"{urn[:64]!r} is no topic URN")
    if given.get("Condition", {}) != {}:
        # Nothing is known of conditions; a grant must not be wider than its author thinks.
        _refuse("SMN.0058", sid, "There are no conditions that could hold")
    return _Statement(
        sid, effect == "Allow", not_principal, _principals(principals, sid), action, resource
    )


def _one_of(given: Mapping[str, Any], name: str, sid: str, code: str) -> tuple[bool, Any]:
    """Whether it is the negated element, and its value."""
    there = [element for element in (name, f"Not{name}") if element in given]
    if len(there) != 1:
        _refuse(code, sid, f"It needs either {name} or Not{name}")
    return there[0] != name, given[there[0]]


def _principals(given: object, sid: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict) or not given or not _KINDS.keys() >= given.keys():
        _refuse("SMN.0056", sid, "A principal is an object with CSP, Service or OrgPath")
    found: dict[str, tuple[str, ...]] = {}
    for kind, value in given.items():
        if kind == "CSP" and value == _EVERYTHING:
            found[kind] = (_EVERYTHING,)
            continue
        if not isinstance(value, list):
            _refuse("SMN.0056", sid, f"{kind} must be a list")
        found[kind] = _texts(value, sid, "SMN.0056")
        for one in found[kind]:
            everybody = kind == "CSP" and one == _EVERYTHING
            if not everybody and _KINDS[kind].fullmatch(one) is None:
                _refuse("SMN.0056", sid, f"{one[:64]!r} is no {kind}")
    return found


def _texts(given: object, sid: str, code: str) -> tuple[str, ...]:
    """A text or a list of them, none empty."""
    values: Iterable[object] = given if isinstance(given, list) else (given,)
    found = tuple(value for value in values if isinstance(value, str) and value)
    if not found or (isinstance(given, list) and len(found) != len(given)):
        _refuse(code, sid, "It must be a text or a list of texts")
    return found


def _refuse(code: str, statement: str, reason: str) -> NoReturn:
    raise Refused(code, f"Statement {statement[:64]}: {reason}.")
