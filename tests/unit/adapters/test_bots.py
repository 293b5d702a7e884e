"""What bots have in common: texts are made to fit, answers are judged, URLs are safe."""

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters._bots import (
    CUT_MARK,
    Codes,
    base_url,
    compose,
    fit,
    in_order,
    json_bytes,
    plain_bytes,
    shown,
)
from engine.models import Delivered, Kind, Outcome, Rejected, Retry, Throttled
from engine.ports import Answer
from tests.platforms.sending import message

NOW_MS = 1_700_000_000_000
measures = st.sampled_from([plain_bytes, json_bytes])
texts = st.text(max_size=400)


@given(texts, measures)
def test_measures_count_bytes_on_the_wire(text: str, measure: Callable[[str], int]) -> None:
    """In UTF-8, escaped where JSON escapes."""
    on_wire = text if measure is plain_bytes else json.dumps(text, ensure_ascii=False)[1:-1]
    assert measure(text) == len(on_wire.encode())


@given(texts, measures, st.integers(1, 5), st.sampled_from(["", "alarm"]), st.text(max_size=20))
def test_what_fits_is_sent_whole(
    text: str, measure: Callable[[str], int], pieces: int, keyword: str, tail: str
) -> None:
    """In one message, with nothing but the keyword added."""
    (found,) = fit(text, 4000, measure=measure, pieces=pieces, keyword=keyword, tail=tail)
    assert found.removesuffix(f"\n{keyword}") in {text + tail, (text + tail)[: -len(keyword) - 1]}
    assert keyword in found


@given(st.text(min_size=1, max_size=400), measures, st.sampled_from(["", "报警"]))
def test_what_is_cut_says_so(text: str, measure: Callable[[str], int], keyword: str) -> None:
    """As much of the beginning as fits, then a mark, then what must not be missing."""
    whole = text * 100
    (found,) = fit(whole, 90, measure=measure, keyword=keyword, tail=" @1")
    assert measure(found) <= 90
    kept = found.rpartition(CUT_MARK)[0]
    assert whole.startswith(kept)
    assert measure(kept) > 50
    assert found.startswith(kept + CUT_MARK + " @1")
    assert keyword in found


@given(st.lists(st.text(max_size=60), max_size=40), measures, st.sampled_from(["", "alarm"]))
def test_parts_make_up_the_text(
    lines: list[str], measure: Callable[[str], int], keyword: str
) -> None:
    """Nothing is lost between them; each is counted, short enough, and has the keyword."""
    text = "\n".join(lines)
    assume(not keyword or keyword not in text)
    found = fit(text, 400, measure=measure, pieces=9, keyword=keyword)
    assert all(measure(one) <= 400 and keyword in one for one in found)
    if len(found) == 1:
        assert found[0].startswith(text)
        return
    added = f"\n{keyword}" if keyword else ""
    counted = [
        one.removeprefix(f"({number}/{len(found)})\n").removesuffix(added)
        for number, one in enumerate(found, 1)
    ]
    joined = "".join(counted)
    assert joined == text or (len(found) == 9 and text.startswith(joined.split(CUT_MARK)[0]))


def test_parts_end_where_lines_end() -> None:
    """So that no word is torn apart that does not have to be."""
    text = "".join(f"line {number}\n" for number in range(40))
    found = fit(text, 100, pieces=9)
    assert len(found) > 3
    assert all(one.endswith("\n") for one in found)


def test_more_than_the_parts_may_be_is_cut() -> None:
    """One delivery does not talk for minutes."""
    found = fit("x" * 10_000, 100, pieces=3)
    assert [one[:6] for one in found] == ["(1/3)\n", "(2/3)\n", "(3/3)\n"]
    assert found[2].endswith(CUT_MARK)


def test_a_text_has_its_subject_above_it() -> None:
    """Which is its title, too, where there has to be one."""
    post = compose(message(subject="alarm"), "feishu")
    assert (post.headed, post.title, post.markdown) == ("alarm\ndisk full", "alarm", False)


@pytest.mark.parametrize(
    ("rich", "given", "title"),
    [
        ({"title": "own"}, {"subject": "subject", "display_name": "Orders"}, "own"),
        ({}, {"subject": "subject", "display_name": "Orders"}, "subject"),
        ({}, {"display_name": "Orders"}, "Orders"),
        ({}, {}, "orders"),
    ],
)
def test_markdown_always_has_a_title(
    rich: dict[str, str], given: dict[str, str], title: str
) -> None:
    """Its own, the subject, the topic's display name, the topic's name."""
    post = compose(message(rich={"msgType": "markdown"} | rich, **given), "feishu")
    assert post.title == title


def test_a_title_is_not_longer_than_a_subject_may_be() -> None:
    """The object form has no bound of its own."""
    post = compose(message(rich={"msgType": "markdown", "title": "标" * 1000}), "feishu")
    assert plain_bytes(post.title) <= 512
    assert post.title.endswith("…")


@pytest.mark.parametrize(
    "kind",
    [Kind.CONFIRMATION, Kind.CANCELLATION, Kind.USER_CONFIRMATION, Kind.USER_CANCELLATION],
)
def test_invitations_hold_the_link_in_the_messages_language(kind: Kind) -> None:
    """Whoever is asked can answer."""
    for locale, word in (("en-us", "ou"), ("zh-cn", "您" if "user" not in kind else "订阅")):
        post = compose(message(kind=kind, link="https://x/confirm", locale=locale), "feishu")
        assert "https://x/confirm" in post.text
        assert "orders" in post.text
        assert word in post.text or "subscription" in post.text


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
    assert len(shown("x" * 10_000)) == 200


OUTCOMES: dict[str, Outcome] = {
    "d": Delivered(200),
    "r": Retry("busy"),
    "x": Rejected("no"),
    "t": Throttled(1),
}


async def test_parts_go_in_order_and_end_with_the_first_that_fails() -> None:
    """A part that fails behind others is tried once more, because a retry repeats them all."""
    for script, sent, last in (
        ("ddd", "ddd", Delivered),
        ("drdd", "drdd", Delivered),
        ("drr", "drr", Retry),
        ("drdr", "drdr", Retry),
        ("rdd", "r", Retry),
        ("dx", "dx", Rejected),
        ("dt", "dt", Throttled),
    ):
        answers, calls = iter(script), list[str]()

        async def call(answers: Iterator[str] = answers, calls: list[str] = calls) -> Outcome:
            calls.append(next(answers))
            return OUTCOMES[calls[-1]]

        assert isinstance(await in_order([call] * 3), last)
        assert "".join(calls) == sent


@pytest.mark.parametrize(
    "text",
    [
        *("https://ding.corp", "https://ding.corp:8443/gate/"),
        *("http://127.0.0.1:8080", "http://[::1]:80", "http://localhost/x"),
    ],
)
def test_base_urls_are_safe_for_secrets(text: str) -> None:
    """TLS, or no network at all."""
    assert base_url(text) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        *("", "ding.corp", "http://ding.corp", "http://10.0.0.1", "http://127.0.0.1.evil.example"),
        *("https://x?a=b", "https://x#y", "https://u:p@x", "https://x/\n", "ftp://x"),
    ],
)
def test_other_base_urls_are_refused(text: str) -> None:
    """The operator is told at start."""
    with pytest.raises(ValueError, match="base URL"):
        base_url(text)
