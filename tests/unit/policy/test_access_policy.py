"""Access policies: what is one, and whom it lets in."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from engine.policy.access_policy import ACTIONS, MAX_BYTES, Principal, check, fits, permits

TOPIC = "urn:smn:region01:" + "8" * 32 + ":aaa"
OTHER = TOPIC + "b"
PARTNER = "93dc1b4697ac493d9b7d089569f86b32"
STRANGER = "f" * 32
PUBLISH = "SMN:Publish"


def account(domain_id: str) -> str:
    """An account as policies write it."""
    return f"urn:csp:iam::{domain_id}:root"


def statement(**changes: Any) -> dict[str, Any]:
    """What lets the partner publish, but for ``changes``; None takes an element away."""
    whole = {
        "Sid": "__user_pub_0",
        "Effect": "Allow",
        "Principal": {"CSP": [account(PARTNER)]},
        "Action": ["SMN:Publish", "SMN:QueryTopicDetail"],
        "Resource": TOPIC,
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def policy(*statements: Any, **changes: Any) -> str:
    """A policy's text."""
    document = {"Version": "2016-09-07", "Id": "__default_policy_ID", "Statement": [*statements]}
    return json.dumps(document | changes)


CONSOLE = policy(
    statement(),
    statement(Sid="__service_pub_0", Principal={"Service": ["obs"]}),
    statement(Sid="__org_path_pub_0", Principal={"OrgPath": ["o-xxx/r-xxx/ou-xxx"]}),
)
"""As the console writes it (SMN "Access Policy")."""


@pytest.mark.parametrize(
    "text",
    [
        CONSOLE,
        "\n  " + CONSOLE + "\n",
        policy(statement(Principal={"CSP": "*"})),
        policy(statement(Principal={"CSP": ["*"], "Service": ["OBS"]})),
        policy(statement(Resource="*")),
        policy(statement(Resource=[TOPIC, "*"])),
        policy(statement(Resource=None, NotResource=OTHER)),
        policy(statement(Action="SMN:Update*")),
        policy(statement(Action=None, NotAction=["SMN:Delete*"])),
        policy(statement(Principal=None, NotPrincipal={"CSP": [account(STRANGER)]})),
        policy(statement(Effect="Deny", Action="*")),
        policy(statement(Condition={})),
        policy(statement(Remark="elements that nobody knows are ignored")),
    ],
)
def test_a_good_policy_is_taken(text: str) -> None:
    """The console's form, both forms of each element, wildcards, white space around it."""
    check(text, TOPIC)


def bad(code: str, element: str, *values: Any) -> list[tuple[str, str]]:
    """Policies whose statement has a bad element, and the code for it."""
    return [(policy(statement(**{element: value})), code) for value in values]


def broken(code: str, member: str, *values: Any) -> list[tuple[str, str]]:
    """Policies with a bad member, and the code for it."""
    return [(policy(statement(), **{member: value}), code) for value in values]


BAD = [
    ("", "SMN.0048"),
    ("{", "SMN.0048"),
    ("[]", "SMN.0048"),
    ('"x"', "SMN.0048"),
    ("null", "SMN.0048"),
    ("[" * 20_000, "SMN.0048"),
    ('{"Version": NaN}', "SMN.0048"),
    (CONSOLE.replace('"Effect": "Allow"', '"Effect": "Deny", "Effect": "Allow"'), "SMN.0048"),
    (" " * (MAX_BYTES + 1 - len(CONSOLE)) + CONSOLE, "SMN.0047"),
    ("é" * (MAX_BYTES // 2 + 1), "SMN.0047"),
    *broken("SMN.0049", "Version", None, "2016-09-08", 2016),
    *broken("SMN.0050", "Id", None, "", 1),
    *broken("SMN.0051", "Statement", None, [], {}, [1], [None], "x"),
    *bad("SMN.0052", "Sid", None, "", 1, []),
    (policy(statement(), statement()), "SMN.0052"),
    *bad("SMN.0054", "Effect", None, "allow", "", 1, []),
    *bad("SMN.0056", "Principal", None, "*", [], {}, {"csp": "*"}, {"CSP": "*", "X": ["*"]}),
    *bad("SMN.0056", "Principal", {"CSP": account(PARTNER)}, {"CSP": [PARTNER]}, {"CSP": []}),
    *bad("SMN.0056", "Principal", {"CSP": [1]}, {"CSP": ["", "*"]}, {"CSP": {}}),
    *bad("SMN.0056", "Principal", {"Service": "obs"}, {"Service": [""]}, {"Service": ["*"]}),
    *bad("SMN.0056", "Principal", {"OrgPath": "o-1/r-1"}, {"OrgPath": ["r-1", "o-1/r-1/x"]}),
    *bad("SMN.0056", "NotPrincipal", {"CSP": "*"}),
    *bad("SMN.0055", "Action", None, "", [], 1, {}, [1], "SMN:publish", "SMN:Fly", ["*", "X*"]),
    *bad("SMN.0055", "NotAction", "*"),
    *bad("SMN.0053", "Resource", None, "", [], 1, {}, OTHER, [TOPIC, OTHER], TOPIC + "*"),
    *bad("SMN.0053", "NotResource", "*"),
    (policy(statement(Resource=None, NotResource="aaa")), "SMN.0053"),
    *bad("SMN.0058", "Condition", "x", [], 1, {"a": {}}),
]


@pytest.mark.parametrize(("text", "code"), BAD)
def test_a_bad_policy_answers_the_code_of_what_is_wrong(text: str, code: str) -> None:
    """Each element has its own."""
    with pytest.raises(Refused) as refused:
        check(text, TOPIC)
    assert refused.value.code == code


def test_a_policy_has_30_kilobytes() -> None:
    """The last byte still fits."""
    check(" " * (MAX_BYTES - len(CONSOLE)) + CONSOLE, TOPIC)


@pytest.mark.parametrize(
    ("principal", "action", "urn", "permitted"),
    [
        (Principal(PARTNER), PUBLISH, TOPIC, True),
        (Principal(PARTNER), "SMN:QueryTopicDetail", TOPIC, True),
        (Principal(PARTNER), "SMN:DeleteTopic", TOPIC, False),
        (Principal(PARTNER), PUBLISH, OTHER, False),
        (Principal(STRANGER), PUBLISH, TOPIC, False),
        (Principal(STRANGER, "obs"), PUBLISH, TOPIC, True),
        (Principal(STRANGER, "OBS"), PUBLISH, TOPIC, True),
        (Principal(STRANGER, "vod"), PUBLISH, TOPIC, False),
        (Principal(STRANGER, org_paths=("o-xxx/r-xxx/ou-xxx",)), PUBLISH, TOPIC, True),
        (Principal(STRANGER, org_paths=("o-xxx/r-xxx",)), PUBLISH, TOPIC, False),
    ],
)
def test_whom_the_consoles_policy_lets_in(
    principal: Principal, action: str, urn: str, *, permitted: bool
) -> None:
    """The accounts, services and organization paths that it names, to what it names."""
    assert permits(CONSOLE, principal, action, urn) is permitted


def test_everybody_is_every_account_and_service() -> None:
    """``*`` leaves nobody out, and its opposite everybody."""
    for principal in (Principal(STRANGER), Principal("", "obs")):
        assert permits(policy(statement(Principal={"CSP": "*"})), principal, PUBLISH, TOPIC)
        nobody = policy(statement(Principal=None, NotPrincipal={"CSP": ["*"]}))
        assert not permits(nobody, principal, PUBLISH, TOPIC)


def test_a_path_with_a_star_holds_what_is_beneath_it() -> None:
    """Units below, not the one itself."""
    text = policy(statement(Principal={"OrgPath": ["o-1/r-1/ou-1/*"]}))
    below = Principal(STRANGER, org_paths=("o-1/r-1/ou-1/ou-2",))
    assert permits(text, below, PUBLISH, TOPIC)
    itself = Principal(STRANGER, org_paths=("o-1/r-1/ou-1",))
    assert not permits(text, itself, PUBLISH, TOPIC)


def test_monitoring_needs_no_entry_to_publish() -> None:
    """Cloud Eye and Anti-DDoS publish to every topic, and do nothing else; a Deny holds."""
    for service in ("ces", "CES", "antiddos"):
        alarm = Principal("", service)
        assert permits("", alarm, PUBLISH, TOPIC)
        assert not permits("", alarm, "SMN:DeleteTopic", TOPIC)
        denied = policy(statement(Effect="Deny", Principal={"Service": [service]}))
        assert not permits(denied, alarm, PUBLISH, TOPIC)


@pytest.mark.parametrize("text", ["", "{", policy(), policy(statement(), Version="1")])
def test_what_is_no_policy_permits_nothing(text: str) -> None:
    """Neither none nor a broken one."""
    assert not permits(text, Principal(PARTNER), PUBLISH, TOPIC)


_PRINCIPALS = st.sampled_from(
    [
        {"CSP": "*"},
        {"CSP": [account(PARTNER)]},
        {"CSP": [account(STRANGER)], "Service": ["obs"]},
        {"Service": ["vod", "OBS"]},
        {"OrgPath": ["o-1/r-1/ou-1"]},
    ]
)
_PATTERNS = st.lists(
    st.sampled_from([*ACTIONS, "*", "SMN:*", "SMN:Delete*", "*Attributes", "SMN:*Topic*"]),
    min_size=1,
    max_size=3,
)
_RESOURCES = st.sampled_from([[TOPIC], ["*"], [OTHER], [TOPIC, OTHER]])


@st.composite
def _statements(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Deny"]))}
    for name, values in (
        ("Principal", _PRINCIPALS),
        ("Action", _PATTERNS),
        ("Resource", _RESOURCES),
    ):
        made[draw(st.sampled_from([name, f"Not{name}"]))] = draw(values)
    return made


def _naively(one: dict[str, Any], principal: Principal, action: str, urn: str) -> bool:
    """Whether a statement speaks of it, written as a reader of the contract would."""
    who = one.get("Principal") or one["NotPrincipal"]
    named = (
        "*" in who.get("CSP", [])
        or account(principal.domain_id) in who.get("CSP", [])
        or principal.service in [name.lower() for name in who.get("Service", [])]
        or bool(set(principal.org_paths) & set(who.get("OrgPath", [])))
    )
    patterns = one.get("Action") or one["NotAction"]
    listed = any(re.fullmatch(p.replace("*", ".*"), action) for p in patterns)
    resources = one.get("Resource") or one["NotResource"]
    covered = urn in resources or "*" in resources
    return (
        named == ("Principal" in one)
        and listed == ("Action" in one)
        and covered == ("Resource" in one)
    )


@given(
    st.lists(_statements(), min_size=1, max_size=4),
    st.sampled_from(
        [
            Principal(PARTNER),
            Principal(STRANGER, "obs"),
            Principal(STRANGER, org_paths=("o-1/r-1/ou-1", "o-1/r-1")),
        ]
    ),
    st.sampled_from(ACTIONS),
)
def test_any_deny_refuses_else_any_allow_permits(
    statements: list[dict[str, Any]], principal: Principal, action: str
) -> None:
    """Whatever the order, and with each element in its plain or its negated form."""
    text = policy(*({**one, "Sid": str(number)} for number, one in enumerate(statements)))
    effects = {one["Effect"] for one in statements if _naively(one, principal, action, TOPIC)}
    assert permits(text, principal, action, TOPIC) is (effects == {"Allow"})


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_a_star_stands_for_anything(pattern: str, text: str) -> None:
    """And for nothing else than the regular expression ``.*`` would."""
    expected = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None
    assert fits(pattern, text) is expected


@pytest.mark.timeout(5)
def test_a_pattern_of_stars_costs_little() -> None:
    """A hostile pattern must not cost more than its length."""
    assert not fits("*S*M*N" * 5_000 + "x", "SMN:" * 2_000)
