"""Filter policies: what may be one, and who is owed a message that has attributes."""

from __future__ import annotations

import pytest

from engine.errors import Refused
from engine.models import FilterPolicy
from engine.policy import attributes
from engine.policy.filters import check, compiled, demands, matches, protocols
from engine.policy.names import PROTOCOLS

Attribute = dict[str, object]
COMPANY, POSITION = "company", "position"
A = [FilterPolicy(COMPANY, ("group_a", "group_b")), FilterPolicy(POSITION, ("finance", "dev"))]
B = [FilterPolicy(COMPANY, ("group_b", "group_c")), FilterPolicy(POSITION, ("admin", "ops"))]


def attribute(name: str, *values: str) -> Attribute:
    """A checked message attribute."""
    kind = "STRING" if len(values) == 1 else "STRING_ARRAY"
    return {"name": name, "type": kind, "value": list(values)}


EVERYBODY = attribute("smn_protocol", "email", "http")


@pytest.mark.parametrize(
    ("attributes", "a", "b", "without"),
    [
        ([attribute(COMPANY, "group_a")], True, False, False),
        ([attribute(COMPANY, "group_a"), attribute(POSITION, "ops")], False, False, False),
        ([attribute(COMPANY, "group_c"), attribute(POSITION, "admin")], False, True, False),
        ([attribute(COMPANY, "group_b"), attribute(POSITION, "finance")], True, False, False),
        (
            [
                attribute(COMPANY, "group_a", "group_b", "group_c"),
                attribute(POSITION, "dev", "ops"),
            ],
            True,
            True,
            False,
        ),
        ([attribute("colour", "red")], False, False, False),
        ([attribute(COMPANY, "group_b"), attribute("colour", "red")], False, False, False),
        ([], True, True, True),
        ([EVERYBODY], True, True, True),
        ([EVERYBODY, attribute(COMPANY, "group_a")], True, False, False),
    ],
)
def test_the_vendors_table(attributes: list[Attribute], a: bool, b: bool, without: bool) -> None:
    """Each attribute of the message must be met (SMN "Using a Subscription Filter Policy")."""
    asked = demands(attributes)
    found = [matches(asked, compiled(policies)) for policies in (A, B, [])]
    assert found == [a, b, without]


def test_only_the_protocol_attribute_names_protocols() -> None:
    """Without it a message is for all."""
    assert protocols([attribute(COMPANY, "sms")]) is None
    assert protocols([attribute(COMPANY, "sms"), EVERYBODY]) == frozenset({"email", "http"})


def test_what_the_contract_allows_is_accepted() -> None:
    """Up to 5 policies of up to 10 values, in Chinese and English."""
    values = tuple(f"value_{number}" for number in range(9))
    check([FilterPolicy(name, (*values, "公司_A1")) for name in ("a", "b_c", "d1", "0", "e" * 32)])


@pytest.mark.parametrize("value", ["\u3400", "\u4dbf", "\u4e00", "\u9fff", "\uf900", "\ufaff"])
def test_a_message_can_carry_what_a_policy_wants(value: str) -> None:
    """Every Chinese letter is one for both."""
    check([FilterPolicy(COMPANY, (value,))])
    carried = attributes.check([{"name": COMPANY, "type": "STRING", "value": value}], PROTOCOLS)
    assert matches(demands(carried), compiled([FilterPolicy(COMPANY, (value,))]))


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [FilterPolicy(f"name{number}", ("x",)) for number in range(6)],
        [FilterPolicy("a", ("x",)), FilterPolicy("a", ("y",))],
        *(
            [FilterPolicy(name, ("x",))]
            for name in ("", "_a", "a_", "a__b", "smn_a", "A", "ä", "a b", "a\n", "a" * 33)
        ),
        *(
            [FilterPolicy("a", values)]
            for values in (
                (),
                ("x", "x"),
                ("",),
                ("a b",),
                ("a\n",),
                ("x" * 33,),
                ("é",),
                ("-",),
                tuple(f"v{number}" for number in range(11)),
            )
        ),
    ],
)
def test_anything_else_is_refused(policies: list[FilterPolicy]) -> None:
    """With the contract's code."""
    with pytest.raises(Refused, match=r"SMN\.0043"):
        check(policies)
