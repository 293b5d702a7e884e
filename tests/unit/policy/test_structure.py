"""``message_structure``: a text for each protocol, and objects for bots."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Refused
from engine.models import Kind, Message
from engine.policy.names import PROTOCOLS
from engine.policy.structure import MAX_STRUCTURE_BYTES, parse, parse_push


def parsed(**members: Any) -> Message:
    """A message with the content that these members give."""
    return Message(
        id="1" * 32,
        topic_id="2" * 32,
        topic_urn="urn:smn:region01:p:t",
        project_id="p",
        kind=Kind.NOTIFICATION,
        content=parse(json.dumps({"default": "d"} | members), PROTOCOLS),
        created_ms=0,
        deadline_ms=0,
    )


def test_each_protocol_gets_its_own_text() -> None:
    """All others the default."""
    message = parsed(sms="short", https='{"k": 1}')
    assert (message.text("sms"), message.text("https")) == ("short", '{"k": 1}')
    assert message.text("email") == "d"


def test_an_empty_text_counts_as_none() -> None:
    """A subscriber is never sent nothing."""
    assert parsed(sms="").text("sms") == "d"


def test_red_is_accepted_and_ignored() -> None:
    """Nothing speaks it."""
    assert set(parsed(welinkRed="z", dms="q").content) == {"default", "dms"}


def test_push_platforms_have_texts_of_their_own() -> None:
    """For applications' endpoints among the subscribers; an object becomes its JSON."""
    given = {"HMS": {"hps": {"msg": "é"}}, "APNS": "x", "APNS_SANDBOX": ""}
    content = parsed(**given).content
    assert content == {"default": "d", "HMS": '{"hps":{"msg":"é"}}', "APNS": "x"}


@pytest.mark.parametrize("value", [7, ["x"], True])
def test_a_platforms_text_is_a_string_or_an_object(value: object) -> None:
    """Anything else is a mistake."""
    with pytest.raises(Refused) as refused:
        parsed(HMS=value)
    assert refused.value.code == "SMN.0021"


RICH = {"msgType": "markdown", "title": "t", "content": "# c @138", "color": "red"}
AT = {"isAtAll": False, "atMobiles": ["138"], "atUserIds": []}


@pytest.mark.parametrize("protocol", ["dingding", "wechat", "feishu", "dingTalkBot"])
@pytest.mark.parametrize("encode", [lambda value: value, json.dumps], ids=["object", "string"])
def test_a_bot_takes_an_object(protocol: str, encode: Any) -> None:
    """As JSON or as a string that holds it: adapters see the same, others its text."""
    message = parsed(**{protocol: encode(RICH)})
    assert message.rich(protocol) == RICH
    assert message.text(protocol) == "# c @138"


@pytest.mark.parametrize("name", ["content", "text", "message"])
def test_the_text_of_an_object_has_three_names(name: str) -> None:
    """The vendor shows none of them."""
    message = parsed(welink={"msgType": "text", name: "hello", "unknown": 1})
    assert message.rich("welink") == {"msgType": "text", "content": "hello"}


def test_who_is_mentioned_is_passed_on() -> None:
    """With all three members, given or not."""
    message = parsed(dingding=RICH | {"at": {"atMobiles": ["138"]}})
    assert message.rich("dingding") == RICH | {"at": AT}


@pytest.mark.parametrize("text", ["hello", '{"a": 1}', "{", "[1]", '"x"', "{}"])
def test_a_bots_plain_text_stays_one(text: str) -> None:
    """Only an object with msgType is one."""
    message = parsed(dingding=text)
    assert message.text("dingding") == text
    assert message.rich("dingding") is None


def test_what_was_not_published_as_an_object_is_none() -> None:
    """Whatever the default says."""
    message = parsed(default=json.dumps(RICH))
    assert message.rich("dingding") is None


_OBJECTS: tuple[dict[str, Any], ...] = (
    *({"pigeon": "coo"}, {"sms": 7}, {"sms": None}, {"sms": {}}, {"email": ["x"]}),
    *({"dingding": 7}, {"dingding": {}}, {"dingding": ["x"]}, {"http": RICH}),
    {"dingding": {"msgType": "markdown"}},
    {"dingding": {"msgType": "markdown", "content": ""}},
    {"dingding": {"msgType": "markdown", "content": 7}},
    {"dingding": {"msgType": [], "content": "x"}},
    {"dingding": {"msgType": "link", "content": "x"}},
    {"dingding": '{"msgType": "link", "content": "x"}'},
    {"welink": {"msgType": "markdown", "content": "x"}},
    {"dingding": RICH | {"title": 7}},
    {"feishu": RICH | {"color": {}}},
    {"dingding": RICH | {"at": []}},
    {"dingding": RICH | {"at": {"isAtAll": "yes"}}},
    {"dingding": RICH | {"at": {"atMobiles": "138"}}},
    {"dingding": RICH | {"at": {"atUserIds": [7]}}},
)

BAD: list[str] = [
    *("", "x", "[]", "7", "null", '"x"', "{", "[" * 99_999, "1" * 9999, "{}", '{"sms": "x"}'),
    *('{"default": ""}', '{"default": 7}', '{"default": null}', '{"default": {}}'),
    '{"default": "\\ud800"}',
    *(json.dumps({"default": "d", **more}) for more in _OBJECTS),
]


@pytest.mark.parametrize("text", BAD)
def test_bad_structures_are_refused(text: str) -> None:
    """With the contract's code."""
    with pytest.raises(Refused) as refused:
        parse(text, PROTOCOLS)
    assert refused.value.code == "SMN.0021"


def test_the_whole_text_is_bounded() -> None:
    """Braces, quotes and names count."""
    frame = len('{"default":""}')
    parse(f'{{"default":"{"a" * (MAX_STRUCTURE_BYTES - frame)}"}}', PROTOCOLS)
    with pytest.raises(Refused) as refused:
        parse(f'{{"default":"{"a" * (MAX_STRUCTURE_BYTES - frame + 1)}"}}', PROTOCOLS)
    assert refused.value.code == "SMN.0009"


def test_a_push_says_what_its_platform_is_given() -> None:
    """An object as JSON, a text as it is, the default for lack of either."""
    assert parse_push('{"APNS": {"aps": {"alert": "hé"}}}', "APNS") == '{"aps":{"alert":"hé"}}'
    assert parse_push('{"HMS": "x", "default": "d"}', "HMS") == "x"
    assert parse_push('{"HMS": "x", "default": "d"}', "APNS") == "d"


@pytest.mark.parametrize("text", ["{}", "x", '{"HMS": "x"}', '{"APNS": ""}', '{"APNS": 7}'])
def test_a_push_needs_something_for_its_platform(text: str) -> None:
    """With the contract's code."""
    with pytest.raises(Refused) as refused:
        parse_push(text, "APNS")
    assert refused.value.code == "SMN.0021"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_KEYS = st.sampled_from(["default", "sms", "dingding", "welink", "APNS", "x"])


@given(st.dictionaries(_KEYS, _JSON))
def test_anything_is_accepted_or_refused(given: dict[str, Any]) -> None:
    """No JSON makes it fail in another way; what is accepted is all text."""
    try:
        content = parse(json.dumps(given), PROTOCOLS)
    except Refused:
        return
    assert all(content.values())
