"""Places in logs are in order, as numbers and as texts."""

from __future__ import annotations

from engine.store.audit_log import Place, place_of, trace_id
from engine.store.delivery_log import Spot, Stretch

SPOTS = [
    Spot(1_767_323_045_000, 0, 0, 0),
    Spot(1_767_323_045_000, 0, 0, 255),
    Spot(1_767_323_045_000, 0, 12, 3),
    Spot(1_767_323_045_000, 7, 0, 0),
    Spot(1_767_323_045_001, 0, 0, 0),
]


def test_a_spots_text_tells_it() -> None:
    """And texts are ordered as the lines are."""
    texts = [str(spot) for spot in SPOTS]
    assert texts == sorted(texts)
    assert [Spot.parse(text) for text in texts] == SPOTS
    for text in ("", "1", "x" * 25, f"{SPOTS[0]}0", "٣" * 25):
        assert Spot.parse(text) is None


def test_a_stretch_ends_beyond_a_spot() -> None:
    """What came before, in its direction, is no part of it."""
    first, last = 1_767_323_044_000, 1_767_323_046_000
    ascending = Stretch(first, last, beyond=SPOTS[2])
    assert [ascending.has(spot) for spot in SPOTS] == [False, False, False, True, True]
    assert ascending.bounds() == (str(SPOTS[2].at_ms), str(last))
    descending = Stretch(first, last, newest_first=True, beyond=SPOTS[2])
    assert [descending.has(spot) for spot in SPOTS] == [True, True, False, False, False]
    assert descending.bounds() == (str(first), str(SPOTS[2].at_ms))


def test_a_trace_id_tells_its_place() -> None:
    """A UUID of the project's own; another project's or a made-up one tells nothing."""
    places = [Place(1_767_323_045_000, 0), Place(1_767_323_045_000, 4095), Place(1, 1 << 20)]
    for place in places:
        identifier = trace_id("p", place)
        assert place_of("p", identifier) == place
        assert place_of("q", identifier) is None
    assert place_of("p", "019b7d3f-1a48-7000-8000-000000000000") is None
    assert place_of("p", "x") is None
