"""Answers of bots' platforms are judged by their codes."""

import json

import pytest

from adapters._bot_codes import Codes, shown
from engine.models import Delivered, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer

NOW_MS = 1_700_000_000_000
CODES = Codes(
    member=("code", "Legacy"),
    text=("msg",),
    wait={7: 600},
    often=frozenset({8}),
    again=frozenset({-1}),
    meanings={9: "the bot is gone", 8: "unreadable"},
)


def judged(body: object, status: int = 200, secrets: tuple[str, ...] = ()) -> Outcome:
    """The outcome of an answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CODES.judge(Answer(status, None, raw), NOW_MS, secrets)


def test_only_the_code_says_that_a_message_was_taken() -> None:
    """HTTP 200 is no success: platforms answer it whatever has happened."""
    assert judged({"code": 0}) == Delivered(200)
    assert judged({"Legacy": 0}) == Delivered(200)
    assert judged({"code": "0"}) == Delivered(200)
    assert judged({"code": 9, "msg": "gone"}) == Rejected("code 9: the bot is gone", 200, "gone")
    assert judged({"code": 12345, "msg": "?"}) == Rejected("code 12345", 200, "?")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"ok", b"\xff", b"[]", b"[" * 100_000, b'{"code":' + b"9" * 5000 + b"}"),
        *({}, {"code": None}, {"code": True}, {"code": False}, {"code": []}, {"code": 0.0}),
    ],
    ids=lambda body: repr(body)[:30],
)
def test_an_answer_without_a_code_is_no_success(body: object) -> None:
    """A proxy's page, half an answer: the message is tried again."""
    assert judged(body) == Retry("HTTP 200 without a code", 200)


def test_often_means_wait() -> None:
    """By the code, by its text where the code alone does not say it, or by HTTP's own status."""
    assert judged({"code": 7}) == Throttled(NOW_MS + 600_000, "code 7", 200)
    for text in ("frequency limited", "Too Many Requests", "请求过于频繁"):
        found = judged({"code": 8, "msg": text})
        assert found == Throttled(NOW_MS + 60_000, "code 8: unreadable", 200)
    assert judged({"code": 8, "msg": "Bad Request"}) == Rejected(
        "code 8: unreadable", 200, "Bad Request"
    )
    assert judged(b"", 429) == Throttled(NOW_MS + 60_000, "HTTP 429", 429)
    assert judged({"code": 12345}, 429) == Throttled(NOW_MS + 60_000, "code 12345", 429)


def test_trouble_that_may_pass_is_tried_again() -> None:
    """The platform says so, or its server is in trouble."""
    assert judged({"code": -1, "msg": "system busy"}) == Retry("code -1", 200, answer="system busy")
    assert judged(b"<html>", 502) == Retry("HTTP 502", 502)
    assert judged({"code": 12345, "msg": "x"}, 500) == Retry("code 12345", 500, answer="x")
    assert judged({"code": 9, "msg": "x"}, 500) == Rejected("code 9: the bot is gone", 500, "x")
    assert judged(b"", 404) == Rejected("HTTP 404", 404)
    assert judged({"code": 0}, 302) == Rejected("HTTP 302", 302)


def test_what_an_answer_repeats_of_secrets_is_hidden() -> None:
    """It is kept for people to read."""
    found = judged(
        {"code": 9, "msg": "bad token s3cret\r\n\x1b[31m of https://x?t=s3cret"},
        200,
        ("https://x?t=s3cret", "s3cret"),
    )
    assert isinstance(found, Rejected)
    assert found.answer == "bad token *** [31m of ***"
    found = judged({"code": 9, "msg": "bad token"}, 200, ("https://x?t=a", "a"))
    assert isinstance(found, Rejected)
    assert found.answer == "bad token"  # a letter is no secret, and would be in every word
    assert len(shown("x" * 10_000)) == 200
