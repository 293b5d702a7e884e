"""Texts of bots are made to fit, and nothing is left out without a mark."""

import json
from collections.abc import Callable

from hypothesis import assume, given
from hypothesis import strategies as st

from adapters._bot_fitting import CUT_MARK, fit, json_bytes, plain_bytes

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
