"""What a client makes of the bytes of an HTTP/2 server."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame
from hypothesis import given
from hypothesis import strategies as st

from engine.http2_sieve import Sieve

_STREAMS = st.integers(min_value=0, max_value=2**31 - 1)
_GOODBYES = st.builds(
    lambda last, said: GoAwayFrame(0, last_stream_id=last, additional_data=said),
    _STREAMS,
    st.binary(max_size=40),
)
_OTHERS = st.one_of(
    st.builds(PingFrame, st.just(0), st.binary(min_size=8, max_size=8)),
    st.builds(DataFrame, st.integers(1, 99), st.binary(max_size=300)),
)


@given(
    frames=st.lists(st.one_of(_GOODBYES, _OTHERS), max_size=12),
    cuts=st.lists(st.integers(min_value=0, max_value=2000), max_size=12),
)
def test_goodbyes_are_taken_out_however_the_bytes_arrive(
    frames: list[Frame], cuts: list[int]
) -> None:
    """All other frames pass as they are, and the last goodbye counts."""
    whole = b"".join(frame.serialize() for frame in frames)
    sieve, passed, last = Sieve(), b"", None
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    for start, end in pairwise(places):
        piece, found = sieve.sift(whole[start:end])
        passed += piece
        last = last if found is None else found
    kept = [frame for frame in frames if not isinstance(frame, GoAwayFrame)]
    assert passed == b"".join(frame.serialize() for frame in kept)
    gone = [frame.last_stream_id for frame in frames if isinstance(frame, GoAwayFrame)]
    assert last == (gone[-1] if gone else None)


def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    """A server that says so would be given memory for it."""
    with pytest.raises(ValueError, match="too long"):
        Sieve().sift((16_385).to_bytes(3, "big") + bytes(6))
