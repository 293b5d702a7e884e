"""The ledger row: what is packed is what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StoreError
from engine.models import PAGE_SEATS
from engine.store.ledger import Row, Waiting

_WAITING = st.builds(
    Waiting,
    st.integers(0, 255),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    st.booleans(),
)
_ROWS = st.builds(
    Row,
    flush=st.integers(0, 2**32 - 1),
    deadline_ms=st.integers(0, 2**63),
    solo=st.none() | st.integers(0, PAGE_SEATS - 1),
    ended=st.integers(0, 2**PAGE_SEATS - 1),
    waiting=st.dictionaries(st.integers(0, PAGE_SEATS - 1), _WAITING, max_size=PAGE_SEATS),
)


@given(_ROWS)
def test_a_row_is_read_as_it_was_packed(row: Row) -> None:
    """For every row that there can be."""
    assert Row.unpack(row.pack()) == row


@given(st.integers(0, 2**32 - 1))
def test_scripts_find_the_flush_number(number: int) -> None:
    """It stands big-endian in bytes 2 to 5, where settle.lua looks."""
    assert int.from_bytes(Row(flush=number).pack()[1:5], "big") == number


def test_an_untouched_row_is_small() -> None:
    """What every page in flight costs at least: 47 bytes, and 26 for each seat that waits."""
    row = Row(ended=2**PAGE_SEATS - 1)
    assert len(row.pack()) == 47
    row.waiting[3] = Waiting(1, 1_700_000_000_000, "ab" * 16)
    assert len(row.pack()) == 47 + 26


@pytest.mark.parametrize("packed", [b"", b"\x01", Row().pack()[:-1], Row().pack() + b"x"])
def test_a_torn_row_is_refused(packed: bytes) -> None:
    """An impossible length is an error, not a guess."""
    with pytest.raises(StoreError, match="impossible length"):
        Row.unpack(packed)


def test_a_row_without_reservations_is_still_read() -> None:
    """Version 1 had no bit for them: rows from before an update go on."""
    row = Row(waiting={3: Waiting(1, 1_700_000_000_000, "ab" * 16)})
    assert Row.unpack(b"\x01" + row.pack()[1:]) == row


def test_another_version_is_refused() -> None:
    """A row that another program wrote is not misread."""
    with pytest.raises(StoreError, match="version 9"):
        Row.unpack(b"\x09" + Row().pack()[1:])
